//! The audit log: each change that has an accountable actor leaves exactly one entry, in a chain of
//! hashes.

use std::time::Duration;

use orchestrator::domain::approval::Decision;
use orchestrator::domain::audit::{AuditEntry, AuditFilter, Credential, NO_HASH};
use orchestrator::domain::principal::{Origin, Role};
use orchestrator::engine::StatusChange;
use sha2::{Digest, Sha256};

use crate::harness::{DAY, Fleet, Redis, name};

const YEAR: Duration = DAY.saturating_mul(365);

/// All entries, the oldest first.
async fn entries(fleet: &Fleet) -> Vec<AuditEntry> {
    let (mut entries, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let (page, _) =
            fleet.engine.audit(&AuditFilter::default(), 3, cursor.as_deref()).await.unwrap();
        entries.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            entries.reverse();
            return entries;
        }
    }
}

/// Action and subject of each entry.
async fn told(fleet: &Fleet) -> Vec<(String, String)> {
    entries(fleet).await.into_iter().map(|entry| (entry.action, entry.subject)).collect()
}

fn credential(name: &str, role: Role, fingerprint: &str) -> Credential {
    Credential {
        subject: format!("key:{name}"),
        role: Some(role),
        fingerprint: fingerprint.to_owned(),
    }
}

#[tokio::test]
async fn the_hash_that_the_scripts_compute_is_sha_256() {
    let redis = Redis::start().await;
    let script =
        concat!(include_str!("../../../src/store/lua/sha256.lua"), "\nreturn sha256(ARGV[1])");
    let sizes = (0..=260).chain([511, 512, 513, 1_000, 4_000]);

    for size in sizes {
        // Every byte of two, three and four that UTF-8 has comes by.
        let text: String =
            (0..size as u32).filter_map(|nth| char::from_u32(nth * 257 % 0x1_0ffff)).collect();
        let hash: String = redis.ask(&["EVAL", script, "0", &text]).await;

        let expected: String =
            Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, expected, "of {} bytes", text.len());
    }
}

#[tokio::test]
async fn each_change_leaves_one_entry_and_a_refused_one_none() {
    let fleet = Fleet::start().await;
    let (engine, people) = (&fleet.engine, &fleet.people);
    let yes = fleet.submit("deploy").await;
    let no = fleet.submit("deploy").await;
    let plain = fleet.submit("faq").await.id;
    let taken = fleet.submit("faq").await.id;
    assert!(entries(&fleet).await.is_empty());

    fleet.approve(yes.approval.unwrap()).await.unwrap();
    fleet.reject(no.approval.unwrap()).await.unwrap();
    fleet.approve(no.approval.unwrap()).await.unwrap_err();
    let mine = fleet.submit("deploy").await.approval.unwrap();
    engine.decide(&people.alice, mine, Decision::approve(None)).await.unwrap_err();
    fleet.cancel(plain).await.unwrap();
    fleet.cancel(plain).await.unwrap_err();
    fleet.requeue(plain).await.unwrap();
    fleet.requeue(plain).await.unwrap_err();
    engine
        .change_status(&people.alice, taken, StatusChange::Cancelled { reason: None })
        .await
        .unwrap();
    engine.pause(&people.alice, &name("faq_agent")).await.unwrap();
    engine.pause(&people.alice, &name("faq_agent")).await.unwrap();
    engine.pause(&people.alice, &name("unknown_agent")).await.unwrap_err();
    engine.resume(&people.alice, &name("faq_agent")).await.unwrap();
    engine.resume(&people.alice, &name("faq_agent")).await.unwrap();

    let expected = [
        ("approve", format!("approval:{}", yes.approval.unwrap())),
        ("reject", format!("approval:{}", no.approval.unwrap())),
        ("cancel", format!("task:{plain}")),
        ("requeue", format!("task:{plain}")),
        ("cancel", format!("task:{taken}")),
        ("pause", "agent:faq_agent".to_owned()),
        ("resume", "agent:faq_agent".to_owned()),
    ];
    assert_eq!(told(&fleet).await, expected.map(|(action, subject)| (action.to_owned(), subject)));
    fleet.finish().await;
}

