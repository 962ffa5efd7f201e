//! The output of `orchestrator doctor`.

use crate::engine::{Finding, Repair};

/// Returns the findings, one per line with what was done about it, and their number.
pub fn text(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "The store is consistent.\n".to_owned();
    }
    let lines: String = findings.iter().map(line).collect();
    let count = findings.len();
    let repaired = findings.iter().filter(|finding| is_repaired(finding)).count();
    let noun = if count == 1 { "finding" } else { "findings" };
    if findings.iter().all(|finding| finding.repair.is_none()) {
        return format!("{lines}{count} {noun}.\n");
    }
    format!("{lines}{count} {noun}, {repaired} repaired.\n")
}

fn line(finding: &Finding) -> String {
    let Finding { subject, what, repair } = finding;
    match repair {
        None => format!("{subject}: {what}\n"),
        Some(Repair::Done(how)) => format!("{subject}: {what} – repaired: {how}\n"),
        Some(Repair::Impossible(why)) => format!("{subject}: {what} – not repaired: {why}\n"),
    }
}

/// Returns whether the doctor repaired what it found, so that nothing is left to do.
pub fn is_repaired(finding: &Finding) -> bool {
    matches!(finding.repair, Some(Repair::Done(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_listed_and_counted_with_what_was_done() {
        let finding = |repair| Finding {
            subject: "task 1".to_owned(),
            what: "is in two states".to_owned(),
            repair,
        };
        let repaired = finding(Some(Repair::Done("taken out of one".to_owned())));
        let left = finding(Some(Repair::Impossible("its record is gone".to_owned())));

        assert_eq!(text(&[]), "The store is consistent.\n");
        assert_eq!(text(&[finding(None)]), "task 1: is in two states\n1 finding.\n");
        let both = "task 1: is in two states – repaired: taken out of one\n\
            task 1: is in two states – not repaired: its record is gone\n2 findings, 1 repaired.\n";
        assert_eq!(text(&[repaired, left]), both);
    }
}
