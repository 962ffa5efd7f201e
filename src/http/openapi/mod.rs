//! The API document: built once from the handlers' types, repaired, and shown as JSON, YAML and a
//! page.
//!
//! Building it needs no engine or runtime, and the same build always writes the same bytes.

mod repair;
mod yaml;

use std::collections::HashMap;
use std::sync::LazyLock;

use poem::endpoint::BoxEndpoint;
use poem::http::Method;
use poem_openapi::registry::{MetaApi, Registry};
use poem_openapi::{LicenseObject, OpenApi, OpenApiService, Tags};
use serde_json::Value;

use super::Apis;

const TITLE: &str = "MorningAI Orchestrator";

const DESCRIPTION: &str = "A task orchestrator and event bus for fleets of AI agents.\n\n\
    Errors are RFC 9457 `application/problem+json`; `type` is stable. Every answer carries \
    `X-Request-Id`. Lists are pages: follow `next_cursor`. Times are RFC 3339, UTC, milliseconds; \
    a request may use any offset, and times from 1970 to 2125. Unknown parts of a request \
    (members of the body at any level, parameters of the query) are refused; the refusal names \
    the nearest known name.";

/// The chapters of the document.
#[derive(Tags)]
pub enum Tag {
    /// Submit, find, follow, cancel and retry tasks.
    Tasks,
    /// Claim tasks and report on them.
    Agents,
    /// Decide on tasks and steps that require an approval.
    Approvals,
    /// Follow, read and publish events.
    Events,
    /// Read figures, reports, rules and the audit log.
    Operation,
    /// The version and health of the service, its metrics and this document.
    Service,
}

/// The handlers' types without handlers: enough to describe them.
struct ApiTypes;

impl OpenApi for ApiTypes {
    fn meta() -> Vec<MetaApi> {
        Apis::meta()
    }

    fn register(registry: &mut Registry) {
        Apis::register(registry);
    }

    fn add_routes(self, _: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

/// Wraps `api` with the title, description and licence of the document.
pub fn service<A: OpenApi>(api: A) -> OpenApiService<A, ()> {
    OpenApiService::new(api, TITLE, env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION)
        .license(LicenseObject::new("MIT").url("https://opensource.org/license/mit"))
        .server("/")
}

/// The document, repaired so that generators and linters accept it.
pub fn document() -> Value {
    // The framework writes JSON; if it could not be read again, the tests would fail.
    repair::repair(serde_json::from_str(&service(ApiTypes).spec()).unwrap_or_default())
}

/// The document as YAML.
pub fn yaml() -> String {
    yaml::write(&document())
}

/// The document as JSON.
pub static JSON: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));

/// The document as YAML, built on the first use.
pub static YAML: LazyLock<String> = LazyLock::new(yaml);

/// The document as a page that loads nothing from other sites.
pub static PAGE: LazyLock<String> = LazyLock::new(|| {
    let service = service(ApiTypes);
    // The framework embeds its own document; `</` would end the script that holds the repaired one.
    let ours = JSON.replace("</", "<\\/");
    let page = service.swagger_ui_html().replacen(&service.spec(), &ours, 1);
    page.replacen("Swagger UI", TITLE, 1)
});

/// The calls on one task: the name of each (the last word of its path below `/tasks/{id}`, or
/// `get`), and its method.
pub fn task_calls() -> Vec<(String, String)> {
    let document = document();
    let mut calls = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        let name = match path.strip_prefix("/tasks/{id}") {
            Some("") => "get",
            Some(rest) => rest.trim_start_matches('/'),
            None => continue,
        };
        let methods = item.as_object().into_iter().flatten().map(|(method, _)| method);
        calls.extend(methods.map(|method| (name.to_owned(), method.to_uppercase())));
    }
    calls
}

/// One path of the document, from which a refusal tells the client what the path accepts.
#[derive(Debug)]
pub struct Template {
    segments: Vec<String>,
    allow: String,
    operations: Vec<Operation>,
}

/// What one method of a path accepts besides the path.
#[derive(Debug)]
pub struct Operation {
    method: String,
    /// The names of its query parameters.
    pub parameters: Vec<String>,
    /// Whether it accepts the header `Idempotency-Key`.
    pub takes_key: bool,
    /// Whether it accepts a body.
    pub takes_body: bool,
}

