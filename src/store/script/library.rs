//! The library that has every script as a function.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::LazyLock;

use super::{ALL, BLOCKS, FILES, Memory, PARTS, Part, Script, begun, constants_of, needed_by};

/// The library with every script as a function.
pub(in super::super) struct Library {
    /// Its name, which no other version has.
    pub name: String,
    /// Its text.
    pub text: String,
    /// What the names of its functions end with.
    pub digest: String,
}

/// What the names of all versions of the library begin with.
pub(in super::super) const LIBRARY_PREFIX: &str = "orchestrator_";

pub(in super::super) static LIBRARY: LazyLock<Library> = LazyLock::new(|| {
    let shared: HashSet<_> = shared().into_iter().map(|part| part.name).collect();
    // Redis gives a library no globals while it loads, so the first call runs the parts.
    let mut code =
        String::from("local KEYS, ARGV, scripts\nlocal function load_all()\nlocal begin = {}\n");
    let files: Vec<_> =
        PARTS.iter().map(|part| part.name).chain(FILES.iter().map(|(name, _)| *name)).collect();
    code.push_str(&constants_of(&files));
    for part in PARTS.iter().filter(|part| shared.contains(part.name)) {
        code.push_str(&BLOCKS[part.name]);
    }
    code.push_str("local scripts = {}\n");
    for script in ALL {
        let parts = needed_by(script.body);
        let _ = writeln!(code, "function scripts.{}()", script.name);
        // What only this script needs is not visible to others, for the reason of `BLOCKS`.
        for part in parts.iter().filter(|part| !shared.contains(part.name)) {
            code.push_str(&BLOCKS[part.name]);
        }
        let _ = writeln!(code, "{}end", begun(script.name, script.body, &parts));
    }
    code.push_str("return scripts\nend\n");
    let digest = redis::Script::new(&code).get_hash()[..8].to_owned();
    let name = format!("{LIBRARY_PREFIX}{digest}");
    let mut text = format!("#!lua name={name}\n{code}");
    for script in ALL {
        let flags = if script.memory == Memory::Frees { "'allow-oom'" } else { "" };
        let _ = write!(
            text,
            "redis.register_function{{function_name='{}_{}_{digest}', flags={{{flags}}}, \
             callback=function(keys, argv)\nKEYS, ARGV = keys, argv\n\
             scripts = scripts or load_all()\nreturn scripts.{}()\nend}}\n",
            script.name, script.digest, script.name
        );
    }
    Library { name, text, digest }
});

/// Returns the parts that several scripts need.
pub(super) fn shared() -> Vec<&'static Part> {
    let is_shared = |part: &&Part| {
        let needs = |script: &&LazyLock<Script>| {
            needed_by(script.body).iter().any(|needed| needed.name == part.name)
        };
        ALL.iter().copied().filter(needs).count() > 1
    };
    PARTS.iter().filter(is_shared).collect()
}

/// Returns the name of the function of a script.
pub(in super::super) fn function_of(script: &Script) -> String {
    format!("{}_{}_{}", script.name, script.digest, LIBRARY.digest)
}
