//! Suggestions for misspelt words: the known word that an unknown one most likely means.

/// The longest word that is compared, in characters. No known word is nearly as long, and the cost
/// of a comparison grows with the length.
const MAX_CHARS: usize = 64;

/// Returns the known word that `word` most likely misspells or begins. `None` if none is near.
pub fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let length = word.chars().take(MAX_CHARS + 1).count();
    if length > MAX_CHARS {
        return None;
    }
    let word = word.to_lowercase();
    let near = known.filter_map(|known| {
        let lower = known.to_lowercase();
        let is_begun = word.len() > 2 && lower.starts_with(&word);
        let distance = if is_begun { 1 } else { strsim::damerau_levenshtein(&word, &lower) };
        // One slip in a short word, three in a long one: more would suggest an unrelated word.
        let limit = (length.max(lower.chars().count()) / 3).clamp(1, 3);
        (distance <= limit).then_some((distance, known))
    });
    near.min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

/// Returns a hint for an unknown word: the nearest known word if there is one, else all of them.
pub fn hint<'k>(word: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    if let Some(meant) = nearest(word, known.clone()) {
        return format!("did you mean `{meant}`?");
    }
    let known: Vec<_> = known.collect();
    if known.is_empty() { "none is".to_owned() } else { format!("known: {}", known.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_gets_a_suggestion() {
        let known = ["lease_ms", "max_lost", "session_ms"];

        assert_eq!(nearest("lease_sm", known.into_iter()), Some("lease_ms"));
        assert_eq!(nearest("leasems", known.into_iter()), Some("lease_ms"));
        assert_eq!(nearest("lease", known.into_iter()), Some("lease_ms"));
        assert_eq!(nearest("timeout", known.into_iter()), None);
        assert_eq!(nearest("state", ["type", "status"].into_iter()), Some("status"));
        assert_eq!(nearest("Status", ["type", "status"].into_iter()), Some("status"));
        assert_eq!(nearest(&"s".repeat(1_000_000), known.into_iter()), None);
    }

    #[test]
    fn an_unrelated_word_gets_all_known_words() {
        assert_eq!(hint("prioritty", ["priority"].into_iter()), "did you mean `priority`?");
        assert_eq!(hint("zzz", ["priority", "type"].into_iter()), "known: priority, type");
        assert_eq!(hint("zzz", [].into_iter()), "none is");
    }
}
