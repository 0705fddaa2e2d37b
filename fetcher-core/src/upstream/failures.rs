//! Failures of asking, as diagnoses.

use crate::diagnosis::{Actor, Diagnosis, FailureKind, Location};
use crate::git::{GitError, GitFailure};

use super::answer::ProbeDoubt;

/// What is told of a probe that git could not make.
pub(super) fn of_git(error: &GitError, url: &str) -> (ProbeDoubt, Diagnosis) {
    let (kind, doubt) = match error.failure() {
        GitFailure::Dns => (FailureKind::Dns, ProbeDoubt::Failed),
        GitFailure::Unreachable => (FailureKind::Network, ProbeDoubt::Failed),
        GitFailure::Unauthorised | GitFailure::HostKey => (FailureKind::Unauthorised, ProbeDoubt::Denied),
        GitFailure::NotFound => (FailureKind::NotFound, ProbeDoubt::NotFound),
        GitFailure::RefMissing => (FailureKind::RefMissing, ProbeDoubt::NotFound),
        GitFailure::RateLimited => (FailureKind::RateLimited, ProbeDoubt::Failed),
        GitFailure::ServerError => (FailureKind::ServerError, ProbeDoubt::Failed),
        GitFailure::Tls => (FailureKind::Tls, ProbeDoubt::Failed),
        GitFailure::DiskFull => (FailureKind::DiskFull, ProbeDoubt::Failed),
        GitFailure::Permission | GitFailure::Ownership => (FailureKind::Permission, ProbeDoubt::Failed),
        GitFailure::Tool => (FailureKind::HostToolMissing, ProbeDoubt::Failed),
        GitFailure::Protocol | GitFailure::Configuration => (FailureKind::Git, ProbeDoubt::Unsupported),
        GitFailure::Repository => (FailureKind::Git, ProbeDoubt::Malformed),
        GitFailure::ObjectFormat | GitFailure::Corrupt | GitFailure::Unknown => (FailureKind::Git, ProbeDoubt::Failed),
        GitFailure::Killed => (FailureKind::Killed, ProbeDoubt::Failed),
        GitFailure::TimedOut => (FailureKind::TimeOut, ProbeDoubt::Failed),
        GitFailure::Cancelled => (FailureKind::Interrupted, ProbeDoubt::Cancelled),
    };
    (doubt, failed(kind, error.to_string(), url))
}

/// A failure of a kind, with what is usually done about it.
pub(super) fn failed(kind: FailureKind, message: String, url: &str) -> Diagnosis {
    let remedy = kind.remedy();
    let actor =
        if remedy.actor == Actor::Project && kind != FailureKind::NotFound { Actor::Upstream } else { remedy.actor };
    Diagnosis::of_kind(kind, message).with_actor(actor).with_place(Location::of_url(url))
}
