//! What poem-openapi's derive requires of the types of members and parameters.
//!
//! Only the description is ever used: serde reads requests and writes answers.

/// Implements what the derive requires, in one of these forms:
///
/// * `[generics] type as other`: the type is described as the other one;
/// * `[generics] type: name, schema`: with the schema written out where the type is used;
/// * `[] type: component name, schema`: with a schema of that name, to which users refer.
macro_rules! described {
    ([$($generics:tt)*] $type:ty as $other:ty) => {
        described! {
            [$($generics)*] $type, <$other as poem_openapi::types::Type>::IS_REQUIRED,
            <$other as poem_openapi::types::Type>::name(),
            <$other as poem_openapi::types::Type>::schema_ref(),
            |registry| <$other as poem_openapi::types::Type>::register(registry)
        }
    };
    ([] $type:ty: component $name:expr, $schema:expr) => {
        described! {
            [] $type, true, $name.into(), MetaSchemaRef::Reference($name.to_owned()),
            |registry| registry.create_schema::<Self, _>($name.to_owned(), |_| $schema)
        }
    };
    ([$($generics:tt)*] $type:ty: $name:expr, $schema:expr) => {
        described! {
            [$($generics)*] $type, true, $name.into(), MetaSchemaRef::Inline(Box::new($schema)),
            |_registry| {}
        }
    };
    (
        [$($generics:tt)*] $type:ty, $is_required:expr, $name:expr, $schema_ref:expr,
        |$registry:ident| $register:expr
    ) => {
        impl<$($generics)*> poem_openapi::types::Type for $type {
            const IS_REQUIRED: bool = $is_required;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> std::borrow::Cow<'static, str> {
                $name
            }

            fn schema_ref() -> poem_openapi::registry::MetaSchemaRef {
                $schema_ref
            }

            fn register($registry: &mut poem_openapi::registry::Registry) {
                $register
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::once(self))
            }
        }

        impl<$($generics)*> poem_openapi::types::ParseFromJSON for $type {
            fn parse_from_json(
                _: Option<serde_json::Value>,
            ) -> poem_openapi::types::ParseResult<Self> {
                Err(poem_openapi::types::ParseError::custom("is read by serde"))
            }
        }

        impl<$($generics)*> poem_openapi::types::ToJSON for $type {
            fn to_json(&self) -> Option<serde_json::Value> {
                None
            }
        }
    };
}
pub(super) use described;
