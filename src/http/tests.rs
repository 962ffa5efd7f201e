//! What every call has in common, over handlers that need no engine.

use poem::http::{Method, StatusCode};
use poem::{Request, Response};
use poem_openapi::param::{Path, Query};
use poem_openapi::{Object, OpenApi, OpenApiService};
use serde::Serialize;
use serde_json::Value;

use crate::domain::ids::TaskId;

use super::answer::Json;
use super::auth::{Caller, TasksRead, TasksWrite};
use super::error::Refusal;
use super::json::RawObject;
use super::json_body::Body;
use super::peer::Peer;
use super::request::{IdempotencyHeader, LIMITS, Submission, Trace};
use super::text::WaitMs;
use super::traffic::Traffic;
use super::*;
use crate::runtime::secret::Secret;

const AGENT_KEY: &str = "agent-key-0123456789";
const USER_KEY: &str = "reader-key-0123456789";

struct Probe;

#[derive(Serialize, Object)]
struct Echo {
    payload: RawObject,
}

#[OpenApi]
impl Probe {
    #[oai(path = "/tasks", method = "post")]
    async fn submit(
        &self,
        _caller: Caller<TasksWrite>,
        #[oai(name = "Idempotency-Key")] _key: IdempotencyHeader,
        body: Body<Submission>,
    ) -> Result<Json<Echo>, Refusal> {
        let task = body.read(|submission, faults| {
            submission.into_task(faults, &LIMITS, Trace::default(), |_| None)
        })?;
        Ok(Json(Echo { payload: RawObject(task.spec.payload) }))
    }

    #[oai(path = "/tasks/:id", method = "get")]
    async fn get(
        &self,
        _caller: Caller<TasksRead>,
        _id: Path<TaskId>,
        #[oai(name = "wait_ms")] _wait_ms: Query<Option<WaitMs>>,
    ) -> Json<String> {
        panic!("secret detail");
    }
}

fn settings(origins: &[&str]) -> Settings {
    let keys = [("worker", format!("{AGENT_KEY}:agent")), ("reader", format!("{USER_KEY}:user"))];
    let api_keys =
        keys.into_iter().map(|(name, key)| (name.to_owned(), Secret::new(key))).collect();
    let cors_origins = origins.iter().map(|&origin| origin.to_owned()).collect();
    let http = Http { max_body_bytes: 2_000, cors_origins, ..Http::default() };
    Settings { http, auth: Auth { api_keys, ..Auth::default() } }
}

async fn call(mut request: Request) -> Response {
    let service = OpenApiService::new(Probe, "probe", "0").into_endpoint();
    let settings = settings(&["https://app.example.com"]);
    let peer = Peer::over_nats(Traffic::new(&settings.http), usize::MAX);
    request.extensions_mut().insert(peer);
    shield(service, &settings, None, None).unwrap().get_response(request).await
}

fn submission(body: impl Into<poem::Body>) -> Request {
    let request =
        Request::builder().method(Method::POST).uri_str("/tasks").header("x-api-key", AGENT_KEY);
    request.content_type("application/json").body(body)
}

fn get(path: &str) -> Request {
    Request::builder().uri_str(path).header("x-api-key", USER_KEY).finish()
}

fn nothing(header: &'static str, value: &str) -> Request {
    let mut request = get("/nothing");
    request.headers_mut().insert(header, value.parse().unwrap());
    request
}

/// The problem in `response`, which must have `status` and be complete.
async fn problem(response: Response, status: u16) -> Value {
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(response.content_type(), Some("application/problem+json"));
    let id = response.header("x-request-id").unwrap().to_owned();
    let problem: Value =
        serde_json::from_str(&response.into_body().into_string().await.unwrap()).unwrap();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["instance"], id);
    assert!(
        problem["type"].as_str().unwrap().starts_with("urn:orchestrator:problem:"),
        "{problem}"
    );
    problem
}

