//! Readers that are slow or asleep, a store that goes away, and large events.

use std::time::Duration;

use crate::harness::{Block, Fleet, Site, json, resident_kb, striking};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundred_idle_readers_cost_little_memory_and_delay_no_reader() {
    let site = Site::open().await;
    let mut sleepers = Vec::new();
    for _ in 0..100 {
        sleepers.push(site.drowsy("").await);
    }
    let mut reader = site.stream("", &[]).await;
    let before = resident_kb("self");

    for wave in 0..10 {
        let numbers = wave * 300..(wave + 1) * 300;
        site.fleet.redis.flood(numbers.start, numbers.end, 4_000).await;
        assert_eq!(reader.numbers(300).await, numbers.collect::<Vec<_>>());
    }

    // Each of them would hold 12 MB, if it held what it was not read.
    let grown = resident_kb("self").saturating_sub(before);
    assert!(grown < 400_000, "{grown} kB");
    drop(sleepers);
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_falls_too_far_behind_is_cut_off_and_can_resume() {
    let site = Site::open().await;
    let sleeper = site.drowsy("").await;
    let mut reader = site.stream("", &[]).await;
    for wave in 0..8 {
        let numbers = wave * 2_000..(wave + 1) * 2_000;
        site.fleet.redis.flood(numbers.start, numbers.end, 1_000).await;
        assert_eq!(reader.numbers(2_000).await, numbers.collect::<Vec<_>>());
    }

    let blocks = sleeper.wake().await;
    let (last, heard) = blocks.split_last().unwrap();
    let heard: Vec<_> =
        heard.iter().filter(|block| !block.event.is_empty()).map(Block::number).collect();

    assert_eq!((last.event.as_str(), last.data.contains("too slow")), ("cut-off", true));
    assert!(heard.len() < 16_000);
    assert_eq!(heard, (0..heard.len() as u64).collect::<Vec<_>>());
    let mut second = site.resume(&last.id).await;
    let rest = second.numbers(16_000 - heard.len()).await;
    assert_eq!(rest, (heard.len() as u64..16_000).collect::<Vec<_>>());
    site.finish().await;
}

#[tokio::test]
async fn a_log_that_cannot_be_read_ends_the_stream_and_says_so() {
    let mut site = Site::over(Fleet::build().response_timeout_ms(500).start().await).await;
    site.fleet.redis.flood(0, 16_000, 1_000).await;
    let sleeper = site.drowsy("?after=0-0-0").await;
    site.fleet.redis.kill();

    let blocks = sleeper.wake().await;

    let last = blocks.last().unwrap();
    assert_eq!((last.event.as_str(), last.data.contains("resume")), ("error", true));
    assert_eq!(last.id, blocks[blocks.len() - 2].id);
    site.fleet.discard();
}

#[tokio::test]
async fn a_live_reader_misses_nothing_when_the_store_is_away_for_a_while() {
    let mut site = Site::over(Fleet::build().durable().start().await).await;
    let mut reader = site.stream("", &[]).await;
    site.publish("kb.updated", 0).await;
    assert_eq!(reader.numbers(1).await, [0]);

    site.fleet.redis.kill();
    site.fleet.redis.start_again().await;
    site.fleet.redis.flood(1, 500, 10).await;

    assert_eq!(reader.numbers(499).await, (1..500).collect::<Vec<_>>());
    site.fleet.discard();
}

#[tokio::test]
async fn a_large_event_comes_in_its_place() {
    let site = Site::over(Fleet::build().partitions(2).start().await).await;
    let task = site.fleet.submit("faq").await;
    let mut reader = site.stream("", &[]).await;

    for number in 0..30 {
        let filler = if number % 3 == 0 { "x".repeat(200_000) } else { String::new() };
        // About one task, so in one partition.
        site.publish_with("kb.updated", |event| {
            event.payload = json(&format!("{{\"n\":{number},\r\n\"f\":\"{filler}\"}}"));
            event.task_id = Some(task.id);
        })
        .await;
    }

    assert_eq!(reader.numbers(30).await, (0..30).collect::<Vec<_>>());
    site.finish().await;
}

#[tokio::test]
async fn live_reader_misses_no_event_while_redis_connections_are_cut() {
    let site = Site::open().await;
    let mut reader = site.stream("", &[]).await;
    let mut next = 0;
    let publish_and_read = async || {
        for _ in 0..50 {
            let wave: Vec<_> = (next..next + 4).collect();
            for number in &wave {
                site.publish("pr.merged", *number).await;
            }
            assert_eq!(reader.numbers(4).await, wave);
            next += 4;
        }
    };

    let cut = async || site.fleet.redis.cut_blocked_connections().await;
    striking(Duration::from_millis(50), 4, cut, publish_and_read).await;

    drop(reader);
    site.finish().await;
}
