//! Real processes of ours: started with the settings of a test, listened to, signalled, and ended with the test.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::net::TcpSocket;

use super::{Client, KEYS, connections, eventually, key_of, late, limit};

/// How a process is to be started. Of this environment it has only the search path, and none of our settings.
#[derive(Clone, Debug, Default)]
pub struct Program {
    variables: Vec<(String, String)>,
}

impl Program {
    pub fn new() -> Self {
        Self::default()
    }

    /// A process of a fleet over the Redis at `url`: every key of a [`super::Site`], a free port on 127.0.0.1.
    pub fn over(url: &str) -> Self {
        let fixed = [
            ("REDIS_URL", url),
            ("ORCHESTRATOR_PORT", "0"),
            ("ORCHESTRATOR__HTTP__HOST", "127.0.0.1"),
        ];
        KEYS.into_iter().fold(Self::new().with_all(&fixed), |program, (name, role)| {
            program.with(
                &format!("ORCHESTRATOR_API_KEY_{}", name.to_uppercase()),
                &format!("{}:{role}", key_of(name)),
            )
        })
    }

    /// The variables that it gets.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    pub fn with(mut self, name: &str, text: &str) -> Self {
        self.variables.push((name.to_owned(), text.to_owned()));
        self
    }

    /// It logs no more than warnings, and what tests wait for.
    pub fn quiet(self) -> Self {
        self.with("RUST_LOG", "warn,orchestrator::app=info")
    }

    /// With every one of these settings.
    pub fn with_all(self, settings: &[(&str, &str)]) -> Self {
        settings.iter().fold(self, |program, (name, text)| program.with(name, text))
    }

    /// Starts it with these arguments.
    pub fn start(&self, arguments: &[&str]) -> Process {
        self.start_other(Path::new(env!("CARGO_BIN_EXE_orchestrator")), arguments)
    }

    /// Starts a gateway that may have so many descriptors.
    pub fn start_gateway_with(&self, descriptors: u32) -> Process {
        let gateway = env!("CARGO_BIN_EXE_orchestrator");
        let script = format!("ulimit -n {descriptors}; exec {gateway} gateway");
        self.start_other(Path::new("/bin/sh"), &["-c", &script])
    }

    /// Starts another program in its place.
    pub fn start_other(&self, executable: &Path, arguments: &[&str]) -> Process {
        let mut command = Command::new(executable);
        command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.envs(self.variables.iter().map(|(name, text)| (name, text)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        limit::watch();
        let mut child = command.spawn().unwrap();
        let (output, log) =
            (Text::of(child.stdout.take().unwrap()), Text::of(child.stderr.take().unwrap()));
        Process { name: arguments.join(" "), child, output, log, client: connections() }
    }

    /// Starts it and waits for its end: its exit code, its output and its log.
    pub async fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut process = self.start(arguments);
        let code = process.ended().await;
        (code, process.output.finish(), process.log.finish())
    }

    /// Asserts that the doctor, as a command, finds nothing.
    pub async fn finds_the_store_sound(&self) {
        let (code, output, log) = self.run(&["doctor"]).await;
        assert_eq!((code, &*output), (0, "The store is consistent.\n"), "{log}");
    }
}

/// What comes out of a process, line by line.
struct Text {
    lines: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Text {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(String::new()));
        let written = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let mut written = written.lock().unwrap();
                written.push_str(&line);
                written.push('\n');
            }
        });
        Self { lines, reader: Some(reader) }
    }

    fn so_far(&self) -> String {
        self.lines.lock().unwrap().clone()
    }

    /// All of it, once the process has ended.
    fn finish(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.so_far()
    }
}

/// A running process of ours. Dropping it kills it; its log is shown if the test fails.
pub struct Process {
    name: String,
    child: Child,
    output: Text,
    log: Text,
    client: reqwest::Client,
}

