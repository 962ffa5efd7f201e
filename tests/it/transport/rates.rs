//! Rates of callers hold for all transports together.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Fleet, Nats, Site};

use super::{CLAIM, Caller, Office, refused};

#[tokio::test]
async fn calls_over_nats_and_http_share_one_rate() {
    let told = |settings: &mut orchestrator::engine::Settings| settings.limits.claim_per_second = 1;
    let site = Site::over(Fleet::build().settings(told).start().await).await;
    let nats = Nats::plain().await;
    // A process of its own, as a bridge is.
    let engine = crate::harness::engine_told(site.fleet.redis.url(), told).await;
    let office = Office::of(&engine, &nats.settings()).await;
    let caller = Caller::of(&nats).await;
    let claim = json!({"worker": "w1"});

    let mut over = None;
    // Two windows at most.
    for _ in 0..21 {
        let call = site.call("crew", Method::POST, "/agents/faq_agent/claim").json(&claim);
        call.send().await;
        let answer = caller.call("crew", CLAIM, &claim).await;
        if answer.header("Orchestrator-Status") == Some("429") {
            over = Some(answer);
            break;
        }
    }

    refused(&over.expect("no call was refused"), 429, "rate-limited");
    caller.accepted("rival", CLAIM, &claim).await;
    office.close().await;
    site.finish().await;
}
