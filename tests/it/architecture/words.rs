//! The language of code, documents and names of tests: the glossary in `src/lib.rs` settles it.

use super::{Source, identifier};

/// The most letters of a test's name, underscores not counted.
const LONGEST_NAME: usize = 60;

/// What the glossary calls the words that stand for a man.
const PRONOUNS: &str = "and pronouns of a man";

/// The words that the glossary in `src/lib.rs` says are not used: the last column of its table.
fn words_not_used() -> Vec<String> {
    let sources = Source::all("src", "rs");
    let map = sources.iter().find(|source| source.name() == "src/lib.rs").unwrap();
    let (_, glossary) = map.text.split_once("# Glossary").unwrap();
    let (glossary, _) = glossary.split_once("//! # ").unwrap();
    let rows = glossary.lines().filter(|line| line.starts_with("//! | "));
    let last = rows.filter_map(|row| row.strip_suffix('|')?.rsplit_once('|'));
    let words = last.flat_map(|(_, words)| words.split(", ")).map(str::trim);
    // The glossary names the last ones in other words.
    let words = words.filter(|word| !["", "not", PRONOUNS].contains(word));
    words.chain(["he", "his", "him"]).map(str::to_owned).collect()
}

/// Whether the word is one of the list, or a plural of it.
fn is_one_of(words: &[String], word: &str) -> bool {
    let word = word.to_lowercase();
    words.iter().any(|unused| word == *unused || word.strip_suffix('s') == Some(unused))
}

/// The words of a line, and of the identifiers in it.
fn words_of(line: &str) -> impl Iterator<Item = &str> {
    line.split(|letter: char| !letter.is_alphabetic()).filter(|word| !word.is_empty())
}

#[test]
fn code_and_documents_use_the_words_of_the_glossary() {
    let unused = words_not_used();
    assert!(unused.len() > 15, "{unused:?}");
    let folders =
        [("src", "rs"), ("src", "lua"), ("config", "toml"), ("docs", "md"), ("openapi", "yaml")];
    let sources = folders.iter().flat_map(|(folder, extension)| Source::all(folder, extension));
    let pages = ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(Source::page);
    let mut wrong = Vec::new();
    for source in sources.chain(pages.into_iter().flatten()) {
        for (nth, line) in source.text.lines().enumerate() {
            let is_glossary = source.name() == "src/lib.rs" && line.starts_with("//! | ");
            let word = words_of(line).find(|word| is_one_of(&unused, word));
            if let Some(word) = word.filter(|_| !is_glossary) {
                wrong.push(format!("{}:{}: {word}", source.name(), nth + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "the glossary in src/lib.rs has another word: {wrong:#?}");
}

#[test]
fn names_of_tests_use_the_words_of_the_glossary() {
    let unused = words_not_used();
    let mut wrong = Vec::new();
    for source in ["src", "tests"].iter().flat_map(|folder| Source::all(folder, "rs")) {
        let lines: Vec<_> = source.text.lines().collect();
        for pair in lines.windows(2) {
            let is_mark = ["#[test]", "#[tokio::test"].iter().any(|mark| pair[0].contains(mark));
            let Some((_, name)) = pair[1].split_once("fn ").filter(|_| is_mark) else { continue };
            let name = identifier(name);
            let letters = name.chars().filter(|letter| *letter != '_').count();
            if letters > LONGEST_NAME || words_of(&name).any(|word| is_one_of(&unused, word)) {
                wrong.push(format!("{}: {name}", source.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "longer than {LONGEST_NAME} letters, or in other words: {wrong:#?}");
}