#[tokio::test]
async fn an_entry_says_who_when_from_where_and_what() {
    let fleet = Fleet::start().await;
    let before = fleet.store.now().await.unwrap();
    let task = fleet.submit("deploy").await;
    let bob = fleet.people.bob.clone().at(Some(Origin::Peer("10.0.0.7:4711".parse().unwrap())));
    let reason = "no \"way\"\n\u{202e}\u{1f600}\0".to_owned();
    let decision = Decision::reject(Some(reason.clone()));
    fleet.engine.decide(&bob, task.approval.unwrap(), decision).await.unwrap();
    fleet
        .engine
        .requeue(&fleet.people.alice.clone().at(Some(Origin::Nats)), task.id)
        .await
        .unwrap();
    fleet.cancel(task.id).await.unwrap();

    let [rejected, requeued, cancelled] = entries(&fleet).await.try_into().unwrap();

    assert_eq!((rejected.actor.as_str(), rejected.origin.as_str()), ("user:bob", "10.0.0.7:4711"));
    assert!((before..before + 60_000).contains(&rejected.at));
    let digest = task.content(None).digest();
    let detail = [("digest", digest), ("reason", reason), ("task_id", task.id.to_string())];
    assert_eq!(rejected.detail, detail.map(|(name, text)| (name.to_owned(), text)).into());
    assert_eq!(
        (requeued.origin.as_str(), requeued.detail["previous_status"].as_str()),
        ("nats", "cancelled")
    );
    assert_eq!(
        (cancelled.origin.as_str(), cancelled.detail["previous_status"].as_str()),
        ("", "blocked")
    );
    assert_eq!([rejected.sequence, requeued.sequence, cancelled.sequence], [1, 2, 3]);
    assert_eq!((rejected.previous, &rejected.hash), (NO_HASH.to_owned(), &requeued.previous));
    fleet.finish().await;
}

#[tokio::test]
async fn change_with_a_lost_answer_is_audited_once() {
    let fleet = Fleet::build().lossy().start().await;
    let lose = || fleet.proxy.as_ref().unwrap().lose_next_answer();
    let (yes, no) = (fleet.submit("deploy").await, fleet.submit("deploy").await);
    lose();
    fleet.approve(yes.approval.unwrap()).await.unwrap();
    lose();
    fleet.reject(no.approval.unwrap()).await.unwrap();
    lose();
    fleet.cancel(yes.id).await.unwrap();
    lose();
    fleet.requeue(yes.id).await.unwrap();
    let agent = name("faq_agent");
    // The first script of each is the look whether there is such an agent.
    fleet.store.pause(&agent, &fleet.people.alice).await.unwrap();
    lose();
    fleet.store.resume(&agent, &fleet.people.alice).await.unwrap();
    lose();
    fleet.engine.note_credentials(&[credential("ops", Role::Admin, "11")]).await.unwrap();
    lose();
    fleet.engine.note_refusal(&fleet.people.agent, "GET /admin/routing", "missing-scope", 3).await;

    let actions: Vec<_> = told(&fleet).await.into_iter().map(|(action, _)| action).collect();

    let expected =
        ["approve", "reject", "cancel", "requeue", "pause", "resume", "key.added", "refuse"];
    assert_eq!(actions, expected);
    assert!(fleet.proxy.as_ref().unwrap().has_lost_it());
    fleet.finish().await;
}

#[tokio::test]
async fn pausing_and_resuming_are_events_too() {
    let fleet = Fleet::build().partitions(2).start().await;
    fleet.engine.pause(&fleet.people.alice, &name("faq_agent")).await.unwrap();
    fleet.engine.resume(&fleet.people.alice, &name("faq_agent")).await.unwrap();

    let events = fleet.events().await;

    let types: Vec<_> = events.iter().map(|event| event.event_type()).collect();
    assert_eq!(types, ["agent.paused", "agent.resumed"]);
    assert_eq!(
        events[0].body["payload"],
        serde_json::json!({"agent": "faq_agent", "actor": "user:alice"})
    );
    fleet.finish().await;
}

