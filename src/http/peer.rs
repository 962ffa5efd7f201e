//! The other end of a request: its connection, and the principal once that is known.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use poem::{FromRequest, Request, RequestBody};
use tokio::sync::SetOnce;

use crate::domain::call_class::CallClass;
use crate::domain::principal::Principal;
use crate::engine::Standing;

use super::end::End;
use super::error::Refusal;
use super::shares::Share;
use super::sockets::Connection;
use super::traffic::{Cause, Traffic};

/// The other end of a request. Every request carries one in its extensions.
#[derive(Clone, Debug)]
pub struct Peer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    traffic: Arc<Traffic>,
    /// The connection; `None` if the request came over NATS.
    connection: Option<Arc<Connection>>,
    /// How many bytes the answer may have; `None` if the transport has no bound.
    room: Option<usize>,
    principal: OnceLock<Arc<str>>,
    /// The same, and the class of its call.
    call: OnceLock<(Arc<Principal>, CallClass)>,
    /// Where the principal stands; `None` if nothing is counted.
    standing: Mutex<Option<Standing>>,
    /// When the credential of the request ends.
    end: SetOnce<End>,
}

impl Peer {
    /// The peer of a connection, which has not shown a credential yet.
    pub fn new(traffic: Arc<Traffic>, connection: Arc<Connection>) -> Self {
        Self::of(traffic, Some(connection), None)
    }

    /// A peer over NATS, whose answer may have `room` bytes.
    pub fn over_nats(traffic: Arc<Traffic>, room: usize) -> Self {
        Self::of(traffic, None, Some(room))
    }

    fn of(traffic: Arc<Traffic>, connection: Option<Arc<Connection>>, room: Option<usize>) -> Self {
        Self(Arc::new(Inner {
            traffic,
            connection,
            room,
            principal: OnceLock::new(),
            call: OnceLock::new(),
            standing: Mutex::default(),
            end: SetOnce::new(),
        }))
    }

    /// How many bytes the answer may have; `None` if the transport has no bound.
    pub fn room(&self) -> Option<usize> {
        self.0.room
    }

    /// Records that the peer of `request` has proven to be `principal` with a credential that ends
    /// then, and makes a call of `class`.
    pub fn note(request: &Request, principal: &Arc<Principal>, class: CallClass, end: &End) {
        let Some(Self(inner)) = request.data::<Self>() else { return };
        // A second proof in one request is of the same credential.
        let caller = inner.principal.get_or_init(|| principal.to_string().into());
        inner.call.get_or_init(|| (Arc::clone(principal), class));
        let _ = inner.end.set(end.clone());
        if let Some(connection) = &inner.connection {
            connection.note_caller(caller);
        }
    }

    /// Records where the principal stands in the class of the request.
    pub fn stands(&self, standing: Standing) {
        *self.0.standing.lock().unwrap_or_else(PoisonError::into_inner) = Some(standing);
    }

    /// Returns what [`Self::stands`] recorded last; `None` if nothing is counted.
    pub fn standing(&self) -> Option<Standing> {
        *self.0.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the names in the verified certificate of the client; see
    /// [`crate::runtime::tls::names_of`]. Empty without one.
    pub fn certificate_names(&self) -> &[String] {
        self.0.connection.as_ref().map_or(&[], |connection| connection.certificate_names())
    }

    /// Returns who calls, and the class of the call. `None` if no valid credential was shown.
    pub fn call(&self) -> Option<(&Arc<Principal>, CallClass)> {
        self.0.call.get().map(|(principal, class)| (principal, *class))
    }

    /// Returns once the credential of the request has ended. Never, if it shows none.
    pub async fn credential_ends(&self) {
        self.0.end.wait().await.passed().await;
    }

    /// Records that the whole body has arrived.
    pub fn body_is_read(&self) {
        if let Some(connection) = &self.0.connection {
            connection.body_is_read();
        }
    }

    /// Returns when the client has closed its sending side. From then on only sending something
    /// shows whether the client is still there.
    pub async fn ends_sending(&self) {
        match &self.0.connection {
            Some(connection) => connection.ends_sending().await,
            None => std::future::pending().await,
        }
    }

    /// The budgets, deadlines and counts of the gateway.
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.0.traffic
    }

    /// An empty share of the principal in the budget of body bytes.
    pub fn bytes(&self) -> Share {
        self.0.traffic.bodies.share(self.principal())
    }

    /// Takes a place to wait, until the share is dropped.
    ///
    /// # Errors
    ///
    /// 429 if the principal has too many waits.
    pub fn wait(&self) -> Result<Share, Refusal> {
        let mut place = self.0.traffic.waits.share(self.principal());
        place.grow(1).map_err(|_| {
            self.0.traffic.count(Cause::Waits);
            Refusal::too_many_waits()
        })?;
        Ok(place)
    }

    /// Who calls, as [`Principal`] is displayed; empty if no valid credential was shown.
    pub fn principal(&self) -> Arc<str> {
        self.0.principal.get().cloned().unwrap_or_default()
    }
}

/// For handlers that wait, and for those that hand something over.
impl<'a> FromRequest<'a> for Peer {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        // Every transport puts a peer into its requests.
        Ok(request.data::<Self>().cloned().ok_or_else(Refusal::internal)?)
    }
}
