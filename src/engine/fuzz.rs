//! The cursors of lists and of events, for fuzzers: see [`crate::fuzz`].

use super::cursors::{read_cursor, write_cursor};
use super::feed::Cursor;

/// Texts that come back as cursors: what is read names the same place when it is written.
pub fn cursors(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(cursor) = Cursor::read(&text) {
        assert_eq!(Cursor::read(&cursor.to_string()), Some(cursor), "{text:?}");
    }
    let list = text.split('_').next().unwrap_or_default();
    if let Ok(place) = read_cursor(list, &text) {
        let again = read_cursor(list, &write_cursor(list, &place));
        let is_same =
            again.is_ok_and(|again| (again.score, &again.member) == (place.score, &place.member));
        assert!(is_same, "{text:?}");
    }
}
