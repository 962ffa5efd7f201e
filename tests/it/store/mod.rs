//! What the store and the engine promise, over a real Redis.

mod verbs;
mod walk;
