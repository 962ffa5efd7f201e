//! Attacks that need no credential but a socket. Each attacker waits a little before it comes back, as an attacker does that
//! has many sockets and one thread.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::target::{Attack, RIVAL, Target};
use crate::harness::{head, json_of, late};

pub const ATTACKS: &[Attack] = &[
    Attack { name: "one byte of a request", run: |target| Box::pin(one_byte(target)) },
    Attack { name: "a request that never ends", run: |target| Box::pin(dribble(target)) },
    Attack { name: "pages that are not read", run: |target| Box::pin(unread_pages(target)) },
    Attack { name: "bodies one byte short", run: |target| Box::pin(short_bodies(target)) },
    Attack { name: "streams on one connection", run: |target| Box::pin(streams(target)) },
    Attack { name: "noise", run: |target| Box::pin(noise(target)) },
];

/// More than the gateway has descriptors.
const SOCKETS: usize = 300;
const PAUSE: Duration = Duration::from_millis(50);
/// The size of a body that the gateway takes.
const BODY: usize = 10 * 1_024 * 1_024;

/// Opens a connection, says `words` and then nothing, reads nothing, until it is cut off; again and again.
async fn say_and_hold(target: &Target, words: &[u8], reads: bool) {
    loop {
        if let Ok(mut stream) = target.connect().await {
            let said = stream.write_all(words).await;
            if said.is_ok() && reads {
                let mut answer = Vec::new();
                let _ = stream.read_to_end(&mut answer).await;
                target.count(status_of(&answer));
            } else if said.is_ok() {
                is_cut_off(&mut stream).await;
            }
            target.count("ended");
        }
        late(PAUSE).await;
    }
}

/// Waits, without reading, until the other side is gone.
async fn is_cut_off(stream: &mut TcpStream) {
    while stream.ready(tokio::io::Interest::ERROR).await.is_ok_and(|ready| !ready.is_error()) {
        late(PAUSE).await;
    }
}

fn status_of(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(&answer[..answer.len().min(64)]).into_owned();
    text.split(' ').nth(1).unwrap_or("nothing").to_owned()
}

async fn one_byte(target: &Target) {
    join_all((0..SOCKETS).map(|_| say_and_hold(target, b"G", true))).await;
}

/// A byte of a header every now and then, so that the connection is never silent.
async fn dribble(target: &Target) {
    let one = async || loop {
        if let Ok(mut stream) = target.connect().await {
            let mut sent = stream.write_all(b"GET / HTTP/1.1\r\nx: ").await;
            while sent.is_ok() {
                late(10 * PAUSE).await;
                sent = stream.write_all(b"x").await;
            }
            target.count("ended");
        }
        late(PAUSE).await;
    };
    join_all((0..SOCKETS).map(|_| one())).await;
}

async fn unread_pages(target: &Target) {
    // Many on each connection: none of the answers is read.
    let requests = "GET /docs HTTP/1.1\r\nhost: x\r\n\r\n".repeat(10);
    join_all((0..SOCKETS).map(|_| say_and_hold(target, requests.as_bytes(), false))).await;
}

/// Bodies as large as they may be, of which the last byte does not come: half of them with a key.
async fn short_bodies(target: &Target) {
    let lines = json_of(BODY);
    let mut named = head("POST /tasks", RIVAL, &lines).into_bytes();
    let mut nameless = format!("POST /tasks HTTP/1.1\r\nhost: x\r\n{lines}\r\n").into_bytes();
    for request in [&mut named, &mut nameless] {
        request.extend(std::iter::repeat_n(b' ', BODY - 1));
    }
    let one = |nth: usize| if nth.is_multiple_of(2) { &named } else { &nameless };
    join_all((0..60).map(|nth| say_and_hold(target, one(nth), true))).await;
}

/// Thousands of requests on one connection that speaks HTTP/2 from its first byte, and reads none of the answers.
async fn streams(target: &Target) {
    let mut words = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    words.extend(frame(4, 0, 0, &[]));
    // `:method GET`, `:scheme http`, `:path /docs`, `:authority x`.
    let headers = [&[0x82, 0x86, 0x04, 5], &b"/docs"[..], &[0x01, 1, b'x']].concat();
    for nth in 0..5_000u32 {
        words.extend(frame(1, 5, 2 * nth + 1, &headers));
    }
    join_all((0..20).map(|_| say_and_hold(target, &words, false))).await;
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes()[..], content].concat()
}

async fn noise(target: &Target) {
    let one = async |nth: u64| {
        let mut random = fastrand::Rng::with_seed(nth);
        loop {
            if let Ok(mut stream) = target.connect().await {
                let bytes: Vec<u8> = (0..random.usize(1..20_000)).map(|_| random.u8(..)).collect();
                if stream.write_all(&bytes).await.is_ok() && stream.shutdown().await.is_ok() {
                    let mut answer = Vec::new();
                    let _ = stream.read_to_end(&mut answer).await;
                    target.count(status_of(&answer));
                }
            }
            late(PAUSE).await;
        }
    };
    join_all((0..50).map(one)).await;
}
