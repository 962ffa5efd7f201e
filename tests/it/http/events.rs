//! Following events: what comes, from where on, and what is said when something is missing.

use serde_json::Value;

use crate::harness::{Block, Fleet, Site, json, key, number, within};

/// The walk of the log by pages of `limit`.
async fn walk(site: &Site, start: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut after) = (Vec::new(), start.to_owned());
    loop {
        let page = site.page(&format!("?limit={limit}&after={after}")).await;
        assert_eq!(page["has_gap"], false);
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        if page["has_more"] == false {
            return items;
        }
        after = page["next_cursor"].as_str().unwrap().to_owned();
    }
}

#[tokio::test]
async fn an_event_arrives_as_it_happens() {
    let site = Site::open().await;
    let mut reader = site.stream("", &[]).await;

    let id = site.publish("pr.merged", 7).await;
    let heard = reader.next().await;

    let headers = reader.response.headers();
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(
        (&headers["cache-control"], &headers["x-accel-buffering"]),
        (&"no-cache".parse().unwrap(), &"no".parse().unwrap())
    );
    assert_eq!(reader.opening.retry, "1000");
    assert_eq!((heard.event.as_str(), heard.number()), ("pr.merged", 7));
    assert_eq!(heard.json()["event_id"], id.to_string());
    site.finish().await;
}

#[tokio::test]
async fn a_client_that_comes_back_gets_what_it_missed_in_order_and_nothing_twice() {
    let site = Site::open().await;
    let mut first = site.stream("", &[]).await;
    for number in 0..5 {
        site.publish("kb.updated", number).await;
    }
    assert_eq!(first.numbers(2).await, [0, 1]);
    let last = first.next().await;
    drop(first);
    site.fleet.redis.flood(5, 400, 10).await;

    let mut second = site.resume(&last.id).await;
    let missed = second.numbers(397).await;
    site.publish("kb.updated", 400).await;

    assert_eq!(missed, (3..400).collect::<Vec<_>>());
    assert_eq!(second.numbers(1).await, [400]);
    // The header wins over the parameter, and an event's id is a place too.
    let own = last.json()["event_id"].as_str().unwrap().to_owned();
    let mut third = site.stream(&format!("?after={own}"), &[]).await;
    assert_eq!(third.numbers(1).await, [3]);
    let mut fourth = site.stream("?after=nonsense", &[("last-event-id", &last.id)]).await;
    assert_eq!(fourth.numbers(1).await, [3]);
    site.finish().await;
}

#[tokio::test]
async fn a_client_that_saw_no_event_yet_resumes_from_when_it_came() {
    let site = Site::open().await;
    site.publish("kb.updated", 0).await;
    let reader = site.stream("", &[]).await;
    let opening = reader.opening.id.clone();
    drop(reader);
    site.publish("kb.updated", 1).await;

    let mut second = site.resume(&opening).await;

    assert_eq!(second.numbers(1).await, [1]);
    site.finish().await;
}

#[tokio::test]
async fn first_stream_misses_no_event_published_while_it_opens() {
    let site = Site::over(Fleet::build().partitions(2).start().await).await;
    let publish = async {
        for number in 0..300 {
            site.publish("kb.updated", number).await;
        }
    };

    let (mut reader, ()) = tokio::join!(site.stream("", &[]), publish);
    let expected = walk(&site, &reader.opening.id, 200).await;

    let mut heard = reader.numbers(expected.len()).await;
    let mut expected: Vec<_> = expected.iter().map(number).collect();
    heard.sort_unstable();
    expected.sort_unstable();
    assert_eq!(heard, expected);
    site.finish().await;
}

