//! A private Redis: a child process that only this process reaches, through a Unix socket.
//!
//! It serves `orchestrator dev`, the demo and the tests. It has no network port and no password:
//! the permissions of the socket are the lock. This module does not know what is stored.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use super::scratch::Scratch;

/// The programs that can be started, in order of preference.
const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];

/// The name of the socket in the directory of the data.
const SOCKET: &str = "redis.sock";

/// The longest path that a Unix socket may have, in bytes, without the final NUL.
const SOCKET_PATH_MAX: usize = 107;

/// How long a start may take. An empty Redis answers in 10 ms; one that reads a large log needs
/// seconds.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How often a starting or stopping Redis is checked: short, because tests start hundreds.
const GLANCE: Duration = Duration::from_millis(2);

/// How to run the private Redis.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The directory that keeps its data between starts, with every write in an append-only file.
    /// `None` if the data is in memory only and nothing remains on disk.
    pub dir: Option<PathBuf>,
    /// Whether it gets a process group of its own, so that a Ctrl-C in the terminal does not reach
    /// it and this process can stop it last. Tests use false: an interrupted test run must end its
    /// children too.
    pub has_own_group: bool,
    /// More arguments for the program, such as `["--maxmemory", "50mb"]`.
    pub arguments: Vec<String>,
}

/// Why the private Redis did not start or stop.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant is")]
pub enum Error {
    #[error(
        "neither redis-server nor valkey-server is on the PATH; install one with `apt-get install \
         redis-server` (Debian, Ubuntu) or `brew install redis` (macOS), or set REDIS_URL to a \
         running Redis"
    )]
    NotInstalled,
    #[error("{} is in use by another orchestrator process", .0.display())]
    InUse(PathBuf),
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "{} is too long a path for a Unix socket (at most {SOCKET_PATH_MAX} bytes); use a shorter \
         directory", .0.display()
    )]
    PathTooLong(PathBuf),
    #[error("the private Redis ended ({status}); the end of its log: {log}")]
    Ended { status: String, log: String },
    #[error("the private Redis did not answer within {START_LIMIT:?}; the end of its log: {0}")]
    Silent(String),
}

/// A running private Redis. Dropping it kills it; [`RedisServer::stop`] lets it write its data
/// first.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
    /// Keeps other processes out of the data directory; released once the child has ended.
    _lock: Option<Lock>,
    _scratch: Option<Scratch>,
}

impl RedisServer {
    /// Starts the private Redis and returns once it answers.
    ///
    /// A Redis that an earlier process left behind in the same directory (the process was killed
    /// before it could stop its child) is stopped first.
    pub async fn start(options: &Options) -> Result<Self, Error> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = find_program(&path).ok_or(Error::NotInstalled)?;
        let lock = options.dir.as_deref().map(own).transpose()?;
        let (dir, scratch) = match &options.dir {
            Some(dir) => (fs::canonicalize(dir).map_err(failed("find", dir))?, None),
            None => {
                let parent = std::env::temp_dir();
                let scratch = Scratch::new().map_err(failed("create a directory in", &parent))?;
                (scratch.path().to_owned(), Some(scratch))
            }
        };
        let socket = dir.join(SOCKET);
        let log = dir.join("redis.log");
        if socket.as_os_str().len() > SOCKET_PATH_MAX {
            return Err(Error::PathTooLong(socket));
        }
        stop_leftover(&socket).await;