#[tokio::test]
async fn credential_change_is_audited_once_across_processes() {
    let fleet = Fleet::start().await;
    let many: Vec<_> =
        (0..20).map(|nth| credential(&format!("n{nth:02}"), Role::User, "00")).collect();
    fleet.engine.note_credentials(&many).await.unwrap();
    fleet.another_engine().await.note_credentials(&many).await.unwrap();
    assert_eq!(entries(&fleet).await.len(), 20);

    let mut other = many[1..].to_vec();
    other[0].fingerprint = "ff".to_owned();
    other[1].role = Some(Role::Admin);
    other.push(Credential {
        subject: "secret:jwt".to_owned(),
        role: None,
        fingerprint: "22".to_owned(),
    });
    fleet.engine.note_credentials(&other).await.unwrap();

    let told = told(&fleet).await.split_off(20);
    let of = |action: &str, subject: &str| (action.to_owned(), subject.to_owned());
    let changes = [of("key.changed", "key:n01"), of("key.changed", "key:n02")];
    assert_eq!(
        told,
        [&changes[..], &[of("key.added", "secret:jwt"), of("key.removed", "key:n00")]].concat()
    );
    let changed = &entries(&fleet).await[21];
    assert_eq!(
        (changed.detail["previous_role"].as_str(), changed.detail["role"].as_str()),
        ("user", "admin")
    );
    assert_eq!(
        (changed.actor.as_str(), changed.origin.as_str()),
        ("orchestrator", "configuration")
    );
    fleet.finish().await;
}

#[tokio::test]
async fn pages_go_through_the_entries_of_all_partitions_by_time() {
    let fleet = Fleet::build().partitions(3).start().await;
    let ids = fleet.submit_many("faq", 30).await;
    for id in &ids {
        fleet.cancel(*id).await.unwrap();
        // Some share a moment.
        fleet.advance(Duration::from_millis(u64::from(id.0.as_bytes()[9] % 2)));
    }

    let entries = entries(&fleet).await;

    let subjects: std::collections::BTreeSet<_> =
        entries.iter().map(|entry| entry.subject.clone()).collect();
    assert_eq!((entries.len(), subjects.len()), (30, 30));
    assert!(entries.is_sorted_by_key(|entry| (entry.at, entry.partition)), "{entries:#?}");
    for partition in fleet.store.partitions() {
        let own = entries.iter().filter(|entry| entry.partition == partition);
        assert!(own.zip(1..).all(|(entry, nth)| entry.sequence == nth), "{entries:#?}");
    }
    fleet.finish().await;
}

#[tokio::test]
async fn a_filter_finds_what_it_names_however_far_back() {
    let fleet = Fleet::start().await;
    let ids = fleet.submit_many("faq", 30).await;
    for id in &ids {
        fleet.cancel(*id).await.unwrap();
    }
    fleet.requeue(ids[7]).await.unwrap();
    let find = async |filter: AuditFilter| fleet.engine.audit(&filter, 2, None).await.unwrap().0;

    let of_task =
        AuditFilter { subject: Some(format!("task:{}", ids[7])), ..AuditFilter::default() };
    let page = find(of_task.clone()).await;
    let actions: Vec<_> = page.items.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["requeue", "cancel"]);

    assert_eq!(
        find(AuditFilter { action: Some("requeue".to_owned()), ..of_task }).await.items.len(),
        1
    );
    let page =
        find(AuditFilter { actor: Some("user:bob".to_owned()), ..AuditFilter::default() }).await;
    assert!(page.items.is_empty() && page.next_cursor.is_none());
    fleet.finish().await;
}

#[tokio::test]
async fn old_entries_go_and_what_is_left_says_what_it_follows_on() {
    let fleet = Fleet::start().await;
    let ids = fleet.submit_many("faq", 4).await;
    for id in &ids[..3] {
        fleet.cancel(*id).await.unwrap();
    }
    let old = entries(&fleet).await;
    fleet.advance(YEAR / 2);
    fleet.cancel(ids[3]).await.unwrap();
    fleet.engine.prune().await.unwrap();
    assert_eq!(entries(&fleet).await.len(), 4);

    fleet.advance(YEAR / 2 + Duration::from_secs(1));
    fleet.engine.prune().await.unwrap();

    let left = entries(&fleet).await;
    let (_, chains) = fleet.engine.audit(&AuditFilter::default(), 1, None).await.unwrap();
    assert_eq!(left.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [4]);
    assert_eq!(
        (left[0].previous.as_str(), chains[0].trimmed_hash.as_str()),
        (old[2].hash.as_str(), old[2].hash.as_str())
    );
    assert_eq!((chains[0].trimmed, chains[0].sequence, &chains[0].hash), (3, 4, &left[0].hash));

    fleet.advance(YEAR);
    fleet.engine.prune().await.unwrap();
    let fresh = fleet.submit("faq").await.id;
    fleet.cancel(fresh).await.unwrap();
    let after = entries(&fleet).await;
    assert_eq!((after[0].sequence, &after[0].previous), (5, &left[0].hash));
    fleet.finish().await;
}
