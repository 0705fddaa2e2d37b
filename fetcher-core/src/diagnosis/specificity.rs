//! How much a diagnosis says: where the same thing fails twice, the better reason is kept.

use super::{Diagnosis, Kind};

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
    /// use fetcher_core::diagnosis::{Actor, Diagnosis, Kind, Retry};
    /// let failure = |kind| Diagnosis::new(kind, "it failed", Retry::Yes, Actor::Nobody, "wait");
    /// assert!(failure(Kind::Dns).specificity() > failure(Kind::Git).specificity());
    /// assert!(failure(Kind::Git).specificity() > failure(Kind::Unknown).specificity());
    /// ```
    pub fn specificity(&self) -> Specificity {
        match self.kind {
            Kind::Unknown => Specificity::Nothing,

            Kind::Bug
            | Kind::Git
            | Kind::Interrupted
            | Kind::Killed
            | Kind::TimeOut
            | Kind::CasdDied
            | Kind::NoRef
            | Kind::JunctionNoRef
            | Kind::JunctionNotFetched
            | Kind::NoPushRemote
            | Kind::PushIncomplete => Specificity::Symptom,
            Kind::Usage
            | Kind::Configuration
            | Kind::BstMissing
            | Kind::Environment
            | Kind::Sandbox
            | Kind::Unconfined
            | Kind::CredentialsHidden
            | Kind::BstVersion
            | Kind::HostToolMissing
            | Kind::PluginMissing
            | Kind::PythonModuleMissing
            | Kind::PluginUndeclared
            | Kind::ProjectInvalid
            | Kind::RefMissing
            | Kind::Checksum
            | Kind::ChecksumChanged
            | Kind::HoldExpired
            | Kind::PrepareFailed
            | Kind::NotFound
            | Kind::Unauthorised
            | Kind::RateLimited
            | Kind::ServerError
            | Kind::Dns
            | Kind::Network
            | Kind::Tls
            | Kind::DiskFull
            | Kind::Permission
            | Kind::HostResources
            | Kind::CacheUnreachable
            | Kind::CacheDenied
            | Kind::CacheFull
            | Kind::MirrorCorrupt
            | Kind::PublishDenied
            | Kind::PublishRefused
            | Kind::BranchProtected
            | Kind::BranchExists
            | Kind::StaleLease
            | Kind::PushTooLarge
            | Kind::RequestRefused
            | Kind::MovedTag
            | Kind::RefNotWritten
            | Kind::HumanCommits
            | Kind::RequestClosed
            | Kind::LockHeld
            | Kind::SpaceMade
            | Kind::State
            | Kind::SelfUpdate
            | Kind::Upload
            | Kind::Notifier => Specificity::Cause,
        }
    }
}
