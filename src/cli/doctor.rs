//! The output of `orchestrator doctor`.

use serde::Serialize;

use crate::engine::{Diagnosis, Finding, Repair};

/// Returns the findings as [`text`] does and, if texts are encrypted, how many are under each key.
pub fn diagnosis(diagnosis: &Diagnosis) -> String {
    let mut text = text(&diagnosis.findings);
    if diagnosis.texts.keys().any(|key| !key.is_empty()) {
        for (key, count) in &diagnosis.texts {
            let state = if key.is_empty() {
                "not encrypted".to_owned()
            } else {
                format!("encrypted with the key {key}")
            };
            text.push_str(&format!("Texts {state}: {count}\n"));
        }
    }
    text
}

/// Returns the findings, one per line with what was done about it, and their number.
pub fn text(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "The store is consistent.\n".to_owned();
    }
    let lines: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
    let count = findings.len();
    let repaired = findings.iter().filter(|finding| is_repaired(finding)).count();
    let noun = if count == 1 { "finding" } else { "findings" };
    if findings.iter().all(|finding| finding.repair == Repair::NotTried) {
        return format!("{lines}{count} {noun}.\n");
    }
    format!("{lines}{count} {noun}, {repaired} repaired.\n")
}

/// A finding, as programs read it.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The id, the key or the name that the finding is about.
    pub subject: String,
    /// The kind of the finding, a word.
    pub kind: &'static str,
    /// What is wrong, as a sentence.
    pub detail: String,
    /// Whether it was repaired: `not tried`, `done` or `impossible`.
    pub repair: &'static str,
    /// What was done about it, or why nothing can be. Empty if the doctor only searched.
    pub explanation: &'static str,
}

/// Returns the findings as programs read them.
pub fn rows(findings: &[Finding]) -> Vec<Row> {
    let rows = findings.iter().map(|finding| Row {
        subject: finding.subject.clone(),
        kind: finding.problem.kind(),
        detail: finding.problem.to_string(),
        repair: match finding.repair {
            Repair::NotTried => "not tried",
            Repair::Done => "done",
            Repair::Impossible => "impossible",
        },
        explanation: finding.explanation(),
    });
    rows.collect()
}

/// Returns whether the doctor repaired what it found, so that nothing is left to do.
pub fn is_repaired(finding: &Finding) -> bool {
    finding.repair == Repair::Done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Problem;

    #[test]
    fn texts_are_counted_by_key_if_any_is_encrypted() {
        let clear = Diagnosis { findings: Vec::new(), texts: [(String::new(), 3)].into() };
        let mut mixed = clear.clone();
        mixed.texts.insert("two".to_owned(), 5);

        assert_eq!(diagnosis(&clear), "The store is consistent.\n");
        let counted = "The store is consistent.\nTexts not encrypted: 3\n\
            Texts encrypted with the key two: 5\n";
        assert_eq!(diagnosis(&mixed), counted);
    }

    #[test]
    fn findings_are_listed_and_counted_with_what_was_done() {
        let finding = |repair| Finding {
            subject: "task 1".to_owned(),
            problem: Problem::SpecMissing {},
            repair,
        };
        let repaired = finding(Repair::Done);
        let left = finding(Repair::Impossible);

        assert_eq!(text(&[]), "The store is consistent.\n");
        let found = [finding(Repair::NotTried)];
        assert_eq!(text(&found), "task 1: has no spec [spec_missing]\n1 finding.\n");
        let both = "task 1: has no spec [spec_missing] – repaired: failed\n\
            task 1: has no spec [spec_missing] – not repaired: it is over, and is forgotten with its \
            retention\n2 findings, 1 repaired.\n";
        assert_eq!(text(&[repaired, left]), both);
    }
}
