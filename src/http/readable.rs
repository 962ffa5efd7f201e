//! How a value of a request body is read from its JSON.

use serde_json::value::RawValue;

use crate::domain::json::lossy_string;

/// A type that a field of a request body may have.
pub trait Readable: Sized {
    /// Reads valid JSON. The error says what is expected, such as `must be a string`.
    fn read(raw: &RawValue) -> Result<Self, String>;
}

impl<T: Readable> Readable for Option<T> {
    fn read(raw: &RawValue) -> Result<Self, String> {
        if raw.get() == "null" { Ok(None) } else { T::read(raw).map(Some) }
    }
}

macro_rules! readable {
    ($($type:ty: $expected:literal),* $(,)?) => { $(
        impl Readable for $type {
            fn read(raw: &RawValue) -> Result<Self, String> {
                serde_json::from_str(raw.get()).map_err(|_| $expected.to_owned())
            }
        }
    )* };
}

/// Half a character, which remains if a program cuts a text to a length, becomes U+FFFD: texts of
/// people and agents must not be refused for it.
impl Readable for String {
    fn read(raw: &RawValue) -> Result<Self, String> {
        lossy_string(raw).ok_or_else(|| "must be a string".to_owned())
    }
}

readable! {
    bool: "must be true or false",
    f64: "must be a number",
    u64: "must be a whole number, 0 or more",
    u32: "must be a whole number, 0 or more",
    u8: "must be a whole number, 0 or more",
}

/// The message of serde without line and column: a JSON Pointer is the better place.
pub fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}
