//! Trouble to come with upstreams, as data.

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::diagnosis::{Diagnosis, FailureKind, Location, redacted_element};
use crate::names::{BranchName, ElementName, ProjectName};
use crate::secret::{Redact, Redactor};

/// Something about an upstream that will break builds, or has to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RotFinding {
    /// What it is.
    pub kind: RotKind,
    /// The upstream's address; of what is a whole host's, the host.
    pub upstream: String,
    /// What was seen, in a sentence.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// How soon.
    pub urgency: RotUrgency,
    /// Since when it has been seen.
    pub since: Timestamp,
    /// The elements that use it.
    pub users: Vec<RotUser>,
}

/// What is the matter with an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RotKind {
    /// It is not there (any more).
    Gone,
    /// Its host cannot be reached.
    HostDown,
    /// A tag names another commit than the one that is pinned by it.
    MovedTag,
    /// The certificate of its host ends soon.
    CertificateEnds,
    /// It has moved for good to another address.
    Moved,
    /// The repository's default branch has another name than before.
    DefaultBranchRenamed,
    /// There has been nothing new for years.
    NoRelease,
}

/// How soon something has to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RotUrgency {
    /// It is only to be known.
    Information,
    /// Whenever there is time.
    Sometime,
    /// The sources are still in the cache.
    ThisWeek,
    /// They are nowhere.
    Today,
}

/// An element that uses an upstream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RotUser {
    /// The project.
    pub project: ProjectName,
    /// The branch.
    pub branch: BranchName,
    /// The element.
    pub element: ElementName,
    /// The file that names it, relative to the project's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The line in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

impl RotUser {
    /// A user of an upstream.
    pub fn new(project: ProjectName, branch: BranchName, element: ElementName) -> Self {
        Self { project, branch, element, file: None, line: None }
    }

    /// It without secrets; none where its name cannot be told without one.
    pub(crate) fn redacted_user(self, redactor: &Redactor) -> Option<Self> {
        let Self { project, branch, element, file, line } = self;
        let element = redacted_element(&element, redactor)?;
        Some(Self { project, branch, element, file: file.redacted(redactor), line })
    }
}

impl RotFinding {
    /// A finding.
    pub fn new(kind: RotKind, upstream: impl Into<String>, message: String, hint: String, since: Timestamp) -> Self {
        let urgency = RotUrgency::Sometime;
        Self { kind, upstream: upstream.into(), message, hint, urgency, since, users: Vec::new() }
    }
}

impl RotFinding {
    /// Whether something has to be done about it.
    pub fn is_trouble(&self) -> bool {
        self.urgency > RotUrgency::Information
    }

    /// It as people are told of it, of one element that uses the upstream.
    pub fn diagnosis(&self, user: &RotUser) -> Diagnosis {
        let url = self.upstream.contains("://").then(|| self.upstream.clone());
        let place = Location { file: user.file.clone(), line: user.line, url, ..Location::default() };
        Diagnosis::of_kind(FailureKind::Rot, self.message.clone())
            .with_hint(self.hint.clone())
            .with_element(user.element.clone())
            .with_place(place)
    }
}

impl RotKind {
    /// Its name as JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::HostDown => "host-down",
            Self::MovedTag => "moved-tag",
            Self::CertificateEnds => "certificate-ends",
            Self::Moved => "moved",
            Self::DefaultBranchRenamed => "default-branch-renamed",
            Self::NoRelease => "no-release",
        }
    }
}

impl fmt::Display for RotKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl RotUrgency {
    /// Its name as JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Information => "information",
            Self::Sometime => "sometime",
            Self::ThisWeek => "this-week",
            Self::Today => "today",
        }
    }
}

impl fmt::Display for RotUrgency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Redact for RotFinding {
    fn redacted(self, redactor: &Redactor) -> Self {
        let Self { kind, upstream, message, hint, urgency, since, users } = self;
        let (upstream, message) = (upstream.redacted(redactor), message.redacted(redactor));
        let users = users.into_iter().filter_map(|user| user.redacted_user(redactor)).collect();
        Self { kind, upstream, message, hint: hint.redacted(redactor), urgency, since, users }
    }
}
