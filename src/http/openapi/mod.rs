//! The API document: built once from the handlers' types, repaired, and shown as JSON, YAML and a
//! page.
//!
//! Building it needs no engine or runtime, and the same build always writes the same bytes.

mod repair;
mod template;
mod yaml;

use std::collections::HashMap;
use std::sync::LazyLock;

use poem::endpoint::BoxEndpoint;
use poem::http::Method;
use poem_openapi::registry::{MetaApi, Registry};
use poem_openapi::{
    ContactObject, ExternalDocumentObject, LicenseObject, OpenApi, OpenApiService, Tags,
};
use serde_json::Value;

use super::Apis;

pub use template::{Operation, Template};

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
    /// Create, list, rotate and revoke API keys.
    Keys,
    /// Sign in and out in a browser.
    Session,
    /// The version and health of the service, its metrics and this document.
    Service,
}

/// The names of the chapters, in the order in which a newcomer needs them.
const TAGS: [&str; 8] =
    ["Tasks", "Agents", "Approvals", "Events", "Operation", "Keys", "Session", "Service"];

/// The paths of this document itself, which are no operations of it.
const PAGES: [&str; 3] = ["/docs", "/openapi.json", "/openapi.yaml"];

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
        .contact(ContactObject::new().name(TITLE))
        .external_document(ExternalDocumentObject::new(PAGES[0]).description("Try this API"))
        .license(LicenseObject::new("MIT").url("https://opensource.org/license/mit"))
        .server("/")
}

/// The document, repaired so that generators and linters accept it.
pub fn document() -> Value {
    let mut document = whole();
    if let Some(paths) = document["paths"].as_object_mut() {
        paths.retain(|path, _| !PAGES.contains(&path.as_str()));
    }
    document
}

/// The document with [`PAGES`].
fn whole() -> Value {
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
            assert!(!responses.contains_key("default"), "{}", one["operationId"]);
            // Clients have one type for all refusals of a call.
            let is_health =
                responses.get("503").is_some_and(|one| one.to_string().contains("schemas/Health"));
            assert_ne!(responses.contains_key("500"), is_health, "{}", one["operationId"]);
        }
    }

    #[test]
    fn a_guarded_call_names_both_schemes_and_its_scope() {
        let document = document();

        for one in operations(&document) {
            let is_open = one["tags"][0] == "Service";
            let schemes = serde_json::json!([{"ApiKey": []}, {"Bearer": []}]);
            assert_eq!(one["security"] == schemes, !is_open, "{}", one["operationId"]);
            assert_eq!(one["x-required-scopes"].is_array(), !is_open, "{}", one["operationId"]);
        }
    }

    #[test]
    fn the_chapters_are_in_the_order_of_a_newcomer() {
        let document = document();
        let tags = document["tags"].as_array().unwrap();

        assert_eq!(tags.iter().map(|tag| &tag["name"]).collect::<Vec<_>>(), TAGS);
    }

    #[test]
    fn lists_of_words_are_closed_in_requests_and_open_in_answers() {
        let document = document();
        let schemas = &document["components"]["schemas"];

        assert_eq!(schemas["Submission"]["properties"]["priority"]["oneOf"][0]["$ref"], {
            "#/components/schemas/Priority"
        });
        let names = &schemas["Priority"]["x-enum-varnames"];
        assert_eq!(names.as_array().unwrap()[0], "PRIORITY_P0");
        for (schema, member) in [
            ("Task", "status"),
            ("Task", "priority"),
            ("Transition", "verb"),
            ("Problem", "task_status"),
            ("Problem", "type"),
            ("Event", "event_type"),
            ("WhyWaiting", "reason"),
        ] {
            let member = &schemas[schema]["properties"][member];
            assert_eq!(member["type"], "string", "{schema}");
            assert!(member["x-extensible-enum"].as_array().unwrap().len() > 2, "{schema}");
            assert!(member["enum"].is_null(), "{schema}");
        }
    }

    #[test]
    fn no_schema_has_a_member_of_its_own_name() {
        let document = document();
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            for member in schema["properties"].as_object().into_iter().flat_map(|all| all.keys()) {
                assert_ne!(member.replace('_', ""), name.to_lowercase());
            }
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
    fn target<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
        let references = [&schema["$ref"], &schema["oneOf"][0]["$ref"]];
        let reference = references.into_iter().find_map(Value::as_str);
        reference.map_or(schema, |reference| {
            document.pointer(reference.trim_start_matches('#')).unwrap_or(schema)
        })
    }

    /// The members below `schema` that are texts or lists without a bound.
    fn unbounded(document: &Value, schema: &Value, place: &str, found: &mut BTreeSet<String>) {
        let schema = target(document, schema);
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
    fn the_page_holds_the_repaired_document() {
        assert!(PAGE.contains("\"openapi\": \"3.0.3\""));
        assert!(!PAGE.contains("\"openapi\": \"3.0.0\""));
    }
}
