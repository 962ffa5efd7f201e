//! What the document of the API promised when it was released last, `openapi/released.json`, holds:
//! a change that breaks a client stands in the changelog.
//!
//! What breaks a client depends on who reads: requests must stay valid, and answers must keep what
//! they have.

use std::collections::BTreeSet;

use orchestrator::http::openapi;
use serde_json::{Map, Value};

const CHANGELOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/CHANGELOG.md");
const RELEASED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/released.json");

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The keywords that bound a value: those below which a request must not be, and those above.
const LEAST: [&str; 3] = ["minimum", "minLength", "minItems"];
const MOST: [&str; 4] = ["maximum", "maxLength", "maxItems", "maxProperties"];

/// Which side writes what a schema describes.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Side {
    Request,
    Answer,
}

/// Two documents, and what of the old one no longer holds in the new one.
struct Comparison<'d> {
    old: &'d Value,
    new: &'d Value,
    broken: BTreeSet<String>,
    /// Names of schemas that are compared already, with the side.
    seen: BTreeSet<(String, Side)>,
}

/// What of `old` no longer holds in `new`, in sentences.
fn broken(old: &Value, new: &Value) -> BTreeSet<String> {
    let mut comparison = Comparison { old, new, broken: BTreeSet::new(), seen: BTreeSet::new() };
    comparison.operations();
    comparison.broken
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn has(list: &Value, item: &Value) -> bool {
    items(list).any(|one| one == item)
}

/// The schema itself, if it is a reference; with what its parts say.
fn whole(document: &Value, schema: &Value) -> Value {
    if let Some(path) = schema["$ref"].as_str() {
        return whole(document, document.pointer(&path[1..]).expect("a schema of that name"));
    }
    let mut sum = schema.as_object().cloned().unwrap_or_default();
    let parts = sum.remove("allOf");
    for part in parts.iter().flat_map(items) {
        add(&mut sum, whole(document, part));
    }
    Value::Object(sum)
}

/// Adds what one part of a schema says to the others.
fn add(sum: &mut Map<String, Value>, part: Value) {
    let Value::Object(part) = part else { return };
    for (name, value) in part {
        match (sum.get_mut(&name), value) {
            (Some(Value::Object(known)), Value::Object(more)) => known.extend(more),
            (Some(Value::Array(known)), Value::Array(more)) if name == "required" => {
                known.extend(more);
            }
            (Some(_), _) => {}
            (None, value) => {
                sum.insert(name, value);
            }
        }
    }
}

impl Comparison<'_> {
    fn note(&mut self, sentence: String) {
        self.broken.insert(sentence);
    }

    fn operations(&mut self) {
        let (old, new) = (self.old, self.new);
        for (path, item) in members(&old["paths"]) {
            for method in METHODS {
                let operation = &item[method];
                if operation.is_null() {
                    continue;
                }
                let name = format!("`{} {path}`", method.to_uppercase());
                match &new["paths"][path][method] {
                    Value::Null => self.note(format!("{name} is gone")),
                    now => self.operation(&name, operation, now),
                }
            }
        }
        for (name, _) in members(&old["components"]["schemas"]) {
            if new["components"]["schemas"][name].is_null() {
                self.note(format!("schema `{name}` is gone"));
            }
        }
    }

    fn operation(&mut self, name: &str, old: &Value, new: &Value) {
        for member in ["operationId", "security"] {
            if old[member] != new[member] {
                self.note(format!("{name} has another `{member}`"));
            }
        }
        self.parameters(name, old, new);
        let (body, now) = (&old["requestBody"], &new["requestBody"]);
        if now["required"] == true && body["required"] != true {
            self.note(format!("{name} requires a body"));
        }
        self.contents(&format!("the body of {name}"), body, now, Side::Request);
        for (status, answer) in members(&old["responses"]) {
            match &new["responses"][status] {
                // A problem that is no longer answered breaks nothing.
                Value::Null if status.starts_with('2') => {
                    self.note(format!("{name} does not answer {status}"));
                }
                Value::Null => {}
                now => self.contents(&format!("{status} of {name}"), answer, now, Side::Answer),
            }
        }
    }

    fn parameters(&mut self, name: &str, old: &Value, new: &Value) {
        let find = |list: &'_ Value, one: &Value| {
            let same = |other: &&Value| other["name"] == one["name"] && other["in"] == one["in"];
            items(list).find(same).cloned()
        };
        let (before, now) = (&old["parameters"], &new["parameters"]);
        for one in items(before) {
            let shown = one["name"].as_str().unwrap_or_default();
            match find(now, one) {
                None => self.note(format!("{name} has no parameter `{shown}`")),
                Some(other) => {
                    let place = format!("parameter `{shown}` of {name}");
                    self.schema(&place, &one["schema"], &other["schema"], Side::Request);
                }
            }
        }
        for one in items(now).filter(|one| one["required"] == true) {
            if find(before, one).is_none_or(|other| other["required"] != true) {
                let shown = one["name"].as_str().unwrap_or_default();
                self.note(format!("{name} requires parameter `{shown}`"));
            }
        }
    }

    fn contents(&mut self, place: &str, old: &Value, new: &Value, side: Side) {
        for (kind, content) in members(&old["content"]) {
            match &new["content"][kind] {
                Value::Null => self.note(format!("{place} is not `{kind}`")),
                now => self.schema(place, &content["schema"], &now["schema"], side),
            }
        }
    }

    fn schema(&mut self, place: &str, old: &Value, new: &Value, side: Side) {
        let mut place = place.to_owned();
        if let Some(path) = old["$ref"].as_str() {
            if !self.seen.insert((path.to_owned(), side)) {
                return;
            }
            place = format!("`{}`", path.rsplit('/').next().unwrap_or_default());
        }
        let (old, new) = (whole(self.old, old), whole(self.new, new));
        for member in ["type", "format", "pattern"] {
            let is_looser = side == Side::Request && new[member].is_null();
            if old[member] != new[member] && !is_looser {
                self.note(format!("{place} has another `{member}`"));
            }
        }
        self.values(&place, &old, &new, side);
        self.properties(&place, &old, &new, side);
        if old["items"].is_object() {
            self.schema(&format!("an item of {place}"), &old["items"], &new["items"], side);
        }
        for choice in ["oneOf", "anyOf"] {
            self.choices(&place, &old[choice], &new[choice], side);
        }
    }

    /// Compares which values there may be.
    fn values(&mut self, place: &str, old: &Value, new: &Value, side: Side) {
        let (wide, narrow) = match side {
            Side::Request => (old, new),
            Side::Answer => (new, old),
        };
        for value in items(&wide["enum"]) {
            if narrow["enum"].is_array() && !has(&narrow["enum"], value) {
                let change = if side == Side::Request { "does not take" } else { "may be" };
                self.note(format!("{place} {change} `{}`", value.as_str().unwrap_or("null")));
            }
        }
        if side == Side::Request && new["enum"].is_array() && !old["enum"].is_array() {
            self.note(format!("{place} takes only some values"));
        }
        if side == Side::Answer && old["enum"].is_array() && !new["enum"].is_array() {
            self.note(format!("{place} may be any value"));
        }
        if side == Side::Answer {
            return;
        }
        for keyword in LEAST {
            if new[keyword]
                .as_f64()
                .is_some_and(|now| old[keyword].as_f64().is_none_or(|b| b < now))
            {
                self.note(format!("{place} has a higher `{keyword}`"));
            }
        }
        for keyword in MOST {
            if new[keyword]
                .as_f64()
                .is_some_and(|now| old[keyword].as_f64().is_none_or(|b| b > now))
            {
                self.note(format!("{place} has a lower `{keyword}`"));
            }
        }
    }

    fn properties(&mut self, place: &str, old: &Value, new: &Value, side: Side) {
        let (before, now) = (&old["properties"], &new["properties"]);
        for (name, property) in members(before) {
            match &now[name] {
                Value::Null => self.note(format!("{place} has no `{name}`")),
                other => {
                    self.schema(&format!("`{name}` of {place}"), property, other, side);
                }
            }
            let is_required = |schema: &Value| has(&schema["required"], &name.as_str().into());
            if side == Side::Answer && is_required(old) && !is_required(new) {
                self.note(format!("{place} may have no `{name}`"));
            }
        }
        for name in items(&new["required"]).filter(|_| side == Side::Request) {
            if !has(&old["required"], name) {
                let name = name.as_str().unwrap_or_default();
                self.note(format!("{place} requires `{name}`"));
            }
        }
        let (before, now) = (&old["additionalProperties"], &new["additionalProperties"]);
        if before.is_object() && now.is_object() {
            self.schema(&format!("a member of {place}"), before, now, side);
        }
    }

    /// Compares schemas of which one applies, in their order.
    fn choices(&mut self, place: &str, old: &Value, new: &Value, side: Side) {
        let (before, now) = (items(old).count(), items(new).count());
        if side == Side::Request && now < before || side == Side::Answer && now > before {
            self.note(format!("{place} has other choices"));
        }
        for (one, other) in items(old).zip(items(new)) {
            self.schema(place, one, other, side);
        }
    }
}

