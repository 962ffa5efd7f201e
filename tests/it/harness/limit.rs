//! No test runs for ever under any runner: a test that hangs is named, and ends the run with every
//! server it started.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::processes::send;

/// How long a test may take, unless it says that it takes longer: many times what the longest needs on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);
/// How often the tests are looked at.
const GLANCE: Duration = Duration::from_millis(100);
/// How long the servers of a test that hangs have to stop in order.
const GRACE: Duration = Duration::from_secs(2);

/// What runs: the name of each test, and when its time is over.
static RUNNING: Mutex<BTreeMap<u64, (String, Instant)>> = Mutex::new(BTreeMap::new());
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A test that runs, by its thread: each test has one, which ends with it.
struct Running(u64);

thread_local! {
    static THIS: Running = Running::begin();
}

impl Running {
    fn begin() -> Self {
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        if nth == 0 {
            thread::spawn(watch_all);
        }
        let end = Instant::now() + LIMIT;
        RUNNING.lock().unwrap().insert(nth, (name(), end));
        Self(nth)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.lock().unwrap().remove(&self.0);
    }
}

/// The name of the test of this thread: a test that runs alone has the main thread, and its name is an argument.
fn name() -> String {
    let thread = thread::current().name().unwrap_or("main").to_owned();
    if thread != "main" { thread } else { std::env::args().collect::<Vec<_>>().join(" ") }
}

/// From now on the test of this thread is watched. Every helper that starts or waits for something
/// calls it.
pub fn watch() {
    THIS.with(|_| {});
}

/// The test of this thread may take so long from now on.
pub fn may_take(limit: Duration) {
    let nth = THIS.with(|this| this.0);
    let mut running = RUNNING.lock().unwrap();
    running.get_mut(&nth).unwrap().1 = Instant::now() + limit;
}

fn watch_all() {
    loop {
        thread::park_timeout(GLANCE);
        let late = {
            let running = RUNNING.lock().unwrap();
            running.values().find(|(_, end)| *end <= Instant::now()).cloned()
        };
        if let Some((name, _)) = late {
            eprintln!("the test {name} hangs: its time is over, and all tests end");
            end_children();
            end();
        }
    }
}

#[expect(clippy::exit, reason = "a thread that hangs cannot be ended otherwise")]
fn end() -> ! {
    std::process::exit(101)
}

/// Ends every process that the tests started: in order if it does so soon.
fn end_children() {
    for signal in [Signal::TERM, Signal::KILL] {
        children().into_iter().for_each(|child| send(child, signal));
        let end = Instant::now() + GRACE;
        while Instant::now() < end && !children().is_empty() {
            thread::park_timeout(GLANCE);
        }
    }
}

/// The children of this process that still run, by `/proc`; none are found where there is none.
fn children() -> Vec<u32> {
    let own = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_ours = |number: &u32| {
        let text = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        // `number (name) state parent …`, and the name may hold anything.
        let mut words = text.rsplit(')').next().unwrap_or_default().split_whitespace();
        words.next() != Some("Z") && words.next() == Some(own.as_str())
    };
    numbers.filter(is_ours).collect()
}
