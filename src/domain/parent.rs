//! The effect on a task when the task that it is a part of is cancelled.

use super::word::words;

words! {
    /// What happens to a task when its parent is cancelled.
    #[derive(Default)]
    pub enum OnParentCancel {
        /// The task continues as if it had no parent.
        #[default]
        Continue = "continue",
        /// The task is cancelled too, unless it has already ended.
        Cancel = "cancel",
    }
}
