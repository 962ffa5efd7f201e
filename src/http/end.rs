//! When a credential ends.

use std::future::pending;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// When a credential ends: whichever comes first. The default is never.
#[derive(Clone, Debug, Default)]
pub struct End {
    /// Cancelled when the credential is revoked; `None` if only a restart can remove it.
    pub revoked: Option<CancellationToken>,
    /// Cancelled when the browser session that stands for the credential is ended by a sign-out;
    /// `None` if it is no session.
    pub signed_out: Option<CancellationToken>,
    /// When the credential ends by itself, in seconds since 1970; `None` if it does not.
    pub at: Option<u64>,
}

impl End {
    /// Returns the end of a credential that also ends at this time, in seconds since 1970.
    pub fn and_at(self, at: u64) -> Self {
        Self { at: Some(self.at.map_or(at, |own| own.min(at))), ..self }
    }

    /// Returns once the credential has ended.
    pub async fn passed(&self) {
        let over = async {
            match self.at {
                Some(at) => sleep(Duration::from_secs(at.saturating_sub(now()))).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = cancelled(self.revoked.as_ref()) => {}
            () = cancelled(self.signed_out.as_ref()) => {}
            () = over => {}
        }
    }
}

/// Returns once the token is cancelled; never if there is none.
async fn cancelled(token: Option<&CancellationToken>) {
    match token {
        Some(token) => token.cancelled().await,
        None => pending().await,
    }
}

/// The time in seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|time| time.as_secs()).unwrap_or_default()
}
