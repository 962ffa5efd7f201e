//! What `orchestrator doctor` says of the store.

use crate::engine::{Finding, Remedy};

/// The findings, one a line with what was done about it, and how many there are.
pub fn text(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "The store is consistent.\n".to_owned();
    }
    let lines: String = findings.iter().map(line).collect();
    let count = findings.len();
    let mended = findings.iter().filter(|finding| is_mended(finding)).count();
    let of_these = match findings.iter().any(|finding| finding.remedy.is_some()) {
        true => format!(", {mended} mended"),
        false => String::new(),
    };
    format!("{lines}{count} finding{}{of_these}.\n", if count == 1 { "" } else { "s" })
}

fn line(finding: &Finding) -> String {
    let Finding { subject, what, remedy } = finding;
    match remedy {
        None => format!("{subject}: {what}\n"),
        Some(Remedy::Mended(how)) => format!("{subject}: {what} – mended: {how}\n"),
        Some(Remedy::Left(why)) => format!("{subject}: {what} – not mended: {why}\n"),
    }
}

/// Whether nothing is left to be done about it.
pub fn is_mended(finding: &Finding) -> bool {
    matches!(finding.remedy, Some(Remedy::Mended(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_listed_and_counted_with_what_was_done() {
        let finding = |remedy| Finding {
            subject: "task 1".to_owned(),
            what: "is in two states".to_owned(),
            remedy,
        };
        let mended = finding(Some(Remedy::Mended("taken out of one".to_owned())));
        let left = finding(Some(Remedy::Left("nobody knows".to_owned())));

        assert_eq!(text(&[]), "The store is consistent.\n");
        assert_eq!(text(&[finding(None)]), "task 1: is in two states\n1 finding.\n");
        let both = "task 1: is in two states – mended: taken out of one\n\
            task 1: is in two states – not mended: nobody knows\n2 findings, 1 mended.\n";
        assert_eq!(text(&[mended, left]), both);
    }
}
