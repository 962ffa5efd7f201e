//! A directory for sockets that only this user may reach.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A directory with a short path and access for this user only. Dropping it removes it with its
/// content.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Creates one in the system's temporary directory.
    pub fn new() -> io::Result<Self> {
        let name = format!("orchestrator-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let dir = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&dir)?;
        Ok(Self(dir))
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // An error means that it was removed already.
        let _ = fs::remove_dir_all(&self.0);
    }
}
