//! Encrypts payloads, metadata, results and actions, so that a reader of Redis cannot read them.
//!
//! A text is stored as it is, or as `~<id of the key>~<nonce, ciphertext and tag in base64>`; no
//! JSON begins with `~`. The additional data of AES-256-GCM names the task, or the approval, and
//! the kind of the text, so that a ciphertext in another place is refused.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD};

use crate::domain::ids::{ApprovalId, TaskId};

use super::super::Error;
use super::super::settings::Encryption;

/// What an encrypted text begins with, and what follows the id of its key.
const MARK: char = '~';

/// What the value of a setting begins with that names the file of the key.
const FILE: &str = "file:";

/// The bytes of a key.
const KEY_BYTES: usize = 32;

/// What is encrypted, and of what: the only place in which the ciphertext can be read.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum Place {
    /// Payload and metadata of a task.
    Spec(TaskId),
    /// The result of a task.
    Result(TaskId),
    /// The submitted payload of a task, after an edit.
    Original(TaskId),
    /// The differences between the submitted payload of a task and the edited one.
    Changes(TaskId),
    /// The action that an agent asks about.
    Action(ApprovalId),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spec(id) => write!(formatter, "payload of task {id}"),
            Self::Result(id) => write!(formatter, "result of task {id}"),
            Self::Original(id) => write!(formatter, "submitted payload of task {id}"),
            Self::Changes(id) => write!(formatter, "edit of task {id}"),
            Self::Action(id) => write!(formatter, "action of approval {id}"),
        }
    }
}

struct Key {
    encrypts: RandomizedNonceKey,
    /// Makes the digests, from a key of its own.
    digests: hmac::Key,
}

/// What is wrong with the settings of the encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptionFault {
    /// The path of the setting.
    pub setting: String,
    /// What is expected there. It contains no part of a key.
    pub expected: String,
}

/// Encrypts and decrypts stored texts.
#[derive(Default)]
pub(in crate::store) struct Cipher {
    keys: BTreeMap<String, Key>,
    /// The id of the key for new texts. Empty to store them as they are.
    current: String,
}

/// Returns what is wrong with the settings of the encryption. `None` if they can be used.
pub fn fault_of_encryption(settings: &Encryption) -> Option<EncryptionFault> {
    Cipher::new(settings).err()
}

impl Cipher {
    /// Reads the keys, also from their files.
    pub fn new(settings: &Encryption) -> Result<Self, EncryptionFault> {
        let mut keys = BTreeMap::new();
        for (id, given) in &settings.keys {
            let setting = format!("store.encryption.keys.{id}");
            let fault = |expected: String| EncryptionFault { setting: setting.clone(), expected };
            let is_letter = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
            if !(1..=32).contains(&id.len()) || !id.bytes().all(is_letter) {
                return Err(fault("expected an id of 1 to 32 of a-z 0-9 _ -".to_owned()));
            }
            keys.insert(id.clone(), Key::read(given.expose()).map_err(fault)?);
        }
        let current = settings.key.clone();
        if !current.is_empty() && !keys.contains_key(&current) {
            return Err(EncryptionFault {
                setting: "store.encryption.key".to_owned(),
                expected: "expected the id of one of store.encryption.keys".to_owned(),
            });
        }
        Ok(Self { keys, current })
    }

    /// Returns whether there is a key, so that stored texts may be encrypted.
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Returns whether a stored text is as a new one would be: under the current key, or as it is.
    pub fn is_current(&self, stored: &str) -> bool {
        key_of(stored) == self.current
    }

    /// Returns the text as it is to be stored in this place. An empty text, which stands for none,
    /// stays empty.
    pub fn seal(&self, place: Place, text: &str) -> Result<String, Error> {
        let Some(key) = self.keys.get(&self.current).filter(|_| !text.is_empty()) else {
            return Ok(text.to_owned());
        };
        let mut bytes = text.as_bytes().to_vec();
        let place = place.to_string();
        let sealed = key.encrypts.seal_in_place_append_tag(Aad::from(&place), &mut bytes);
        let nonce = sealed.map_err(|_| Error::corrupt(format!("no encryption of the {place}")))?;
        let bytes = [nonce.as_ref().as_slice(), &bytes].concat();
        let id = &self.current;
        Ok(format!("{MARK}{id}{MARK}{}", BASE64_NOPAD.encode(&bytes)))
    }