fn released() -> Value {
    serde_json::from_str(&std::fs::read_to_string(RELEASED).unwrap()).unwrap()
}

#[test]
fn changes_that_break_clients_stand_in_the_changelog() {
    let changelog = std::fs::read_to_string(CHANGELOG).unwrap();
    let unreleased = changelog.split("\n## ").nth(1).unwrap();
    let words = unreleased.split_whitespace().collect::<Vec<_>>().join(" ");

    let broken = broken(&released(), &openapi::document());

    let unnamed: Vec<_> = broken.iter().filter(|change| !words.contains(*change)).collect();
    assert!(unnamed.is_empty(), "name each under **Breaking** in CHANGELOG.md: {unnamed:#?}");
}

/// Changes a copy of the document and returns what is broken then.
fn after(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let old = openapi::document();
    let mut new = old.clone();
    change(&mut new);
    broken(&old, &new).into_iter().collect()
}

fn parameter<'d>(document: &'d mut Value, path: &str, name: &str) -> &'d mut Value {
    let list = document["paths"][path]["get"]["parameters"].as_array_mut().unwrap();
    list.iter_mut().find(|one| one["name"] == name).unwrap()
}

#[test]
fn what_breaks_a_client_is_found() {
    assert!(after(|_| {}).is_empty());

    let gone = after(|new| drop(new["paths"]["/tasks"].as_object_mut().unwrap().remove("get")));
    assert_eq!(gone, ["`GET /tasks` is gone"]);
    let renamed = after(|new| parameter(new, "/tasks", "source")["name"] = "from".into());
    assert_eq!(renamed, ["`GET /tasks` has no parameter `source`"]);
    let required = after(|new| parameter(new, "/tasks", "source")["required"] = true.into());
    assert_eq!(required, ["`GET /tasks` requires parameter `source`"]);
    let lower = after(|new| parameter(new, "/tasks", "limit")["schema"]["maximum"] = 5.into());
    assert_eq!(lower, ["parameter `limit` of `GET /tasks` has a lower `maximum`"]);

    let schema = |new: &mut Value, name: &str| new["components"]["schemas"][name].take();
    let changed = |name: &'static str, change: fn(&mut Value)| {
        after(|new| {
            let mut old = schema(new, name);
            change(&mut old);
            new["components"]["schemas"][name] = old;
        })
    };
    let named = changed("Submission", |it| it["required"] = serde_json::json!(["type", "title"]));
    assert_eq!(named, ["`Submission` requires `title`"]);
    let lost = changed("Task", |it| drop(it["properties"].as_object_mut().unwrap().remove("type")));
    assert!(lost.contains(&"`Task` has no `type`".to_owned()), "{lost:?}");
    let typed = changed("Task", |it| it["properties"]["attempt"]["type"] = "string".into());
    assert!(typed.contains(&"`attempt` of `Task` has another `type`".to_owned()), "{typed:?}");
    let narrowed = changed("BulkAction", |it| drop(it["enum"].as_array_mut().unwrap().remove(0)));
    assert!(narrowed.iter().any(|one| one.contains("does not take")), "{narrowed:?}");
}

#[test]
fn what_a_client_need_not_know_breaks_nothing() {
    let added = after(|new| {
        new["components"]["schemas"]["Task"]["properties"]["new"] = Value::default();
        new["components"]["schemas"]["Submission"]["properties"]["new"] = Value::default();
        new["paths"]["/new"]["get"]["operationId"] = "new".into();
        parameter(new, "/tasks", "limit")["schema"]["maximum"] = 1_000_000.into();
        new["paths"]["/tasks"]["get"]["responses"]["418"] = Value::default();
    });

    assert!(added.is_empty(), "{added:?}");
}
