//! The duties under their real supervisor, and what waits for them.

mod deadlines;
mod duties;
mod examiner;
mod outages;
mod router;
mod waiting;
