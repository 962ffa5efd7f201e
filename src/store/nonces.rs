//! Nonces of signed requests: each is taken once, by one process of the fleet.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::ids::Partition;
use crate::domain::text::hex;
use crate::domain::time::Millis;

use super::{Error, Store};

impl Store {
    /// Takes a nonce of the caller and keeps it for `kept_ms`. Returns whether it was not taken
    /// before.
    pub async fn take_nonce(
        &self,
        caller: &str,
        nonce: &str,
        kept_ms: Millis,
    ) -> Result<bool, Error> {
        let hash = hex(&Sha256::digest(format!("{caller}\n{nonce}"))[..16]);
        // A repetition of a call whose answer was lost finds its own mark.
        let mark = Uuid::now_v7().to_string();
        let mut cmd = redis::cmd("SET");
        cmd.arg(self.keys().nonce(&hash)).arg(&mark).arg("NX").arg("GET").arg("PX").arg(kept_ms);
        let before: Option<String> = self.query("take a nonce", Partition(0), &cmd).await?;
        Ok(before.is_none_or(|before| before == mark))
    }
}
