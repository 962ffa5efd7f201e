//! The duties under their real supervisor.
