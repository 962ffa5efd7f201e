//! Redis over TLS, and behind Sentinels over TLS, with an authority of its own and a certificate of the client.

use std::path::Path;

use orchestrator::domain::lifecycle::State;
use orchestrator::engine::{Engine, TaskFilter};
use orchestrator::store::{self, Store};
use tokio_util::sync::CancellationToken;

use crate::harness::{People, Redis, Sentinel, defaults, eventually, new_task, within};
use crate::transport::credentials::certificate;

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_redis_with_an_authority_of_its_own_is_reached_by_every_connection() {
    // As main() does.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = certificate(home.path(), "authority", None);
    let (stranger, stranger_key) = certificate(home.path(), "stranger", None);
    let (server, server_key) = certificate(home.path(), "server", Some("authority"));
    let (client, client_key) = certificate(home.path(), "client", Some("authority"));
    let (redis, url) = Redis::over_tls(&server, &server_key, &authority).await;
    let defaults = defaults();
    let right = store::Settings {
        url: url.into(),
        tls_ca_file: text(&authority),
        tls_cert_file: text(&client),
        tls_key_file: text(&client_key),
        events_kept: 1_000,
        ..defaults.store
    };
    let none = String::new;
    for (ca, cert, key) in [
        (none(), text(&client), text(&client_key)),
        (text(&stranger), text(&client), text(&client_key)),
        (text(&authority), none(), none()),
        (text(&authority), text(&stranger), text(&stranger_key)),
    ] {
        let wrong = store::Settings {
            tls_ca_file: ca,
            tls_cert_file: cert,
            tls_key_file: key,
            ..right.clone()
        };
        let opened = within("a refusal", Store::open(wrong)).await;
        let refused = opened.err().unwrap();
        assert!(matches!(refused, store::Error::Unavailable { .. }), "{refused:?}");
    }
    let missing = store::Settings { tls_ca_file: "/nonexistent.pem".to_owned(), ..right.clone() };
    let refused = Store::open(missing).await.err().unwrap();
    assert!(
        matches!(&refused, store::Error::Unusable { why } if why.contains("store.tls_ca_file")),
        "{refused:?}"
    );

    let store = within("the start", Store::open(right)).await.unwrap();
    let engine = Engine::new(store, defaults.engine, CancellationToken::new());
    let people = People::new();
    let _wake = engine.wake("router");
    let mut feed = engine.feed(Default::default(), None).await.unwrap();
    engine.submit(&people.alice, vec![new_task("faq")]).await.unwrap();

    within("an event", feed.next()).await.unwrap();
    let page = engine.tasks(&TaskFilter::default(), 10, None).await.unwrap();
    assert_eq!((page.items.len(), page.items[0].state), (1, State::Pending));
    eventually("notifications come over TLS", async || {
        let clients: String = redis.ask(&["CLIENT", "LIST", "TYPE", "pubsub"]).await;
        if clients.contains("laddr=127.0.0.1:") { Ok(()) } else { Err(clients) }
    })
    .await;
    assert!(engine.is_ready().await);
}

#[tokio::test]
async fn sentinels_and_their_primary_are_reached_over_tls() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = certificate(home.path(), "authority", None);
    let (stranger, _) = certificate(home.path(), "stranger", None);
    let (server, server_key) = certificate(home.path(), "server", Some("authority"));
    let (client, client_key) = certificate(home.path(), "client", Some("authority"));
    let (_redis, url) = Redis::over_tls(&server, &server_key, &authority).await;
    let port = url.rsplit_once(':').unwrap().1;
    let sentinel = Sentinel::over_tls(port, &server, &server_key, &authority);
    let defaults = defaults();
    let right = store::Settings {
        url: sentinel.secure_url().into(),
        tls_ca_file: text(&authority),
        tls_cert_file: text(&client),
        tls_key_file: text(&client_key),
        events_kept: 1_000,
        ..defaults.store
    };

    let store = eventually("the Sentinel leads to the primary", async || {
        Store::open(right.clone()).await.map_err(|error| format!("{error:?}"))
    })
    .await;
    let engine = Engine::new(store, defaults.engine, CancellationToken::new());
    engine.submit(&People::new().alice, vec![new_task("faq")]).await.unwrap();
    assert!(engine.is_ready().await);

    let none = String::new;
    for (ca, cert, key) in [
        (text(&stranger), text(&client), text(&client_key)),
        (none(), text(&client), text(&client_key)),
        (text(&authority), none(), none()),
    ] {
        let wrong = store::Settings {
            tls_ca_file: ca,
            tls_cert_file: cert,
            tls_key_file: key,
            ..right.clone()
        };
        let refused = within("a refusal", Store::open(wrong)).await.err().unwrap();
        assert!(matches!(refused, store::Error::Unavailable { .. }), "{refused:?}");
    }
}
