//! What a test of a submission says.

/// The result of a test of a condition or a field. Of the results of several tests that must all
/// hold, the last in this order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The condition holds.
    Yes,
    /// The condition cannot be evaluated: the field is an object, a list or a text with control
    /// characters, or its name is repeated or spelt differently (`Environment` for `environment`),
    /// which some readers take for the name.
    Unclear,
    /// The condition does not hold for this task.
    No,
}
