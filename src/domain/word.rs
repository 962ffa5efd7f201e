//! Closed lists of words: an enum, its words on the wire and in the store, and how to read them.

/// The error of reading a word that is not in a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownWord {
    /// The words of the list, in their order.
    pub known: &'static [&'static str],
}

impl std::fmt::Display for UnknownWord {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "must be one of {}", self.known.join(", "))
    }
}

impl std::error::Error for UnknownWord {}

/// Defines an enum of which each variant has a word: `Variant = "word"`.
///
/// The enum has `ALL` (every variant in order), `as_str`, `Display`, `FromStr` and serde's traits.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $type:ident {
        $($(#[$note:meta])* $variant:ident = $word:literal,)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $type {
            $($(#[$note])* $variant,)+
        }

        impl $type {
            const WORDS: [&'static str; [$($word),+].len()] = [$($word),+];

            /// Every value, in order.
            pub const ALL: [Self; Self::WORDS.len()] = [$(Self::$variant),+];

            /// Returns the word on the wire, in the settings and in the store.
            pub fn as_str(self) -> &'static str {
                Self::WORDS[self as usize]
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::domain::word::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                let unknown = $crate::domain::word::UnknownWord { known: &Self::WORDS };
                Self::ALL.into_iter().find(|one| one.as_str() == word).ok_or(unknown)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'d> serde::Deserialize<'d> for $type {
            fn deserialize<D: serde::Deserializer<'d>>(deserializer: D) -> Result<Self, D::Error> {
                let word = String::deserialize(deserializer)?;
                word.parse().map_err(|unknown: $crate::domain::word::UnknownWord| {
                    serde::de::Error::custom(format_args!("`{word}` {unknown}"))
                })
            }
        }
    };
}

pub(crate) use words;

#[cfg(test)]
mod tests {
    words! {
        /// How loud.
        #[derive(Default)]
        pub enum Volume {
            /// Not loud.
            #[default]
            Low = "low",
            /// Loud.
            High = "high",
        }
    }

    #[test]
    fn a_word_is_read_as_it_is_written_and_others_are_refused() {
        for volume in Volume::ALL {
            assert_eq!(volume.to_string().parse(), Ok(volume));
            let json = serde_json::to_string(&volume).unwrap();
            assert_eq!(serde_json::from_str::<Volume>(&json).unwrap(), volume);
        }
        let refused = serde_json::from_str::<Volume>("\"Low\"").unwrap_err();
        assert!(refused.to_string().starts_with("`Low` must be one of low, high"), "{refused}");
        let refused = "Low".parse::<Volume>().unwrap_err();
        assert_eq!(refused.to_string(), "must be one of low, high");
        assert_eq!(Volume::default(), Volume::Low);
    }
}
