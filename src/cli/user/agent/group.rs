//! A program with all the processes that it starts: they are signalled together, and none is left.

use std::io;
use std::process::ExitStatus;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::guard::Guard;

/// A running program: the leader of a process group of its own. Dropping it kills the group.
///
/// The leader is reaped last, because until then no other process can have its number, by which the
/// group is signalled.
pub struct Group<'g> {
    leader: Child,
    number: Pid,
    guard: &'g Guard,
    is_over: bool,
}

impl<'g> Group<'g> {
    /// Starts the program in a process group of its own, which `guard` kills if this process dies.
    pub fn start(command: &mut Command, guard: &'g Guard) -> io::Result<Self> {
        let leader = command.process_group(0).spawn()?;
        let number = leader.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let number = number.ok_or_else(|| io::Error::other("the program has no process id"))?;
        guard.watch(number);
        Ok(Self { leader, number, guard, is_over: false })
    }

    /// Returns the ends of the three pipes of the program that were asked for.
    pub fn pipes(&mut self) -> (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>) {
        (self.leader.stdin.take(), self.leader.stdout.take(), self.leader.stderr.take())
    }

    /// Waits until the leader has ended; others of the group may still run.
    pub async fn leader_ends(&self) -> io::Result<()> {
        let number = self.number;
        let wait = move || {
            let how = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            loop {
                match waitid(WaitId::Pid(number), how) {
                    Err(Errno::INTR) => {}
                    ended => return ended.map(|_| ()),
                }
            }
        };
        Ok(tokio::task::spawn_blocking(wait).await.map_err(io::Error::other)??)
    }

    /// Sends a signal to every process of the group.
    pub fn signal(&self, signal: Signal) {
        // An error means that there is no process left.
        let _ = kill_process_group(self.number, signal);
    }

    /// Kills what is left of the group, and returns how the leader ended.
    pub async fn finish(mut self) -> io::Result<ExitStatus> {
        self.end();
        self.leader.wait().await
    }

    fn end(&mut self) {
        self.signal(Signal::KILL);
        self.guard.forget(self.number);
        self.is_over = true;
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.end();
        }
    }
}
