//! Members of a request body that the API document does not have, at every level.
//!
//! A second pass over the bytes compares the members with the shape of the body. The shape comes
//! from the same types as the document, so a new request type needs no code here. Parts that the
//! document leaves open (payloads, results) are skipped.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::Refusal;
use super::field::{Faults, Field, List};
use super::openapi;
use super::settings::UnknownMembers;
use crate::domain::nearest::hint;
use crate::engine::Fault;

/// How many unknown members of one object are reported; the rest are ignored.
const MAX_REPORTED: usize = 10;

/// How much of an unknown member's name is shown, in characters.
const MAX_SHOWN: usize = 64;

/// The faults in the names of a body's members, in the order of the body.
#[derive(Debug, Default)]
pub struct Unknown(VecDeque<Fault>);

impl Unknown {
    /// Compares `body`, which is valid JSON, with the shape of `schema` in the API document.
    pub fn find(schema: &str, body: &str, policy: UnknownMembers) -> Self {
        let mut found = VecDeque::new();
        let Some(shape) = SHAPES.get(schema) else { return Self(found) };
        // Another value than null in the place of an object or a list fails the fast pass.
        for is_careful in [false, true] {
            found.clear();
            let mut pointer = String::new();
            let walk = Walk { shape, pointer: &mut pointer, found: &mut found, policy, is_careful };
            match walk.open(body) {
                Ok(()) => break,
                Err(error) if is_careful => {
                    found.push_back(Fault::new("", super::readable::plain(&error)));
                }
                Err(_) => {}
            }
        }
        Self(found)
    }

    /// Returns the faults of the whole body.
    pub fn into_faults(self) -> Faults {
        Faults::of("", self.0)
    }

    /// Reads each item of the list in the field `name` with `read`, which gets the faults in the
    /// names of its members.
    ///
    /// # Errors
    ///
    /// The list itself is missing, empty or too long, or the body has unknown members beside it.
    pub fn read_items<I, O, const MOST: usize>(
        self,
        name: &str,
        list: Field<List<I, MOST>>,
        read: impl Fn(I, Faults) -> Result<O, Refusal>,
    ) -> Result<Vec<Result<O, Refusal>>, Refusal> {
        let (mut faults, mut within) = self.split(name);
        let items = faults.required(name, list).map(|list| list.0);
        if items.as_ref().is_some_and(Vec::is_empty) {
            faults.add(name, format!("must have 1 to {MOST} items"));
        }
        let items = faults.finish(items)?.into_iter().enumerate();
        Ok(items.map(|(nth, item)| read(item, within.take(&format!("/{name}/{nth}")))).collect())
    }

    /// Splits the faults into those outside of the items of `list`, and those within.
    fn split(self, list: &str) -> (Faults, Self) {
        let start = format!("/{list}/");
        let (within, outside): (_, VecDeque<_>) =
            self.0.into_iter().partition(|fault| fault.pointer.starts_with(&start));
        (Faults::of("", outside), Self(within))
    }

    /// Takes the faults of the item at `base`. Items must be taken in their order.
    fn take(&mut self, base: &str) -> Faults {
        let below = format!("{base}/");
        let count = self.0.iter().take_while(|fault| fault.pointer.starts_with(&below)).count();
        Faults::of(base, self.0.drain(..count))
    }
}

/// The names that a value may have, at every level.
#[derive(Debug)]
enum Shape {
    /// The value is skipped: any content is valid.
    Any,
    /// The value has the shape of the schema of this name.
    Named(String),
    /// A list of this shape, of which at most this many items are read.
    List(Box<Shape>, usize),
    /// An object with these members, each with its shape.
    Object(BTreeMap<String, Shape>),
}

/// The shape of each schema of the document.
static SHAPES: LazyLock<BTreeMap<String, Shape>> = LazyLock::new(|| {
    let document = openapi::document();
    let schemas = document["components"]["schemas"].as_object().into_iter().flatten();
    schemas.map(|(name, schema)| (name.clone(), Shape::of(schema))).collect()
});

