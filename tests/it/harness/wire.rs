//! A wire to NATS that is cut at a chosen place.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// More than any test sends.
const NEVER: i64 = i64::MAX / 2;

/// Stands between a bridge and its NATS.
pub struct Wire {
    url: String,
    ends: Arc<Ends>,
    /// Ends with the wire.
    _wires: JoinSet<()>,
}

/// How many bytes may still pass before the connection is cut.
struct Ends {
    to_server: AtomicI64,
    to_client: AtomicI64,
    cuts: AtomicUsize,
}

impl Wire {
    /// A wire to the server at this port.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let ends =
            Ends { to_server: NEVER.into(), to_client: NEVER.into(), cuts: AtomicUsize::new(0) };
        let ends = Arc::new(ends);
        let mut wires = JoinSet::new();
        wires.spawn(accept(listener, port, Arc::clone(&ends)));
        Self { url, ends, _wires: wires }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Cuts the connection once, when so many more bytes have gone to the server.
    pub fn cut_after_sending(&self, bytes: i64) {
        self.ends.to_server.store(bytes, Ordering::SeqCst);
    }

    /// Cuts the connection once, when so many more bytes have come back: what they answer was done.
    pub fn cut_after_hearing(&self, bytes: i64) {
        self.ends.to_client.store(bytes, Ordering::SeqCst);
    }

    /// How often it was cut.
    pub fn cuts(&self) -> usize {
        self.ends.cuts.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, port: u16, ends: Arc<Ends>) {
    let mut wires = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        let ends = Arc::clone(&ends);
        wires.spawn(async move {
            let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
            let ((client_reads, client_writes), (server_reads, server_writes)) =
                (client.split(), server.split());
            // The end of one way is the end of both.
            tokio::select! {
                () = carry(client_reads, server_writes, &ends.to_server, &ends.cuts) => {}
                () = carry(server_reads, client_writes, &ends.to_client, &ends.cuts) => {}
            }
        });
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    left: &AtomicI64,
    cuts: &AtomicUsize,
) {
    let mut buffer = vec![0; 4_096];
    while let Ok(read) = from.read(&mut buffer).await {
        let allowed = left.fetch_sub(i64::try_from(read).unwrap(), Ordering::SeqCst);
        let passed = read.min(usize::try_from(allowed).unwrap_or(0));
        let is_cut = passed < read;
        if read == 0 || to.write_all(&buffer[..passed]).await.is_err() || is_cut {
            if is_cut {
                left.store(NEVER, Ordering::SeqCst);
                cuts.fetch_add(1, Ordering::SeqCst);
            }
            return;
        }
    }
}
