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

pub(super) struct Printer {
    out: Box<dyn Write + Send>,
    is_coloured: bool,
}

impl Printer {
    /// Makes a printer to standard output, with colours on a terminal unless `NO_COLOR` is set
    /// (no-color.org).
    pub(super) fn here() -> Self {
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        Self {
            out: Box::new(io::stdout()),
            is_coloured: io::stdout().is_terminal() && !is_unwanted,
        }
    }

    pub(super) fn open(&mut self, url: &str) -> io::Result<()> {
        writeln!(
            self.out,
            "A story over {url}: something breaks; three agents and a human repair it.\n"
        )?;
        let head = format!(
            "{:>8}  {:<10} {:<SHORT$}  {:<25} {:<15} why",
            "time", "task", "id", "what", "who"
        );
        let head = self.paint(&head, "2");
        writeln!(self.out, "{head}")?;
        self.out.flush()
    }

    /// Prints a line for what happened `after_ms` after the first line.
    pub(super) fn line(&mut self, line: &Line, after_ms: i64) -> io::Result<()> {
        let time = self.paint(&format!("{:>6.3} s", after_ms as f64 / 1000.0), "2");
        let id = self.paint(&format!("{:<SHORT$}", short(&line.id)), "2");
        let colour = match line.mood {
            Mood::Plain => "0",
            Mood::Good => "32",
            Mood::Bad => "31",
            Mood::Waiting => "33",
            Mood::Event => "36",
        };
        let what = self.paint(&format!("{:<25}", line.what), colour);
        let text = format!("{time}  {:<10} {id}  {what} {:<15} {}", line.kind, line.who, line.why);
        writeln!(self.out, "{}", text.trim_end())?;
        self.out.flush()
    }

    pub(super) fn close(
        &mut self,
        completed: usize,
        count: usize,
        approvals: usize,
        events: usize,
        took_ms: i64,
    ) -> io::Result<()> {
        let seconds = took_ms as f64 / 1000.0;
        let text = format!(
            "{completed} of {count} tasks completed, {approvals} approved by a human, \
             {events} events published, in {seconds:.1} s."
        );
        let text = self.paint(&text, if completed == count { "32" } else { "31" });
        writeln!(self.out, "\n{text}")?;
        self.out.flush()
    }

    fn paint(&self, text: &str, colour: &str) -> String {
        if self.is_coloured && colour != "0" {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

fn short(id: &str) -> &str {
    id.get(id.len().saturating_sub(SHORT)..).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn printed(is_coloured: bool) -> String {
        let paper = Paper::default();
        let mut printer = Printer { out: Box::new(paper.clone()), is_coloured };
        let line = Line {
            at: 0,
            kind: "bugfix".to_owned(),
            id: "019ab3c4-0000-7000-8000-00007712abcd".to_owned(),
            what: "approved → pending".to_owned(),
            who: "key:alice".to_owned(),
            why: String::new(),
            mood: Mood::Good,
        };
        printer.line(&line, 1_234).unwrap();
        let bytes = paper.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_is_aligned_and_plain_without_a_terminal() {
        assert_eq!(
            printed(false),
            " 1.234 s  bugfix     7712abcd  approved → pending        key:alice\n"
        );
    }

    #[test]
    fn a_terminal_sees_colours() {
        assert!(printed(true).contains("\x1b[32mapproved → pending"));
    }
}
