//! What comes of reading the files again that say who is let in.

/// What came of reading files again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RereadResult {
    /// It is what it was.
    Same,
    /// What is in them is in force now.
    New,
    /// Nobody could be let in by what is in them. It is not in force yet: they may just be being written.
    Empty,
    /// Nobody is let in any more.
    Revoked,
}
