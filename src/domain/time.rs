//! Times as text in RFC 3339: one function reads them and one writes them.

use std::ops::RangeInclusive;

use chrono::{DateTime, SecondsFormat, Utc};

/// A time in milliseconds since 1970 by the store's clock, or a duration in milliseconds.
pub type Millis = u64;

/// The times that a client may name, in milliseconds since 1970: from 1970 to the end of 2125.
pub const NAMEABLE: RangeInclusive<Millis> = 0..=4_922_899_199_999;

/// The message for a time that cannot be read, after the name of its field.
pub const EXPECTED: &str =
    "must be an RFC 3339 time with an offset, from 1970 to 2125, such as 2026-01-31T09:30:00Z";

/// The last millisecond that RFC 3339 can express, whose years have four digits.
const LAST: Millis = 253_402_300_799_999;

/// Reads a time as RFC 3339 defines it, such as `2026-01-31T10:30:00.5+01:00`, and truncates it to
/// the millisecond.
///
/// `t` and `z` may be lower case, as the standard says. `None` for any other text: without an
/// offset, with a space for the `T`, with more than nine digits of a second, with second 60 (not
/// every reader knows leap seconds), or for a time outside of [`NAMEABLE`].
pub fn read(text: &str) -> Option<Millis> {
    if !has_shape(text.as_bytes()) {
        return None;
    }
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    let millis = Millis::try_from(time.timestamp_millis()).ok()?;
    NAMEABLE.contains(&millis).then_some(millis)
}

/// Writes the time in UTC with milliseconds. Times beyond the year 9999 give its last millisecond.
pub fn written(at_ms: Millis) -> String {
    let time = i64::try_from(at_ms.min(LAST)).ok().and_then(DateTime::from_timestamp_millis);
    time.unwrap_or(DateTime::<Utc>::UNIX_EPOCH).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Whether each character has the kind that RFC 3339 requires at its place, and no second is 60.
fn has_shape(text: &[u8]) -> bool {
    let Some((date_time, rest)) = text.split_at_checked(19) else { return false };
    if !matches(date_time, b"0000-00-00T00:00:00") || date_time.ends_with(b"60") {
        return false;
    }
    let mut offset = rest;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=9).contains(&digits) {
            return false;
        }
        offset = &fraction[digits..];
    }
    matches(offset, b"Z") || matches(offset, b"+00:00") || matches(offset, b"-00:00")
}

/// Whether `text` is `pattern` with any digit for a `0` and any case of a letter.
fn matches(text: &[u8], pattern: &[u8]) -> bool {
    if text.len() != pattern.len() {
        return false;
    }
    text.iter().zip(pattern).all(|(byte, wanted)| match wanted {
        b'0' => byte.is_ascii_digit(),
        wanted => byte.eq_ignore_ascii_case(wanted),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_time_is_read_with_any_offset_and_written_in_utc() {
        for (text, expected) in [
            ("2026-01-31T09:30:00Z", "2026-01-31T09:30:00.000Z"),
            ("2026-01-31t09:30:00z", "2026-01-31T09:30:00.000Z"),
            ("2026-01-31T10:30:00+01:00", "2026-01-31T09:30:00.000Z"),
            ("2026-01-31T09:30:00.123999999-00:00", "2026-01-31T09:30:00.123Z"),
            ("2024-02-29T00:00:00.1+23:59", "2024-02-28T00:01:00.100Z"),
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
            ("2125-12-31T23:59:59.999Z", "2125-12-31T23:59:59.999Z"),
            ("2126-01-01T13:59:59+14:00", "2125-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(read(text).map(written).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_nameable_time_is_refused() {
        for text in [
            "",
            "tomorrow",
            "1764000000",
            "2026-01-31",
            "2026-01-31T09:30:00",
            "2026-01-31 09:30:00Z",
            "2026-01-31T09:30Z",
            "2026-01-31T9:30:00Z",
            "2026-01-31T09:30:00.Z",
            "2026-01-31T09:30:00,5Z",
            "2026-01-31T09:30:00.0000000000Z",
            "2026-01-31T09:30:00+0100",
            "2026-01-31T09:30:00+01",
            "2026-01-31T09:30:00\u{2212}01:00",
            "2026-01-31T09:30:00+24:00",
            "2026-01-31T09:30:00+00:60",
            "2026-01-31T09:30:00 Z",
            " 2026-01-31T09:30:00Z",
            "2026-01-31T09:30:00Z\n",
            "2026-01-31T24:00:00Z",
            "2016-12-31T23:59:60Z",
            "2026-02-29T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "\u{662}026-01-31T09:30:00Z",
            "+10000-01-01T00:00:00Z",
            "-2026-01-31T09:30:00Z",
            "0000-01-01T00:00:00Z",
            "1970-01-01T00:00:00+00:01",
            "1969-12-31T23:59:59.999Z",
            "2126-01-01T00:00:00Z",
            "2125-12-31T23:59:59-00:01",
            "9999-12-31T23:59:59-14:00",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_time_beyond_the_calendar_is_written_as_its_end() {
        assert_eq!(written(u64::MAX), "9999-12-31T23:59:59.999Z");
    }

    proptest! {
        #[test]
        fn a_written_time_is_read_again(at_ms in NAMEABLE) {
            prop_assert_eq!(read(&written(at_ms)), Some(at_ms));
        }

        #[test]
        fn no_text_makes_the_reader_fail(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,12})?([Zz]|[+-][0-9]{2}:[0-9]{2}|\\PC{0,6})") {
            if let Some(at_ms) = read(&text) {
                prop_assert_eq!(read(&written(at_ms)), Some(at_ms));
            }
        }
    }
}
