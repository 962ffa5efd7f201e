//! Who has signed out lately: the browser sessions of these callers that began before are over.

use crate::domain::ids::Partition;
use crate::domain::time::Millis;

use super::{Error, Store};

/// The partition of the set.
const HOME: Partition = Partition(0);

impl Store {
    /// Records that the caller signs out now, and forgets those who did more than `kept_ms` ago.
    pub async fn sign_out(&self, caller: &str, kept_ms: Millis) -> Result<(), Error> {
        self.admit()?;
        let now = self.now().await?;
        let key = self.keys().signed_out(HOME);
        let mut pipe = redis::pipe();
        pipe.cmd("ZADD").arg(&key).arg("GT").arg(now).arg(caller).ignore();
        let forgotten = now.saturating_sub(kept_ms);
        pipe.cmd("ZREMRANGEBYSCORE").arg(&key).arg("-inf").arg(forgotten).ignore();
        self.query("sign out", HOME, &pipe).await
    }

    /// Returns the callers who signed out at `since` or later, in milliseconds since 1970, and when
    /// each did.
    pub async fn signed_out_since(&self, since: Millis) -> Result<Vec<(String, Millis)>, Error> {
        let mut cmd = redis::cmd("ZRANGE");
        cmd.arg(self.keys().signed_out(HOME)).arg(since).arg("+inf").arg("BYSCORE");
        let callers: Vec<(String, f64)> =
            self.query("sign-outs", HOME, cmd.arg("WITHSCORES")).await?;
        Ok(callers.into_iter().map(|(caller, at)| (caller, at as Millis)).collect())
    }
}
