//! A small process beside `agent run` that kills its programs if it dies without having done so.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::runtime::chain::Chain;

/// The process that guards. It ends with the process that started it, because it reads from a pipe
/// whose other end only that one has.
pub struct Guard {
    pipe: Mutex<Option<ChildStdin>>,
    process: Child,
}

impl Guard {
    /// Starts the guard: this program again.
    pub fn start() -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["agent", "guard"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // A Ctrl-C in the terminal must not reach it.
        let mut process = command.process_group(0).spawn()?;
        let pipe = Mutex::new(process.stdin.take());
        Ok(Self { pipe, process })
    }

    /// From now on the guard kills this process group when this process dies.
    pub fn watch(&self, group: Pid) {
        self.tell('+', group);
    }

    /// The group is over.
    pub fn forget(&self, group: Pid) {
        self.tell('-', group);
    }

    fn tell(&self, sign: char, group: Pid) {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = pipe.as_mut() else { return };
        if let Err(error) = open.write_all(format!("{sign}{group}\n").as_bytes()) {
            tracing::warn!(error = %Chain(&error), "the guard is gone; nothing kills programs if \
                this process dies");
            *pipe = None;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The end of the pipe ends the guard; waiting prevents a zombie.
        *self.pipe.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let _ = self.process.wait();
    }
}

/// Is the guard: reads groups from `orders` until their end, then kills those that are not over.
pub fn stand(orders: impl BufRead) {
    let mut groups = BTreeSet::new();
    for line in orders.lines().map_while(Result::ok) {
        let Some((sign, number)) = line.split_at_checked(1) else { continue };
        let Ok(number) = number.parse::<i32>() else { continue };
        match sign {
            "+" => groups.insert(number),
            _ => groups.remove(&number),
        };
    }
    for group in groups.into_iter().filter_map(Pid::from_raw) {
        // An error means that it has ended.
        let _ = kill_process_group(group, Signal::KILL);
    }
}