#[tokio::test]
async fn a_filter_holds_back_every_other_type_task_and_source() {
    let site = Site::without_approvals().await;
    let [mut by_type, mut by_source, mut by_all] = [
        site.stream("?types=deploy.*,pr.merged", &[]).await,
        site.stream("?source=dev_agent", &[]).await,
        site.stream("?types=*&source=ops_agent", &[]).await,
    ];
    let task = site.fleet.submit("faq").await;
    let mut by_task = site.stream(&format!("?task_id={}&after=0-0-0", task.id), &[]).await;
    let other = site.fleet.submit("faq").await;
    site.fleet.cancel(other.id).await.unwrap();
    for (number, (event_type, source)) in
        [("deploy.started", "ops_agent"), ("pr.opened", "dev_agent"), ("pr.merged", "dev_agent")]
            .into_iter()
            .enumerate()
    {
        site.publish_with(event_type, |event| {
            event.source_agent = Some(source.to_owned());
            event.payload = json(&format!(r#"{{"n":{number}}}"#));
        })
        .await;
    }
    site.fleet.cancel(task.id).await.unwrap();

    assert_eq!(by_type.numbers(2).await, [0, 2]);
    assert_eq!(by_source.numbers(2).await, [1, 2]);
    assert_eq!(by_all.numbers(1).await, [0]);
    assert_eq!(
        [by_task.next().await.event, by_task.next().await.event],
        ["task.created", "task.cancelled"]
    );
    site.finish().await;
}

#[tokio::test]
async fn pages_walk_the_whole_log_of_every_partition_oldest_first() {
    let site = Site::over(Fleet::build().partitions(3).without_approvals().start().await).await;
    for number in 0..60 {
        site.publish("kb.updated", number).await;
    }
    site.fleet.submit_many("faq", 25).await;

    let items = walk(&site, "0-0-0.0-0-0.0-0-0", 7).await;

    let first = site.page("?limit=1").await;
    assert_eq!(first["items"][0], items[0]);
    let time = |item: &Value| item["timestamp"].as_str().unwrap().to_owned();
    assert!(items.windows(2).all(|pair| time(&pair[0]) <= time(&pair[1])));
    let ids: std::collections::BTreeSet<_> =
        items.iter().map(|item| item["event_id"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), items.len()), (85, 85));
    let mut numbers: Vec<_> =
        items.iter().filter(|item| item["event_type"] == "kb.updated").map(number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..60).collect::<Vec<_>>());
    // The same by one stream, each partition in its order.
    let mut reader = site.stream("?after=0-0-0.0-0-0.0-0-0", &[]).await;
    let mut streamed = Vec::new();
    for _ in 0..85 {
        streamed.push(reader.next().await.json()["event_id"].as_str().unwrap().to_owned());
    }
    for partition in ["00", "01", "02"] {
        let paged: Vec<_> = ids.iter().filter(|id| id.ends_with(partition)).collect();
        let streamed: Vec<_> = streamed.iter().filter(|id| id.ends_with(partition)).collect();
        assert!(!paged.is_empty() && paged.len() == streamed.len());
        assert!(
            paged.iter().zip(&streamed).all(|(one, other)| *one == other),
            "{partition}: {paged:?} {streamed:?}"
        );
    }
    site.finish().await;
}

#[tokio::test]
async fn resume_before_trimmed_events_yields_a_gap() {
    let site = Site::open().await;
    let mut reader = site.stream("", &[]).await;
    for number in 0..10 {
        site.publish("kb.updated", number).await;
    }
    let place = reader.next().await.id;
    let _: u64 = site.fleet.redis.ask(&["XTRIM", &key("events"), "MAXLEN", "3"]).await;

    let mut late = site.resume(&place).await;
    let gap = late.next().await;

    assert_eq!((gap.event.as_str(), gap.id.as_str()), ("gap", place.as_str()));
    assert_eq!(gap.json()["reason"], "events after your cursor were trimmed from the log");
    assert_eq!(late.numbers(3).await, [7, 8, 9]);
    let page = site.page(&format!("?after={place}")).await;
    assert_eq!((&page["has_gap"], page["items"].as_array().unwrap().len()), (&true.into(), 3));
    // The reader that was connected all the time gets no gap.
    assert_eq!(reader.numbers(9).await, (1..10).collect::<Vec<_>>());
    let end = site.page(&format!("?after={}", page["next_cursor"].as_str().unwrap())).await;
    assert_eq!((&end["has_gap"], &end["items"]), (&false.into(), &Value::Array(Vec::new())));
    site.fleet.discard();
}

