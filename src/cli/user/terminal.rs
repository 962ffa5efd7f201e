//! Questions to the user at the terminal, which go to stderr, so that the output stays clean.

use std::io::{self, IsTerminal, Write};

use super::Error;

/// Returns whether a user can answer.
pub fn is_there() -> bool {
    io::stdin().is_terminal()
}

/// How many characters a bar has.
const BAR: usize = 30;

/// Shows on one line how far a command is: a bar if `whole` is known, which `done` grows to, and
/// then `text`. Nothing if stderr is no terminal.
///
/// * `whole`: 0 if it is not known.
pub fn show_progress(done: u64, whole: u64, text: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r{}{text} ", bar(done, whole));
    }
}

/// Ends the line of progress.
pub fn end_progress() {
    if io::stderr().is_terminal() {
        eprintln!();
    }
}

fn bar(done: u64, whole: u64) -> String {
    if whole == 0 {
        return String::new();
    }
    let percent = u128::from(done.min(whole)) * 100 / u128::from(whole);
    let full = "#".repeat(BAR * percent as usize / 100);
    format!("[{full:<BAR$}] {percent:>3} % ")
}

/// Asks whether to continue. Returns whether the answer is yes.
///
/// # Errors
///
/// [`Error::Usage`] if there is no terminal; `instead` names the option to give then.
pub fn confirm(question: &str, instead: &str) -> Result<bool, Error> {
    if !is_there() {
        return Err(Error::Usage(format!("there is no terminal to confirm on; use {instead}")));
    }
    Ok(matches!(ask(&format!("{question} [y/N] "))?.as_str(), "y" | "Y" | "yes"))
}

/// Asks for a line of text. Returns it without space around it; empty at the end of the input.
pub fn ask(question: &str) -> Result<String, Error> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(question.as_bytes())?;
    stderr.flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar_is_as_full_as_the_work_is_done() {
        assert_eq!(bar(0, 0), "");
        assert_eq!(bar(0, 3), format!("[{}]   0 % ", " ".repeat(30)));
        assert_eq!(bar(2, 3), format!("[{}{}]  66 % ", "#".repeat(19), " ".repeat(11)));
        for done in [3, u64::MAX] {
            assert_eq!(bar(done, 3), format!("[{}] 100 % ", "#".repeat(30)));
        }
        assert_eq!(bar(u64::MAX, u64::MAX), bar(3, 3));
    }
}
