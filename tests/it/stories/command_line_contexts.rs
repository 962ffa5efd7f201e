//! Which gateway the commands of users call: by URL, over TLS, by context; and what `dev` hands out.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::harness::{Deployment, Program, eventually, id_of, key_of};
use crate::transport::credentials::certificate;

/// A proxy that speaks TLS with this certificate, in front of the service at `address`: its URL, and
/// what keeps it.
async fn tls_front(address: SocketAddr, certificate: &Path, key: &Path) -> (String, JoinSet<()>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                let Ok(mut outside) = acceptor.accept(stream).await else { return };
                let mut inside = TcpStream::connect(address).await.unwrap();
                let _ = copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    (url, serving)
}

#[tokio::test]
async fn gateway_behind_tls_is_called_if_its_authority_is_trusted() {
    let deployment = Deployment::start_gateway().await;
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = certificate(home.path(), "authority", None);
    let (stranger, _) = certificate(home.path(), "stranger", None);
    let (server, key) = certificate(home.path(), "server", Some("authority"));
    let address = deployment.gateway.url().await.replace("http://", "").parse().unwrap();
    let (url, _serving) = tls_front(address, &server, &key).await;
    let shell = Program::new().with("ORCHESTRATOR_API_KEY", &key_of("reader"));
    let stats = |file: &Path| {
        let (shell, url, file) = (shell.clone(), url.clone(), file.display().to_string());
        async move { shell.run(&["stats", "--url", &url, "--ca-file", &file]).await }
    };

    let (code, output, log) = stats(&authority).await;
    assert!(code == 0 && output.contains("by_status"), "{output}{log}");

    let (code, _, log) = stats(&stranger).await;
    assert!(code == 3 && log.contains("certificate"), "{log}");
    let (code, _, log) = stats(&key).await;
    assert!(code == 2 && log.contains("has no certificate in PEM"), "{log}");
    deployment.finish().await;
}

#[tokio::test]
async fn refusal_without_a_key_names_the_variable() {
    let deployment = Deployment::start_gateway().await;
    let shell = Program::new().with("ORCHESTRATOR_URL", &deployment.gateway.url().await);

    let (code, _, log) = shell.run(&["stats"]).await;

    assert!(code == 1 && log.contains("401") && log.contains("ORCHESTRATOR_API_KEY"), "{log}");
    deployment.finish().await;
}

#[tokio::test]
async fn context_gives_commands_their_gateway_and_key() {
    let deployment = Deployment::start_gateway().await;
    let home = tempfile::tempdir().unwrap();
    let shell = Program::new().with("HOME", home.path().to_str().unwrap());
    let key = home.path().join("key");
    std::fs::write(&key, format!("{}\n", key_of("reader"))).unwrap();
    let (url, key) = (deployment.gateway.url().await, key.display().to_string());
    let print = format!("cat {key}");
    let add = async |name: &str, option: &str, value: &str| {
        shell.run(&["context", "add", name, "--url", &url, option, value]).await
    };

    assert_eq!(add("one", "--key-file", &key).await.0, 0);
    assert_eq!(add("two", "--key-command", &print).await.0, 0);

    let (_, listed, _) = shell.run(&["context", "list"]).await;
    assert!(listed.contains("*  one") && listed.contains("stored"), "{listed}");
    assert!(listed.contains(&format!("$({print})")) && !listed.contains("key-of"), "{listed}");
    for arguments in [&["stats"][..], &["stats", "--context", "two"]] {
        let (code, output, log) = shell.run(arguments).await;
        assert!(code == 0 && output.contains("by_status"), "{arguments:?}: {output}{log}");
    }
    let (code, _, log) = shell.run(&["stats", "--context", "three"]).await;
    assert!(code == 2 && log.contains("one, two"), "{log}");
    let (code, _, log) = add("one", "--key-file", &key).await;
    assert!(code == 2 && log.contains("exists"), "{log}");

    assert_eq!(shell.run(&["context", "use", "two"]).await.0, 0);
    assert_eq!(shell.run(&["context", "remove", "one"]).await.0, 0);
    let (_, listed, _) = shell.run(&["context", "list"]).await;
    assert!(listed.contains("*  two") && !listed.contains("one"), "{listed}");
    deployment.finish().await;
}

#[tokio::test]
async fn contexts_that_others_can_read_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let shell = Program::new().with("XDG_CONFIG_HOME", home.path().to_str().unwrap());
    let add = ["context", "add", "one", "--url", "http://127.0.0.1:1"];
    assert_eq!(shell.run(&add).await.0, 0);
    let file = home.path().join("orchestrator/contexts.json");
    let mode = |mode| std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    mode(0o640);
    let (code, _, log) = shell.run(&["stats"]).await;
    assert!(code == 2 && log.contains("chmod 600"), "{log}");

    mode(0o600);
    let (code, _, log) = shell.run(&["stats"]).await;
    assert!(code == 3 && log.contains("http://127.0.0.1:1/stats"), "{log}");
}

/// A `dev` with its data and a user's home in one place.
struct Dev {
    shell: Program,
    data: String,
    _home: tempfile::TempDir,
}

impl Dev {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let shell = Program::new().with("HOME", home.path().to_str().unwrap());
        let data = home.path().join("data").display().to_string();
        Self { shell, data, _home: home }
    }

    fn start(&self) -> crate::harness::Process {
        self.shell.start(&["dev", "--port", "0", "--data", &self.data])
    }

    /// Starts a command that `dev` printed.
    fn paste(&self, line: &str) -> crate::harness::Process {
        self.shell.start_other(Path::new("/bin/sh"), &["-c", &format!("exec env {line}")])
    }

    async fn task(&self, id: &str) -> Value {
        let (code, output, log) = self.shell.run(&["tasks", "get", id, "-o", "json"]).await;
        assert_eq!(code, 0, "{log}");
        serde_json::from_str(&output).unwrap()
    }
}

#[tokio::test]
async fn what_dev_prints_leads_to_a_completed_task() {
    let place = Dev::new();
    let mut dev = place.start();
    dev.prints("Ctrl-C stops it").await;
    let (code, output, log) = place.shell.run(&["doctor", "--data", &place.data]).await;
    assert_eq!((code, &*output), (0, "The store is consistent.\n"), "{log}");

    let commands = [
        dev.prints("tasks submit").await,
        dev.prints("approvals approve").await,
        dev.prints("agent run").await,
    ];
    assert_eq!(place.paste(&commands[0]).ended().await, 0);
    let (_, listed, _) = place.shell.run(&["tasks", "list", "-o", "json"]).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let task = &listed["items"][0];
    assert_eq!(
        (&task["status"], &task["submitted_by"]),
        (&json!("blocked"), &json!("key:dev_admin"))
    );
    let id = id_of(task);
    assert_eq!(place.paste(&commands[1]).ended().await, 0);
    let agent = place.paste(&commands[2]);
    eventually("the task is completed", async || {
        let task = place.task(&id).await;
        if task["status"] == "completed" { Ok(()) } else { Err(task) }
    })
    .await;

    agent.stop().await;
    dev.stops_within(std::time::Duration::from_secs(30)).await;
    let printed = dev.printed();
    let keys = |printed: &str| {
        let lines = printed.lines().filter(|line| line.contains(" key "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let again = place.start();
    again.prints("Ctrl-C stops it").await;
    assert_eq!(place.task(&id).await["status"], "completed");
    again.prints(&keys(&printed)[0]).await;
    assert_eq!(keys(&printed).len(), 4);
    again.stop().await;
}
