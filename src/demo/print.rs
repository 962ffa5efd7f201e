//! The output of the story: one aligned line for each thing that happens, in colour on a terminal.

use std::io::{self, IsTerminal, Write};

/// The kind of a line, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Plain,
    Good,
    Bad,
    Waiting,
    Event,
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
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        Self { is_coloured: io::stdout().is_terminal() && !is_unwanted }
    }

    /// Returns the lines above the story of a service at `url`.
    pub(super) fn head(&self, url: &str) -> String {
        let columns = format!(
            "{:>8}  {:<10} {:<SHORT$}  {:<25} {:<15} why",
            "time", "task", "id", "what", "who"
        );
        let columns = self.paint(&columns, "2");
        format!(
            "A story over {url}: something breaks; three agents and a human repair it.\n\n{columns}"
        )
    }

    /// Returns the line for what happened `after_ms` after the first line.
    pub(super) fn line(&self, line: &Line, after_ms: i64) -> String {
        let time = self.paint(&format!("{:>6.3} s", after_ms as f64 / 1000.0), "2");
        let id = line.id.get(line.id.len().saturating_sub(SHORT)..).unwrap_or(&line.id);
        let id = self.paint(&format!("{id:<SHORT$}"), "2");
        let colour = match line.mood {
            Mood::Plain => "0",
            Mood::Good => "32",
            Mood::Bad => "31",
            Mood::Waiting => "33",
            Mood::Event => "36",
        };
        let what = self.paint(&format!("{:<25}", line.what), colour);
        let text = format!("{time}  {:<10} {id}  {what} {:<15} {}", line.kind, line.who, line.why);
        text.trim_end().to_owned()
    }

    /// Returns a last line, in the colour of success or of failure.
    pub(super) fn end(&self, text: &str, is_good: bool) -> String {
        format!("\n{}", self.paint(text, if is_good { "32" } else { "31" }))
    }

    fn paint(&self, text: &str, colour: &str) -> String {
        if self.is_coloured && colour != "0" {
            format!("\x1b[{colour}m{text}\x1b[0m")
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
