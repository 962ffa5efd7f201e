//! The comparison of names and words: by what a reader sees, not by their bytes.

use std::borrow::Cow;

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizer;
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Returns the form in which `text` is compared: without invisible characters (default-ignorable
/// and format characters), in Unicode form NFKC, case folded, without white space at its ends.
///
/// Letters of two scripts stay different even if they look alike. Control characters stay; see
/// [`has_control`].
pub fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.trim().to_ascii_lowercase();
    }
    let normalizer = ComposingNormalizer::new_nfkc();
    let visible = visible(text);
    let folded = CaseMapper::new().fold_string(&normalizer.normalize(&visible)).into_owned();
    // Case folding can undo the form, and the form can produce invisible characters.
    let normal = normalizer.normalize(&folded).into_owned();
    self::visible(&normal).trim().to_owned()
}

/// Returns whether `text` has a control character other than a tab or a line break. Some readers
/// cut a text off there.
pub fn has_control(text: &str) -> bool {
    text.chars().any(|letter| letter.is_control() && !matches!(letter, '\t' | '\n' | '\r'))
}

fn visible(text: &str) -> Cow<'_, str> {
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let categories = CodePointMapData::<GeneralCategory>::new();
    let is_invisible = |letter: char| {
        ignorable.contains(letter) || categories.get(letter) == GeneralCategory::Format
    };
    if text.contains(is_invisible) { text.replace(is_invisible, "").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_look_the_same_are_the_same() {
        for (word, other) in [
            ("alice", " Alice\t"),
            ("alice", "\u{ff21}\u{ff4c}\u{ff49}\u{ff43}\u{ff45}"),
            ("alice", "al\u{200b}i\u{ad}ce\u{feff}"),
            ("alice", "\u{2066}alice\u{2069}"),
            ("alice", "al\u{e0069}ice\u{fe0f}"),
            ("alice@example.com", "ALICE\u{ff20}EXAMPLE.COM\u{3000}"),
            ("jürgen", "JU\u{308}RGEN"),
            ("straße", "STRASSE"),
            ("ἀλέξης", "ἈΛΈΞΗΣ"),
            ("kelvin", "\u{212a}elvin"),
            ("sam", "\u{17f}am"),
            ("office", "o\u{fb03}ce"),
        ] {
            assert_eq!(folded(word), folded(other), "{word} {other:?}");
            assert_eq!(folded(&folded(other)), folded(other), "{other:?}");
        }
    }

    #[test]
    fn words_of_other_letters_stay_different() {
        for other in ["st\u{430}ging", "stag\u{131}ng", "sta ging", "stag\0ing", "stáging", ""] {
            assert_ne!(folded(other), "staging", "{other:?}");
        }
        assert_eq!(folded("\u{200b}\u{2060} "), "");
    }

    #[test]
    fn tabs_and_line_breaks_are_not_control_characters() {
        assert!(has_control("staging\0") && has_control("\u{8}") && has_control("\u{85}"));
        assert!(!has_control("two\r\n\tlines\u{200b}"));
    }
}
