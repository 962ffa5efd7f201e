//! The duties under their real supervisor, and what waits for them.

mod deadlines;
mod doctor;
mod duties;
mod outages;
mod router;
mod waiting;
