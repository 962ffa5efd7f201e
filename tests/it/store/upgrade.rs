//! `orchestrator upgrade`: what older versions have stored is read as it was, and goes on.

use std::collections::BTreeMap;

use orchestrator::domain::ids::TaskId;
use orchestrator::domain::lifecycle::{State, Verb};
use orchestrator::engine::TaskFilter;
use orchestrator::store::{self, Upgrade};

use super::ward::Ward;
use crate::harness::{
    FIELDS, Fleet, LAYOUT, Program, STATE_LETTERS, defaults, failed, finish_within, json, key,
    with_all_words,
};

/// The letters of verbs in a record, and the verbs in its words before.
fn verb_of(letter: &str) -> Verb {
    let verbs = [
        ("s", Verb::Submit),
        ("r", Verb::Route),
        ("c", Verb::Claim),
        ("C", Verb::Complete),
        ("f", Verb::Fail),
        ("R", Verb::Retry),
        ("y", Verb::Approve),
        ("X", Verb::Cancel),
        ("a", Verb::Ask),
    ];
    verbs.into_iter().find(|(known, _)| *known == letter).unwrap().1
}

fn state_of(letter: &str) -> &'static str {
    STATE_LETTERS.iter().find(|(_, known)| *known == letter).unwrap().0
}

/// A record of this version by the names of its words, and its timeline as layout 7 has it.
struct Taken {
    words: BTreeMap<&'static str, String>,
    timeline: Vec<String>,
}

impl Taken {
    /// Takes a record apart.
    fn of(record: &str) -> Self {
        let whole = with_all_words(record);
        let mut lines = whole.split('\n');
        let (status, content) = lines.next().unwrap().split_once('\t').unwrap();
        let facts = ["agent", "kind", "priority", "max_retries", "timeout", "source", "labels"];
        let own = [
            "percent",
            "stands",
            "actions",
            "target",
            "parent",
            "cascade",
            "trace",
            "traceparent",
            "title",
        ];
        let times = (0..3).map(|nth| &status[13 * nth..13 * nth + 13]);
        let status_words = times.chain(status[39..].split(' '));
        let mut words: BTreeMap<_, _> =
            FIELDS.into_iter().chain(facts).zip(status_words.map(str::to_owned)).collect();
        let widths = [("bytes", 0..8), ("begin", 8..21), ("start", 21..34), ("finish", 34..47)];
        words.extend(widths.map(|(name, place)| (name, content[place].to_owned())));
        words.extend(own.into_iter().zip(content[48..].split(' ').map(str::to_owned)));
        assert_eq!(words.len(), 35, "{whole}");
        Self { words, timeline: lines.map(line_of_7).collect() }
    }

    /// A word; a time that is absent is `-`.
    fn word(&self, name: &str) -> String {
        let word = self.words[name].replace('\u{1f}', "\\u0020");
        // The rank always was a number.
        if word == "0000000000000" && name != "rank" { "-".to_owned() } else { word }
    }

    fn line(&self, names: &str) -> String {
        let words: Vec<_> = names.split(' ').map(|name| self.word(name)).collect();
        words.join(" ")
    }
}

fn line_of_7(line: &str) -> String {
    let (at, letters, rest) = (&line[..13], &line[13..15], &line[15..]);
    format!("{at} {} {}{rest}", verb_of(&letters[..1]), state_of(&letters[1..]))
}

fn as_layout_7(record: &str) -> String {
    let whole = with_all_words(record);
    let head = whole.split('\n').next().unwrap();
    let state = state_of(&head[39..40]);
    let lines = Taken::of(record).timeline.join("\n");
    format!("{}{state}{}\n{lines}", &head[..39], &head[40..])
}

fn as_layout_6(record: &str) -> String {
    let mut taken = Taken::of(record);
    let mut report = "-".to_owned();
    for line in &mut taken.timeline {
        if line.contains(" claim ") {
            report = "-".to_owned();
        }
        if let Some((before, digest)) = line.clone().rsplit_once(" =") {
            (*line, report) = (before.to_owned(), digest.to_owned());
        }
    }
    let state = state_of(&taken.words["state"]).to_owned();
    let count = taken.timeline.len();
    let [first, second, third, fourth] = [
        "attempt rank since approval holder",
        "timer human sla retries lost limit due version ended",
        "agent kind priority trace traceparent title bytes max_retries timeout parent source cascade",
        "actions begin start finish percent stands target",
    ]
    .map(|names| taken.line(names));
    let third = third.replace(&taken.word("bytes"), taken.word("bytes").trim_start_matches('0'));
    let lines = taken.timeline.join("\n");
    format!("{state} {count} {first} {report} {second}\n{third}\n{fourth}\n{lines}")
}

