//! Every way to tamper with a chain is found and named.

use super::*;
use crate::domain::audit::NO_HASH;

/// A sound chain of `count` entries, the newest first, and its ends.
fn chain(count: u64) -> Page {
    let mut previous = NO_HASH.to_owned();
    let mut items = Vec::new();
    for sequence in 1..=count {
        let mut entry = Entry {
            partition: 0,
            sequence,
            at: format!("2026-01-31T09:30:{sequence:02}.000Z"),
            actor: "user:alice".to_owned(),
            origin: Some("10.0.0.7:4711".to_owned()),
            action: "cancel".to_owned(),
            subject: format!("task:{sequence}"),
            detail: [("reason".to_owned(), "no".to_owned())].into(),
            previous,
            hash: String::new(),
        };
        entry.hash = entry.digest();
        previous = entry.hash.clone();
        items.insert(0, entry);
    }
    let ends = Ends {
        partition: 0,
        sequence: count,
        hash: previous,
        trimmed: 0,
        trimmed_hash: NO_HASH.to_owned(),
    };
    Page { items, next_cursor: None, chains: vec![ends] }
}

fn faults_of(page: &Page) -> Vec<String> {
    let mut chains = Chains::default();
    chains.see(page);
    chains.finish(&page.chains).faults
}

/// The only fault after this was done to a chain of six.
fn fault_after(tamper: impl FnOnce(&mut Page)) -> String {
    let mut page = chain(6);
    tamper(&mut page);
    let mut faults = faults_of(&page);
    assert_eq!(faults.len(), 1, "{faults:#?}");
    faults.remove(0)
}

/// The entry of this number.
fn entry(page: &mut Page, sequence: u64) -> &mut Entry {
    page.items.iter_mut().find(|entry| entry.sequence == sequence).unwrap()
}

#[test]
fn a_valid_chain_has_a_summary_and_no_fault() {
    let page = chain(6);
    let mut chains = Chains::expecting(vec![page.items[3].hash.to_uppercase()]);
    chains.see(&page);

    let Findings { chains, faults } = chains.finish(&page.chains);

    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(
        (chains[0].entries, chains[0].sequence, &chains[0].head),
        (6, 6, &page.items[0].hash)
    );
    assert_eq!(chains[0].from.as_deref(), Some("2026-01-31T09:30:01.000Z"));
    assert_eq!(chains[0].to.as_deref(), Some("2026-01-31T09:30:06.000Z"));
    assert!(faults_of(&chain(0)).is_empty());
}

#[test]
fn a_change_of_any_field_is_found() {
    let tampers: [fn(&mut Entry); 8] = [
        |entry| entry.at = "2026-01-31T09:30:03.001Z".to_owned(),
        |entry| entry.actor = "user:alic".to_owned(),
        |entry| entry.origin = None,
        |entry| entry.action = "approve".to_owned(),
        |entry| entry.subject.push('0'),
        |entry| drop(entry.detail.insert("reason".to_owned(), "yes".to_owned())),
        |entry| drop(entry.detail.insert("more".to_owned(), String::new())),
        |entry| entry.previous = NO_HASH.to_owned(),
    ];
    for tamper in tampers {
        let fault = fault_after(|page| tamper(entry(page, 3)));
        assert!(fault.starts_with("partition 0, entry 3: was changed"), "{fault}");
    }
}

#[test]
fn a_change_with_a_new_hash_breaks_the_next_entry() {
    for sequence in [3, 6] {
        let fault = fault_after(|page| {
            let changed = entry(page, sequence);
            changed.actor = "user:mallory".to_owned();
            changed.hash = changed.digest();
        });
        let start = format!("partition 0, entry {sequence}: was changed: what comes after it");
        assert!(fault.starts_with(&start), "{fault}");
    }
}

#[test]
fn a_missing_entry_is_named_at_every_position() {
    let without = |gone: std::ops::RangeInclusive<u64>| {
        fault_after(|page| page.items.retain(|entry| !gone.contains(&entry.sequence)))
    };

    assert_eq!(without(3..=3), "partition 0: entry 3 is missing");
    assert_eq!(without(2..=4), "partition 0: entries 2 to 4 are missing");
    assert_eq!(without(6..=6), "partition 0: entry 6 is missing");
    assert_eq!(without(1..=2), "partition 0: entries 1 to 2 are missing");
    assert_eq!(without(1..=6), "partition 0: entries 1 to 6 are missing");
}

#[test]
fn an_entry_in_another_place_is_named() {
    let fault = fault_after(|page| page.items.swap(2, 3));
    assert_eq!(fault, "partition 0, entry 4: stands out of order, before entry 3");

    let fault = fault_after(|page| {
        let more = chain(7).items.remove(0);
        page.items.insert(0, more);
    });
    assert_eq!(fault, "partition 0, entry 7: stands after the newest known entry 6");
}

#[test]
fn a_trimmed_chain_is_still_valid() {
    let trim = |page: &mut Page| {
        let gone = page.items.split_off(4);
        (page.chains[0].trimmed, page.chains[0].trimmed_hash) = (2, gone[0].hash.clone());
    };
    let mut page = chain(6);
    trim(&mut page);
    assert!(faults_of(&page).is_empty());

    let fault = fault_after(|page| {
        trim(page);
        page.chains[0].trimmed_hash = NO_HASH.to_owned();
    });
    assert!(
        fault.starts_with("partition 0: the oldest entry does not follow the deleted"),
        "{fault}"
    );

    // Everything is gone, or went while the walk was on its way.
    let mut page = chain(6);
    let before =
        Page { items: page.items.split_off(3), next_cursor: None, chains: page.chains.clone() };
    let mut last = page.chains.clone();
    (last[0].trimmed, last[0].trimmed_hash) = (6, before.chains[0].hash.clone());
    let mut chains = Chains::default();
    chains.see(&page);
    assert!(chains.finish(&last).faults.is_empty());
}

#[test]
fn an_expected_hash_must_be_in_the_chain() {
    let page = chain(2);
    let mut chains = Chains::expecting(vec!["ab".repeat(32)]);
    chains.see(&page);

    let faults = chains.finish(&page.chains).faults;

    assert_eq!(faults, [format!("no entry has the expected hash {}", "ab".repeat(32))]);
}

#[test]
fn the_example_of_the_api_document_is_a_valid_chain() {
    let examples: serde_json::Value =
        serde_json::from_str(include_str!("../../http/openapi/examples.json")).unwrap();
    let page: Page =
        serde_json::from_value(examples["read_audit_log"]["response"].clone()).unwrap();

    assert_eq!((page.items.len(), faults_of(&page)), (2, Vec::new()));
}
