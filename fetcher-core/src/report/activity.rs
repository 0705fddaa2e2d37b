//! What goes on where no element moves: between and before the stages.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is being done that has no elements to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Activity {
    /// Another run, or a server's start, holds the directories.
    WaitingForLock,
    /// Caches that projects shared become one for each trust.
    PartingCaches,
    /// The project's repository is asked for its branches.
    ListingBranches,
    /// The project's repository is fetched, or cloned where it is not here yet.
    FetchingRepository,
    /// BuildStream is looked for, or somebody else's installing it is waited for.
    PreparingBuildStream,
    /// pip installs BuildStream.
    InstallingBuildStream,
    /// bst is asked what elements there are.
    ListingElements,
    /// Upstreams are asked what moved.
    AskingUpstreams,
    /// With a quota, one bst works at a time.
    WaitingForTurn,
    /// A stage failed, and is tried again after a while.
    WaitingToRetry,
    /// What is no longer needed is removed.
    CleaningUp,
    /// Pages and metrics are written, and sent to where they are seen.
    Publishing,
    /// Notifiers are told.
    Notifying,
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Activity::WaitingForLock => "waiting for another run to end",
            Activity::PartingCaches => "giving each trust its own caches",
            Activity::ListingBranches => "listing branches",
            Activity::FetchingRepository => "fetching the repository",
            Activity::PreparingBuildStream => "preparing BuildStream",
            Activity::InstallingBuildStream => "installing BuildStream",
            Activity::ListingElements => "listing elements",
            Activity::AskingUpstreams => "asking upstreams what moved",
            Activity::WaitingForTurn => "waiting for another bst to end",
            Activity::WaitingToRetry => "waiting before the next attempt",
            Activity::CleaningUp => "cleaning up",
            Activity::Publishing => "writing pages and metrics",
            Activity::Notifying => "notifying",
        })
    }
}
