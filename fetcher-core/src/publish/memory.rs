//! What is remembered of a branch's requests between runs. Without it nothing goes wrong but that what somebody closed
//! may be proposed once more, where no forge can be asked.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::readiness::Readiness;
use crate::json_file::StoredJson;
use crate::names::{BranchName, CommitId};
use crate::report::RequestStatus;

/// What is remembered of a branch's requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PublishMemory {
    /// The version of this format, [`PublishMemory::VERSION`].
    pub version: u32,
    /// The requests, by what each is about.
    #[serde(default)]
    pub requests: BTreeMap<String, RequestMemory>,
    /// When there was last anything looked at to be published.
    #[serde(default)]
    pub published: Option<Timestamp>,
    /// The tip on which the last run tracked.
    #[serde(default)]
    pub commit: Option<CommitId>,
    /// What that run knew to be cached.
    #[serde(default)]
    pub readiness: Readiness,
}

impl PublishMemory {
    /// The version of the format that this library writes.
    pub const VERSION: u32 = 1;

    /// One in which nothing is known.
    pub(super) fn new() -> Self {
        Self { version: Self::VERSION, ..Self::default() }
    }
}

impl StoredJson for PublishMemory {
    const VERSION: u32 = 1;
    const WHAT: &'static str = "memory of what was published";
}

/// What is remembered of one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RequestMemory {
    /// The branch that was pushed.
    pub branch: BranchName,
    /// The commit that was pushed last; none where it is not known that any was.
    #[serde(default)]
    pub commit: Option<CommitId>,
    /// A digest of what it changes.
    #[serde(default)]
    pub digest: String,
    /// What the forge calls the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Where people find it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What became of it in the last run.
    pub status: RequestStatus,
    /// Since when it waits for its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_since: Option<Timestamp>,
    /// Whether the branch was pushed, and the request could not be made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unrequested: bool,
}
