//! No setting shows a secret: not in a refusal, not in the settings in force, not in a log line.

use super::tests::{join, refusal};
use super::*;

/// Two markers that must never be shown: a text, and the form of a text that is written without
/// quotes.
const MARKER: &str = "top?secret";
const NUMBER: &str = "777133777";

/// The words in the name of a setting that may hold a secret. A new setting is checked by its name.
const SECRET_WORDS: [&str; 8] =
    ["secret", "password", "token", "seed", "url", "api_keys", "passphrase", "encryption.keys"];

fn assert_hidden(message: &str, given: &str) {
    let parts = [
        MARKER,
        "topsecret",
        "top%",
        "secret@",
        "?secret",
        "=secret",
        "=top",
        ":top",
        "/top",
        "#top",
        NUMBER,
    ];
    assert!(!parts.iter().any(|part| message.contains(part)), "{given}: {message}");
}

/// The messages about this file: the refusal, or everything that shows settings.
fn messages(file: &str) -> String {
    match join(file, &[]) {
        Err(error) => format!("{error} {error:?}"),
        Ok(settings) => format!("{} {settings:?}", settings.shown()),
    }
}

/// Collects the path of every setting of the defaults, including those below free tables.
fn paths(table: &config::Map<String, config::Value>, parent: &str, found: &mut Vec<String>) {
    for (key, value) in table {
        let path = tree::below(parent, key);
        match &value.kind {
            ValueKind::Table(inner) => paths(inner, &path, found),
            _ => found.push(path),
        }
    }
}

#[test]
fn no_secret_setting_is_ever_shown() {
    let mut secret = vec!["auth.api_keys.ops".to_owned()];
    paths(&Tree::read(None, DEFAULTS).unwrap().0, "", &mut secret);
    secret.retain(|path| SECRET_WORDS.iter().any(|word| path.contains(word)));
    assert!(secret.len() >= 7, "{secret:?}");

    for path in secret {
        let (section, key) = path.rsplit_once('.').unwrap();
        for value in [
            format!("\"{MARKER}\""),
            format!("\"{MARKER}\\n\""),
            format!("\" {MARKER}{}\"", "x".repeat(40)),
            format!("\"{MARKER}{}:admin\"", "x".repeat(40)),
            format!("\"{MARKER}:root\""),
            format!("\"redis://ops:{MARKER}@db\""),
            format!("\"nats://ops:top%3Fsecret@db,nats://{NUMBER}@db\""),
            NUMBER.to_owned(),
            format!("{NUMBER}.5"),
            format!("-{NUMBER}"),
            format!("[\"{MARKER}\", {NUMBER}]"),
            format!("{{ inner = \"{MARKER}\" }}"),
        ] {
            let file = format!("[{section}]\n{key} = {value}");
            assert_hidden(&messages(&file), &file);
        }
    }
}

/// URLs that no store has.
const REFUSED_STORES: [&str; 41] = [
    "redis://ops:top?secret@db",
    "redis://ops:top/secret@db",
    "redis://ops:top#secret@db",
    "redis://ops:top@secret@db",
    "redis://ops:top secret@db",
    "redis://ops:top%secret@db",
    "redis://ops:topsecret\\n@db",
    "redis://ops:topsecret@db:99999",
    "redis://ops:topsecret@db:topsecret",
    "redis://ops:topsecret@db/top",
    "redis://ops:topsecret@db?db=3",
    "redis://ops:topsecret@db?topsecret=3",
    "redis://ops:topsecret@db#top",
    "rediss://ops:topsecret@db#insecure",
    "redis://ops:topsecret@",
    "redis://ops:@db",
    "redis://db,topsecret",
    "redis:ops:topsecret@db",
    "http://ops:topsecret@db",
    "ops:topsecret@db",
    "redis://h:99999",
    "redis://h/abc",
    "redis://h?db=3",
    "redis://h/3/",
    "redis://[::1",
    "unix://ops:topsecret@/run/r.sock",
    "unix:///run/r.sock?pass=top&secret",
    "unix:///run/r.sock?pass=top&secret=x",
    "unix:///run/r.sock?db=topsecret",
    "unix://",
    "redis-sentinel://topsecret@one",
    "redis-sentinel://topsecret@one/0?sentinel_password=top&secret=1#m",
    "redis-sentinel://top?secret@one#m",
    "redis-sentinel://top#secret@one#m",
    "redis-sentinel://one:99999#m",
    "redis-cluster://topsecret@",
    "redis-cluster://topsecret@one/3",
    "redis-cluster://topsecret@one?db=3",
    "redis-cluster://top/secret@one",
    "redis-cluster://one#topsecret",
    "rediss-cluster://one:99999",
];

