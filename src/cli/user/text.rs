//! Texts of strangers on a terminal: nothing in them acts, and nothing in them hides.

/// What takes part in a text without being seen, though it is no control or format character.
const INVISIBLE: &[(char, char)] = &[
    ('\u{34f}', '\u{34f}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{e0100}', '\u{e01ef}'),
];

/// The text on one line, with everything that acts or hides as `\n` or `\u{202e}`, and so `\` as `\\`.
pub fn visible(text: &str) -> String {
    show(text, &['\'', '"'])
}

/// The same for JSON, whose lines and backslashes mean what they say.
pub fn visible_json(json: &str) -> String {
    show(json, &['\'', '"', '\\', '\n'])
}

fn show(text: &str, kept: &[char]) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut pair = String::new();
    for letter in text.chars() {
        if kept.contains(&letter) {
            shown.push(letter);
        } else if INVISIBLE.iter().any(|(first, last)| (*first..=*last).contains(&letter)) {
            shown.extend(letter.escape_unicode());
        } else {
            // After another letter an accent is shown as what it is.
            pair.clear();
            pair.extend(['x', letter]);
            shown.extend(pair.escape_debug().skip(1));
        }
    }
    shown
}

/// Breaks a line into pieces of at most `width` columns. What goes on after a break is marked, so that no text can pass
/// for a line of ours; `indent`: how far in.
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

/// The terminal's width in columns; 80 if there is none or it does not say.
pub fn terminal_width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.ok().map(|size| usize::from(size.ws_col)).filter(|width| *width > 0).unwrap_or(80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_or_hides_is_made_visible_and_what_people_write_stays() {
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
    fn a_long_line_is_broken_and_what_goes_on_is_marked() {
        assert_eq!(wrap("abcdefghij", 6, 1), "abcdef\n > ghi\n > j");
        assert_eq!(wrap("abc", 3, 0), "abc");
        assert_eq!(wrap("", 80, 2), "");
    }
}
