//! An error and all of its causes on one line, for logs and for the last message of a process.

use std::error::Error;
use std::fmt;

/// Shows an error followed by each of its causes:
/// `cannot submit: the store did not answer: timed out`.
///
/// A cause is left out if its parent's text ends with it, and a line break becomes a space, so that
/// one failure is always one line.
pub struct Chain<'e>(pub &'e (dyn Error + 'e));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = on_one_line(self.0);
        formatter.write_str(&shown)?;
        for error in std::iter::successors(self.0.source(), |&error| error.source()) {
            let text = on_one_line(error);
            if !shown.ends_with(&text) {
                write!(formatter, ": {text}")?;
                shown = text;
            }
        }
        Ok(())
    }
}

fn on_one_line(error: &dyn Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Link>>,
    }

    fn link(text: &'static str, source: Option<Link>) -> Link {
        Link { text, source: source.map(Box::new) }
    }

    #[test]
    fn every_cause_is_shown_once_and_on_one_line() {
        let repeats =
            link("the store is away", Some(link("timed\nout", Some(link("timed out", None)))));

        assert_eq!(Chain(&repeats).to_string(), "the store is away: timed out");
        assert_eq!(Chain(&link("alone", None)).to_string(), "alone");
    }
}
