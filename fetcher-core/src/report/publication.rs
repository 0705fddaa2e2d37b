//! What became of tracked refs: the requests to merge them, and what was held back.

use serde::{Deserialize, Serialize};

use crate::names::{BranchName, CommitId, ElementName};

/// What publishing a branch's tracked refs came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PublicationReport {
    /// The branch to which the requests go.
    pub base: BranchName,
    /// The commit that they begin at.
    #[serde(default)]
    pub base_commit: Option<CommitId>,
    /// Whether nothing was pushed, for it was only asked what would be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// The requests, or the branches where there are none.
    #[serde(default, deserialize_with = "super::newer::known_entries")]
    pub requests: Vec<RequestReport>,
    /// The refs that are not published, and why.
    #[serde(default, deserialize_with = "super::newer::known_entries")]
    pub held: Vec<HeldRef>,
}

impl PublicationReport {
    /// One in which nothing has happened yet.
    pub fn new(base: BranchName) -> Self {
        Self { base, base_commit: None, dry_run: false, requests: Vec::new(), held: Vec::new() }
    }
}

/// One request to merge, or one branch where there is no forge that knows of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RequestReport {
    /// What it is about: `bundle`, an element, or a group.
    pub unit: String,
    /// The branch that is pushed; none for what goes to the base itself.
    #[serde(default)]
    pub branch: Option<BranchName>,
    /// What became of it.
    pub status: RequestStatus,
    /// Where people find it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The commit at its tip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitId>,
    /// The elements whose refs it changes.
    #[serde(default)]
    pub elements: Vec<ElementName>,
    /// Why it is as it is, where that is to be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its title.
    #[serde(default)]
    pub title: String,
    /// The subjects of its commits.
    #[serde(default)]
    pub commits: Vec<String>,
    /// Its text, where nothing was pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

impl RequestReport {
    /// One of which no more is known.
    pub fn new(unit: impl Into<String>, status: RequestStatus) -> Self {
        Self {
            unit: unit.into(),
            branch: None,
            status,
            url: None,
            commit: None,
            elements: Vec::new(),
            reason: None,
            title: String::new(),
            commits: Vec::new(),
            body: None,
        }
    }
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RequestStatus {
    /// It would be pushed.
    Planned,
    /// It was made, or what it changes was pushed anew.
    Pushed,
    /// It is open and as it should be.
    Open,
    /// Its branch is as it should be, and nobody can be asked whether the request is open: it was made by a push alone.
    Unknown,
    /// It is being merged, and so left alone.
    Merging,
    /// Somebody else has committed to its branch, and so it is left alone.
    Paused,
    /// Somebody closed it without merging: the same is not proposed again.
    Closed,
    /// It was merged.
    Merged,
    /// It waits for its turn.
    Waiting,
    /// It could not be made or brought up to date.
    Failed,
}

impl RequestStatus {
    /// All of them.
    pub const ALL: [RequestStatus; 10] = [
        RequestStatus::Planned,
        RequestStatus::Pushed,
        RequestStatus::Open,
        RequestStatus::Unknown,
        RequestStatus::Merging,
        RequestStatus::Paused,
        RequestStatus::Closed,
        RequestStatus::Merged,
        RequestStatus::Waiting,
        RequestStatus::Failed,
    ];

    /// Its name as reports and files have it.
    pub fn as_str(self) -> &'static str {
        match self {
            RequestStatus::Planned => "planned",
            RequestStatus::Pushed => "pushed",
            RequestStatus::Open => "open",
            RequestStatus::Unknown => "unknown",
            RequestStatus::Merging => "merging",
            RequestStatus::Paused => "paused",
            RequestStatus::Closed => "closed",
            RequestStatus::Merged => "merged",
            RequestStatus::Waiting => "waiting",
            RequestStatus::Failed => "failed",
        }
    }
}

impl std::fmt::Display for RequestStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A ref that tracking found and that is not published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct HeldRef {
    /// The element.
    pub element: ElementName,
    /// The ref of the base.
    #[serde(default)]
    pub old: Option<String>,
    /// The ref that tracking found.
    #[serde(default)]
    pub new: Option<String>,
    /// Why.
    pub cause: HoldCause,
    /// The same in words.
    pub reason: String,
}

impl HeldRef {
    /// A ref that is held back.
    pub fn new(
        element: ElementName,
        old: Option<String>,
        new: Option<String>,
        cause: HoldCause,
        reason: impl Into<String>,
    ) -> Self {
        Self { element, old, new, cause, reason: reason.into() }
    }
}

/// Why a ref is not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum HoldCause {
    /// Its sources are not proved to be in the cache, with every option set.
    NotCached,
    /// The same tag names another commit.
    MovedTag,
    /// The same address has other content.
    ChangedContent,
    /// It is younger than `min-age`.
    TooYoung,
    /// Another element of its group is held back.
    Group,
    /// It cannot be written into the file as the base has it.
    File,
    /// Option sets overwrite each other's refs in `project.refs`.
    Overwritten,
    /// With it the project does not load on the base, or sources cannot be put together there.
    Broken,
    /// The base had it, and somebody took it back there.
    Reverted,
}

impl HoldCause {
    /// Its name as reports and files have it.
    pub fn as_str(self) -> &'static str {
        match self {
            HoldCause::NotCached => "not-cached",
            HoldCause::MovedTag => "moved-tag",
            HoldCause::ChangedContent => "changed-content",
            HoldCause::TooYoung => "too-young",
            HoldCause::Group => "group",
            HoldCause::File => "file",
            HoldCause::Overwritten => "overwritten",
            HoldCause::Broken => "broken",
            HoldCause::Reverted => "reverted",
        }
    }
}
