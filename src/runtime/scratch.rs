//! A directory for sockets that nobody else may reach.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A directory with a short path, for us alone; removed with all that is in it when it is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one in the system's directory for such things.
    ///
    /// # Errors
    ///
    /// If it cannot be made there.
    pub fn new() -> io::Result<Self> {
        let name = format!("orchestrator-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let dir = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&dir)?;
        Ok(Self(dir))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Whoever removed it before us did what we want.
        let _ = fs::remove_dir_all(&self.0);
    }
}
