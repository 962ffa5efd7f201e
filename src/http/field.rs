//! The fields of a request body: each is missing, given or wrong, and none hides another's fault.
//!
//! A request type is a plain struct of [`Field`]s that serde reads in one pass over the bytes.
//! Reading does not stop at a field of the wrong type: its fault is kept, and [`Faults`] collects
//! all of them, together with those that only a comparison of fields can find, for one answer.
//!
//! The size of the answer is bounded too: a list is read no further than its bound ([`List`]; there
//! is no reader of an unbounded one), and an answer names at most [`MAX_FAULTS`] faults.

use std::fmt::{Display, Write as _};
use std::ops::RangeInclusive;

use poem_openapi::types::Type;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::domain::text::{Bound, stored_bytes};
use crate::engine::Fault;

use super::described::described;
use super::readable::{Readable, plain};

mod list;

pub use list::List;

/// A JSON object whose fields are all [`Field`]s, so that reading fails only if the JSON is no
/// object.
pub trait Fields: DeserializeOwned {}

/// One field of a request body.
#[derive(Clone, Debug, Default)]
pub enum Field<T> {
    /// The body does not have the field.
    #[default]
    Missing,
    /// The field has a value of the right type.
    Given(T),
    /// The field has a value that cannot be read; the text says what is expected.
    Wrong(String),
}

impl<'de, T: Readable> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(T::read(raw).map_or_else(Self::Wrong, Self::Given))
    }
}

/// How many faults of one body are reported; the rest are only counted.
pub const MAX_FAULTS: usize = 100;

/// The faults of a request body, each with a JSON Pointer to its field.
#[derive(Debug, Default)]
pub struct Faults {
    /// The place in the body of the object that is being read; empty for the body itself.
    base: String,
    found: Vec<Fault>,
    /// How many faults were found beyond the first [`MAX_FAULTS`].
    more: usize,
}

impl Faults {
    /// Starts with these faults of the object at `base`, a JSON Pointer such as `/tasks/3`. Their
    /// own pointers begin at the body.
    pub fn of(base: &str, faults: impl IntoIterator<Item = Fault>) -> Self {
        let mut faults = faults.into_iter();
        let found: Vec<_> = faults.by_ref().take(MAX_FAULTS).collect();
        Self { base: base.to_owned(), found, more: faults.count() }
    }

    /// Notes that the field `name` is wrong; `detail` continues a sentence that begins with the
    /// name.
    pub fn add(&mut self, name: &str, detail: impl Into<String>) {
        if self.found.len() == MAX_FAULTS {
            self.more += 1;
            return;
        }
        self.found.push(Fault::new(format!("{}/{name}", self.base), detail));
    }

    /// Returns the value of a required field. `None` if it is missing or wrong, which is noted.
    pub fn required<T>(&mut self, name: &str, field: Field<T>) -> Option<T> {
        let detail = match field {
            Field::Given(value) => return Some(value),
            Field::Missing => "is required".to_owned(),
            Field::Wrong(detail) => detail,
        };
        self.add(name, detail);
        None
    }

    /// Returns the value of a field that may be missing or `null`. A wrong value is noted.
    pub fn optional<T>(&mut self, name: &str, field: Field<Option<T>>) -> Option<T> {
        match field {
            Field::Missing => None,
            Field::Given(_) | Field::Wrong(_) => self.required(name, field).flatten(),
        }
    }

    /// Returns the value of an optional field if it is in `range`; notes the fault if not.
    pub fn within<T: PartialOrd + Display>(
        &mut self,
        name: &str,
        field: Field<Option<T>>,
        range: RangeInclusive<T>,
    ) -> Option<T> {
        let value = self.optional(name, field)?;
        if range.contains(&value) {
            return Some(value);
        }
        self.add(name, format!("must be from {} to {}", range.start(), range.end()));
        None
    }

    /// Returns the text of an optional field if it is not empty and within `bound`; notes the fault
    /// if not.
    pub fn short<T: Into<String>>(
        &mut self,
        name: &str,
        field: Field<Option<T>>,
        bound: Bound,
    ) -> Option<String> {
        let text: String = self.optional(name, field)?.into();
        if !text.is_empty() && bound.holds(&text) {
            return Some(text);
        }
        let Bound { chars, bytes } = bound;
        let mut detail = format!("must have 1 to {chars} characters");
        if text.chars().count() <= chars && !text.is_empty() {
            let found = stored_bytes(&text);
            let why = "in stored form, where a control character takes 6";
            let _ = write!(detail, " and at most {bytes} bytes {why}; it has {found}");
        }
        self.add(name, detail);
        None
    }

    /// Returns `json` if it has at most `most` bytes; notes the fault if not.
    pub fn sized(
        &mut self,
        name: &str,
        json: Option<Box<RawValue>>,
        most: usize,
    ) -> Option<Box<RawValue>> {
        let json = json?;
        if json.get().len() <= most {
            return Some(json);
        }
        self.add(name, format!("has {} bytes; at most {most} are accepted", json.get().len()));
        None
    }

    /// Reads the object in the field `name` with `read`; the pointers of its faults begin at that
    /// field.
    pub fn inside<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.base.len();
        self.base.push('/');
        self.base.push_str(name);
        let value = read(self);
        self.base.truncate(outer);
        value
    }

    /// Returns `value` if no fault was noted.
    ///
    /// # Errors
    ///
    /// All faults that were noted. `value` is `None` only if a fault says why.
    pub fn finish<T>(mut self, value: Option<T>) -> Result<T, Vec<Fault>> {
        if self.more > 0 {
            self.found.push(Fault::new(self.base, format!("has {} more faults", self.more)));
        }
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            Some(_) | None => Err(self.found),
        }
    }
}

impl<T: Fields> Readable for T {
    fn read(raw: &RawValue) -> Result<Self, String> {
        // Serde would read a list as a struct's fields in order, which a client does not expect.
        if !raw.get().starts_with('{') {
            return Err("must be an object".to_owned());
        }
        serde_json::from_str(raw.get()).map_err(|error| plain(&error))
    }
}

described!([T: Type] Field<T> as T);

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Order {
        count: Field<u32>,
        note: Field<Option<String>>,
        size: Field<Option<u64>>,
    }

    impl Fields for Order {}

    fn read(text: &str) -> Order {
        Order::read(serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn one_pass_finds_every_fault_and_null_means_absent() {
        let order = read(r#"{"count": "three", "note": null, "size": -1, "other": [1]}"#);
        let mut faults = Faults::of("/orders/2", []);

        assert_eq!(faults.required("count", order.count), None);
        assert_eq!(faults.optional("note", order.note), None);
        assert_eq!(faults.optional("size", order.size), None);
        let pointers: Vec<_> = faults.found.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/orders/2/count", "/orders/2/size"]);
    }

    #[test]
    fn a_list_is_not_an_object() {
        let raw: &RawValue = serde_json::from_str("[1, null, 3]").unwrap();

        assert_eq!(Order::read(raw).unwrap_err(), "must be an object");
    }

    #[test]
    fn a_refusal_lists_a_hundred_faults_and_counts_the_rest() {
        let mut faults = Faults::default();
        (0..1_000).for_each(|nth| faults.add(&nth.to_string(), "is wrong"));

        let errors = faults.finish(Some(())).unwrap_err();

        assert_eq!(errors.len(), MAX_FAULTS + 1);
        assert_eq!(errors[MAX_FAULTS].detail, "has 900 more faults");
    }
}
