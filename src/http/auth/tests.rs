//! Tests of the credentials of requests.

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use super::*;
use crate::runtime::secret::Secret;

const SECRET: &str = "8f2c91d4e7a05b36c1d8f4e2b7a90536";
const KEY: &str = "ops-key-8f2c91d4e7";

fn guard() -> Guard {
    let api_keys = [("ops".to_owned(), Secret::new(format!("{KEY}:admin")))].into();
    let jwt_secret = Some(Secret::new(SECRET));
    let jwt_max_seconds = 3_153_600_000;
    Guard::new(&Auth { jwt_secret, jwt_max_seconds, api_keys, ..Auth::default() }, None).unwrap()
}

fn token(secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::default(), claims, &key).unwrap()
}

fn claims() -> Value {
    json!({"sub": "alice@example.com", "role": "approver", "exp": 4_000_000_000u64})
}

fn request(headers: &[(&str, &str)]) -> Request {
    headers
        .iter()
        .fold(Request::builder(), |builder, (name, value)| builder.header(*name, *value))
        .finish()
}

#[test]
fn a_token_and_a_key_in_one_request_are_refused() {
    let bearer = format!("bearer {}", token(SECRET, &claims()));
    let who = |headers: &[(&str, &str)]| {
        guard().authenticate(&request(headers)).map(|proof| proof.principal.to_string())
    };

    assert_eq!(who(&[("authorization", &bearer)]).unwrap(), "user:alice@example.com");
    assert_eq!(who(&[("x-api-key", KEY)]).unwrap(), "key:ops");
    // A proxy in front may take credentials of another scheme.
    assert_eq!(who(&[("authorization", "Basic eDp5"), ("x-api-key", KEY)]).unwrap(), "key:ops");
    let both = who(&[("authorization", &bearer), ("x-api-key", KEY)]).unwrap_err();
    assert!(both.to_string().contains("two credentials"), "{both}");
}

#[test]
fn a_bad_token_is_refused() {
    let without = |claim: &str| {
        let mut rest = claims();
        rest.as_object_mut().unwrap().remove(claim);
        rest
    };
    let with = |claim: &str, value: Value| {
        let mut all = claims();
        all[claim] = value;
        all
    };
    let bad = [
        without("exp"),
        without("sub"),
        without("role"),
        with("role", json!("root")),
        with("exp", json!(1_000)),
        with("exp", json!(1u64 << 63)),
        with("exp", json!(1e300)),
        with("nbf", json!(4_000_000_000u64)),
        with("sub", json!("a\nb")),
        with("sub", json!("Orchestrator")),
    ];
    let mut tokens: Vec<_> = bad.iter().map(|claims| token(SECRET, claims)).collect();
    tokens.push(token("another secret of at least 32 bytes", &claims()));
    tokens.push("nonsense".to_owned());

    for token in tokens {
        let bearer = format!("Bearer {token}");
        let request = request(&[("authorization", &bearer)]);
        assert!(guard().authenticate(&request).is_err(), "{token}");
    }
}

#[test]
fn an_unknown_or_missing_credential_is_refused() {
    for headers in
        [&[][..], &[("x-api-key", "ops-key-0123456780")], &[("authorization", "Basic b3BzOnB3")]]
    {
        assert!(guard().authenticate(&request(headers)).is_err(), "{headers:?}");
    }
}

#[test]
fn a_guard_refuses_weak_or_missing_credentials() {
    let with_key = |setting: &str| Auth {
        jwt_secret: None,
        api_keys: [("ops".to_owned(), Secret::new(setting))].into(),
        ..Auth::default()
    };
    let weak = Auth { jwt_secret: Some(Secret::new("x".repeat(31))), ..Auth::default() };

    assert!(matches!(Guard::new(&Auth::default(), None), Err(Error::NoCredential)));
    for settings in [
        weak,
        with_key("short:admin"),
        with_key("password1234567890:admin"),
        with_key("0123456789abcdef"),
        with_key("0123456789abcdef:root"),
    ] {
        assert!(matches!(Guard::new(&settings, None), Err(Error::Refused { .. })), "{settings:?}");
    }
}
