//! A key is revoked at one of three gateways, and a second later it is worth nothing anywhere.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, BOUND, Call, Nats, NatsCaller, Process, Program, Redis, connections, eventually, late,
    within,
};

/// The longest that a revoked key may still be of use.
const LONGEST: Duration = Duration::from_secs(1);

/// How often a caller calls.
const PACE: Duration = Duration::from_millis(10);

/// Who has a key that a fleet manages.
struct Bearer {
    secret: String,
    gateways: Vec<String>,
    nats: NatsCaller,
    client: reqwest::Client,
}

impl Bearer {
    fn call(&self, gateway: &str, method: Method, path: &str) -> Call {
        let call = Call(self.client.request(method, format!("{gateway}{path}")));
        call.header("x-api-key", &self.secret)
    }

    async fn session(&self, gateway: &str) -> Answer {
        self.call(gateway, Method::GET, "/session").send().await
    }

    /// Calls until the key is refused: when it was last accepted.
    async fn calls(&self, gateway: &str) -> Instant {
        let mut last = Instant::now();
        loop {
            match self.session(gateway).await.status {
                200 => last = Instant::now(),
                401 => return last,
                other => panic!("{gateway} answers {other}"),
            }
            late(PACE).await;
        }
    }

    /// Follows events until the stream ends: when it did.
    async fn follows(&self, gateway: &str) -> Instant {
        let call = self.call(gateway, Method::GET, "/events/stream");
        let stream = within("the head of a stream", call.0.send()).await.unwrap();
        assert_eq!(stream.status(), 200);
        let text = within("the end of a stream", stream.text()).await.unwrap();
        assert!(text.contains("event: credential-ended"), "{text}");
        Instant::now()
    }

    /// Waits for a task until the claim ends: when it did.
    async fn waits(&self, gateway: &str, worker: usize) -> Instant {
        let claim = json!({"worker": format!("w{worker}"), "wait_ms": 60_000});
        let call = self.call(gateway, Method::POST, "/agents/faq_agent/claim");
        call.json(&claim).send().await.refused(401, "unauthenticated");
        Instant::now()
    }

    async fn ask(&self, subject: &str, body: &Value) -> u16 {
        self.nats.ask(subject, body, BOUND).await.unwrap().0
    }

    /// Calls over NATS until the key is refused: when it was last accepted.
    async fn asks(&self) -> Instant {
        let mut last = Instant::now();
        let unknown = json!({"task_id": "019ab3c4-7d2e-7000-8000-0000000000a0"});
        loop {
            match self.ask("orchestrator.tasks.get", &unknown).await {
                404 => last = Instant::now(),
                401 => return last,
                other => panic!("NATS answers {other}"),
            }
            late(PACE).await;
        }
    }

    /// Waits for a task over NATS until the claim ends: when it did.
    async fn waits_over_nats(&self) -> Instant {
        let claim = json!({"worker": "nats", "wait_ms": 20_000});
        assert_eq!(self.ask("orchestrator.agents.faq_agent.claim", &claim).await, 401);
        Instant::now()
    }
}

/// Three gateways and a bridge of one fleet.
async fn fleet(redis: &Redis, nats: &Nats) -> (Vec<Process>, Process) {
    let program = Program::over(redis.url()).with("NATS_URL", &nats.url());
    let gateways: Vec<_> = (0..3).map(|_| program.start(&["gateway"])).collect();
    for gateway in &gateways {
        gateway.url().await;
    }
    (gateways, program.start(&["bridge"]))
}

#[tokio::test]
async fn revoked_key_is_of_no_use_anywhere_a_second_later() {
    let (redis, nats) = (Redis::start().await, Nats::plain().await);
    let (gateways, bridge) = fleet(&redis, &nats).await;
    let root = gateways[0].client("root").await;
    let made = root.post("/admin/keys", &json!({"name": "ci", "role": "agent"})).await;
    let made = made.accepted(201);
    let secret = made["secret"].as_str().unwrap().to_owned();
    let bearer = Bearer {
        gateways: join_all(gateways.iter().map(Process::url)).await,
        nats: NatsCaller::with_key(&nats.url(), &secret).await,
        client: connections(),
        secret,
    };
    for gateway in &bearer.gateways {
        eventually("every gateway knows the key", async || {
            let answer = bearer.session(gateway).await;
            if answer.status == 200 { Ok(()) } else { Err(answer) }
        })
        .await;
    }
    let unknown = json!({"task_id": "019ab3c4-7d2e-7000-8000-0000000000a0"});
    eventually("the bridge answers", async || {
        let answer = bearer.nats.ask("orchestrator.tasks.get", &unknown, BOUND).await;
        if answer.as_ref().is_ok_and(|(status, _)| *status == 404) { Ok(()) } else { Err(answer) }
    })
    .await;

    let of_gateways = join_all(bearer.gateways.iter().enumerate().map(async |(nth, gateway)| {
        let (called, followed, waited) = tokio::join!(
            bearer.calls(gateway),
            bearer.follows(gateway),
            bearer.waits(gateway, nth)
        );
        [called, followed, waited]
    }));
    let (ends, asked, waited, revoked) =
        tokio::join!(of_gateways, bearer.asks(), bearer.waits_over_nats(), async {
            eventually("every claim waits", async || {
                let agent = root.get("/agents/faq_agent").await.json();
                if agent["session_count"] == 4 { Ok(()) } else { Err(agent) }
            })
            .await;
            let began = Instant::now();
            let path = format!("/admin/keys/{}", made["key_id"].as_str().unwrap());
            root.call(Method::DELETE, &path).send().await.accepted(200);
            began
        });

    for end in ends.concat().into_iter().chain([asked, waited]) {
        let after = end.saturating_duration_since(revoked);
        assert!(after <= LONGEST, "of use for {after:?}");
    }
    for process in gateways.into_iter().chain([bridge]) {
        process.stop().await;
    }
}

#[tokio::test]
async fn lost_notification_delays_a_revocation_by_a_second_at_most() {
    let redis = Redis::start().await;
    let program = Program::over(redis.url());
    let gateways = [program.start(&["gateway"]), program.start(&["gateway"])];
    let root = gateways[0].client("root").await;
    let made = root.post("/admin/keys", &json!({"name": "ci", "role": "agent"})).await;
    let made = made.accepted(201);
    let bearer = Bearer {
        secret: made["secret"].as_str().unwrap().to_owned(),
        gateways: vec![gateways[1].url().await],
        nats: NatsCaller::with_key("nats://127.0.0.1:1", "none").await,
        client: connections(),
    };
    let other = &bearer.gateways[0];
    eventually("the other gateway knows the key", async || {
        let answer = bearer.session(other).await;
        if answer.status == 200 { Ok(()) } else { Err(answer) }
    })
    .await;

    // Clients that are killed subscribe again within 50 ms, so what is published now is lost.
    let (last, revoked) = tokio::join!(bearer.calls(other), async {
        redis.ask::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        let began = Instant::now();
        let path = format!("/admin/keys/{}", made["key_id"].as_str().unwrap());
        root.call(Method::DELETE, &path).send().await.accepted(200);
        began
    });

    let after = last.saturating_duration_since(revoked);
    assert!(after <= LONGEST, "of use for {after:?}");
    for process in gateways {
        process.stop().await;
    }
}
