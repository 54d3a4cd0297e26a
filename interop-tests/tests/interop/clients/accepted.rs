//! Where clients get something else from ours than from Kubo, each with its reason. One that is not found
//! any more fails the test.

/// A step that may differ.
pub struct Accepted {
    /// The client.
    pub client: &'static str,
    /// The step of its script.
    pub step: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// All of them.
pub const ACCEPTED: &[Accepted] = &[];