    /// Returns the text that is stored in this place.
    ///
    /// # Errors
    ///
    /// [`Error::Undecryptable`] if its key is not configured, or it is not what was stored there.
    pub fn open(&self, place: Place, stored: String) -> Result<String, Error> {
        if !stored.starts_with(MARK) {
            return Ok(stored);
        }
        self.decrypt(place, &stored)
            .map_err(|why| Error::Undecryptable { what: place.to_string(), why })
    }

    fn decrypt(&self, place: Place, stored: &str) -> Result<String, String> {
        let id = key_of(stored);
        let key = self.keys.get(id).ok_or_else(|| {
            format!("its key `{}` is not among store.encryption.keys", id.escape_debug())
        })?;
        let changed = || "it was changed, or belongs elsewhere".to_owned();
        let text = stored.get(id.len() + 2 * MARK.len_utf8()..).unwrap_or_default();
        let mut bytes = BASE64_NOPAD.decode(text.as_bytes()).map_err(|_| changed())?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN).ok_or_else(changed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| changed())?;
        let place = place.to_string();
        let text = key.encrypts.open_in_place(nonce, Aad::from(&place), sealed);
        let text = text.map_err(|_| changed())?;
        String::from_utf8(text.to_vec()).map_err(|_| changed())
    }

    /// Returns the digests by which a stored one is compared with `digest`, which is of a text in
    /// clear, joined by spaces. The first is the one to store: a reader of Redis cannot find out a
    /// text by guessing. The others are those that were stored under other settings.
    pub fn digests(&self, digest: &str) -> String {
        let of = |key: &Key| BASE64URL_NOPAD.encode(&key.digest(digest)[..24]);
        let first = self.keys.get(&self.current).map(of);
        let others = self.keys.iter().filter(|(id, _)| **id != self.current);
        let all = first.clone().into_iter();
        let all = all.chain(first.is_none().then(|| digest.to_owned()));
        let all = all.chain(others.map(|(_, key)| of(key)));
        let all = all.chain(first.is_some().then(|| digest.to_owned()));
        all.collect::<Vec<_>>().join(" ")
    }

    /// Returns the 12 characters that identify a report, made of those of its text in clear.
    pub fn report(&self, digest: &str) -> String {
        match self.keys.get(&self.current) {
            Some(key) => BASE64URL_NOPAD.encode(&key.digest(digest)[..9]),
            None => digest.to_owned(),
        }
    }
}

impl Key {
    /// Reads a key, or the file that the value names. The error is what is expected.
    fn read(given: &str) -> Result<Self, String> {
        let read = given.strip_prefix(FILE).map(std::fs::read_to_string).transpose();
        let read = read.map_err(|error| format!("its file cannot be read: {error}"))?;
        let text = read.as_deref().map_or(given, str::trim_end);
        let bytes = BASE64.decode(text.as_bytes()).unwrap_or_default();
        if bytes.len() != KEY_BYTES {
            return Err(
                "expected 32 bytes in base64, as `openssl rand -base64 32` prints them, or \
                        `file:` and the path of a file with them"
                    .to_owned(),
            );
        }
        let unusable = |_| "the key cannot be used".to_owned();
        let encrypts = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(unusable)?;
        let root = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        let own = hmac::sign(&root, b"orchestrator digests");
        Ok(Self { encrypts, digests: hmac::Key::new(hmac::HMAC_SHA256, own.as_ref()) })
    }

    fn digest(&self, digest: &str) -> Vec<u8> {
        hmac::sign(&self.digests, digest.as_bytes()).as_ref().to_vec()
    }
}

