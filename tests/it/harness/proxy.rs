//! A wire to Redis that loses, delays or holds back what it carries, and that can be led to another Redis.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{eventually, wait};

/// What happens to the next call of a script; its connection ends there or hangs until the client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The script runs, its answer is thrown away and the connection is cut.
    AnswerCut,
    /// The script runs, and its answer comes so much later.
    AnswerLate(Duration),
    /// The script runs, and nothing comes back any more.
    AnswerHeld,
    /// The script never reaches Redis.
    QuestionHeld,
}

/// Stands between our processes and their Redis.
pub struct LossyProxy {
    url: String,
    wire: Arc<Wire>,
    _home: TempDir,
    /// Ends with the proxy.
    _wires: JoinSet<()>,
}

/// What every connection looks at.
struct Wire {
    /// The socket of the Redis that new connections go to.
    target: Mutex<PathBuf>,
    /// What is to happen to a call of the script of this digest; none: of any script.
    armed: Mutex<Option<(Option<String>, Fate)>>,
    /// What was sent with the call that never reached Redis.
    caught: Mutex<Vec<u8>>,
    /// What answers say, and what is said in its place.
    instead: Mutex<Option<(Vec<u8>, Vec<u8>)>>,
    /// How much later every answer comes.
    latency: Mutex<Duration>,
    /// Cuts every connection that is open now.
    cut: Mutex<CancellationToken>,
}

impl LossyProxy {
    /// A proxy before the Redis at `url`, which names a Unix socket.
    pub fn start(url: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("p");
        let listener = UnixListener::bind(&socket).unwrap();
        let wire = Arc::new(Wire {
            target: Mutex::new(socket_of(url)),
            armed: Mutex::default(),
            caught: Mutex::default(),
            instead: Mutex::default(),
            latency: Mutex::default(),
            cut: Mutex::default(),
        });
        let mut wires = JoinSet::new();
        wires.spawn(accept(listener, Arc::clone(&wire)));
        Self { url: format!("redis+unix://{}", socket.display()), wire, _home: home, _wires: wires }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets the next script run, throws its answer away and cuts the connection.
    pub fn lose_next_answer(&self) {
        self.arm(None, Fate::AnswerCut);
    }

    /// What is to happen to the next call of the script of this digest; none: of any script.
    pub fn arm(&self, digest: Option<&str>, fate: Fate) {
        *self.wire.armed.lock().unwrap() = Some((digest.map(str::to_owned), fate));
    }

    /// Whether what was to happen has happened.
    pub fn has_lost_it(&self) -> bool {
        self.wire.armed.lock().unwrap().is_none()
    }

    /// Waits until what was to happen has happened.
    pub async fn has_caught_it(&self) {
        eventually("the proxy catches the call", async || {
            if self.has_lost_it() { Ok(()) } else { Err("not yet") }
        })
        .await;
    }

    /// Waits until a call is held back; returns what was sent with it.
    pub async fn caught(&self) -> Vec<u8> {
        eventually("the proxy holds a call back", async || {
            let caught = self.wire.caught.lock().unwrap().clone();
            if caught.is_empty() { Err("not yet") } else { Ok(caught) }
        })
        .await
    }

    /// From now on every answer has the second text where Redis says the first, of the same length.
    pub fn say_instead(&self, said: &str, instead: &str) {
        assert_eq!(said.len(), instead.len());
        let both = (said.as_bytes().to_vec(), instead.as_bytes().to_vec());
        *self.wire.instead.lock().unwrap() = Some(both);
    }

    /// Makes every answer come so much later from now on.
    pub fn slow_by(&self, latency: Duration) {
        *self.wire.latency.lock().unwrap() = latency;
    }

    /// Cuts every connection.
    pub fn cut(&self) {
        std::mem::take(&mut *self.wire.cut.lock().unwrap()).cancel();
    }

    /// Leads every connection to another Redis, as an address does that moves; open ones are cut.
    pub fn lead_to(&self, url: &str) {
        self.lead_new_connections_to(url);
        self.cut();
    }

    /// Leads every connection from now on to another Redis; open ones go on.
    pub fn lead_new_connections_to(&self, url: &str) {
        *self.wire.target.lock().unwrap() = socket_of(url);
    }
}

impl Wire {
    /// Whether these bytes call the script that something is to happen to.
    fn is_meant(&self, asked: &[u8]) -> Option<Fate> {
        let armed = self.armed.lock().unwrap();
        let (digest, fate) = armed.as_ref()?;
        let words = digest.as_deref().map_or(vec!["FCALL", "EVAL"], |digest| vec![digest]);
        words.into_iter().any(|word| is_said(asked, word)).then_some(*fate)
    }

