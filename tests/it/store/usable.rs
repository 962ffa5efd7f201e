//! What Redis must be, and what happens while it is not: not ready as long as no write works, and at work again by itself.

use futures_util::future::join_all;
use orchestrator::domain::lifecycle::State;
use orchestrator::engine::{Engine, Error, TaskFilter};
use orchestrator::store;

use crate::harness::{
    Fleet, GRANTS, Redis, assert_refused, channel_of, defaults, eventually, free_port, key,
    new_task,
};

/// Waits until the process counts as ready, or as not.
async fn is_ready(engine: &Engine, wanted: bool) {
    eventually(&format!("ready: {wanted}"), async || {
        if engine.is_ready().await == wanted { Ok(()) } else { Err(!wanted) }
    })
    .await;
}

/// Redis takes no writes after `strike`, and does after `heal`: nothing is stored in between, and then work goes on.
async fn recovers(fleet: Fleet, strike: impl AsyncFnOnce(&Redis), heal: impl AsyncFnOnce(&Redis)) {
    fleet.submit("faq").await;
    let held = fleet.claim_one().await;
    assert!(fleet.engine.is_ready().await);

    strike(&fleet.redis).await;

    is_ready(&fleet.engine, false).await;
    assert_refused!(fleet.try_submit(new_task("faq")).await, Error::Unavailable(_));
    assert_refused!(fleet.complete(&held).await, Error::Unavailable(_));
    heal(&fleet.redis).await;
    is_ready(&fleet.engine, true).await;
    assert_eq!(fleet.complete(&held).await.unwrap(), State::Completed);
    fleet.submit("faq").await;
    let tasks = fleet.engine.tasks(&TaskFilter::default(), 10, None).await.unwrap();
    assert_eq!(tasks.items.len(), 2, "what was refused is stored");
    fleet.finish().await;
}

async fn configure(redis: &Redis, name: &str, value: &str) {
    redis.ask::<String>(&["CONFIG", "SET", name, value]).await;
}

#[tokio::test]
async fn a_primary_that_is_demoted_is_not_ready_until_it_is_primary_again() {
    let strike = async |redis: &Redis| redis.demote().await;
    let heal = async |redis: &Redis| redis.promote().await;
    recovers(Fleet::start().await, strike, heal).await;
}

#[tokio::test]
async fn switchover_behind_the_address_is_followed_without_a_cut() {
    let fleet = Fleet::build().lossy().start().await;
    fleet.submit("faq").await;
    let wake = fleet.engine.wake("router");
    fleet.engine.tasks(&TaskFilter::default(), 10, None).await.unwrap();
    let next = fleet.redis.replicate_for_others().await;
    fleet.proxy.as_ref().unwrap().lead_new_connections_to(next.url());
    next.promote().await;

    fleet.redis.follow(&next).await;

    eventually("the new primary is written to", async || {
        fleet.try_submit(new_task("faq")).await.map_err(|error| format!("{error:?}"))
    })
    .await;
    assert_eq!(next.count_tasks().await, 2);
    let clients = async |redis: &Redis, kind: &str| -> usize {
        let list: String = redis.ask(&["CLIENT", "LIST", "TYPE", kind]).await;
        list.lines().count()
    };
    eventually("the notifications come from the new primary", async || {
        let (here, there) = (clients(&next, "pubsub").await, clients(&fleet.redis, "pubsub").await);
        if (here, there) == (1, 0) { Ok(()) } else { Err((here, there)) }
    })
    .await;
    drop(wake);
    fleet.finish().await;
}

#[tokio::test]
async fn a_login_that_is_refused_for_a_while_is_tried_again() {
    let strike = async |redis: &Redis| {
        redis.ask::<String>(&["ACL", "SETUSER", "orch", "resetpass", ">other"]).await;
        redis.ask::<i64>(&["CLIENT", "KILL", "USER", "orch"]).await;
    };
    let heal = async |redis: &Redis| {
        redis.ask::<String>(&["ACL", "SETUSER", "orch", "resetpass", ">secret"]).await;
    };
    recovers(Fleet::build().lesser_user().start().await, strike, heal).await;
}

#[tokio::test]
async fn a_user_that_is_deleted_for_a_while_is_tried_again() {
    let strike = async |redis: &Redis| {
        redis.ask::<i64>(&["ACL", "DELUSER", "orch"]).await;
    };
    let heal = async |redis: &Redis| redis.grant_to_lesser_user().await;
    recovers(Fleet::build().lesser_user().start().await, strike, heal).await;
}