/// Returns the id of the key of a stored text. Empty if it is stored as it is.
pub(in crate::store) fn key_of(stored: &str) -> &str {
    stored.strip_prefix(MARK).and_then(|rest| rest.split_once(MARK)).map_or("", |(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::Partition;
    use crate::runtime::secret::Secret;

    /// A cipher with keys of these ids, of which the first is the current one.
    fn cipher(current: &str, ids: &[&str]) -> Cipher {
        let key = |id: &&str| {
            let bytes = [id.as_bytes()[0]; KEY_BYTES];
            ((*id).to_owned(), Secret::new(BASE64.encode(&bytes)))
        };
        let keys = ids.iter().map(key).collect();
        Cipher::new(&Encryption { key: current.to_owned(), keys }).unwrap()
    }

    fn place() -> Place {
        Place::Spec(TaskId::new(Partition(0)))
    }

    #[test]
    fn a_sealed_text_opens_in_its_place_only() {
        let (cipher, here, text) = (cipher("a", &["a"]), place(), r#"{"a":"é"}"#);
        let Place::Spec(id) = here else { return };
        let sealed = cipher.seal(here, text).unwrap();

        assert_eq!(cipher.open(here, sealed.clone()).unwrap(), text);
        assert_ne!(cipher.seal(here, text).unwrap(), sealed, "a nonce is random");
        for elsewhere in [place(), Place::Result(id), Place::Original(id), Place::Changes(id)] {
            assert!(cipher.open(elsewhere, sealed.clone()).is_err(), "{elsewhere}");
        }
    }

    #[test]
    fn every_changed_character_of_a_sealed_text_is_an_error() {
        let (cipher, here) = (cipher("a", &["a", "b"]), place());
        let sealed = cipher.seal(here, "{}").unwrap();
        for at in 1..sealed.len() {
            for put in ["A", "B", "~", "", "\u{0}", "é"] {
                let changed = format!("{}{put}{}", &sealed[..at], &sealed[at + 1..]);
                let opened = cipher.open(here, changed.clone());
                assert!(changed == sealed || opened.is_err(), "{changed:?}");
            }
            assert!(cipher.open(here, sealed[..at].to_owned()).is_err());
        }
    }

    #[test]
    fn texts_of_each_configured_key_can_be_read() {
        let (old, here) = (cipher("a", &["a"]), place());
        let sealed = old.seal(here, "1").unwrap();
        let both = cipher("b", &["a", "b"]);
        let off = cipher("", &["a"]);

        for reader in [&both, &off] {
            assert_eq!(reader.open(here, sealed.clone()).unwrap(), "1");
            assert!(!reader.is_current(&sealed));
        }
        let missing = cipher("b", &["b"]).open(here, sealed).unwrap_err();
        assert!(missing.to_string().contains("its key `a` is not among"), "{missing}");
        assert_eq!(off.seal(here, "1").unwrap(), "1");
    }

    #[test]
    fn a_digest_is_found_again_under_other_settings() {
        let settings =
            [cipher("", &["a", "b"]), cipher("a", &["a", "b"]), cipher("b", &["b", "a"])];
        for stored in &settings {
            let stored = stored.digests("d");
            let first = stored.split(' ').next().unwrap();
            for reader in &settings {
                assert!(reader.digests("d").split(' ').any(|one| one == first));
                assert!(!reader.digests("e").split(' ').any(|one| one == first));
            }
        }
        assert_eq!(Cipher::default().digests("d"), "d");
    }

    #[test]
    fn a_key_that_cannot_be_used_is_named_and_not_shown() {
        for (id, value) in [
            ("a", "c2hvcnRzZWNyZXQ="),
            ("a", "not base64, but secret"),
            ("a", "file:/no/such/secret"),
            ("A b", "c2hvcnRzZWNyZXQ="),
        ] {
            let keys = [(id.to_owned(), Secret::new(value))].into();
            let fault = fault_of_encryption(&Encryption { key: String::new(), keys }).unwrap();
            assert_eq!(fault.setting, format!("store.encryption.keys.{id}"));
            assert!(!fault.expected.contains("ecret"), "{fault:?}");
        }
        let unknown = Encryption { key: "a".to_owned(), keys: BTreeMap::new() };
        assert_eq!(fault_of_encryption(&unknown).unwrap().setting, "store.encryption.key");
    }
}
