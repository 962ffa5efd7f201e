//! The `source` of CloudEvents, by which the events of fleets on one bus differ.

/// Returns whether the `source` of CloudEvents may begin with `text`: a path from `/`, or a URI with
/// a scheme, of at most 256 characters that a URI may have, without a query, a fragment and a `/` at
/// the end.
pub fn is_fleet_source(text: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte);
    let scheme = text.split_once(':').map(|(scheme, _)| scheme).unwrap_or_default();
    let has_scheme = scheme.starts_with(|letter: char| letter.is_ascii_lowercase())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (text.starts_with('/') || has_scheme)
        && text.len() <= 256
        && !text.ends_with('/')
        && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_of_a_fleet_is_a_path_or_a_uri() {
        for good in ["/orchestrator", "/fleets/eu", "https://tasks.example.com", "urn:fleet:eu"] {
            assert!(is_fleet_source(good), "{good}");
        }
        for bad in ["", "/", "fleet", "/a/", "/a b", "/a?b", "/a#b", "1x:y", "/\u{e9}", ":x"] {
            assert!(!is_fleet_source(bad), "{bad}");
        }
    }
}
