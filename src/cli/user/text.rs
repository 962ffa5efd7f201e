//! Texts of other people on a terminal: nothing in them controls the terminal or hides.

use crate::runtime::visible::visible_except;

/// Returns the text on one line. Control and hidden characters are written as escapes such as `\n`
/// or `\u{202e}`, and so `\` as `\\`.
pub fn visible(text: &str) -> String {
    visible_except(text, &['\'', '"'])
}

/// Returns JSON in the same form, but keeps its line breaks and backslashes, which belong to JSON.
pub fn visible_json(json: &str) -> String {
    visible_except(json, &['\'', '"', '\\', '\n'])
}

/// Breaks a line into pieces of at most `width` columns. Each continuation is marked, so that no
/// text can imitate a line of this program. `indent` is its indentation.
pub fn wrap(line: &str, width: usize, indent: usize) -> String {
    let mark = format!("{}> ", " ".repeat(indent));
    let mut wrapped = String::new();
    let mut column = 0;
    for letter in line.chars() {
        if column == width.max(mark.len() + 1) {
            wrapped.push('\n');
            wrapped.push_str(&mark);
            column = mark.len();
        }
        wrapped.push(letter);
        column += 1;
    }
    wrapped
}

/// Returns the width of the terminal in columns; 80 if there is no terminal or it does not tell.
pub fn terminal_width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.ok().map(|size| usize::from(size.ws_col)).filter(|width| *width > 0).unwrap_or(80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_hidden_characters_become_visible() {
        for (text, shown) in [
            ("plain, \"quoted\" and 'so'", "plain, \"quoted\" and 'so'"),
            ("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c"),
            (
                "zero\u{200b}width\u{feff}\u{2060}\u{ad}",
                "zero\\u{200b}width\\u{feff}\\u{2060}\\u{ad}",
            ),
            ("\u{1b}[2J\u{7}\r\n\t\0", "\\u{1b}[2J\\u{7}\\r\\n\\t\\0"),
            ("\u{9b}31m", "\\u{9b}31m"),
            (
                "tag \u{e0041}, filler \u{3164}, selector \u{fe0f}",
                "tag \\u{e0041}, filler \\u{3164}, selector \\u{fe0f}",
            ),
            ("no\u{a0}break\u{2028}line", "no\\u{a0}break\\u{2028}line"),
            ("C:\\u{202e}", "C:\\\\u{202e}"),
            ("Grüße, हिन्दी, 漢字, e\u{301}, 😀", "Grüße, हिन्दी, 漢字, e\u{301}, 😀"),
        ] {
            assert_eq!(visible(text), shown);
        }
        assert_eq!(
            visible_json("{\n  \"a\": \"\\n\u{202e}\"\n}"),
            "{\n  \"a\": \"\\n\\u{202e}\"\n}"
        );
    }

    #[test]
    fn a_long_line_is_wrapped_and_continuations_are_marked() {
        assert_eq!(wrap("abcdefghij", 6, 1), "abcdef\n > ghi\n > j");
        assert_eq!(wrap("abc", 3, 0), "abc");
        assert_eq!(wrap("", 80, 2), "");
    }
}