/// A ward with more tasks: with every word, with reports, and with a failure.
async fn ward() -> Ward {
    let ward = Ward::open().await;
    let fleet = &ward.fleet;
    for outcome in [failed(false, None), failed(true, Some(50_000))] {
        let held = fleet.claim_one().await;
        fleet.report(&held, outcome).await.unwrap();
        fleet.submit("faq").await;
    }
    let called_off = fleet.submit("faq").await.id;
    fleet.cancel(called_off).await.unwrap();
    fleet
        .submit_with("faq", |new| {
            new.spec.title = Some("a title of words".to_owned());
            new.spec.trace_id = Some("trace-1".to_owned());
            new.spec.parent = Some(ward.held);
            new.spec.timeout_ms = Some(9_000);
            new.sla = Some(finish_within(3_600_000));
            new.spec.payload = json(r#"{"q": 1}"#);
        })
        .await;
    ward
}

/// All tasks as they are read, by id.
async fn read_all(fleet: &Fleet) -> BTreeMap<TaskId, String> {
    let tasks = fleet.engine.tasks(&TaskFilter::default(), 100, None).await.unwrap().items;
    let mut read = BTreeMap::new();
    for task in tasks {
        let mut task = fleet.task(task.id).await;
        task.observed_at = 0;
        read.insert(task.id, format!("{task:#?}"));
    }
    read
}

async fn set_version(fleet: &Fleet, version: &str) {
    fleet.redis.ask::<i64>(&["HSET", LAYOUT, "version", version]).await;
    // Every process notices what was done to the layout.
    drop(fleet.store.notice().await);
}

/// Rewrites every `nth` record as an older version has it.
async fn age(fleet: &Fleet, version: &str, nth: usize, old: impl Fn(&str) -> String) {
    let records: BTreeMap<String, String> = fleet.redis.ask(&["HGETALL", &key("records")]).await;
    for (id, record) in records.iter().step_by(nth) {
        fleet.redis.ask::<i64>(&["HSET", &key("records"), id, &old(record)]).await;
    }
    set_version(fleet, version).await;
}

async fn upgrade(fleet: &Fleet) -> Result<Upgrade, store::Error> {
    let settings = store::Settings { url: fleet.redis.url().into(), ..defaults().store };
    let done = store::upgrade(&settings).await;
    drop(fleet.store.notice().await);
    done
}

/// Upgrades a ward whose records were rewritten.
async fn goes_on(version: &str, nth: usize, old: impl Fn(&str) -> String) {
    let ward = ward().await;
    let before = read_all(&ward.fleet).await;
    age(&ward.fleet, version, nth, old).await;

    let refused = ward.fleet.open_store(|_| {}).await.err().unwrap().to_string();
    assert!(
        refused.contains(&format!("key layout {version} "))
            && refused.contains("`orchestrator upgrade`"),
        "{refused}"
    );
    let done = upgrade(&ward.fleet).await.unwrap();

    let (from, tasks) = (version[..1].to_owned(), before.len() as u64);
    assert_eq!(done, Upgrade::Done { from, tasks, unreadable: Vec::new() });
    let after = read_all(&ward.fleet).await;
    for (id, task) in &before {
        assert_eq!(&after[id], task);
    }
    assert_eq!(after.len(), before.len());
    assert_eq!(ward.fleet.engine.doctor().await.unwrap(), []);
    assert_eq!(upgrade(&ward.fleet).await.unwrap(), Upgrade::Current);
    ward.ends_well().await;
}

#[tokio::test]
async fn a_store_of_layout_6_is_read_as_before_and_goes_on() {
    goes_on("6", 1, as_layout_6).await;
}

#[tokio::test]
async fn a_store_of_layout_7_is_read_as_before_and_goes_on() {
    goes_on("7", 1, as_layout_7).await;
}

#[tokio::test]
async fn an_interrupted_upgrade_is_continued() {
    goes_on("6>8", 2, as_layout_6).await;
}

#[tokio::test]
async fn a_report_from_before_an_upgrade_is_recognised_after_it() {
    let fleet = Fleet::start().await;
    fleet.submit("faq").await;
    let held = fleet.claim_one().await;
    fleet.complete(&held).await.unwrap();
    age(&fleet, "6", 1, as_layout_6).await;

    upgrade(&fleet).await.unwrap();

    assert_eq!(fleet.complete(&held).await.unwrap(), State::Completed);
    assert!(fleet.give_up(&held).await.is_err());
    fleet.finish().await;
}

#[tokio::test]
async fn an_unreadable_record_is_named_and_left_by_the_command() {
    let fleet = Fleet::start().await;
    let (broken, whole) = (fleet.submit("faq").await.id, fleet.submit("faq").await.id);
    age(&fleet, "6", 1, as_layout_6).await;
    let id = broken.to_string();
    fleet.redis.ask::<i64>(&["HSET", &key("records"), &id, "garbage"]).await;

    let program = Program::over(fleet.redis.url());
    let (code, output, log) = program.run(&["upgrade"]).await;

    assert_eq!(code, 1, "{output}{log}");
    assert!(output.contains(&id) && output.contains("from key layout 6: 1 tasks, 1 "), "{output}");
    let left: String = fleet.redis.ask(&["HGET", &key("records"), &id]).await;
    assert_eq!(left, "garbage");
    let (code, output, _) = program.run(&["upgrade"]).await;
    assert!(code == 0 && output.contains("nothing to upgrade"), "{output}");
    let (code, output, _) = program.run(&["doctor"]).await;
    assert!(code == 1 && output.contains("record_unreadable"), "{output}");
    fleet.store.notice().await.unwrap();
    assert_eq!(fleet.state_of(whole).await, State::Pending);
    fleet.discard();
}

#[tokio::test]
async fn a_store_of_another_layout_or_an_empty_one_is_left_alone() {
    let fleet = Fleet::start().await;
    fleet.submit("faq").await;
    for other in ["5", "9", "6>7"] {
        set_version(&fleet, other).await;
        let before = fleet.redis.dump().await;

        let refused = upgrade(&fleet).await.unwrap_err().to_string();

        assert!(refused.contains(&format!("key layout {other};")), "{refused}");
        assert_eq!(fleet.redis.dump().await, before);
        assert_eq!(fleet.redis.ask::<String>(&["HGET", LAYOUT, "version"]).await, other);
    }
    let _: String = fleet.redis.ask(&["FLUSHALL"]).await;
    let (code, output, log) = Program::over(fleet.redis.url()).run(&["upgrade"]).await;
    assert!(code == 0 && output.contains("empty"), "{output}{log}");
    fleet.discard();
}

#[tokio::test]
async fn a_large_batch_of_an_older_version_is_found_in_the_index() {
    let fleet = Fleet::start().await;
    let ids = fleet.submit_many("faq", 700).await;
    let groups: Vec<(String, f64)> =
        fleet.redis.ask(&["ZRANGE", &key("tasks"), "0", "-1", "WITHSCORES"]).await;
    let first = groups[0].1 as u64;
    let _: i64 = fleet.redis.ask(&["DEL", &key("tasks"), &key("timers")]).await;
    // All of them are accepted in one millisecond, as one call of an older version did.
    let ms = (first / 1_000).to_string();
    for (nth, id) in ids.iter().enumerate() {
        let (at, id) = ((first + nth as u64).to_string(), id.to_string());
        let record: String = fleet.redis.ask(&["HGET", &key("records"), &id]).await;
        let mut lines: Vec<_> = record.splitn(3, '\n').map(str::to_owned).collect();
        lines[1].replace_range(..13, &ms);
        fleet.redis.ask::<i64>(&["HSET", &key("records"), &id, &lines.join("\n")]).await;
        fleet.redis.ask::<i64>(&["ZADD", &key("tasks"), &at, &id]).await;
        fleet.redis.ask::<i64>(&["ZADD", &key("timers"), &record[13..26], &id]).await;
    }
    let listed = read_page(&fleet).await;
    age(&fleet, "6", 1, as_layout_6).await;

    upgrade(&fleet).await.unwrap();

    assert_eq!(fleet.redis.count("tasks").await, 7);
    assert_eq!(read_page(&fleet).await, listed);
    fleet.finish().await;
}

/// The ids of the newest tasks.
async fn read_page(fleet: &Fleet) -> Vec<TaskId> {
    let page = fleet.engine.tasks(&TaskFilter::default(), 200, None).await.unwrap();
    page.items.iter().map(|task| task.id).collect()
}
