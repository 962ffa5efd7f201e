//! A wire to Redis that can lose an answer: the script runs, and nobody hears that it did.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// Stands between the store and its Redis.
pub struct LossyProxy {
    url: String,
    is_armed: Arc<AtomicBool>,
    _home: TempDir,
    /// Ends with the proxy.
    _wires: JoinSet<()>,
}

impl LossyProxy {
    /// A proxy before the Redis at `url`, which names a Unix socket.
    pub fn start(url: &str) -> Self {
        let target = PathBuf::from(url.split_once("://").unwrap().1);
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("p");
        let listener = UnixListener::bind(&socket).unwrap();
        let is_armed = Arc::new(AtomicBool::new(false));
        let mut wires = JoinSet::new();
        wires.spawn(accept(listener, target, Arc::clone(&is_armed)));
        Self { url: format!("redis+unix://{}", socket.display()), is_armed, _home: home, _wires: wires }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets the next script run, throws its answer away and cuts the connection.
    pub fn lose_next_answer(&self) {
        self.is_armed.store(true, Ordering::SeqCst);
    }

    /// Whether the answer that was to be lost is lost.
    pub fn has_lost_it(&self) -> bool {
        !self.is_armed.load(Ordering::SeqCst)
    }
}

async fn accept(listener: UnixListener, target: PathBuf, is_armed: Arc<AtomicBool>) {
    let mut wires = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (target, is_armed) = (target.clone(), Arc::clone(&is_armed));
        wires.spawn(async move {
            // An error is an end of the connection, as the store sees it too.
            let _ = carry(client, &target, &is_armed).await;
        });
    }
}

async fn carry(mut client: UnixStream, target: &Path, is_armed: &AtomicBool) -> std::io::Result<()> {
    let mut server = UnixStream::connect(target).await?;
    let (mut question, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
    let mut is_script = false;
    loop {
        tokio::select! {
            read = client.read(&mut question) => {
                let asked = &question[..read?];
                if asked.is_empty() {
                    return Ok(());
                }
                is_script |= asked.windows(4).any(|word| word == b"EVAL");
                server.write_all(asked).await?;
            }
            read = server.read(&mut answer) => {
                let said = &answer[..read?];
                let has_run = is_script && !said.starts_with(b"-NOSCRIPT");
                if said.is_empty() || has_run && is_armed.swap(false, Ordering::SeqCst) {
                    return Ok(());
                }
                client.write_all(said).await?;
            }
        }
    }
}
