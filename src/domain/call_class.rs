//! The classes into which calls fall, so that a caller's limit of one does not take from another.

use super::word::words;

words! {
    /// A class of calls. Each operation has one, and callers have a limit for each.
    pub enum CallClass {
        /// Calls that only read.
        Read = "read",
        /// Calls that submit, change or decide; one for each item of a call with many.
        Write = "write",
        /// The calls of agents: claims, heartbeats and reports, one for each outcome.
        Claim = "claim",
        /// The calls of operators.
        Admin = "admin",
        /// Event streams that are opened.
        Stream = "stream",
    }
}
