//! The message of a caught panic.

use std::any::Any;

/// The message of a panic, or a fixed text for a panic whose payload is not a text.
pub fn text(payload: &(dyn Any + Send)) -> &str {
    let fixed = payload.downcast_ref::<&str>().copied();
    fixed
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_panic_is_found_in_any_form() {
        for (payload, message) in [
            (Box::new("fixed") as Box<dyn Any + Send>, "fixed"),
            (Box::new("made".to_owned()), "made"),
            (Box::new(7), "a panic without a text"),
        ] {
            assert_eq!(text(&*payload), message);
        }
    }
}
