//! How much a diagnosis says: where the same thing fails twice, the better reason is kept.

use super::{Diagnosis, FailureKind};

/// How near a diagnosis comes to a cause, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Specificity {
    /// That something failed.
    Nothing,
    /// How it showed: a program stumbled or was stopped, or what an earlier failure left undone is missing.
    Symptom,
    /// Why.
    Cause,
}

impl Diagnosis {
    /// How much the diagnosis says of why something failed. Of two failures of the same thing, the one that says more
    /// is the one to tell; of two that say as much, the later.
    ///
    /// ```
    /// use fetcher_core::diagnosis::{Actor, Diagnosis, FailureKind, Retry};
    /// let failure = |kind| Diagnosis::new(kind, "it failed", Retry::Yes, Actor::Nobody, "wait");
    /// assert!(failure(FailureKind::Dns).specificity() > failure(FailureKind::Git).specificity());
    /// assert!(failure(FailureKind::Git).specificity() > failure(FailureKind::Unknown).specificity());
    /// ```
    pub fn specificity(&self) -> Specificity {
        match self.kind {
            FailureKind::Unknown => Specificity::Nothing,

            FailureKind::Bug
            | FailureKind::Git
            | FailureKind::Interrupted
            | FailureKind::Killed
            | FailureKind::TimeOut
            | FailureKind::CasdDied
            | FailureKind::NoRef
            | FailureKind::JunctionNoRef
            | FailureKind::JunctionNotFetched
            | FailureKind::NoPushRemote
            | FailureKind::CacheIncomplete
            | FailureKind::PushIncomplete => Specificity::Symptom,
            // Kinds that are told apart say why.
            _ => Specificity::Cause,
        }
    }
}
