//! What a credential proves, for how long, and the end of open calls when it ends.

use std::sync::Arc;
use std::time::Duration;

use poem::{Endpoint, Request, Response};
use tokio::time::sleep;

use crate::domain::principal::Principal;

use super::super::end::End;
use super::super::error::Refusal;
use super::super::peer::Peer;

/// How long a call may go on after the end of its credential, so that a caller who revokes the own
/// key gets the answer.
const GRACE: Duration = Duration::from_millis(100);

/// A caller, and the end of the credential that proves it.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The caller.
    pub principal: Arc<Principal>,
    /// When the credential ends.
    pub end: End,
}

/// A layer that ends a call soon after its credential has ended: also a long-poll, and a body that
/// arrives slowly.
pub struct EndLayer<E>(pub E);

impl<E: Endpoint<Output = Response>> Endpoint for EndLayer<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let Some(peer) = request.data::<Peer>().cloned() else {
            return self.0.call(request).await;
        };
        let ended = async {
            peer.credential_ends().await;
            sleep(GRACE).await;
        };
        tokio::select! {
            biased;
            answer = self.0.call(request) => answer,
            () = ended => Err(Refusal::unauthenticated(
                "The credential has ended while the call was open. Whether a write happened is \
                 unknown.",
            )
            .into()),
        }
    }
}