#[tokio::test]
async fn a_last_event_id_of_another_server_is_answered_with_a_gap() {
    let site = Site::open().await;
    let mut reader = site.stream("", &[]).await;
    site.publish("kb.updated", 0).await;
    let first = reader.next().await.id;
    site.publish("kb.updated", 1).await;
    let (ms, _) = first.split_once('-').unwrap();
    for other in [
        // Of a server whose events have other ids, of one with more partitions, and of no such server.
        format!("{ms}-77-0"),
        "10-0-0".to_owned(),
        format!("{first}.{first}"),
        "42".to_owned(),
        "019ab3c4-0000-7000-8000-000077120000".to_owned(),
        "11111111-1111-4111-8111-111111111111".to_owned(),
    ] {
        let mut stream = site.resume(&other).await;
        assert_eq!(stream.next().await.event, "gap", "{other}");
        site.publish("pr.merged", 7).await;
        while stream.next().await.event != "pr.merged" {}
    }
    // An own place is no gap.
    assert_eq!(site.resume(&first).await.numbers(1).await, [1]);
    site.finish().await;
}

#[tokio::test]
async fn slow_reader_gets_a_gap_for_events_trimmed_ahead_of_it() {
    let site = Site::open().await;
    site.fleet.redis.flood(0, 5_000, 10).await;
    let mut feed = site.fleet.engine.feed(Default::default(), Some("0-0-0")).await.unwrap();
    feed.next().await.unwrap();
    let _: u64 = site.fleet.redis.ask(&["XTRIM", &key("events"), "MAXLEN", "1"]).await;

    let gaps = async {
        let mut heard = 0;
        loop {
            match feed.next().await.unwrap() {
                orchestrator::engine::FeedItem::Event(..) => heard += 1,
                orchestrator::engine::FeedItem::Gap(_) => return heard,
                other => panic!("{other:?}"),
            }
        }
    };
    let heard = within("a gap", gaps).await;

    assert!(heard < 4_000, "{heard}");
    site.fleet.discard();
}

#[tokio::test]
async fn silence_is_broken_by_heartbeats_that_move_on_past_what_the_filter_hides() {
    let site = Site::told(Fleet::start().await, |http| http.heartbeat_ms = 20).await;
    let mut reader = site.stream("?types=pr.merged", &[]).await;
    site.publish("kb.updated", 0).await;

    let beat = loop {
        let block = reader.block().await.unwrap();
        assert_eq!((block.comment.as_str(), block.event.as_str()), ("heartbeat", ""));
        if block.id != reader.opening.id {
            break block;
        }
    };
    site.publish("kb.updated", 1).await;

    assert_eq!(site.resume(&beat.id).await.numbers(1).await, [1]);
    site.finish().await;
}

#[tokio::test]
async fn the_stop_ends_a_stream_at_once() {
    let mut site = Site::open().await;
    let mut reader = site.stream("", &[]).await;
    let mut behind = site.stream("?after=0-0-0&types=pr.merged", &[]).await;

    site.stop();

    for reader in [&mut reader, &mut behind] {
        assert_eq!(
            reader.next().await,
            Block {
                id: reader.opening.id.clone(),
                event: "stopping".to_owned(),
                data: r#"{"reason":"this process stops; resume from your last id"}"#.to_owned(),
                ..Block::default()
            }
        );
        assert_eq!(reader.block().await, None);
    }
    site.ended().await;
    site.fleet.discard();
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_feed() {
    let mut site = Site::open().await;
    let client = site.bare("", "1.1").await;

    drop(client);
    // Only the gateway: a feed that went on would hold it up.
    site.stop_gateway();

    site.ended().await;
    site.fleet.discard();
}