#[tokio::test]
async fn a_permission_that_is_taken_away_while_we_work_stores_nothing() {
    for commands in [&["xadd"][..], &["zadd"], &["fcall", "evalsha"]] {
        let strike = async |redis: &Redis| redis.permit("-", commands).await;
        let heal = async |redis: &Redis| redis.permit("+", commands).await;
        recovers(Fleet::build().lesser_user().start().await, strike, heal).await;
    }
}

#[tokio::test]
async fn where_functions_are_refused_scripts_do_the_same() {
    for command in ["fcall", "function"] {
        let fleet = Fleet::build().lesser_user().start().await;
        fleet.submit("faq").await;
        fleet.redis.forget_scripts().await;
        fleet.redis.permit("-", &[command]).await;

        let held = fleet.claim_one().await;
        fleet.complete(&held).await.unwrap();

        assert_eq!(fleet.state_of(held.task.id).await, State::Completed);
        assert_eq!(fleet.redis.libraries().await, 0);
        fleet.finish().await;
    }
}

#[tokio::test]
async fn libraries_of_other_versions_do_not_pile_up() {
    let fleet = Fleet::start().await;
    fleet.redis.forget_scripts().await;
    for version in 0..30 {
        let library = format!(
            "#!lua name=orchestrator_{version}\n\
             redis.register_function('f{version}', function() return 1 end)"
        );
        fleet.redis.ask::<String>(&["FUNCTION", "LOAD", &library]).await;
    }

    fleet.submit("faq").await;

    let libraries = fleet.redis.libraries().await;
    assert!((1..10).contains(&libraries), "{libraries} libraries");
    fleet.finish().await;
}

#[tokio::test]
async fn channels_that_are_taken_away_while_we_work_stop_no_call_and_are_counted() {
    let fleet = Fleet::build().lesser_user().start().await;
    fleet.redis.ask::<String>(&["ACL", "SETUSER", "orch", "resetchannels"]).await;

    let id = fleet.submit("faq").await.id;
    fleet.complete(&fleet.claim_one().await).await.unwrap();

    assert_eq!(fleet.state_of(id).await, State::Completed);
    let refused: u64 = fleet.redis.ask(&["HGET", &key("refused"), "wakes"]).await;
    assert!(refused >= 3, "only {refused} notifications were refused");
    assert_eq!(fleet.engine.figures().await.unwrap().refused_notifications, refused);
    is_ready(&fleet.engine, false).await;
    fleet.redis.grant_to_lesser_user().await;
    is_ready(&fleet.engine, true).await;
    fleet.finish().await;
}

#[tokio::test]
async fn a_redis_that_cannot_save_is_not_ready_until_it_can() {
    let home = tempfile::tempdir().unwrap();
    let gone = home.path().join("gone");
    std::fs::create_dir(&gone).unwrap();
    let save = async |redis: &Redis, wanted: &str| {
        redis.ask::<String>(&["BGSAVE"]).await;
        eventually("the snapshot ends", async || {
            let info: String = redis.ask(&["INFO", "persistence"]).await;
            let has_ended = info.contains("rdb_bgsave_in_progress:0");
            if has_ended && info.contains(wanted) { Ok(()) } else { Err(info) }
        })
        .await;
    };
    let strike = async |redis: &Redis| {
        configure(redis, "dir", gone.to_str().unwrap()).await;
        std::fs::remove_dir(&gone).unwrap();
        configure(redis, "save", "3600 1").await;
        save(redis, "rdb_last_bgsave_status:err").await;
    };
    let heal = async |redis: &Redis| {
        configure(redis, "dir", home.path().to_str().unwrap()).await;
        save(redis, "rdb_last_bgsave_status:ok").await;
    };
    let fleet = Fleet::build().redis(&["--enable-protected-configs", "yes"]).start().await;
    recovers(fleet, strike, heal).await;
}

#[tokio::test]
async fn a_redis_without_the_replicas_that_it_wants_is_not_ready() {
    let strike = async |redis: &Redis| configure(redis, "min-replicas-to-write", "1").await;
    let heal = async |redis: &Redis| configure(redis, "min-replicas-to-write", "0").await;
    recovers(Fleet::start().await, strike, heal).await;
}

