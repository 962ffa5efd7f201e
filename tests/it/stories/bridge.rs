//! Bridges as processes of their own: killed in mid-stream, with NATS restarted under them.

use serde_json::{Value, json};

use crate::harness::{Client, Deployment, Nats, Process, Program, Redis, eventually, new_body};

/// How many tasks are submitted; each is told of by at least two events.
const TASKS: usize = 2_500;

/// How many tasks one request submits.
const BATCH: usize = 100;

async fn submit(crew: &Client) {
    let body = json!({"tasks": vec![new_body("faq"); BATCH]});
    crew.post("/tasks/batch", &body).await.accepted(200);
}

/// How far the bridge is behind, as an operator reads it.
async fn lag(client: &Client) -> Value {
    client.get("/health/ready").await.accepted(200)["bridge_lag_ms"].clone()
}

/// Kills the older bridge, which has the lease, and starts another one.
async fn replace(bridges: &mut Vec<Process>, program: &Program) {
    let mut oldest = bridges.remove(0);
    oldest.kill().await;
    bridges.push(program.start(&["bridge"]));
    bridges.last().unwrap().says("the bridge runs").await;
}

#[tokio::test]
async fn killed_bridges_and_restarted_nats_leave_each_event_once_in_stream() {
    let (redis, mut nats) = (Redis::start().await, Nats::start().await);
    let program = Program::over(redis.url()).with("NATS_URL", &nats.url());
    let deployment = Deployment::of(redis, program.clone());
    let crew = deployment.client("crew").await;
    assert_eq!(lag(&crew).await, Value::Null);
    let mut bridges = vec![program.start(&["bridge"])];
    bridges[0].says("the bridge runs").await;
    bridges.push(program.start(&["bridge"]));

    for nth in 0..TASKS / BATCH {
        submit(&crew).await;
        match nth {
            6 | 14 | 20 => {
                // The first one has the lease, and dies with it while the stream grows.
                nats.grows_to(nth * BATCH).await;
                replace(&mut bridges, &program).await;
            }
            11 => nats.kill(),
            13 => nats.start_again().await,
            _ => {}
        }
    }

    assert!(nats.holds_the_log_of(&deployment.redis, 1).await >= 2 * TASKS);
    eventually("the lag is gone", async || match lag(&crew).await {
        lag if lag == 0 => Ok(()),
        lag => Err(lag),
    })
    .await;
    for bridge in bridges {
        bridge.stop().await;
    }
    deployment.finish().await;
}

#[tokio::test]
async fn refused_bridge_logs_the_cause_and_the_gateway_keeps_serving() {
    let (redis, nats) =
        (Redis::start().await, Nats::told("authorization { token: \"right\" }\n").await);
    let program = Program::over(redis.url()).with("NATS_URL", &nats.url());
    let deployment = Deployment::gateway_of(redis, program.clone());
    let wrong = program.with("ORCHESTRATOR__NATS__TOKEN", "wrong").start(&["bridge"]);
    let crew = deployment.client("crew").await;
    submit(&crew).await;

    wrong.says("NATS error").await;
    wrong.says("events wait in the log").await;
    eventually("the lag shows", async || match lag(&crew).await {
        lag if lag.as_u64() > Some(0) => Ok(()),
        lag => Err(lag),
    })
    .await;
    assert!(wrong.log().to_lowercase().contains("authorization"), "{}", wrong.log());

    wrong.stop().await;
    deployment.finish().await;
}
