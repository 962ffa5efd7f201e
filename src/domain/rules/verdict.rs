//! What a test of a submission says.

/// The result of a test of a condition or a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The condition holds.
    Yes,
    /// The condition does not hold for this task.
    No,
    /// The condition cannot be evaluated: the field is an object, a list or a text with control
    /// characters, or its name is repeated or spelt differently (`Environment` for `environment`),
    /// which some readers take for the name.
    Unclear,
}
