//! Shares out how many calls a caller may make within a window, so that all processes together
//! keep the limit.

use sha2::{Digest, Sha256};

use crate::domain::call_class::CallClass;
use crate::domain::time::Millis;

use super::{Error, Store, args, script};

/// A part of the calls that a caller may make in the current window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// How many calls this process may let pass. 0 if fewer were left than it needed.
    pub calls: u64,
    /// How many calls are left for other parts.
    pub left: u64,
    /// How many milliseconds after the request of the part, at the most, the window ends.
    pub rest_ms: Millis,
}

impl Store {
    /// Takes a part of the caller's calls of a class in the current window.
    ///
    /// * `quota`: how many calls a window has, at least 1.
    /// * `window_ms`: the length of a window, in milliseconds. The windows of callers begin at
    ///   different times.
    /// * `needed`: how many calls the part must have at least, at most `quota`.
    pub async fn allot(
        &self,
        caller: &str,
        class: CallClass,
        quota: u64,
        window_ms: Millis,
        needed: u64,
    ) -> Result<Part, Error> {
        // Every process must find the same partition and the same windows.
        let hash = Sha256::digest(caller);
        let hash = hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        let mut args = args();
        args.arg(class.as_str()).arg(quota).arg(window_ms).arg(hash % window_ms).arg(needed);
        let partition = self.partition_of(hash);
        let part = self.run(&script::ALLOT, partition, caller, args).await?;
        let (calls, left, rest_ms) = part;
        Ok(Part { calls, left, rest_ms })
    }
}
