//! Texts: their size as they are stored, texts cut to a size, and texts as JSON or of bytes.
//!
//! The store keeps every text of a client as a JSON string, in which a control character takes six
//! bytes. So each text has two bounds: in characters, which people count, and in stored bytes,
//! which fill the store.

/// The two bounds of a text; it must satisfy both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The largest number of characters (Unicode scalar values).
    pub chars: usize,
    /// The largest number of bytes, as [`stored_bytes`] counts them.
    pub bytes: usize,
}

/// Returns two lower-case hexadecimal digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the bytes in base64, with its padding.
pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let three = chunk.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
        let bits = three << (8 * (3 - chunk.len()));
        for nth in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * nth) & 63) as usize];
            text.push(if nth <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

/// Returns `text` with its bytes percent-encoded, except for those that `is_plain` accepts.
pub fn percent_encoded(text: &str, is_plain: impl Fn(u8) -> bool) -> String {
    let encode =
        |byte| if is_plain(byte) { char::from(byte).into() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

/// Returns `text` as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The mark at the end of a text that was cut.
pub const CUT: &str = "… (cut)";

/// Returns how many bytes `character` takes at most in a JSON string: serde_json writes `/` and DEL
/// as they are, Lua's cjson escapes them.
fn stored_bytes_of(character: char) -> usize {
    match character {
        '"' | '\\' | '/' | '\u{8}' | '\t' | '\n' | '\u{c}' | '\r' => 2,
        '\0'..='\u{1f}' | '\u{7f}' => 6,
        other => other.len_utf8(),
    }
}

/// Returns how many bytes `text` takes at most in a JSON string, without the quotes.
pub fn stored_bytes(text: &str) -> usize {
    text.chars().map(stored_bytes_of).sum()
}

impl Bound {
    /// Returns whether `text` satisfies both bounds.
    pub fn holds(self, text: &str) -> bool {
        text.chars().count() <= self.chars && stored_bytes(text) <= self.bytes
    }

    /// Returns `text` unchanged if it satisfies both bounds. Otherwise cuts it between two
    /// characters and appends [`CUT`], so that the result satisfies them.
    pub fn cut(self, mut text: String) -> String {
        if self.holds(&text) {
            return text;
        }
        let mut chars = self.chars.saturating_sub(CUT.chars().count());
        let mut bytes = self.bytes.saturating_sub(CUT.len());
        let mut end = 0;
        for (at, character) in text.char_indices() {
            let size = stored_bytes_of(character);
            if chars == 0 || size > bytes {
                break;
            }
            chars -= 1;
            bytes -= size;
            end = at + character.len_utf8();
        }
        text.truncate(end);
        text.push_str(CUT);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_written_in_base64() {
        for (bytes, expected) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(bytes), expected);
        }
    }

    #[test]
    fn a_text_is_as_large_as_json_makes_it() {
        for text in ["", "plain", "\u{1}\u{1f}\0", "\"\\\n\t", "é😀", "mixed \u{b} \"é\""] {
            assert_eq!(
                stored_bytes(text),
                serde_json::Value::from(text).to_string().len() - 2,
                "{text:?}"
            );
        }
        // What Lua's cjson escapes besides.
        assert_eq!(stored_bytes("/\u{7f}"), 8);
    }

    #[test]
    fn a_text_is_cut_between_characters_and_says_so() {
        let bound = Bound { chars: 20, bytes: 40 };

        assert_eq!(bound.cut("short".to_owned()), "short");
        assert_eq!(bound.cut("x".repeat(21)), format!("{}{CUT}", "x".repeat(13)));
        for text in ["\u{1}".repeat(9), "😀".repeat(15), "é\u{1}".repeat(15)] {
            let cut = bound.cut(text.clone());

            assert!(bound.holds(&cut) && cut.ends_with(CUT), "{cut:?}");
            assert!(text.starts_with(cut.trim_end_matches(CUT)), "{cut:?}");
        }
    }
}
