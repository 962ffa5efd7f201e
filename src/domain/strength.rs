//! How hard a secret is to guess, as far as its text shows.

/// The fewest bits of a secret, by [`bits`]. 16 random hexadecimal digits have about 50.
pub const MIN_BITS: f64 = 32.0;

/// Words that passwords of people have, the longest first.
const WORDS: [&str; 16] = [
    "orchestrator",
    "changeme",
    "password",
    "passw0rd",
    "default",
    "example",
    "letmein",
    "welcome",
    "secret",
    "change",
    "master",
    "admin",
    "super",
    "token",
    "apikey",
    "test",
];

/// Rows of characters that people type one after another.
const ROWS: [&str; 6] = [
    "01234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
];

/// The fewest characters of a row that count as a run.
const RUN: usize = 3;

/// Estimates the bits of entropy of a secret from above: a known word, a run such as `1234` or
/// `aaaa`, and a repetition of the whole add no more than one character.
pub fn bits(secret: &str) -> f64 {
    let text = secret.to_lowercase();
    let letters: Vec<char> = text.chars().collect();
    let parts = parts_of(&letters[..period(&letters)]);
    let total = parts.len() as f64;
    let mut distinct = parts.clone();
    distinct.sort_unstable();
    distinct.dedup();
    distinct.iter().fold(0.0, |sum, part| {
        let count = parts.iter().filter(|other| *other == part).count() as f64;
        sum + count * (total / count).log2()
    })
}

/// The length of the shortest beginning whose repetition is the whole.
fn period(letters: &[char]) -> usize {
    let repeats = |length: &usize| (0..letters.len()).all(|at| letters[at] == letters[at % length]);
    (1..letters.len()).find(repeats).unwrap_or(letters.len())
}

/// Divides a text into words, runs and single characters.
fn parts_of(mut letters: &[char]) -> Vec<&[char]> {
    let mut parts = Vec::new();
    while !letters.is_empty() {
        let length = word_at(letters).unwrap_or_else(|| run_at(letters)).max(1);
        let (part, rest) = letters.split_at(length);
        parts.push(part);
        letters = rest;
    }
    parts
}

/// The length of the known word with which the text begins.
fn word_at(letters: &[char]) -> Option<usize> {
    let begins = |word: &&&str| {
        word.len() <= letters.len() && word.chars().zip(letters).all(|(one, other)| one == *other)
    };
    WORDS.iter().find(begins).map(|word| word.len())
}

/// The length of the run with which the text begins; 1 if it begins with none.
fn run_at(letters: &[char]) -> usize {
    let same = letters.iter().take_while(|letter| **letter == letters[0]).count();
    let lines = ROWS.iter().flat_map(|row| [row.to_string(), row.chars().rev().collect()]);
    let longest = lines.flat_map(|row| {
        let row: Vec<char> = row.chars().collect();
        let starts: Vec<_> = (0..row.len()).collect();
        let lengths = starts.into_iter().map(move |start| {
            row[start..].iter().zip(letters).take_while(|(one, other)| one == other).count()
        });
        lengths.collect::<Vec<_>>()
    });
    let longest = longest.chain([same]).max().unwrap_or_default();
    if longest >= RUN { longest } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_people_choose_are_weak() {
        for secret in [
            "",
            "aaaaaaaaaaaaaaaa",
            "password1234567890",
            "changeme-changeme-changeme",
            "ChangeMe123!ChangeMe123!",
            "qwertyuiopasdfghjkl",
            "0123456789abcdef0123456789abcdef",
            "supersecretpassword!!",
            "abcabcabcabcabcabc",
            "12345678901234567890",
            "admin-token-test-2026",
        ] {
            assert!(bits(secret) < MIN_BITS, "{secret}: {}", bits(secret));
        }
    }

    #[test]
    fn random_secrets_are_strong() {
        for secret in [
            "3c74ef81943f06d2",
            "9182736450918273",
            "f3a9c1d87e4b2605",
            "Zq0p7LkW2mXe9RtB",
            "correct horse battery staple",
            "orc_0z0z0Kf83mXe9RtBq1WnZ",
        ] {
            assert!(bits(secret) >= MIN_BITS, "{secret}: {}", bits(secret));
        }
    }
}
