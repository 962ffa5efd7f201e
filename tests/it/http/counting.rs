//! Lists of tasks by time, source and trace, and how many tasks a list has.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Site, id_of};

/// Four tasks, each accepted 10 s after the one before, and when.
async fn four(site: &Site) -> (Vec<String>, Vec<String>) {
    let (mut ids, mut times) = (Vec::new(), Vec::new());
    for (kind, source, trace) in [
        ("faq", "crew", "a"),
        ("bugfix", "user", "b"),
        ("faq", "user", "a"),
        ("deploy", "crew", "c"),
    ] {
        let body = json!({"type": kind, "payload": {}, "source": source, "trace_id": trace});
        let task = site.post("crew", "/tasks", &body).await.accepted(201);
        ids.push(id_of(&task));
        times.push(task["created_at"].as_str().unwrap().to_owned());
        site.fleet.advance(Duration::from_secs(10));
    }
    (ids, times)
}

/// The places among `ids` of the tasks that a list has, page by page of one.
async fn listed(site: &Site, query: &str, ids: &[String]) -> Vec<usize> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/tasks?limit=1&{query}{cursor}");
        let page = site.get("reader", &path).await.accepted(200);
        let items = page["items"].as_array().unwrap().iter();
        found.extend(items.map(|item| ids.iter().position(|id| item["task_id"] == **id).unwrap()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// The sum of the counts of all calls, and how many calls that took.
async fn counted(site: &Site, query: &str) -> (u64, usize) {
    let (mut sum, mut calls, mut cursor) = (0, 0, String::new());
    loop {
        let path = format!("/tasks/count?{query}{cursor}");
        let count = site.get("reader", &path).await.accepted(200);
        sum += count["count"].as_u64().unwrap();
        calls += 1;
        match count["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (sum, calls),
        }
    }
}

#[tokio::test]
async fn task_lists_and_counts_filter_by_time_source_and_trace() {
    let site = Site::without_approvals().await;
    let (ids, times) = four(&site).await;
    let cancel = format!("/tasks/{}/cancel", ids[0]);
    let cancelled = site.post("crew", &cancel, &json!({})).await.accepted(200);
    let cancelled = cancelled["updated_at"].as_str().unwrap();

    for (query, expected) in [
        (String::new(), &[3, 2, 1, 0][..]),
        (format!("created_after={}", times[1]), &[3, 2, 1]),
        (format!("created_before={}", times[2]), &[1, 0]),
        (format!("created_after={}&created_before={}", times[1], times[3]), &[2, 1]),
        (format!("created_after={0}&created_before={0}", times[1]), &[]),
        (format!("status=pending&created_before={}", times[3]), &[2, 1]),
        (format!("created_after={}&type=faq", times[1]), &[2]),
        (format!("updated_after={cancelled}"), &[0]),
        (format!("updated_after={}&source=user", times[2]), &[2]),
        ("source=crew".to_owned(), &[3, 0]),
        ("trace_id=a".to_owned(), &[2, 0]),
        ("trace_id=unheard-of".to_owned(), &[]),
        ("status=cancelled".to_owned(), &[0]),
    ] {
        let mut found = listed(&site, &query, &ids).await;
        if query.contains("status=") {
            found.sort_by(|one, other| other.cmp(one));
        }
        assert_eq!(found, expected, "{query}");
        assert_eq!(counted(&site, &query).await, (expected.len() as u64, 1), "{query}");
    }
    site.finish().await;
}

#[tokio::test]
async fn count_of_many_tasks_continues_by_its_cursor() {
    let site = Site::without_approvals().await;
    site.fleet.submit_many("faq", 4_100).await;
    site.fleet.submit_many("bugfix", 3).await;

    let by_type = counted(&site, "type=faq").await;
    let all = counted(&site, "").await;

    assert_eq!((by_type, all), ((4_100, 2), (4_103, 1)));
    site.finish().await;
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_is_refused_by_name() {
    let site = Site::open().await;

    for (query, name) in [
        ("created_after=yesterday", "created_after"),
        ("created_before=2026-02-30T00:00:00Z", "created_before"),
        ("updated_after=", "updated_after"),
        ("source=Crew!", "source"),
        ("trace_id=a%20b", "trace_id"),
        ("created_before=2026-01-01T00:00:00Z&cursor=tasks_1_", "cursor"),
    ] {
        for path in ["/tasks", "/tasks/count"] {
            let answer = site.get("reader", &format!("{path}?{query}")).await;
            let problem: Value = answer.refused(400, "unreadable-request");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(&format!("`{name}`")), "{path} {query}: {detail}");
        }
    }
    site.get("reader", "/tasks/count?limit=1").await.refused(400, "unreadable-request");
    site.finish().await;
}