impl Shape {
    fn of(schema: &Value) -> Self {
        if let Some(target) = schema["$ref"].as_str() {
            return Self::Named(target.rsplit('/').next().unwrap_or_default().to_owned());
        }
        // A reference that may be null, or that has a description, is the first of such a list.
        for list in ["oneOf", "allOf"] {
            if let Some(first) = schema[list].get(0) {
                return Self::of(first);
            }
        }
        if let Some(members) = schema["properties"].as_object() {
            let members = members.iter().map(|(name, inner)| (name.clone(), Self::of(inner)));
            return Self::Object(members.collect());
        }
        // An object schema without members accepts none; one that accepts any says so.
        if schema["type"] == "object" && schema["additionalProperties"].is_null() {
            return Self::Object(BTreeMap::new());
        }
        if schema["items"].is_object() {
            let most = schema["maxItems"].as_u64().and_then(|most| usize::try_from(most).ok());
            let item = Box::new(Self::of(&schema["items"]));
            return Self::List(item, most.unwrap_or(usize::MAX));
        }
        Self::Any
    }

    /// Follows a reference to the shape that it names.
    fn resolved(&self) -> &Self {
        match self {
            Self::Named(name) => SHAPES.get(name).unwrap_or(&Self::Any),
            Self::Any | Self::List(..) | Self::Object(_) => self,
        }
    }
}

/// A visitor that walks over one value and notes the unknown names.
struct Walk<'w> {
    shape: &'w Shape,
    pointer: &'w mut String,
    found: &'w mut VecDeque<Fault>,
    policy: UnknownMembers,
    /// Whether to look at each value's text before reading it, which is slower but never fails.
    is_careful: bool,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.shape.resolved() {
            Shape::Object(_) | Shape::List(..) if !self.is_careful => {
                deserializer.deserialize_any(self)
            }
            Shape::Object(_) | Shape::List(..) => {
                let raw = <&RawValue>::deserialize(deserializer)?;
                self.open(raw.get()).map_err(Error::custom)
            }
            Shape::Any | Shape::Named(_) => {
                deserializer.deserialize_ignored_any(IgnoredAny).map(drop)
            }
        }
    }
}