    /// The answer as it goes on.
    fn reworded(&self, said: &[u8]) -> Vec<u8> {
        let mut said = said.to_vec();
        if let Some((from, to)) = &*self.instead.lock().unwrap()
            && let Some(at) = said.windows(from.len()).position(|found| found == from)
        {
            said[at..at + to.len()].copy_from_slice(to);
        }
        said
    }

    fn disarm(&self) {
        *self.armed.lock().unwrap() = None;
    }
}

/// Whether this is a word of a command, or the end of one: the name of a function has the digest of its script. The text
/// of a library has it too, but not at the beginning of a line.
fn is_said(asked: &[u8], word: &str) -> bool {
    let mut places = (0..asked.len()).filter(|at| asked[*at..].starts_with(word.as_bytes()));
    places.any(|at| {
        let name =
            asked[..at].iter().rev().take_while(|byte| byte.is_ascii_lowercase() || **byte == b'_');
        asked[..at - name.count()].ends_with(b"\r\n")
    })
}

fn socket_of(url: &str) -> PathBuf {
    PathBuf::from(url.split_once("://").unwrap().1)
}

async fn accept(listener: UnixListener, wire: Arc<Wire>) {
    let mut wires = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let wire = Arc::clone(&wire);
        wires.spawn(async move {
            let (target, cut) =
                (wire.target.lock().unwrap().clone(), wire.cut.lock().unwrap().clone());
            // An error is an end of the connection, as the store sees it too.
            let _ = cut.run_until_cancelled(carry(client, &target, &wire)).await;
        });
    }
}

async fn carry(mut client: UnixStream, target: &Path, wire: &Wire) -> std::io::Result<()> {
    let mut server = UnixStream::connect(target).await?;
    let (mut question, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
    let mut fate = None;
    loop {
        tokio::select! {
            read = client.read(&mut question) => {
                let asked = &question[..read?];
                if asked.is_empty() {
                    return Ok(());
                }
                fate = fate.or_else(|| wire.is_meant(asked));
                if fate == Some(Fate::QuestionHeld) {
                    *wire.caught.lock().unwrap() = asked.to_owned();
                    wire.disarm();
                    return hang(client).await;
                }
                server.write_all(asked).await?;
            }
            read = server.read(&mut answer) => {
                let said = &answer[..read?];
                if said.is_empty() {
                    return Ok(());
                }
                let latency = *wire.latency.lock().unwrap();
                // A script that Redis does not know is sent once more, in full.
                match fate.filter(|_| !said.starts_with(b"-NOSCRIPT")) {
                    Some(Fate::AnswerCut) => {
                        wire.disarm();
                        return Ok(());
                    }
                    Some(Fate::AnswerHeld) => {
                        wire.disarm();
                        return hang(client).await;
                    }
                    Some(Fate::AnswerLate(by)) => {
                        (fate, _) = (None, wire.disarm());
                        wait::late(by).await;
                    }
                    Some(Fate::QuestionHeld) | None => wait::late(latency).await,
                }
                client.write_all(&wire.reworded(said)).await?;
            }
        }
    }
}

/// Carries nothing any more, until the client is gone.
async fn hang(mut client: UnixStream) -> std::io::Result<()> {
    tokio::io::copy(&mut client, &mut tokio::io::sink()).await.map(drop)
}
