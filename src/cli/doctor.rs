//! What `orchestrator doctor` says of the store.

use crate::engine::Finding;

/// The findings, one a line, or that there are none.
pub fn text(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "The store is consistent.\n".to_owned();
    }
    let lines: String = findings.iter().map(|finding| format!("{}: {}\n", finding.subject, finding.what)).collect();
    let count = findings.len();
    format!("{lines}{count} finding{}.\n", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_listed_and_counted() {
        let finding = Finding { subject: "task 1".to_owned(), what: "is in two states".to_owned() };

        assert_eq!(text(&[]), "The store is consistent.\n");
        assert_eq!(text(&[finding]), "task 1: is in two states\n1 finding.\n");
    }
}