impl Process {
    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.so_far()
    }

    /// What it has printed so far.
    pub fn printed_so_far(&self) -> String {
        self.output.so_far()
    }

    /// All that it has printed, once it has ended.
    pub fn printed(&mut self) -> String {
        self.output.finish()
    }

    /// Waits until the log has a line with `text`, and returns the first of them.
    pub async fn says(&self, text: &str) -> String {
        eventually(&format!("{} says `{text}`", self.name), async || {
            let log = self.log();
            log.lines().find(|line| line.contains(text)).map(str::to_owned).ok_or(log)
        })
        .await
    }

    /// Waits until it has printed a line with `text`, and returns the first of them.
    pub async fn prints(&self, text: &str) -> String {
        eventually(&format!("{} prints `{text}`", self.name), async || {
            let output = self.output.so_far();
            output.lines().find(|line| line.contains(text)).map(str::to_owned).ok_or(output)
        })
        .await
    }

    /// Where it listens, as soon as it does.
    pub async fn url(&self) -> String {
        url_in(&self.says("the gateway listens").await)
    }

    /// A user at a shell who has the API key of this name.
    pub async fn shell(&self, name: &str) -> Program {
        let program = Program::new().with("ORCHESTRATOR_URL", &self.url().await);
        program.with("ORCHESTRATOR_API_KEY", &key_of(name))
    }

    /// Where it listens, as soon as it does; one need not hold the process to wait for it.
    pub fn listening(&self) -> impl Future<Output = String> + use<> {
        let log = Arc::clone(&self.log.lines);
        async move {
            loop {
                let url = log
                    .lock()
                    .unwrap()
                    .lines()
                    .find(|line| line.contains("the gateway listens"))
                    .map(url_in);
                if let Some(url) = url {
                    return url;
                }
                late(Duration::from_millis(5)).await;
            }
        }
    }

    /// A client with the API key of this name.
    pub async fn client(&self, name: &'static str) -> Client {
        Client::to(self.url().await, name, self.client.clone())
    }

    /// The same with connections of its own.
    pub async fn fresh_client(&self, name: &'static str) -> Client {
        Client::to(self.url().await, name, connections())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How many kilobytes of memory it holds.
    pub fn resident_kb(&self) -> u64 {
        resident_kb(&self.child.id().to_string())
    }

    /// The most memory that it had at once, kB.
    pub fn peak_kb(&self) -> u64 {
        memory_kb(&self.child.id().to_string(), "VmHWM:")
    }

    pub fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// Makes it stop where it is until it gets [`Signal::CONT`]. It has stopped on return.
    pub fn pause(&self) {
        pause(self.child.id());
    }

    /// Waits for its end, and returns its exit code; minus the signal that ended it.
    pub async fn ended(&mut self) -> i32 {
        let name = self.name.clone();
        eventually(&format!("{name} ends"), async || {
            let status = self.child.try_wait().unwrap();
            let code = |status: std::process::ExitStatus| {
                status.code().unwrap_or_else(|| -status.signal().unwrap())
            };
            status.map(code).ok_or_else(|| self.log())
        })
        .await
    }

    /// Ends it at once, as a crash does.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        assert_eq!(self.ended().await, -9);
    }

    /// Tells it to stop; it must end in order, and within so long.
    pub async fn stops_within(&mut self, limit: Duration) {
        let began = Instant::now();
        self.signal(Signal::TERM);
        assert_eq!(self.ended().await, 0, "{}", self.log());
        assert!(began.elapsed() < limit, "{:?}", began.elapsed());
    }

    /// Tells it to stop and waits until it has; it must have done so in order.
    pub async fn stop(mut self) {
        self.signal(Signal::TERM);
        let code = self.ended().await;
        assert_eq!(code, 0, "{} did not stop in order:\n{}", self.name, self.log.finish());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!(
                "--- {}: output\n{}--- its log\n{}",
                self.name,
                self.output.finish(),
                self.log.finish()
            );
        }
    }
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap()).unwrap()
}

/// Sends a signal to a child of ours.
pub(super) fn send(child: u32, signal: Signal) {
    kill_process(pid(child), signal).unwrap();
}

/// Stops a child of ours, and returns once it has stopped: a signal may take its time on a busy machine.
pub(super) fn pause(child: u32) {
    send(child, Signal::STOP);
    let is_stopped = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(pid(child)), is_stopped).unwrap();
}

/// A port of 127.0.0.1 below those that the system gives out by itself, so that it stays free until a server takes it,
/// and while that server is down. Each process begins elsewhere.
///
/// It is looked at without listening: a child that another thread starts meanwhile has the socket until it runs its
/// program, and only one that listens would keep the server out.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let nth = std::process::id() * 16 + TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + u16::try_from(nth % 20_000).unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        if socket.bind(SocketAddr::from(([127, 0, 0, 1], port))).is_ok() {
            return port;
        }
    }
}

fn url_in(line: &str) -> String {
    let address = line.split_once("address=").unwrap().1.split(' ').next().unwrap();
    let scheme = if line.contains("tls=true") { "https" } else { "http" };
    format!("{scheme}://{address}")
}

/// How many kilobytes of memory a process holds: its number, or `self`.
pub fn resident_kb(process: &str) -> u64 {
    memory_kb(process, "VmRSS:")
}

fn memory_kb(process: &str, figure: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(figure)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