impl Operation {
    fn of(method: &str, operation: &Value) -> Self {
        Self {
            method: method.to_uppercase(),
            parameters: names(operation, "query").map(str::to_owned).collect(),
            takes_key: names(operation, "header")
                .any(|name| name.eq_ignore_ascii_case("Idempotency-Key")),
            takes_body: operation["requestBody"].is_object(),
        }
    }
}

/// The names of the parameters of `operation` in this place.
fn names<'o>(operation: &'o Value, place: &str) -> impl Iterator<Item = &'o str> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    parameters.filter(move |one| one["in"] == place).filter_map(|one| one["name"].as_str())
}

impl Template {
    /// The template that `path` matches, or `None` if there is none.
    pub fn of(path: &str) -> Option<&'static Self> {
        static TEMPLATES: LazyLock<Vec<Template>> = LazyLock::new(|| {
            let document = document();
            let paths = document["paths"].as_object().into_iter().flatten();
            paths.map(|(path, item)| Template::new(path, item)).collect()
        });
        let given: Vec<_> = path.split('/').collect();
        let fitting = TEMPLATES.iter().filter(|template| template.fits(&given));
        // As in the router, a word wins over a parameter.
        fitting.min_by_key(|template| {
            template.segments.iter().filter(|own| own.starts_with('{')).count()
        })
    }

    fn new(path: &str, item: &Value) -> Self {
        let item: Vec<_> = item.as_object().into_iter().flatten().collect();
        let mut methods: Vec<_> = item.iter().map(|(method, _)| method.to_uppercase()).collect();
        if methods.iter().any(|method| method == "GET") {
            methods.push("HEAD".to_owned());
        }
        Self {
            segments: path.split('/').map(str::to_owned).collect(),
            allow: methods.join(", "),
            operations: item.iter().map(|(method, one)| Operation::of(method, one)).collect(),
        }
    }

    /// Whether a path of these segments has this template.
    fn fits(&self, given: &[&str]) -> bool {
        let mut pairs = self.segments.iter().zip(given);
        self.segments.len() == given.len()
            && pairs.all(|(own, given)| own == given || own.starts_with('{'))
    }

    /// The name of the path's parameter, or `None` if it has none.
    pub fn parameter(&self) -> Option<&str> {
        self.segments.iter().find_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
    }

    /// The operation of this method, or `None` if the path has none; a `HEAD` counts as a `GET`.
    pub fn operation(&self, method: &str) -> Option<&Operation> {
        let method = if method == "HEAD" { "GET" } else { method };
        self.operations.iter().find(|operation| operation.method == method)
    }

    /// The methods that the path accepts, for the header `Allow`.
    pub fn allow(&self) -> &str {
        &self.allow
    }
}

#[cfg(test)]
mod tests {
    mod examples_tests;

    use std::collections::BTreeSet;

    use super::*;

