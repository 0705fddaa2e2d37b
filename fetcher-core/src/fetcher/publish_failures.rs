//! What keeps refs from being published, as failures and findings for people.

use super::git_diagnoses;
use crate::diagnosis::{Actor, Diagnosis, FailureKind, Remedy, Retry};
use crate::names::Stage;
use crate::publish::{ForgeError, ForgeErrorKind, PublicationError};

/// A failure to publish; of one request, where it is about one.
pub(super) fn publish_failure(unit: Option<&str>, error: &PublicationError) -> Diagnosis {
    let failure = match error {
        PublicationError::Git(error) => git_diagnoses::git(error, Stage::Publish),
        PublicationError::Refused { refusal, message, branch } => {
            Diagnosis::of_kind(refusal.kind(), format!("{branch}: {message}"))
        }
        PublicationError::Forge(error) => forge_failure(error),
        PublicationError::Memory(error) => error.diagnosis(),
        PublicationError::Signing { .. } => Diagnosis::new(
            FailureKind::Configuration,
            error.to_string(),
            Retry::No,
            Actor::Host,
            "see that `signing-key` of `publish` names a private key without a passphrase, and that ssh-keygen (Debian: \
             openssh-client) or gpg (Debian: gnupg) is installed",
        ),
        PublicationError::Unchecked(reason) => Diagnosis { message: error.to_string(), ..Diagnosis::clone(reason) },
        PublicationError::NoBase { .. } => Diagnosis::new(
            FailureKind::RefMissing,
            error.to_string(),
            Retry::No,
            Actor::Host,
            "correct `base` of `publish`, or make the branch",
        ),
        PublicationError::Objects(_) | PublicationError::Checkout(_) | PublicationError::Internal(_) => {
            Diagnosis::of_kind(FailureKind::Git, error.to_string())
        }
    };
    let element =
        failure.element.clone().or_else(|| unit.filter(|unit| unit.rsplit('.').next() == Some("bst"))?.parse().ok());
    failure.with_stage(Stage::Publish).with_element(element)
}

/// A failure of a forge.
pub(super) fn forge_failure(error: &ForgeError) -> Diagnosis {
    let (kind, actor, hint) = match error.kind {
        ForgeErrorKind::Unreachable => {
            (FailureKind::Network, Actor::Nobody, "the next run tries again; see `api-url` if it lasts")
        }
        ForgeErrorKind::Unauthorised => (
            FailureKind::Unauthorised,
            Actor::Host,
            "the forge does not take the token: make a new one for `token-file`, or see `app`",
        ),
        ForgeErrorKind::RateLimited => {
            (FailureKind::RateLimited, Actor::Nobody, "the next run tries again; run less often if it lasts")
        }
        ForgeErrorKind::Broken => (
            FailureKind::ServerError,
            Actor::Nobody,
            "the next run tries again; tell the forge's operators if it lasts",
        ),
        ForgeErrorKind::NotFound => (
            FailureKind::PublishDenied,
            Actor::Host,
            "see `url` and `api-url`, and that the token may see the repository",
        ),
        ForgeErrorKind::Denied => (
            FailureKind::PublishDenied,
            Actor::Host,
            "give the token the right to make requests (GitLab: api; GitHub: contents and pull requests)",
        ),
        ForgeErrorKind::Configuration => (FailureKind::Configuration, Actor::Host, "correct `publish` of the project"),
        ForgeErrorKind::Exists | ForgeErrorKind::Refused => {
            let Remedy { actor, hint, .. } = FailureKind::RequestRefused.remedy();
            (FailureKind::RequestRefused, actor, hint)
        }
    };
    let retry = kind.remedy().retry;
    Diagnosis::new(kind, error.to_string(), retry, actor, hint).with_stage(Stage::Publish)
}

/// What fails nothing, and is to be looked at.
pub(super) mod finding {
    use crate::diagnosis::{Diagnosis, FailureKind};
    use crate::names::Stage;
    use crate::report::{HeldRef, HoldCause, RequestReport, RequestStatus};

    /// Of a ref that is held back.
    pub(in crate::fetcher) fn of_hold(held: &HeldRef) -> Option<Diagnosis> {
        let kind = match held.cause {
            HoldCause::MovedTag => FailureKind::MovedTag,
            HoldCause::Overwritten | HoldCause::File => FailureKind::RefNotWritten,
            HoldCause::Broken => FailureKind::UpdateBreaks,
            HoldCause::Reverted => FailureKind::RequestClosed,
            // The first is told by the stage that tracked, the others pass or are told as failures.
            HoldCause::ChangedContent | HoldCause::NotCached | HoldCause::TooYoung | HoldCause::Group => return None,
        };
        let refs = [("old", &held.old), ("new", &held.new)];
        let lines = refs.iter().filter_map(|(name, reference)| Some(format!("\n{name}: {}", reference.as_ref()?)));
        let message = format!("{}{}", held.reason, lines.collect::<String>());
        let element = Some(held.element.clone());
        Some(Diagnosis::of_kind(kind, message).with_element(element).with_stage(Stage::Publish))
    }

    /// Of a request on which people have to decide.
    pub(in crate::fetcher) fn of_request(request: &RequestReport) -> Option<Diagnosis> {
        let kind = match request.status {
            RequestStatus::Paused => FailureKind::HumanCommits,
            RequestStatus::Closed => FailureKind::RequestClosed,
            RequestStatus::Planned
            | RequestStatus::Pushed
            | RequestStatus::Open
            | RequestStatus::Unknown
            | RequestStatus::Merging
            | RequestStatus::Merged
            | RequestStatus::Waiting
            | RequestStatus::Failed => return None,
        };
        let place = request.url.as_deref().or_else(|| request.branch.as_ref().map(crate::BranchName::as_str));
        let reason = request.reason.as_deref().unwrap_or_default();
        let message = format!("{}: {reason}", place.unwrap_or(&request.unit));
        Some(Diagnosis::of_kind(kind, message).with_stage(Stage::Publish))
    }
}
