//! What git and forges refuse of a push.

use super::FailureKind;

/// Why the other side, or git, did not take a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PushRefusal {
    /// The branch is not what it was taken for: somebody was faster.
    Stale,
    /// The branch is protected.
    Protected,
    /// These credentials may not push.
    Denied,
    /// A rule of the forge's, or a hook, does not take the commits.
    Rules,
    /// A branch of such a name cannot be beside the others.
    NameTaken,
    /// The pack or a file in it is too large.
    TooLarge,
    /// The other side has it all, and says that this is an error (`AGit`, Gerrit).
    NothingNew,
    /// None of these; the words have to be read.
    Unknown,
}

impl PushRefusal {
    /// The kind of failure that it is.
    pub(crate) fn kind(self) -> FailureKind {
        match self {
            PushRefusal::Stale => FailureKind::StaleLease,
            PushRefusal::Protected => FailureKind::BranchProtected,
            PushRefusal::Denied => FailureKind::PublishDenied,
            PushRefusal::NameTaken => FailureKind::BranchExists,
            PushRefusal::TooLarge => FailureKind::PushTooLarge,
            PushRefusal::Rules | PushRefusal::NothingNew | PushRefusal::Unknown => FailureKind::PublishRefused,
        }
    }
}