    fn visit(value: &Value, see: &mut impl FnMut(&serde_json::Map<String, Value>)) {
        match value {
            Value::Object(map) => {
                see(map);
                map.values().for_each(|inner| visit(inner, see));
            }
            Value::Array(items) => items.iter().for_each(|inner| visit(inner, see)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn operations(document: &Value) -> Vec<Value> {
        let paths = document["paths"].as_object().unwrap();
        paths.values().flat_map(|item| item.as_object().unwrap().values().cloned()).collect()
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let mut dangling = Vec::new();

        visit(&document, &mut |map| {
            if let Some(Value::String(target)) = map.get("$ref")
                && document.pointer(target.trim_start_matches('#')).is_none()
            {
                dangling.push(target.clone());
            }
        });

        assert_eq!(dangling, Vec::<String>::new());
    }

    #[test]
    fn every_call_has_a_unique_name_and_a_summary() {
        let document = document();
        let operations = operations(&document);
        let names: BTreeSet<_> =
            operations.iter().map(|one| one["operationId"].as_str().unwrap()).collect();

        assert_eq!(names.len(), operations.len());
        for one in &operations {
            assert!(one["summary"].is_string() && one["tags"].is_array(), "{}", one["operationId"]);
            let responses = one["responses"].as_object().unwrap();
            assert!(
                !responses.contains_key("default") && responses.contains_key("500"),
                "{}",
                one["operationId"]
            );
        }
    }

    #[test]
    fn a_guarded_call_names_both_schemes_and_its_scope() {
        let document = document();

        for one in operations(&document) {
            let is_open = one["tags"][0] == "Service";
            let schemes = serde_json::json!([{"Bearer": []}, {"ApiKey": []}]);
            assert_eq!(one["security"] == schemes, !is_open, "{}", one["operationId"]);
            assert_eq!(one["x-required-scopes"].is_array(), !is_open, "{}", one["operationId"]);
        }
    }

    #[test]
    fn the_document_has_nothing_that_linters_refuse() {
        let document = document();
        assert_eq!(document["openapi"], "3.0.3");

        visit(&document, &mut |map| {
            assert!(!map.contains_key("application/json; charset=utf-8"));
            assert_ne!(map.get("description"), Some(&Value::from("")));
            assert!(
                map.get("format")
                    .and_then(Value::as_str)
                    .is_none_or(|format| !format.starts_with("uint"))
            );
        });
    }

    #[test]
    fn every_bound_and_example_belongs_to_an_operation() {
        let document = document();
        for (schema, field, ..) in super::super::request::NUMBERS.into_iter().flatten() {
            let place = format!("/components/schemas/{schema}/properties/{field}/maximum");
            assert!(document.pointer(&place).is_some(), "{place}");
        }

        let examples: Value = serde_json::from_str(include_str!("examples.json")).unwrap();
        let operations = operations(&document);
        for name in examples.as_object().unwrap().keys() {
            assert!(operations.iter().any(|one| one["operationId"] == name.as_str()), "{name}");
        }
    }

    /// The schema itself, where `schema` only refers to it.
    fn resolved<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
        let parts = [&schema["$ref"], &schema["oneOf"][0]["$ref"], &schema["allOf"][0]["$ref"]];
        let target = parts.into_iter().find_map(Value::as_str);
        target.map_or(schema, |target| {
            document.pointer(target.trim_start_matches('#')).unwrap_or(schema)
        })
    }

    /// The members below `schema` that are texts or lists without a bound.
    fn unbounded(document: &Value, schema: &Value, place: &str, found: &mut BTreeSet<String>) {
        let schema = resolved(document, schema);
        let formats = [Some("uuid"), Some("date-time")];
        let is_bounded = match schema["type"].as_str() {
            Some("string") => {
                schema["maxLength"].is_u64()
                    || schema["enum"].is_array()
                    || formats.contains(&schema["format"].as_str())
            }
            Some("array") => schema["maxItems"].is_u64(),
            _ => true,
        };
        if !is_bounded {
            found.insert(place.to_owned());
        }
        if schema["items"].is_object() {
            unbounded(document, &schema["items"], &format!("{place}[]"), found);
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            unbounded(document, property, &format!("{place}.{name}"), found);
        }
    }

    #[test]
    fn every_text_and_every_list_of_every_request_has_a_bound() {
        let document = document();
        let mut found = BTreeSet::new();

        for one in operations(&document) {
            let schema = &one["requestBody"]["content"]["application/json"]["schema"];
            let name = one["operationId"].as_str().unwrap();
            unbounded(&document, schema, name, &mut found);
        }

        assert_eq!(found, BTreeSet::new());
        for (schema, field, _) in super::super::request::TEXTS.into_iter().flatten() {
            let place = format!("/components/schemas/{schema}/properties/{field}/x-max-bytes");
            assert!(document.pointer(&place).is_some(), "{place}");
        }
    }

    #[test]
    fn a_path_finds_its_template_and_a_word_wins() {
        assert_eq!(Template::of("/tasks").unwrap().allow(), "GET, POST, HEAD");
        assert_eq!(Template::of("/tasks/batch").unwrap().allow(), "POST");
        assert_eq!(Template::of("/agents/dev_agent").unwrap().parameter(), Some("agent"));
        assert!(Template::of("/nothing").is_none());
    }

    #[test]
    fn the_page_holds_the_repaired_document() {
        assert!(PAGE.contains("\"openapi\": \"3.0.3\""));
        assert!(!PAGE.contains("\"openapi\": \"3.0.0\""));
    }
}