#[tokio::test]
async fn a_redis_that_is_loading_is_not_ready_until_it_has_loaded() {
    let slow = [
        "--enable-debug-command",
        "yes",
        "--loading-process-events-interval-bytes",
        "1024",
        "--rdbcompression",
        "no",
    ];
    let fleet = Fleet::build().redis(&slow).start().await;
    for nth in 0..200 {
        fleet.redis.ask::<String>(&["SET", &format!("filler:{nth}"), &"x".repeat(1_024)]).await;
    }
    configure(&fleet.redis, "key-load-delay", "20000").await;
    fleet.submit("faq").await;
    let held = fleet.claim_one().await;

    let loading = fleet.redis.ask::<String>(&["DEBUG", "RELOAD"]);
    let refused = async {
        is_ready(&fleet.engine, false).await;
        assert_refused!(fleet.complete(&held).await, Error::Unavailable(_));
    };
    futures_util::future::join(loading, refused).await;

    is_ready(&fleet.engine, true).await;
    assert_eq!(fleet.complete(&held).await.unwrap(), State::Completed);
    fleet.finish().await;
}

#[tokio::test]
async fn a_full_redis_counts_as_ready_because_work_can_end() {
    let fleet = Fleet::start().await;
    fleet.submit("faq").await;
    let held = fleet.claim_one().await;
    configure(&fleet.redis, "maxmemory", "1mb").await;

    assert_refused!(fleet.try_submit(new_task("faq")).await, Error::Full);
    is_ready(&fleet.engine, true).await;
    fleet.complete(&held).await.unwrap();

    configure(&fleet.redis, "maxmemory", "0").await;
    fleet.finish().await;
}

#[tokio::test]
async fn however_many_ask_for_readiness_redis_is_asked_once_a_second() {
    let fleet = Fleet::start().await;
    let calls = async || {
        let stats: String = fleet.redis.ask(&["INFO", "commandstats"]).await;
        let line =
            stats.lines().find_map(|line| line.strip_prefix("cmdstat_fcall:calls=")).unwrap();
        line.split(',').next().unwrap().parse::<u64>().unwrap()
    };
    for (replicas, wanted) in [("0", true), ("1", false)] {
        configure(&fleet.redis, "min-replicas-to-write", replicas).await;
        is_ready(&fleet.engine, wanted).await;
        let (before, begun) = (calls().await, std::time::Instant::now());
        let answers = join_all((0..500).map(|_| fleet.engine.is_ready())).await;
        assert!(answers.iter().all(|ready| *ready == wanted));
        let (asked, most) = (calls().await - before, 2 + begun.elapsed().as_secs());
        assert!(asked <= most, "Redis was asked {asked} times");
    }
    configure(&fleet.redis, "min-replicas-to-write", "0").await;
    fleet.finish().await;
}

/// The store's answer to a start as this user.
async fn start_with(fleet: &Fleet, rules: &[&str]) -> Result<(), String> {
    let user = ["ACL", "SETUSER", "orch"];
    fleet.redis.ask::<String>(&[&user, rules].concat()).await;
    match fleet.open_store(|_| {}).await {
        Ok(_) => Ok(()),
        Err(store::Error::Unusable { why }) => Err(why),
        Err(other) => panic!("{rules:?}: {other:?}"),
    }
}

#[tokio::test]
async fn redis_user_lacking_a_permission_fails_start_with_the_acl_line() {
    let fleet = Fleet::build().lesser_user().start().await;
    for (rules, missing) in [
        (&["resetchannels"][..], &*format!("PUBLISH {}", key("wake:probe"))),
        (
            &["resetchannels", &format!("&{}", key("*"))],
            &format!("PUBLISH {}", channel_of("probe")),
        ),
        (&["-xadd"], "XADD"),
        (&["-evalsha"], "EVALSHA"),
        (&["-info"], "info"),
        (&["-subscribe"], "SUBSCRIBE"),
        (&["resetkeys", "~other:*"], "key"),
        (&["resetkeys", &format!("%R{}", GRANTS.split(' ').next().unwrap())], "key"),
    ] {
        let why = start_with(&fleet, rules).await.unwrap_err();
        assert!(why.contains(missing), "{rules:?}: {why}");
        assert!(why.contains(&format!("ACL SETUSER orch {GRANTS}")), "{rules:?}: {why}");
        // What the line says grants it.
        let granted: Vec<&str> = GRANTS.split(' ').collect();
        start_with(&fleet, &granted).await.unwrap();
    }
    fleet.finish().await;
}

