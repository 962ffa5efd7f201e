//! Questions to the user at the terminal, which go to stderr, so that the output stays clean.

use std::io::{self, IsTerminal, Write};

use super::Error;

/// Returns whether a user can answer.
pub fn is_there() -> bool {
    io::stdin().is_terminal()
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
