//! The connections: HTTP/1.1 is served by hyper directly under poem's endpoint.
//!
//! poem's own server has no deadline for a request that is half sent, no bound for connections and
//! HTTP/2 streams, copies each answer, and takes the end of a client's sending for its end. Here
//!
//! * every connection has a [`Line`]: what it is doing, and since when;
//! * [`Seats`] bounds how many there are and looks at all of them a few times a second: who is
//!   overdue is cut, and who holds a seat for nothing makes room for the next one;
//! * [`serve()`] answers the requests of one connection.
//!
//! HTTP/2 is not spoken: nothing in the product needs it, and one request at a time on a connection
//! is what the bounds count.
//!
//! # Who is gone
//!
//! The end of a client's sending (a half-closed connection) is not the end of the client: it still
//! gets its answer. Whether it is there shows only when something is sent to it: a system whose
//! program is gone answers with a reset. So a request of HTTP/1.1 that is still waiting a moment
//! after that end sends an interim `100 Continue`, which every client passes over; a reset then ends
//! the request. What was leased for a client that is gone goes back: see [`crate::runtime::receipt`].

mod answer;
mod line;
mod seats;
mod serve;

pub use line::Line;
pub use seats::{Seats, as_the_system_allows};
pub use serve::{Desk, serve};
