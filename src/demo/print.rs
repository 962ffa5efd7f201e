//! The output of the story: one aligned line for each thing that happens, in colour on a terminal.

use std::io::{self, Write};

use crate::runtime::telemetry::is_coloured;

/// The kind of a line, with the code of its colour on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Plain = 0,
    /// What only helps to find the rest.
    Faint = 2,
    Bad = 31,
    Good = 32,
    Waiting = 33,
    Event = 36,
}

/// One thing that happened to a task.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// When it happened, in milliseconds since 1970.
    pub(super) at: i64,
    /// The type of the task that the line is about.
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) what: String,
    pub(super) who: String,
    pub(super) why: String,
    pub(super) mood: Mood,
}

/// How many of an id's last characters are shown. Its first ones are the time, which is similar for
/// all.
const SHORT: usize = 8;

/// How the lines look.
pub(super) struct Style {
    is_coloured: bool,
}

impl Style {
    /// Returns the style for standard output: colours on a terminal unless `NO_COLOR` is set
    /// (no-color.org).
    pub(super) fn here() -> Self {
        Self { is_coloured: is_coloured(&io::stdout()) }
    }

    /// Returns the lines above the story of a service at `url`.
    pub(super) fn head(&self, url: &str) -> String {
        let columns = format!(
            "{:>8}  {:<10} {:<SHORT$}  {:<25} {:<15} why",
            "time", "task", "id", "what", "who"
        );
        let columns = self.paint(&columns, Mood::Faint);
        format!(
            "A story over {url}: something breaks; three agents and a human repair it.\n\n{columns}"
        )
    }

    /// Returns the line for what happened `after_ms` after the first line.
    pub(super) fn line(&self, line: &Line, after_ms: i64) -> String {
        let time = self.paint(&format!("{:>6.3} s", after_ms as f64 / 1000.0), Mood::Faint);
        let id = line.id.get(line.id.len().saturating_sub(SHORT)..).unwrap_or(&line.id);
        let id = self.paint(&format!("{id:<SHORT$}"), Mood::Faint);
        let what = self.paint(&format!("{:<25}", line.what), line.mood);
        let text = format!("{time}  {:<10} {id}  {what} {:<15} {}", line.kind, line.who, line.why);
        text.trim_end().to_owned()
    }

    /// Returns the text in the colour of its mood.
    pub(super) fn paint(&self, text: &str, mood: Mood) -> String {
        if self.is_coloured && mood != Mood::Plain {
            format!("\x1b[{}m{text}\x1b[0m", mood as u8)
        } else {
            text.to_owned()
        }
    }
}

/// Prints a line to standard output at once.
pub(super) fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(is_coloured: bool) -> String {
        let line = Line {
            at: 0,
            kind: "bugfix".to_owned(),
            id: "019ab3c4-0000-7000-8000-00007712abcd".to_owned(),
            what: "approved → pending".to_owned(),
            who: "key:alice".to_owned(),
            why: String::new(),
            mood: Mood::Good,
        };
        Style { is_coloured }.line(&line, 1_234)
    }

    #[test]
    fn a_line_is_aligned_and_plain_without_a_terminal() {
        assert_eq!(
            printed(false),
            " 1.234 s  bugfix     7712abcd  approved → pending        key:alice"
        );
    }

    #[test]
    fn a_terminal_sees_colours() {
        assert!(printed(true).contains("\x1b[32mapproved → pending"));
    }
}
