//! Every way in which NATS knows a bridge, and a bridge that it does not know.

use nkeys::KeyPair;
use orchestrator::runtime::secret::Secret;
use orchestrator::transport::{self, Settings};

use crate::harness::{BOUND, Fleet, Nats, STREAM, jetstream_in};

use super::credentials::{certificate, operator};
use super::{fails_with, no_lag, supervised};

/// Asserts that a bridge with the `wrong` settings is kept out and disturbs no other process, and
/// that one with the `right` settings carries what waits.
async fn only_the_right_one_is_let_in(nats: &Nats, wrong: &[Settings], right: &Settings) {
    let fleet = Fleet::start().await;
    let id = fleet.submit("faq").await.id;
    for settings in wrong {
        let kept_out = supervised(&fleet, settings).await;
        fails_with(&kept_out, "NATS is disconnected").await;
        assert!(fleet.engine.bridge_lag_ms().await.unwrap() > Some(0));
        kept_out.finish(BOUND).await;
        fleet.advance(std::time::Duration::from_secs(7));
    }
    fleet.complete(&fleet.claim_one().await).await.unwrap();
    assert_eq!(fleet.event_types_of(id).await.len(), 4);

    let bridge = supervised(&fleet, right).await;

    no_lag(&fleet.engine).await;
    let client = transport::connect(right).await.unwrap();
    client.flush().await.unwrap();
    if client.server_info().jetstream {
        let stream = async_nats::jetstream::new(client).get_stream(STREAM).await.unwrap();
        assert_eq!(stream.cached_info().state.messages as usize, fleet.events().await.len());
    }
    bridge.finish(BOUND).await;
    assert!(nats.port() > 0);
    fleet.finish().await;
}

#[tokio::test]
async fn a_token_lets_in() {
    let nats = Nats::told("authorization { token: \"open sesame\" }\n").await;
    let with = |token: &str| Settings { token: Secret::new(token), ..nats.settings() };
    only_the_right_one_is_let_in(&nats, &[nats.settings(), with("sesame")], &with("open sesame"))
        .await;
}

#[tokio::test]
async fn a_user_and_a_password_let_in() {
    let nats =
        Nats::told("authorization { users: [ { user: ann, password: \"s3cret\" } ] }\n").await;
    let with = |password: &str| Settings {
        user: "ann".to_owned(),
        password: Secret::new(password),
        ..nats.settings()
    };
    only_the_right_one_is_let_in(&nats, &[nats.settings(), with("secret")], &with("s3cret")).await;
}

#[tokio::test]
async fn a_user_and_a_password_in_the_url_let_in() {
    let nats =
        Nats::told("authorization { users: [ { user: ann, password: \"s3,cret\" } ] }\n").await;
    let with = |password: &str| {
        let url = nats.settings().url.expose().replace("://", &format!("://ann:{password}@"));
        Settings { url: url.into(), ..nats.settings() }
    };
    only_the_right_one_is_let_in(&nats, &[with("secret")], &with("s3%2Ccret")).await;
}

#[tokio::test]
async fn an_nkey_lets_in() {
    let (known, unknown) = (KeyPair::new_user(), KeyPair::new_user());
    let config = format!("authorization {{ users: [ {{ nkey: {} }} ] }}\n", known.public_key());
    let nats = Nats::told(&config).await;
    let with = |pair: &KeyPair| Settings {
        nkey_seed: Secret::new(pair.seed().unwrap()),
        ..nats.settings()
    };
    only_the_right_one_is_let_in(&nats, &[nats.settings(), with(&unknown)], &with(&known)).await;
}

#[tokio::test]
async fn a_credentials_file_lets_in() {
    let (config, credentials) = operator();
    let home = tempfile::tempdir().unwrap();
    let nats = Nats::configured(|_| config).await;
    let with = |name: &str, text: &str| {
        let file = home.path().join(name);
        std::fs::write(&file, text).unwrap();
        Settings { credentials_file: file.display().to_string(), ..nats.settings() }
    };
    let (foreign, own) = (with("foreign", &operator().1), with("own", &credentials));
    only_the_right_one_is_let_in(&nats, &[nats.settings(), foreign], &own).await;

    let missing = Settings { credentials_file: "/nonexistent".to_owned(), ..nats.settings() };
    let error = transport::connect(&missing).await.unwrap_err();
    assert!(matches!(error, transport::Error::Credentials(_)), "{error:?}");
}

#[tokio::test]
async fn a_certificate_of_a_private_authority_lets_in() {
    let home = tempfile::tempdir().unwrap();
    let (ca, _) = certificate(home.path(), "ca", None);
    let (other, _) = certificate(home.path(), "other", None);
    let (ours, our_key) = certificate(home.path(), "server", Some("ca"));
    let (own, own_key) = certificate(home.path(), "bridge", Some("ca"));
    let (foreign, foreign_key) = certificate(home.path(), "foreign", Some("other"));
    let files = format!("cert_file: {ours:?}, key_file: {our_key:?}, ca_file: {ca:?}");
    let nats =
        Nats::configured(|home| format!("{}tls {{ {files}, verify: true }}\n", jetstream_in(home)))
            .await;
    let text = |path: &std::path::Path| path.display().to_string();
    let trusting = Settings { tls_ca_file: text(&ca), ..nats.settings() };
    let with = |ca: &std::path::Path, own: &std::path::Path, key: &std::path::Path| Settings {
        tls_ca_file: text(ca),
        tls_cert_file: text(own),
        tls_key_file: text(key),
        ..nats.settings()
    };
    let wrong = [
        nats.settings(),
        trusting,
        with(&other, &own, &own_key),
        with(&ca, &foreign, &foreign_key),
    ];

    only_the_right_one_is_let_in(&nats, &wrong, &with(&ca, &own, &own_key)).await;
}

#[tokio::test]
async fn a_bridge_that_was_kept_out_carries_once_the_server_knows_it() {
    let mut nats = Nats::configured(|_| "authorization { token: \"new\" }\n".to_owned()).await;
    let fleet = Fleet::start().await;
    fleet.submit("faq").await;
    let settings = Settings { token: Secret::new("old"), ..nats.settings() };
    let bridge = supervised(&fleet, &settings).await;
    fails_with(&bridge, "NATS is disconnected").await;

    nats.kill();
    nats.start_otherwise("authorization { token: \"old\" }\n").await;

    no_lag(&fleet.engine).await;
    bridge.finish(BOUND).await;
    fleet.finish().await;
}
