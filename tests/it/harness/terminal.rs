//! A user at a terminal, who reads what a command shows and types answers.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::{Program, eventually};

/// A command that runs at a terminal. Dropping it kills the command.
pub struct Terminal {
    child: Child,
    keys: File,
    shown: Arc<Mutex<String>>,
}

impl Program {
    /// Starts it with these arguments at a terminal of its own.
    pub fn at_a_terminal(&self, arguments: &[&str]) -> Terminal {
        self.other_at_a_terminal(Path::new(env!("CARGO_BIN_EXE_orchestrator")), arguments)
    }

    /// Starts another program in its place at a terminal of its own.
    pub fn other_at_a_terminal(&self, executable: &Path, arguments: &[&str]) -> Terminal {
        let end = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&end).unwrap();
        unlockpt(&end).unwrap();
        let name = ptsname(&end, Vec::new()).unwrap().into_string().unwrap();
        let open = || OpenOptions::new().read(true).write(true).open(&name).unwrap();
        let mut command = Command::new(executable);
        command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.envs(self.variables());
        command.stdin(open()).stdout(open()).stderr(open());
        let child = command.spawn().unwrap();
        let keys = File::from(end);
        let (mut screen, shown) = (keys.try_clone().unwrap(), Arc::new(Mutex::new(String::new())));
        let written = Arc::clone(&shown);
        // It ends with an error once the command has ended.
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(count) = screen.read(&mut bytes) {
                written.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Terminal { child, keys, shown }
    }
}

impl Terminal {
    /// Waits until the screen has shown this text so many times.
    pub async fn shows(&self, text: &str, times: usize) {
        eventually(&format!("the terminal shows `{text}`"), async || {
            let shown = self.shown.lock().unwrap().clone();
            if shown.matches(text).count() >= times { Ok(()) } else { Err(shown) }
        })
        .await;
    }

    /// Types a line.
    pub fn types(&mut self, line: &str) {
        self.keys.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Waits for the end of the command: its exit code, and all that the screen has shown.
    pub async fn ended(&mut self) -> (i32, String) {
        let shown = Arc::clone(&self.shown);
        let child = &mut self.child;
        let status = eventually("the command at the terminal ends", async || {
            child.try_wait().unwrap().ok_or_else(|| shown.lock().unwrap().clone())
        })
        .await;
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap());
        (code, self.shown.lock().unwrap().clone())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