/// URLs that no NATS server has.
const REFUSED_SERVERS: [&str; 12] = [
    "nats://ops:top?secret@one",
    "nats://ops:top,secret@one",
    "nats://ops:topsecret@one:99999",
    "nats://ops:topsecret@one/top",
    "nats://ops:topsecret@one?tls=1",
    "nats://ops:topsecret@one#top",
    "nats://ops:topsecret@one,nats://two",
    "nats://:topsecret@one",
    "nats://one,,nats://two",
    "ws://ops:topsecret@one",
    "ops:topsecret@one",
    "redis://ops:topsecret@one",
];

#[test]
fn a_refused_url_is_named_by_its_setting_alone() {
    let all = REFUSED_STORES
        .map(|url| ("store", url))
        .into_iter()
        .chain(REFUSED_SERVERS.map(|url| ("nats", url)));
    for (section, url) in all {
        let message = refusal(&format!("[{section}]\nurl = \"{url}\""), &[]);
        assert!(message.contains(&format!("`{section}.url`")), "{url}: {message}");
        assert_hidden(&message, url);
    }
}

#[test]
fn a_url_of_the_standard_form_is_accepted() {
    for (section, url) in [
        ("store", "redis://ops:top%3Fsecret@db:6379/3"),
        ("store", "rediss://:topsecret@[::1]"),
        ("store", "redis+unix:///run/user@1000/r.sock?db=1&user=ops&pass=top%26secret"),
        ("store", "redis-sentinel://topsecret@one,two:1/3?sentinel_password=topsecret#my.master"),
        ("nats", "nats://ops:top%2Csecret@one:4222, tls://ops:top%2Csecret@[::1]"),
        ("nats", "nats://topsecret@one"),
    ] {
        let settings = join(&format!("[{section}]\nurl = \"{url}\""), &[]).unwrap();
        assert_hidden(&format!("{} {settings:?}", settings.shown()), url);
    }
}

#[test]
fn padded_secrets_and_unusable_tls_files_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let junk = home.path().join("junk.pem");
    std::fs::write(&junk, "-----BEGIN PRIVATE KEY-----\ntopsecret\n-----END PRIVATE KEY-----\n")
        .unwrap();
    let (junk, url) = (junk.display(), "url = \"rediss://db\"");
    let long = "topsecret".repeat(6);
    for (file, part) in [
        (format!("[auth]\njwt_secret = \"{long}\\n\""), "`auth.jwt_secret`"),
        (format!("[auth]\njwt_secret = \" {long}\""), "`auth.jwt_secret`"),
        (format!("[auth.api_keys]\nops = \"{long}:admin\\n\""), "`auth.api_keys.ops`"),
        (format!("[auth.api_keys]\nops = \"\\t{long}:admin\""), "`auth.api_keys.ops`"),
        (format!("[nats]\npassword = \"{long}\\r\\n\""), "`nats.password`"),
        (format!("[nats]\ntoken = \"{long}\\u0000x\""), "`nats.token`"),
        (format!("[nats]\nnkey_seed = \"{long}\""), "`nats.nkey_seed`"),
        (format!("[store]\n{url}\ntls_ca_file = \"/nonexistent\""), "`store.tls_ca_file`"),
        (format!("[store]\n{url}\ntls_ca_file = \"{junk}\""), "is not in PEM"),
        ("[store]\ntls_ca_file = \"/nonexistent\"".to_owned(), "begins with rediss://"),
        (format!("[store]\n{url}\ntls_key_file = \"{junk}\""), "together with store.tls_cert_file"),
        (format!("[nats]\ntls_ca_file = \"{junk}\""), "`nats.tls_ca_file`"),
        (
            format!("[nats]\ntls_cert_file = \"{junk}\"\ntls_key_file = \"{junk}\""),
            "`nats.tls_cert_file`",
        ),
    ] {
        let message = refusal(&file, &[]);
        assert!(message.contains(part), "{file}: {message}");
        assert_hidden(&message, &file);
    }
}
