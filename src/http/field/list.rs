//! Lists in a request body, each of which has a bound.

use std::fmt;
use std::marker::PhantomData;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::Type;
use serde::Deserializer;
use serde::de::{self, SeqAccess};
use serde_json::value::RawValue;

use super::super::described::described;
use super::super::readable::{Readable, plain};

/// A list of at most `MOST` items; a longer one is refused.
#[derive(Clone, Debug)]
pub struct List<T, const MOST: usize>(pub Vec<T>);

/// Stops at the first item that is one too many or cannot be read, so the rest costs nothing.
impl<T: Readable, const MOST: usize> Readable for List<T, MOST> {
    fn read(raw: &RawValue) -> Result<Self, String> {
        if !raw.get().starts_with('[') {
            return Err("must be a list".to_owned());
        }
        let mut reader = serde_json::Deserializer::from_str(raw.get());
        reader.deserialize_seq(Items(PhantomData)).map_err(|error| plain(&error))
    }
}

struct Items<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Readable, const MOST: usize> de::Visitor<'de> for Items<T, MOST> {
    type Value = List<T, MOST>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut read = Vec::new();
        while let Some(item) = items.next_element::<&RawValue>()? {
            if read.len() == MOST {
                return Err(de::Error::custom(format!("must have at most {MOST} items")));
            }
            let item = T::read(item)
                .map_err(|detail| de::Error::custom(format!("item {} {detail}", read.len())))?;
            read.push(item);
        }
        Ok(List(read))
    }
}

described! {
    [T: Type, const MOST: usize] List<T, MOST>, true, format!("list_{}", T::name()).into(),
    MetaSchemaRef::Inline(Box::new(MetaSchema {
        items: Some(Box::new(T::schema_ref())),
        max_items: Some(MOST),
        ..MetaSchema::new("array")
    })),
    |registry| T::register(registry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_no_further_than_its_bound() {
        let long = format!("[{}]", ["1"; 100_000].join(","));
        let read = |text: &str| List::<u32, 3>::read(serde_json::from_str(text).unwrap());

        assert_eq!(read("[1, 2, 3]").unwrap().0, [1, 2, 3]);
        assert_eq!(read(&long).unwrap_err(), "must have at most 3 items");
        assert_eq!(read(r#"[1, "x"]"#).unwrap_err(), "item 1 must be a whole number, 0 or more");
        assert_eq!(read("{}").unwrap_err(), "must be a list");
    }
}