impl Walk<'_> {
    /// Walks into an object or a list. Other values are checked by the reader of the field.
    fn open(self, json: &str) -> serde_json::Result<()> {
        if !json.trim_ascii_start().starts_with(['{', '[']) {
            return Ok(());
        }
        serde_json::Deserializer::from_str(json).deserialize_any(self)
    }

    /// The walk over the value below this one under `name`.
    fn below<'s>(&'s mut self, name: &str, shape: &'s Shape) -> Walk<'s> {
        self.pointer.push('/');
        self.pointer.push_str(name);
        let Self { policy, is_careful, .. } = *self;
        Walk { shape, pointer: self.pointer, found: self.found, policy, is_careful }
    }

    fn fault(&mut self, name: &str, detail: String) {
        let shown: String = name.chars().take(MAX_SHOWN).collect();
        let shown = shown.replace('~', "~0").replace('/', "~1");
        self.found.push_back(Fault::new(format!("{}/{shown}", self.pointer), detail));
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object or a list")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        // A list in the place of an object is skipped; the reader reports one that is too long.
        let (shape, most) = match self.shape.resolved() {
            Shape::List(shape, most) => (&**shape, *most),
            Shape::Any | Shape::Named(_) | Shape::Object(_) => (self.shape, 0),
        };
        let length = self.pointer.len();
        for nth in 0..most {
            let walk = self.below(&nth.to_string(), shape);
            let item = items.next_element_seed(walk)?;
            self.pointer.truncate(length);
            if item.is_none() {
                return Ok(());
            }
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        let Shape::Object(known) = self.shape.resolved() else {
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        let length = self.pointer.len();
        let mut given: Vec<&str> = Vec::with_capacity(known.len());
        let mut unknown = 0;
        while let Some(Key(name)) = members.next_key()? {
            let Some((name, shape)) = known.get_key_value(&*name) else {
                members.next_value::<IgnoredAny>()?;
                unknown += 1;
                if self.policy == UnknownMembers::Refuse && unknown <= MAX_REPORTED {
                    let hint = hint(&name, known.keys().map(String::as_str));
                    self.fault(&name, format!("is not known here; {hint}"));
                }
                continue;
            };
            if given.contains(&name.as_str()) {
                self.fault(name, "is given twice".to_owned());
            }
            given.push(name);
            let walk = self.below(name, shape);
            members.next_value_seed(walk)?;
            self.pointer.truncate(length);
        }
        Ok(())
    }
}

/// A member's name, which is copied only if it has escapes.
#[derive(Deserialize)]
struct Key<'n>(#[serde(borrow)] Cow<'n, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn found(schema: &str, body: &str) -> Vec<(String, String)> {
        let unknown = Unknown::find(schema, body, UnknownMembers::Refuse);
        unknown.0.into_iter().map(|fault| (fault.pointer, fault.detail)).collect()
    }

    #[test]
    fn an_unknown_member_is_reported_with_the_nearest_name() {
        let body = r#"{"type":"faq","payload":{"free":{"to":"choose"}},"prioritty":"P1"}"#;
        let expected = "is not known here; did you mean `priority`?";
        assert_eq!(found("Submission", body), [("/prioritty".to_owned(), expected.to_owned())]);

        let body =
            r#"{"outcomes":[{"task_id":"x"},{"resalt":1}],"claim":{"wurker":"w"},"a/b~c":1}"#;
        let pointers: Vec<_> = found("OutcomeBatch", body).into_iter().map(|(at, _)| at).collect();
        assert_eq!(pointers, ["/outcomes/1/resalt", "/claim/wurker", "/a~1b~0c"]);
    }

    #[test]
    fn a_repeated_member_is_reported_under_every_policy() {
        for policy in [UnknownMembers::Refuse, UnknownMembers::Ignore] {
            let unknown = Unknown::find("Heartbeat", r#"{"attempt":1,"attempt":2}"#, policy);
            assert_eq!(unknown.0[0], Fault::new("/attempt", "is given twice"));
        }
        let unknown = Unknown::find("Heartbeat", r#"{"atempt":1}"#, UnknownMembers::Ignore);
        assert!(unknown.0.is_empty());
    }

    #[test]
    fn values_of_another_kind_are_left_to_their_reader() {
        for value in ["7", "-7", "0.5", "null", "true", "\"x\"", "[1,{}]", "1e400", r#""\ud800""#] {
            let body = format!(r#"{{"progress":{value}}}"#);
            assert_eq!(found("Heartbeat", &body), [], "{body}");
        }
        let body = r#"{"outcomes":[1e400,{"resalt":1}]}"#;
        assert_eq!(found("OutcomeBatch", body)[0].0, "/outcomes/1/resalt");
        assert_eq!(found("OutcomeBatch", r#"{"outcomes":{"x":1}}"#), []);
    }

    #[test]
    fn faults_belong_to_their_item_and_are_bounded() {
        let many: Vec<_> = (0..1_000).map(|n| format!("\"x{n}\":1")).collect();
        let body = format!(r#"{{"tasks":[{{{}}},{{}},{{"y":1}}],"z":1}}"#, many.join(","));
        let unknown = Unknown::find("SubmissionBatch", &body, UnknownMembers::Refuse);

        let (outside, mut within) = unknown.split("tasks");
        assert!(outside.finish(Some(())).is_err());
        let count = |faults: Faults| match faults.finish(Some(())) {
            Ok(()) => 0,
            Err(faults) => faults.len(),
        };
        assert_eq!(count(within.take("/tasks/0")), MAX_REPORTED);
        assert_eq!(count(within.take("/tasks/1")), 0);
        assert_eq!(count(within.take("/tasks/2")), 1);
        assert!(within.0.is_empty());
    }
}
