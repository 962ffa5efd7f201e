//! Reads the body of a request within a deadline, a size, and the memory budget of all bodies.

use bytes::Bytes;
use futures_util::StreamExt;
use poem::{Request, RequestBody};
use tokio::time::{Instant, timeout_at};

use super::error::Refusal;
use super::peer::Peer;
use super::shares::{Exhausted, Share};
use super::traffic::Cause;

/// The largest body that is read, in bytes; every request carries it as data.
#[derive(Clone, Copy, Debug)]
pub struct MaxBody(pub usize);

/// The largest body, in bytes, of a request that shares its thread with other requests. A larger
/// one may take tens of milliseconds of CPU to read, to compare and to store.
pub const LIGHT_BODY: usize = 64 << 10;

/// The bytes of a body, with their share of the budget until the last clone is dropped.
struct Held {
    bytes: Vec<u8>,
    share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads the whole body. It counts against the budget with the bytes that arrived, not with the
/// length that was announced.
///
/// # Errors
///
/// 400 if the body ends early, 408 if it arrives too slowly, 413 if it is too large, 429 or 503 if
/// there is no room for it.
pub async fn read(request: &Request, body: &mut RequestBody) -> Result<Bytes, Refusal> {
    // Every transport puts a peer into its requests, and the gateway the bound.
    let peer = request.data::<Peer>().ok_or_else(Refusal::internal)?;
    let MaxBody(most) = *request.data::<MaxBody>().ok_or_else(Refusal::internal)?;
    let body = body.take().map_err(|_| Refusal::unreadable("The body was already read."))?;
    let mut chunks = body.into_bytes_stream();
    let mut held = Held { bytes: Vec::new(), share: peer.bytes() };
    let began = Instant::now();
    loop {
        let chunk = timeout_at(deadline(peer, began, held.bytes.len()), chunks.next()).await;
        let chunk = chunk.map_err(|_| refused(peer, Cause::BodyTimeout, Refusal::slow_body()))?;
        let Some(chunk) = chunk else { break };
        let chunk =
            chunk.map_err(|_| Refusal::unreadable("The body ended early or could not be read."))?;
        if held.bytes.len() + chunk.len() > most {
            return Err(Refusal::too_large(most));
        }
        make_room(&mut held, chunk.len(), most).map_err(|limit| match limit {
            Exhausted::Own => refused(peer, Cause::BodyBytes, Refusal::too_many_bytes()),
            Exhausted::All => refused(peer, Cause::BodyBytes, Refusal::overloaded()),
        })?;
        held.bytes.extend_from_slice(&chunk);
    }
    peer.body_is_read();
    if held.bytes.len() > LIGHT_BODY {
        // From here on the request is answered aside: see `sockets::serve`.
        tokio::task::yield_now().await;
    }
    Ok(Bytes::from_owner(held))
}

/// When the next bytes must arrive, after `read` bytes have arrived.
fn deadline(peer: &Peer, began: Instant, read: usize) -> Instant {
    let deadlines = &peer.traffic().deadlines;
    let read = u64::try_from(read).unwrap_or(u64::MAX);
    began + deadlines.body.min(deadlines.allowed(deadlines.header, read))
}

/// Makes room for `more` bytes: takes them from the budget before allocating.
fn make_room(held: &mut Held, more: usize, most: usize) -> Result<(), Exhausted> {
    let has = held.bytes.capacity();
    let needed = held.bytes.len() + more;
    if needed <= has {
        return Ok(());
    }
    let wanted = has.saturating_mul(2).min(most).max(needed);
    held.share.grow(wanted - has)?;
    held.bytes.reserve_exact(wanted - held.bytes.len());
    Ok(())
}

fn refused(peer: &Peer, cause: Cause, refusal: Refusal) -> Refusal {
    peer.traffic().count(cause);
    refusal
}
