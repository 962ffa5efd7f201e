//! How urgent a task is.

use super::word::words;

words! {
    /// How urgent a task is. A lower number comes sooner.
    pub enum Priority {
        /// Critical: the router takes these tasks before all others.
        P0 = "P0",
        /// High.
        P1 = "P1",
        /// Medium, the default.
        P2 = "P2",
        /// Low.
        P3 = "P3",
    }
}
