//! Tracked refs become branches, and requests to merge them, once their sources are in the cache.
//!
//! Commits are made from trees on the base's tip as it is now, by their content alone: the same refs on the same base are
//! the same commits, on every host. Whatever was pushed by whom is seen from the commits themselves, so that nothing
//! depends on this host's memory; that only keeps closed requests closed where nobody else remembers.

mod branches;
mod candidate;
mod commits;
mod component;
mod forge;
mod memory;
mod ownership;
mod publisher;
mod readiness;
mod request;
mod reverted;
mod selection;
mod sign;
mod text;
mod trailers;
mod update;

use std::io;

use thiserror::Error;

use crate::diagnosis::Diagnosis;
use crate::git::{GitError, PushFailure, PushRefusal};
use crate::state::StateError;

pub use candidate::{CandidateCheck, CandidateFindings};
pub(crate) use forge::configured_forge;
pub use forge::{
    Forge, ForgeError, ForgeErrorKind, ForgeRequest, NoForge, PushAnswer, PushRoute, RequestDraft, RequestState,
};
pub use memory::{PublishMemory, RequestMemory};
pub use publisher::{Publication, Publisher, TrackedCheckout};
pub use readiness::{Readiness, VariantReadiness};
pub(crate) use trailers::is_pushed_as;

/// Why refs could not be published.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PublicationError {
    /// Git could not do its part.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A push was refused.
    #[error("{branch} was not taken: {message}")]
    Refused {
        /// The branch, or what else was pushed to.
        branch: String,
        /// Why.
        refusal: PushRefusal,
        /// The other side's words.
        message: String,
    },
    /// The forge could not do its part.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// Commits could not be made.
    #[error("cannot make a commit: {0}")]
    Objects(#[from] git2::Error),
    /// Commits could not be signed.
    #[error("cannot sign a commit: {reason}")]
    Signing {
        /// Why.
        reason: String,
    },
    /// The checkout or a directory could not be read or written.
    #[error("cannot read what tracking wrote: {0}")]
    Checkout(#[from] io::Error),
    /// What is known of earlier requests cannot be used.
    #[error(transparent)]
    Memory(#[from] StateError),
    /// The branch to which requests go is not there.
    #[error("the base branch {base} is not in the repository")]
    NoBase {
        /// Its name.
        base: String,
    },
    /// It cannot be found out whether the project still loads with what is to be published.
    #[error("cannot find out whether the project loads with it: {}", .0.message)]
    Unchecked(Box<Diagnosis>),
    /// Something that cannot be.
    #[error("{0}")]
    Internal(String),
}

impl PublicationError {
    /// The error of a push to a branch.
    fn of_push(branch: &str, failure: PushFailure) -> Self {
        match failure {
            PushFailure::Git(error) => Self::Git(error),
            PushFailure::Refused { refusal, message } => Self::Refused { branch: branch.to_owned(), refusal, message },
        }
    }

    /// Whether somebody else was faster, so that looking again is worth it.
    fn is_stale(&self) -> bool {
        matches!(self, Self::Refused { refusal: PushRefusal::Stale, .. })
    }
}