        let mut command = command(&program, &dir, options);
        command.arg("--unixsocket").arg(&socket).arg("--logfile").arg(&log);
        let child = command.spawn().map_err(failed("start", &program))?;
        let mut server = Self { child, socket, log, _lock: lock, _scratch: scratch };
        server.wait_until_it_answers().await?;
        Ok(server)
    }

    /// The URL by which this process reaches it.
    pub fn url(&self) -> String {
        url_of(&self.socket)
    }

    /// The id of its process, for tests that suspend or kill it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to write its data and to end, waits for that at most `grace`, then kills it. It is
    /// killed even if an error means that its process cannot be watched.
    pub async fn stop(mut self, grace: Duration) -> Result<(), Error> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // The process may be gone already, which is what a stop wants.
            let _ = kill_process(pid, Signal::TERM);
        }
        let end = Instant::now() + grace;
        while self.status()?.is_none() {
            if Instant::now() >= end {
                tracing::warn!(?grace, "the private Redis did not stop in time, killing it");
                break;
            }
            sleep(GLANCE).await;
        }
        Ok(())
    }

    async fn wait_until_it_answers(&mut self) -> Result<(), Error> {
        let end = Instant::now() + START_LIMIT;
        loop {
            if ask(&self.socket, "PING").await.is_ok_and(|answer| answer.starts_with("+PONG")) {
                return Ok(());
            }
            if let Some(status) = self.status()? {
                return Err(Error::Ended { status, log: log_end(&self.log) });
            }
            if Instant::now() >= end {
                return Err(Error::Silent(log_end(&self.log)));
            }
            sleep(GLANCE).await;
        }
    }

    /// How the process ended; `None` while it runs.
    fn status(&mut self) -> Result<Option<String>, Error> {
        let status =
            self.child.try_wait().map_err(failed("watch the process behind", &self.socket))?;
        Ok(status.map(|status| status.to_string()))
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // Errors mean that it has ended. Waiting prevents a zombie, and is short after SIGKILL.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the URL of the private Redis that another process of this user runs with its data in
/// `dir`; `None` if there is none.
pub fn running_in(dir: &Path) -> Option<String> {
    let socket = fs::canonicalize(dir).ok()?.join(SOCKET);
    std::os::unix::net::UnixStream::connect(&socket).ok()?;
    Some(url_of(&socket))
}

fn url_of(socket: &Path) -> String {
    format!("redis+unix://{}", socket.display())
}

fn command(program: &Path, dir: &Path, options: &Options) -> Command {
    let mut command = Command::new(program);
    command.args(["--port", "0", "--unixsocketperm", "700", "--daemonize", "no", "--save", ""]);
    command.args(["--appendonly", if options.dir.is_some() { "yes" } else { "no" }]);
    command.arg("--dir").arg(dir).args(&options.arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if options.has_own_group {
        command.process_group(0);
    }
    command
}

fn find_program(path: &std::ffi::OsStr) -> Option<PathBuf> {
    PROGRAMS
        .into_iter()
        .flat_map(|name| std::env::split_paths(path).map(move |dir| dir.join(name)))
        .find(|program| program.is_file())
}

/// The lock on a data directory. It ends with the process, however the process ends.
///
/// A child that another thread forks shares the open file until it runs its own program. Closing
/// the file would therefore leave the directory locked for a moment; unlocking it does not.
#[derive(Debug)]
struct Lock(fs::File);

impl Drop for Lock {
    fn drop(&mut self) {
        // If it fails, the close that follows unlocks too, only later.
        let _ = self.0.unlock();
    }
}

/// Creates `dir` with access for this user only, and locks it.
fn own(dir: &Path) -> Result<Lock, Error> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    created.map_err(failed("create", dir))?;
    let file = fs::File::create(dir.join("lock")).map_err(failed("write to", dir))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(fs::TryLockError::WouldBlock) => Err(Error::InUse(dir.to_owned())),
        Err(fs::TryLockError::Error(source)) => Err(failed("lock", dir)(source)),
    }
}

/// Makes the error of an action, which is a verb, on a file, a directory or a program.
fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}

/// Ends a Redis whose owner was killed: this process holds the lock of the directory, so no other
/// uses it.
async fn stop_leftover(socket: &Path) {
    if ask(socket, "SHUTDOWN").await.is_ok() {
        tracing::info!("stopped the private Redis of an earlier process");
    }
    let end = Instant::now() + Duration::from_secs(5);
    while UnixStream::connect(socket).await.is_ok() && Instant::now() < end {
        sleep(GLANCE).await;
    }
    // A socket file without a listener would prevent the next start.
    let _ = fs::remove_file(socket);
}

/// Sends one word and returns the first bytes of the answer; empty if the connection was closed
/// instead.
async fn ask(socket: &Path, word: &str) -> io::Result<String> {
    let exchange = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(format!("{word}\r\n").as_bytes()).await?;
        let mut answer = [0; 64];
        let length = stream.read(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    };
    timeout(Duration::from_secs(1), exchange).await?
}

fn log_end(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let mut lines: Vec<_> = text.lines().rev().take(3).collect();
    lines.reverse();
    if lines.is_empty() { "none".to_owned() } else { lines.join(" | ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn redis_in_memory_answers_and_leaves_nothing_on_disk() {
        let server = RedisServer::start(&Options::default()).await.unwrap();
        let (pid, scratch) = (server.pid(), server._scratch.as_ref().unwrap().path().to_owned());
        assert!(ask(&server.socket, "PING").await.unwrap().starts_with("+PONG"));

        drop(server);

        assert!(!scratch.exists());
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[tokio::test]
    async fn data_survives_an_orderly_stop() {
        let home = tempfile::tempdir().unwrap();
        let options = Options { dir: Some(home.path().join("data")), ..Options::default() };
        let first = RedisServer::start(&options).await.unwrap();
        assert!(matches!(RedisServer::start(&options).await, Err(Error::InUse(_))));
        ask(&first.socket, "SET kept yes").await.unwrap();
        first.stop(Duration::from_secs(10)).await.unwrap();

        let second = RedisServer::start(&options).await.unwrap();

        assert!(ask(&second.socket, "GET kept").await.unwrap().contains("yes"));
    }

    #[test]
    fn a_released_directory_is_free_despite_a_forked_child() {
        let home = tempfile::tempdir().unwrap();
        let lock = own(home.path()).unwrap();
        // What a fork does: another descriptor of the same open file.
        let in_child = lock.0.try_clone().unwrap();
        assert!(matches!(own(home.path()), Err(Error::InUse(_))));

        drop(lock);

        assert!(own(home.path()).is_ok());
        drop(in_child);
    }

    #[tokio::test]
    async fn a_start_that_fails_says_why() {
        let options = Options {
            arguments: vec!["--no-such-option".to_owned(), "1".to_owned()],
            ..Options::default()
        };

        let refused = RedisServer::start(&options).await.unwrap_err();

        assert!(matches!(refused, Error::Ended { .. }), "{refused}");
    }

    #[test]
    fn a_program_that_is_not_on_the_path_is_not_found() {
        assert_eq!(find_program(std::ffi::OsStr::new("/nonexistent")), None);
    }
}
