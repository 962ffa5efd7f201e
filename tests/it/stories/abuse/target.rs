//! What an attacker has: the gateway's address, perhaps a key, addresses of its own, and threads that wait for the machine as
//! those of another machine would not disturb it.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::scene::Scene;
use crate::harness::key_of;

/// The agent key that attacks.
pub const RIVAL: &str = "rival";

/// Where attackers come from: not where the client that behaves does.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// How much less of the processor the attacker gets than the fleet, where both want it.
const NICE: i32 = 10;

/// What an attacker does until its time is over.
type Run = for<'t> fn(&'t Target) -> Pin<Box<dyn Future<Output = ()> + 't>>;

#[derive(Clone, Copy)]
pub struct Attack {
    pub name: &'static str,
    pub run: Run,
}

pub struct Target {
    pub address: SocketAddr,
    pub nats: String,
    client: reqwest::Client,
    tally: Tally,
}

/// How often the attacker was answered what.
#[derive(Default)]
pub struct Tally(Mutex<BTreeMap<String, u64>>);

impl Tally {
    pub fn count(&self, what: impl ToString) {
        *self.0.lock().unwrap().entry(what.to_string()).or_default() += 1;
    }

    /// What no attacker may be answered, or that nothing was attacked.
    pub fn faults(&self) -> Vec<String> {
        let counts = self.0.lock().unwrap();
        let is_fault = |(what, _): &(&String, &u64)| what.starts_with("500");
        let mut faults: Vec<_> =
            counts.iter().filter(is_fault).map(|one| format!("{one:?}")).collect();
        if counts.is_empty() {
            faults.push("the attack did nothing".to_owned());
        }
        faults
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?}", self.0.lock().unwrap())
    }
}

impl Target {
    pub fn of(scene: &Scene) -> Self {
        let client = reqwest::Client::builder()
            .tls_certs_only([])
            .local_address(IpAddr::from(ELSEWHERE))
            .timeout(Duration::from_secs(60));
        Self {
            address: scene.address,
            nats: scene.nats.url(),
            client: client.build().unwrap(),
            tally: Tally::default(),
        }
    }

    /// Attacks for so long, from a thread of its own.
    pub fn unleash(self, attack: &Attack, span: Duration) -> JoinHandle<Tally> {
        let run = attack.run;
        std::thread::spawn(move || {
            // Where threads have no priority of their own the attack is only more of a burden.
            let _ = rustix::process::setpriority_process(None, NICE);
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            // It ends with its time, or before.
            let _ = runtime.block_on(async { timeout(span, run(&self)).await });
            self.tally
        })
    }

    /// Counts something that happened.
    pub fn count(&self, what: impl ToString) {
        self.tally.count(what);
    }

    /// Sends JSON with the key of this name, and reads all of the answer: its status and its body, if there is one.
    pub async fn send(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: String,
    ) -> Option<(u16, Value)> {
        let call = self.client.request(method, format!("http://{}{path}", self.address));
        let call = call.header("x-api-key", key_of(key)).header("content-type", "application/json");
        self.count("asked");
        let answer = async {
            let answer = call.body(body).send().await?;
            let status = answer.status().as_u16();
            reqwest::Result::Ok((status, answer.bytes().await?))
        };
        match answer.await {
            Ok((status, body)) => {
                self.count(status);
                Some((status, serde_json::from_slice(&body).unwrap_or_default()))
            }
            Err(error) => {
                self.count(if error.is_timeout() { "no answer" } else { "cut off" });
                None
            }
        }
    }

    /// What the attacking agent key posts.
    pub async fn post(&self, path: &str, body: impl ToString) -> Option<(u16, Value)> {
        self.send(RIVAL, Method::POST, path, body.to_string()).await
    }

    /// What the attacking agent key reads.
    pub async fn get(&self, path: &str) -> Option<(u16, Value)> {
        self.send(RIVAL, Method::GET, path, String::new()).await
    }

    /// A page of events that the attacking agent key reads.
    pub async fn send_accepting_json(&self, path: &str) {
        let call = self.client.get(format!("http://{}{path}", self.address));
        let call = call.header("x-api-key", key_of(RIVAL)).header("accept", "application/json");
        match call.send().await {
            Ok(answer) => {
                self.count(answer.status().as_u16());
                // To the end, but not kept.
                let mut answer = answer;
                while let Ok(Some(_)) = answer.chunk().await {}
            }
            Err(_) => self.count("cut off"),
        }
    }

    /// A connection of no more than a socket, which takes as little as it can.
    pub async fn connect(&self) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4_096)?;
        socket.bind((ELSEWHERE, 0).into())?;
        let stream = socket.connect(self.address).await;
        self.count(if stream.is_ok() { "connected" } else { "not connected" });
        stream
    }
}
