//! The files of the page, compiled in, and compressed without their comments on the first use.

use std::io::Write;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::domain::text::hex;

/// One file of the page.
pub struct File {
    name: &'static str,
    /// The content, and its tag.
    plain: (Bytes, String),
    /// The content after compression, and the tag of that form.
    gzip: (Bytes, String),
}

/// Lists the files in this directory that the page loads.
macro_rules! files {
    ($($name:literal)*) => {
        [$(File::new($name, include_bytes!($name)),)*]
    };
}

/// The page itself, which every view begins with.
pub static PAGE: LazyLock<File> =
    LazyLock::new(|| File::new("index.html", include_bytes!("index.html")));

static ALL: LazyLock<Vec<File>> = LazyLock::new(|| {
    files! {
        "page.css" "icon.svg" "main.js" "dom.js" "api.js" "stream.js" "route.js" "text.js" "json.js"
        "parts.js" "tree.js" "timeline.js" "signin.js" "inbox.js" "approval.js" "several.js"
        "editor.js" "notify.js" "tasks.js" "bulk.js" "export.js" "task.js" "failed.js" "agents.js"
        "sla.js" "events.js" "audit.js" "chain.js" "system.js"
        "vendor/preact.mjs" "vendor/hooks.mjs" "vendor/htm.mjs"
    }
    .into()
});

impl File {
    fn new(name: &'static str, content: &'static [u8]) -> Self {
        let content = match std::str::from_utf8(content) {
            Ok(text) if name.ends_with(".js") => without_comments(text).into(),
            Ok(_) | Err(_) => Bytes::from_static(content),
        };
        let tag = hex(&Sha256::digest(&content)[..16]);
        let gzip = (compressed(&content), format!("{tag}-gzip"));
        Self { name, plain: (content, tag), gzip }
    }

    /// Returns the file of this name, with its folder. `None` if there is none.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|file| file.name == name)
    }

    /// Returns the bytes to send and their tag, compressed if `is_small`.
    pub fn form(&self, is_small: bool) -> (Bytes, &str) {
        let (bytes, tag) = if is_small { &self.gzip } else { &self.plain };
        (bytes.clone(), tag)
    }

    /// Returns the value of `Content-Type`.
    pub fn media_type(&self) -> &'static str {
        match self.name.rsplit_once('.') {
            Some((_, "html")) => "text/html; charset=utf-8",
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "svg")) => "image/svg+xml",
            _ => "text/javascript; charset=utf-8",
        }
    }
}

/// The text without the comments that have lines of their own, which no browser needs.
fn without_comments(text: &str) -> String {
    let mut is_comment = false;
    let mut code = String::with_capacity(text.len());
    for line in text.lines() {
        let trimmed = line.trim_start();
        is_comment |= trimmed.starts_with("/**");
        if !is_comment && !trimmed.starts_with("//") {
            code.push_str(line);
            code.push('\n');
        }
        is_comment &= !line.ends_with("*/");
    }
    code
}

fn compressed(content: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to memory does not fail.
    let written = encoder.write_all(content).and_then(|()| encoder.finish());
    written.unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// How large all files may be together, compressed: what a first visit loads.
    const MOST_BYTES: usize = 60 << 10;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/ui");
        let mut found = BTreeSet::new();
        for (folder, prefix) in [(folder.clone(), ""), (folder.join("vendor"), "vendor/")] {
            for entry in std::fs::read_dir(folder).unwrap() {
                let name = format!("{prefix}{}", entry.unwrap().file_name().to_str().unwrap());
                if [".js", ".mjs", ".css", ".svg"].iter().any(|end| name.ends_with(end)) {
                    found.insert(name);
                }
            }
        }

        assert_eq!(ALL.iter().map(|file| file.name.to_owned()).collect::<BTreeSet<_>>(), found);
    }

    #[test]
    fn the_whole_page_is_small() {
        let bytes: usize = ALL.iter().chain([&*PAGE]).map(|file| file.form(true).0.len()).sum();

        assert!(bytes <= MOST_BYTES, "{bytes} bytes, compressed");
    }

    #[test]
    fn comments_are_left_out_and_nothing_else() {
        let text =
            "// One.\n/** Two. */\nlet a = 'http://b';\n  /**\n   * Three.\n   */\n  a(); // b\n";

        assert_eq!(without_comments(text), "let a = 'http://b';\n  a(); // b\n");
    }

    #[test]
    fn no_file_is_longer_than_can_be_read_as_one_thing() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/ui");
        for file in ALL.iter().filter(|file| !file.name.starts_with("vendor/")) {
            let text = std::fs::read_to_string(folder.join(file.name)).unwrap();
            assert!(text.lines().count() <= 400, "{}", file.name);
            assert!(text.lines().all(|line| line.chars().count() <= 100), "{}", file.name);
        }
    }
}
