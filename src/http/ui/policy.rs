//! What a browser may load and run on the pages of the gateway.

use std::sync::LazyLock;

use poem::http::HeaderValue;
use sha2::{Digest, Sha256};

use super::super::openapi;
use crate::domain::text::base64;

/// The policy of the page: its own files and the API of its own origin, and nothing else. No script
/// stands in the page, and no text becomes a script.
pub static PAGE: LazyLock<HeaderValue> = LazyLock::new(|| {
    policy(
        "script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
    )
});

/// The policy of `/docs`, whose scripts stand in the page: those with these hashes run.
pub static DOCS: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hashes: Vec<String> = scripts(&openapi::PAGE)
        .map(|script| format!("'sha256-{}'", base64(&Sha256::digest(script.as_bytes()))))
        .collect();
    policy(&format!(
        "script-src {}; style-src 'unsafe-inline'; connect-src 'self'; img-src 'self' data:",
        hashes.join(" ")
    ))
});

fn policy(rules: &str) -> HeaderValue {
    let common = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let text = format!("default-src 'none'; {rules}; {common}");
    // The rules are ASCII.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// The scripts that stand in a page. A script may hold `<script` itself; `</script>` ends it.
fn scripts(page: &str) -> impl Iterator<Item = &str> {
    let mut rest = page;
    std::iter::from_fn(move || {
        let (_, tag) = rest.split_once("<script")?;
        let (_, inside) = tag.split_once('>')?;
        let (script, after) = inside.split_once("</script>")?;
        rest = after;
        Some(script)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_of_the_docs_has_its_hash_in_the_policy() {
        let page = "<script a=b>one('<script>')</script><p><script>two</script>";
        assert!(scripts(page).eq(["one('<script>')", "two"]));
        let policy = DOCS.to_str().unwrap();

        assert_eq!(policy.matches("'sha256-").count(), 2);
        assert!(!policy.contains("script-src 'unsafe-inline'"));
    }
}