#[tokio::test]
async fn a_payload_comes_back_byte_for_byte() {
    let payload = r#"{ "z" : [ ], "big":12345678901234567890123, "a":1.0,"u":"\u00e9" }"#;

    let response = call(submission(format!(r#"{{"type": "faq", "payload": {payload}}}"#))).await;

    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        response.into_body().into_string().await.unwrap(),
        format!(r#"{{"payload":{payload}}}"#)
    );
}

#[tokio::test]
async fn an_unreadable_body_is_400_and_wrong_fields_are_422() {
    for body in [&b""[..], b"{", b"{\"type\": \"faq\"} x", b"{\"type\": \"\xff\"}", b"[1,"] {
        problem(call(submission(body)).await, 400).await;
    }
    for body in ["[]", "null", "{}", r#"{"type": "faq", "type": "faq", "payload": {}}"#] {
        let problem = problem(call(submission(body)).await, 422).await;
        assert!(!problem["errors"].as_array().unwrap().is_empty(), "{problem}");
    }
    let errors =
        problem(call(submission(r#"{"type": 1, "payload": 2, "delay_ms": -3}"#)).await, 422).await;
    assert_eq!(errors["errors"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_body_that_is_too_large_or_not_json_is_refused() {
    problem(call(submission("x".repeat(2_001))).await, 413).await;
    let mut text = submission("{}");
    text.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    problem(call(text).await, 415).await;
}

#[tokio::test]
async fn missing_credential_is_401_wrong_role_is_403() {
    let mut anonymous = submission("{}");
    anonymous.headers_mut().remove("x-api-key");
    let response = call(anonymous).await;
    assert!(response.header("www-authenticate").is_some());
    problem(response, 401).await;

    let mut reader = submission("{}");
    reader.headers_mut().insert("x-api-key", USER_KEY.parse().unwrap());
    let refused = problem(call(reader).await, 403).await;
    assert!(refused["detail"].as_str().unwrap().contains("`tasks:write`"), "{refused}");
}

#[tokio::test]
async fn a_refusal_of_the_framework_is_a_problem_too() {
    problem(call(get("/nothing")).await, 404).await;

    let response = call(get("/tasks")).await;
    assert_eq!(response.header("allow"), Some("GET, POST, HEAD"));
    problem(response, 405).await;

    let path = problem(call(get("/tasks/7")).await, 400).await;
    assert_eq!(path["detail"], "`id` in the path must be a UUID.");
    let query =
        problem(call(get("/tasks/019ab3c4-7d2e-7000-8000-000000000000?wait_ms=-1")).await, 400)
            .await;
    assert_eq!(
        query["detail"],
        "The query parameter or header `wait_ms` must be a whole number from 0 to 60000."
    );
}

#[tokio::test]
async fn a_key_that_is_not_visible_ascii_is_refused() {
    for key in [&b"a b"[..], b"\xc3\xa9", b""] {
        let mut keyed = submission(r#"{"type": "faq", "payload": {}}"#);
        keyed
            .headers_mut()
            .insert("idempotency-key", poem::http::HeaderValue::from_bytes(key).unwrap());
        problem(call(keyed).await, 400).await;
    }
}

#[tokio::test]
async fn a_panic_is_a_500_without_details() {
    let refused =
        problem(call(get("/tasks/019ab3c4-7d2e-7000-8000-000000000000")).await, 500).await;

    assert!(!refused.to_string().contains("secret detail"));
}

#[tokio::test]
async fn a_request_keeps_an_id_that_is_safe_in_a_log() {
    assert_eq!(
        call(nothing("x-request-id", "trace-7")).await.header("x-request-id"),
        Some("trace-7")
    );
    for bad in ["a b", &"x".repeat(129)] {
        let response = call(nothing("x-request-id", bad)).await;
        assert!(uuid::Uuid::parse_str(response.header("x-request-id").unwrap()).is_ok(), "{bad}");
    }
}

#[tokio::test]
async fn only_a_configured_origin_may_call_and_read_problems() {
    let response = call(nothing("origin", "https://app.example.com")).await;
    assert_eq!(response.header("access-control-allow-origin"), Some("https://app.example.com"));
    problem(response, 404).await;
    problem(call(nothing("origin", "https://evil.example.com")).await, 403).await;
}

#[test]
fn an_origin_with_a_path_is_refused() {
    assert!(Origins::of(&["https://app.example.com/".to_owned()]).is_err());
    assert!(Origins::of(&["*".to_owned()]).unwrap().is_some());
}

#[test]
fn the_checked_in_document_is_what_the_service_prints() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/openapi.yaml");
    let printed = openapi::yaml();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(path, &printed).unwrap();
    }

    let kept = std::fs::read_to_string(path).unwrap();
    assert!(
        kept == printed,
        "openapi/openapi.yaml is out of date: run the tests with UPDATE_OPENAPI=1"
    );
}
