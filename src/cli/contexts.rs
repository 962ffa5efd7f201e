//! Contexts: gateways by name, each with a key, in a file that only the user can read.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use serde::{Deserialize, Serialize, Serializer};

use crate::domain::name::Name;
use crate::runtime::secret::Secret;

/// The name of the file, in the directory `orchestrator` of the user's configuration.
const FILE: &str = "contexts.json";

/// The reason why contexts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user has no directory for configuration.
    #[error("no place for contexts: set HOME or XDG_CONFIG_HOME")]
    Homeless,
    /// The system refused to do something with the file.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why the system refused.
        #[source]
        source: io::Error,
    },
    /// Other users of the machine can read or write the file.
    #[error("{} is open to other users; run `chmod 600` on it", .0.display())]
    Exposed(PathBuf),
    /// The file is not what this program writes.
    #[error("{} is malformed", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// No context has this name.
    #[error("unknown context `{name}`; known contexts: {known}")]
    Unknown {
        /// The name.
        name: Name,
        /// All names, joined by commas; `none` if there are none.
        known: String,
    },
    /// A context of this name is there already.
    #[error("the context `{0}` exists; remove it first")]
    Exists(Name),
    /// The command that prints the key failed.
    #[error("the key command of the context failed ({0})")]
    Command(ExitStatus),
    /// The command or the file has no key, or more than a key.
    #[error("expected an API key, one line of visible ASCII characters")]
    NoKey,
}

/// A gateway, and how to get a key for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// The URL of the gateway.
    pub url: String,
    /// The key itself.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub key: Option<Secret>,
    /// The command that prints the key, for a shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_command: Option<String>,
    /// The PEM file of the only authorities to trust; `None` for those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
}

/// All contexts of the user.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contexts {
    /// The context of commands that name none.
    pub current: Option<Name>,
    /// Each context by its name.
    pub contexts: BTreeMap<Name, Context>,
}

fn exposed<S: Serializer>(key: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    key.as_ref().map(Secret::expose).serialize(serializer)
}

impl Context {
    /// Returns the key, which the key command prints if there is one; `None` if the context has no
    /// key.
    pub fn key(&self) -> Result<Option<Secret>, Error> {
        let Some(command) = &self.key_command else { return Ok(self.key.clone()) };
        let path = || PathBuf::from("/bin/sh");
        let output = Command::new(path())
            .args(["-c", command])
            .stderr(Stdio::inherit())
            .output()
            .map_err(|source| Error::Io { action: "run", path: path(), source })?;
        if !output.status.success() {
            return Err(Error::Command(output.status));
        }
        read_key(&String::from_utf8_lossy(&output.stdout)).map(Some)
    }
}

/// Reads a key that a file or a command gives.
pub fn read_key(text: &str) -> Result<Secret, Error> {
    let key = text.trim();
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    if is_key { Ok(Secret::new(key)) } else { Err(Error::NoKey) }
}

impl Contexts {
    /// Reads the contexts; there are none if there is no file.
    pub fn read() -> Result<Self, Error> {
        match directory() {
            Some(directory) => read_file(&directory.join(FILE)),
            None => Ok(Self::default()),
        }
    }

    /// Changes the contexts, while no other process does.
    pub fn change(change: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        let directory = directory().ok_or(Error::Homeless)?;
        let created = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        created.map_err(failed("create", &directory))?;
        let lock = directory.join("lock");
        let locked = File::create(&lock).and_then(|file| file.lock().map(|()| file));
        let _locked = locked.map_err(failed("lock", &lock))?;
        let path = directory.join(FILE);
        let mut contexts = read_file(&path)?;
        change(&mut contexts)?;
        let json = serde_json::to_vec_pretty(&contexts)
            .map_err(|source| Error::Malformed { path: path.clone(), source })?;
        let new = directory.join("contexts.json.new");
        write_private(&new, &json).map_err(failed("write", &new))?;
        fs::rename(&new, &path).map_err(failed("write", &path))
    }

    /// Returns the context of this name, or else the current one; `None` if there is none.
    pub fn chosen(mut self, name: Option<&Name>) -> Result<Option<Context>, Error> {
        let Some(name) = name.or(self.current.as_ref()).cloned() else { return Ok(None) };
        self.check_known(&name)?;
        Ok(self.contexts.remove(&name))
    }

    /// Checks that there is a context of this name.
    pub fn check_known(&self, name: &Name) -> Result<(), Error> {
        if self.contexts.contains_key(name) {
            return Ok(());
        }
        let known: Vec<_> = self.contexts.keys().map(Name::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(Error::Unknown { name: name.clone(), known })
    }
}

/// Writes a new file that only this user can read, in place of one that is there.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The directory of our files in the user's configuration; `None` if the user has none.
fn directory() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    Some(config?.join("orchestrator"))
}

fn read_file(path: &Path) -> Result<Contexts, Error> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Contexts::default()),
        bytes => bytes.map_err(failed("read", path))?,
    };
    let mode = fs::metadata(path).map_err(failed("read", path))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Error::Exposed(path.to_owned()));
    }
    serde_json::from_slice(&bytes)
        .map_err(|source| Error::Malformed { path: path.to_owned(), source })
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}
