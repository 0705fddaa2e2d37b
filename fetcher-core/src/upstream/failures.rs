//! Failures of asking, as diagnoses.

use crate::diagnosis::{Actor, Diagnosis, Kind, Place};
use crate::git::{Failure, GitError};

use super::answer::ProbeDoubt;

/// What is told of a probe that git could not make.
pub(super) fn of_git(error: &GitError, url: &str) -> (ProbeDoubt, Diagnosis) {
    let (kind, doubt) = match error.failure() {
        Failure::Dns => (Kind::Dns, ProbeDoubt::Failed),
        Failure::Unreachable => (Kind::Network, ProbeDoubt::Failed),
        Failure::Unauthorised | Failure::HostKey => (Kind::Unauthorised, ProbeDoubt::Denied),
        Failure::NotFound => (Kind::NotFound, ProbeDoubt::NotFound),
        Failure::RefMissing => (Kind::RefMissing, ProbeDoubt::NotFound),
        Failure::RateLimited => (Kind::RateLimited, ProbeDoubt::Failed),
        Failure::ServerError => (Kind::ServerError, ProbeDoubt::Failed),
        Failure::Tls => (Kind::Tls, ProbeDoubt::Failed),
        Failure::DiskFull => (Kind::DiskFull, ProbeDoubt::Failed),
        Failure::Permission | Failure::Ownership => (Kind::Permission, ProbeDoubt::Failed),
        Failure::Tool => (Kind::HostToolMissing, ProbeDoubt::Failed),
        Failure::Protocol | Failure::Configuration => (Kind::Git, ProbeDoubt::Unsupported),
        Failure::Repository => (Kind::Git, ProbeDoubt::Malformed),
        Failure::ObjectFormat | Failure::Corrupt | Failure::Unknown => (Kind::Git, ProbeDoubt::Failed),
        Failure::Killed => (Kind::Killed, ProbeDoubt::Failed),
        Failure::TimedOut => (Kind::TimeOut, ProbeDoubt::Failed),
        Failure::Cancelled => (Kind::Interrupted, ProbeDoubt::Cancelled),
    };
    (doubt, failed(kind, error.to_string(), url))
}

/// A failure of a kind, with what is usually done about it.
pub(super) fn failed(kind: Kind, message: String, url: &str) -> Diagnosis {
    let remedy = kind.remedy();
    let actor = if remedy.actor == Actor::Project && kind != Kind::NotFound { Actor::Upstream } else { remedy.actor };
    let mut diagnosis = Diagnosis::new(kind, message, remedy.retry, actor, remedy.hint);
    diagnosis.place = Place { url: Some(url.to_owned()), ..Place::default() };
    diagnosis
}
