//! Texts of others in front of people: what controls a terminal or hides is written as an escape.

use std::io::{self, Write};

/// Characters that are invisible, although they are neither control nor format characters.
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

/// Returns the text with control and hidden characters as escapes such as `\n` or `\u{202e}`, and
/// with `\`, `'` and `"` escaped too, except for those that are `kept`.
pub fn visible_except(text: &str, kept: &[char]) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut pair = String::new();
    for letter in text.chars() {
        if kept.contains(&letter) {
            shown.push(letter);
        } else if INVISIBLE.iter().any(|(first, last)| (*first..=*last).contains(&letter)) {
            shown.extend(letter.escape_unicode());
        } else {
            // After another letter, an accent is shown as it is.
            pair.clear();
            pair.extend(['x', letter]);
            shown.extend(pair.escape_debug().skip(1));
        }
    }
    shown
}

/// What belongs to the lines of a log: their text as it is, and tabs.
const OF_A_LOG: &[char] = &['\'', '"', '\\', '\t'];

/// Writes the lines of a log, each with what a client may have put into it made visible, so that no
/// text imitates a line, hides one, or controls the terminal of its reader.
pub struct VisibleLines<W> {
    inner: W,
    /// Whether the log colours its lines, by escapes of its own.
    is_coloured: bool,
}

impl<W> VisibleLines<W> {
    /// Writes to `inner`; a log that `is_coloured` keeps its colours.
    pub fn new(inner: W, is_coloured: bool) -> Self {
        Self { inner, is_coloured }
    }

    fn shown(&self, line: &str) -> String {
        if !self.is_coloured {
            return visible_except(line, OF_A_LOG);
        }
        let mut parts = line.split('\u{1b}');
        let mut shown = visible_except(parts.next().unwrap_or_default(), OF_A_LOG);
        for part in parts {
            match colour(part) {
                Some((colour, rest)) => {
                    shown.push('\u{1b}');
                    shown.push_str(colour);
                    shown.push_str(&visible_except(rest, OF_A_LOG));
                }
                None => shown.push_str(&visible_except(&format!("\u{1b}{part}"), OF_A_LOG)),
            }
        }
        shown
    }
}

/// The rest of an escape that sets a colour, such as `[31m`, and what follows.
fn colour(text: &str) -> Option<(&str, &str)> {
    let digits = text.strip_prefix('[')?;
    let end = digits.find(|letter: char| !letter.is_ascii_digit() && letter != ';')?;
    digits[end..].starts_with('m').then(|| text.split_at(end + 2))
}

impl<W: Write> Write for VisibleLines<W> {
    /// Takes whole lines, as the log writes them.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let (line, end) = text.strip_suffix('\n').map_or((&*text, ""), |line| (line, "\n"));
        self.inner.write_all(format!("{}{end}", self.shown(line)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &str, is_coloured: bool) -> String {
        let mut lines = VisibleLines::new(Vec::new(), is_coloured);
        lines.write_all(line.as_bytes()).unwrap();
        String::from_utf8(lines.inner).unwrap()
    }

    #[test]
    fn a_line_of_the_log_stays_one_line_that_hides_nothing() {
        for (line, plain) in [
            ("task \"a\" C:\\x\n", "task \"a\" C:\\x\n"),
            ("a\nERROR forged\n", "a\\nERROR forged\n"),
            ("a\r\u{202e}b\u{9b}31m\u{200b}\n", "a\\r\\u{202e}b\\u{9b}31m\\u{200b}\n"),
            ("Grüße, हिन्दी, 😀\n", "Grüße, हिन्दी, 😀\n"),
        ] {
            assert_eq!(written(line, false), plain);
            assert_eq!(written(line, true), plain);
        }
        let colours = "\u{1b}[31mred\u{1b}[0m \u{1b}[2J\u{1b}]0;t\u{7}\n";
        assert_eq!(written(colours, true), "\u{1b}[31mred\u{1b}[0m \\u{1b}[2J\\u{1b}]0;t\\u{7}\n");
        assert!(!written(colours, false).contains('\u{1b}'));
    }
}
