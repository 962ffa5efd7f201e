//! Keys, tokens and certificates that are made for one test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// A token of the kind that NATS reads: `claims` about `subject`, signed by `issuer`.
fn signed(issuer: &KeyPair, subject: &KeyPair, claims: &Value) -> String {
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let body = json!({
        "jti": subject.public_key(), "iat": 1_700_000_000, "name": "test",
        "iss": issuer.public_key(), "sub": subject.public_key(), "nats": claims,
    });
    let text =
        [header, body].map(|part| BASE64URL_NOPAD.encode(part.to_string().as_bytes())).join(".");
    let signature = BASE64URL_NOPAD.encode(&issuer.sign(text.as_bytes()).unwrap());
    format!("{text}.{signature}")
}

/// The configuration of a server of one operator and one account, and the credentials of a user of that account.
pub fn operator() -> (String, String) {
    let (operator, account, user) =
        (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user());
    let own = signed(&operator, &operator, &json!({"type": "operator", "version": 2}));
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
    });
    let claims = json!({"type": "account", "version": 2, "limits": limits});
    let preload = format!("{}: {}", account.public_key(), signed(&operator, &account, &claims));
    let config = format!("operator: {own}\nresolver: MEMORY\nresolver_preload: {{ {preload} }}\n");
    let claims = json!({"type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1});
    let credentials = format!(
        "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        signed(&account, &user, &claims),
        user.seed().unwrap(),
    );
    (config, credentials)
}

/// Makes a key and a certificate called `name` in `home`: an authority of its own, or signed by the one called `by`.
pub fn certificate(home: &Path, name: &str, by: Option<&str>) -> (PathBuf, PathBuf) {
    certificate_for(home, name, by, "IP:127.0.0.1")
}

/// The same, with these names if it is signed.
pub fn certificate_for(
    home: &Path,
    name: &str,
    by: Option<&str>,
    sans: &str,
) -> (PathBuf, PathBuf) {
    let path = |name: &str, extension: &str| home.join(format!("{name}.{extension}"));
    let (certificate, key) = (path(name, "pem"), path(name, "key"));
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]);
    command
        .args(["-subj", &format!("/CN={name}")])
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key);
    if let Some(by) = by {
        command.arg("-CA").arg(path(by, "pem")).arg("-CAkey").arg(path(by, "key"));
        command.args([
            "-addext",
            &format!("subjectAltName={sans}"),
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ]);
    }
    let made = command.stdin(Stdio::null()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (certificate, key)
}
