//! Shares out how much of something a caller may use within a window, such as calls, so that all
//! processes together keep the limit.

use sha2::{Digest, Sha256};

use crate::domain::time::Millis;

use super::{Error, Store, args, script};

/// A part of what a caller may use in the current window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// How much this process may use. 0 if less was left than it needed.
    pub amount: u64,
    /// How much is left for other parts.
    pub left: u64,
    /// How many milliseconds after the request of the part, at the most, the window ends.
    pub rest_ms: Millis,
}

impl Store {
    /// Takes a part of what the caller may use in the current window.
    ///
    /// * `what`: a word for it, such as a class of calls.
    /// * `quota`: how much a window has, at least 1.
    /// * `window_ms`: the length of a window, in milliseconds. The windows of callers begin at
    ///   different times.
    /// * `needed`: how much the part must have at least, at most `quota`.
    pub async fn allot(
        &self,
        caller: &str,
        what: &str,
        quota: u64,
        window_ms: Millis,
        needed: u64,
    ) -> Result<Part, Error> {
        // Every process must find the same partition and the same windows.
        let hash = Sha256::digest(caller);
        let hash = hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        let mut args = args();
        args.arg(what).arg(quota).arg(window_ms).arg(hash % window_ms).arg(needed);
        let partition = self.partition_of(hash);
        let part = self.run(&script::ALLOT, partition, caller, args).await?;
        let (amount, left, rest_ms) = part;
        Ok(Part { amount, left, rest_ms })
    }
}
