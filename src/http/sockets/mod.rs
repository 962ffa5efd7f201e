//! The connections: HTTP/1.1 is served by hyper directly under poem's endpoint.
//!
//! poem's own server has no deadline for a request that is half sent, no bound for connections and
//! HTTP/2 streams, copies each answer, and takes the end of a client's sending for the client's
//! end. In this module
//!
//! * [`Connection`] knows what one connection is doing, and since when;
//! * [`Connections`] bounds their number and checks all of them a few times a second: an overdue
//!   connection is cut, and one that only holds a slot makes room for the next one;
//! * [`holders`] knows which caller holds which connections: the one with the most makes room;
//! * [`stream`] is its bytes, with TLS if the gateway has a certificate;
//! * [`serve()`] answers the requests of one connection.
//!
//! HTTP/2 is not supported: nothing in the product needs it, and the bounds count one request at a
//! time on a connection.
//!
//! # Clients that are gone
//!
//! A client that has closed its sending side (a half-closed connection) may still read, and gets
//! its answer. Only sending something shows whether it is there: the system of a client whose
//! program has ended answers with a reset. So if a request of HTTP/1.1 still waits a moment after
//! that, the gateway sends an interim `100 Continue`, which every client ignores; a reset then ends
//! the request. Tasks that were leased to a client that is gone go back: see
//! [`crate::runtime::receipt`].

mod answer;
mod connection;
mod connections;
mod holders;
mod serve;
mod stream;

pub use connection::Connection;
pub use connections::{Connections, limited_by_system};
pub use serve::{Responder, serve};
