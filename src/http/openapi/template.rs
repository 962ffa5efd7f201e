//! What each path of the API accepts, for refusals that tell the client what it may send.

use std::sync::LazyLock;

use serde_json::Value;

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
            let document = super::whole();
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

    /// The path with the names of its parameters in braces.
    pub fn path(&self) -> String {
        self.segments.join("/")
    }

    /// The methods that the path accepts, for the header `Allow`.
    pub fn allow(&self) -> &str {
        &self.allow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_its_template_and_a_word_wins() {
        assert_eq!(Template::of("/tasks").unwrap().allow(), "GET, POST, HEAD");
        assert_eq!(Template::of("/tasks/batch").unwrap().allow(), "POST");
        assert_eq!(Template::of("/agents/dev_agent").unwrap().parameter(), Some("agent"));
        assert!(Template::of("/nothing").is_none());
    }
}