#[tokio::test]
async fn too_old_redis_is_refused_at_the_start() {
    let fleet = Fleet::build().lossy().start().await;
    let info: String = fleet.redis.ask(&["INFO", "server"]).await;
    let version = info.lines().find(|line| line.starts_with("redis_version:")).unwrap();
    let proxy = fleet.proxy.as_ref().unwrap();
    proxy.say_instead(version, &version.replacen(|c: char| c.is_ascii_digit(), "6", 1));

    let refused = fleet.open_store(|_| {}).await.err().unwrap();

    assert!(
        matches!(&refused, store::Error::Unusable { why } if why.contains("too old")),
        "{refused}"
    );
    fleet.finish().await;
}

/// Starts a node of a cluster with these slots. Returns it and its port.
async fn cluster_node(home: &std::path::Path, slots: [&str; 2]) -> (Redis, String) {
    let (port, bus) = (free_port().to_string(), free_port().to_string());
    let nodes = home.join(format!("{port}.conf"));
    let arguments = [
        ["--cluster-enabled", "yes"],
        ["--cluster-config-file", nodes.to_str().unwrap()],
        ["--bind", "127.0.0.1"],
        ["--port", &port],
        ["--cluster-port", &bus],
    ];
    let redis = Redis::told(false, arguments.as_flattened()).await;
    redis.ask::<String>(&["CLUSTER", "ADDSLOTSRANGE", slots[0], slots[1]]).await;
    (redis, port)
}

#[tokio::test]
async fn a_node_of_a_cluster_is_refused_at_the_start() {
    let home = tempfile::tempdir().unwrap();
    let (one, _) = cluster_node(home.path(), ["0", "8000"]).await;
    let (other, port) = cluster_node(home.path(), ["8001", "16383"]).await;
    let bus: (String, String) = other.ask(&["CONFIG", "GET", "cluster-port"]).await;
    one.ask::<String>(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus.1]).await;
    for redis in [&one, &other] {
        eventually("the cluster is up", async || {
            let info: String = redis.ask(&["CLUSTER", "INFO"]).await;
            if info.contains("cluster_state:ok") { Ok(()) } else { Err(info) }
        })
        .await;
    }
    // The other one has the slots of everything in partition 0.
    for (redis, partitions, word) in [(&one, 1, "another node"), (&other, 2, "different slots")] {
        let url = redis.url().to_owned().into();
        let settings = store::Settings { url, partitions, ..defaults().store };
        let refused = store::Store::open(settings).await.err().unwrap();
        assert!(
            matches!(&refused, store::Error::Unusable { why } if why.contains(word)
                && why.contains("redis-cluster://")),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_redis_that_throws_keys_away_is_found_by_the_doctor() {
    let fleet = Fleet::build().redis(&["--maxmemory-policy", "allkeys-lru"]).start().await;

    let findings = fleet.engine.doctor().await.unwrap();

    let [found] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!(found.subject, "redis");
    assert!(found.problem.to_string().contains("allkeys-lru"), "{found:?}");
    let left = fleet.engine.repair().await.unwrap();
    assert!(left[0].explanation().contains("noeviction"), "{left:?}");
    fleet.discard();
}

#[tokio::test]
async fn a_user_with_no_more_than_the_documented_permissions_can_do_all() {
    let fleet = Fleet::build().lesser_user().start().await;
    let mut feed = fleet.engine.feed(Default::default(), None).await.unwrap();
    fleet.submit("deploy").await;
    fleet.submit("faq").await;
    let held = fleet.claim_one().await;
    fleet.extend(&held, None).await.unwrap();
    fleet.complete(&held).await.unwrap();
    feed.next().await.unwrap();
    fleet.engine.figures().await.unwrap();
    fleet.engine.audit(&Default::default(), 10, None).await.unwrap();
    fleet.engine.event_page(&Default::default(), None, 10).await.unwrap();
    fleet.engine.prune().await.unwrap();
    fleet.engine.repair().await.unwrap();
    fleet.open_store(|store| store.response_timeout_ms = 5_000).await.unwrap();
    // Redis notes what a user was refused.
    assert_eq!(fleet.redis.ask::<Vec<()>>(&["ACL", "LOG"]).await.len(), 0);
    fleet.finish().await;
}
