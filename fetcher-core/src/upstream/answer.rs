//! What an upstream said, and what may be believed of it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::question::RefSelection;
use crate::diagnosis::Diagnosis;
use crate::names::digest;

/// What a [`Prober`](super::Prober) found out for one question.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpstreamAnswer {
    /// The upstream's state; none where nothing may be concluded, so that the source has to be tracked.
    pub state: Option<UpstreamState>,
    /// Why there is no state.
    pub doubt: Option<ProbeDoubt>,
    /// The failure that it comes from, where one does. Its place names the address.
    pub failure: Option<Diagnosis>,
    /// What the answer tells beside what was asked.
    pub signs: UpstreamSigns,
}

/// What an answer tells beside what was asked: for those who look for trouble to come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpstreamSigns {
    /// The address to which it has moved for good, as the server says.
    pub moved: Option<String>,
    /// When the server's certificate ends.
    pub certificate_end: Option<Timestamp>,
    /// The branch that a repository's HEAD names: `refs/heads/main`, say.
    pub default_branch: Option<String>,
    /// When what is there was changed last, as the server says.
    pub changed: Option<Timestamp>,
}

/// What of an upstream tracking depends on, as one question has it. Where two are equal, tracking finds the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
#[non_exhaustive]
pub enum UpstreamState {
    /// The references that were asked for and are there, by name. One that is not there is missing here.
    Git {
        /// The references.
        refs: RefList,
    },
    /// A file that is there, with what tells another one from it. The bytes may be believed to be the same where all of
    /// this is.
    #[serde(rename_all = "kebab-case")]
    File {
        /// Where it was found at last, redirects followed, without what is behind a `?`.
        final_url: String,
        /// The strong entity tag, quotes included.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        etag: Option<String>,
        /// When it was changed, as the server says it; only beside `length`, and where it is older than the answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_modified: Option<String>,
        /// Its length in bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        length: Option<u64>,
    },
    /// A file that is there, and never changes.
    Immutable,
    /// A commit that is there.
    Held,
    /// A file that is there, whatever its content.
    Present {
        /// Its length in bytes, where the server says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        length: Option<u64>,
    },
    /// A page, by the SHA-256 of its bytes.
    Page {
        /// The digest, in hex.
        digest: String,
    },
    /// The releases of a project.
    Releases {
        /// A digest of what says which of them there are, in hex.
        digest: String,
        /// When the latest file was added (RFC 3339), where the index says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        latest: Option<String>,
    },
    /// The lines that hold the text that was asked for.
    Lines {
        /// The lines, in the index's order.
        lines: Vec<String>,
    },
    /// What a tag stands for.
    Manifest {
        /// The digest, with its algorithm.
        digest: String,
    },
    /// What a ref of an `OSTree` repository stands for.
    Commit {
        /// The checksum, in hex.
        checksum: String,
    },
}

/// References by name, each once, in the order of their names. They are kept as text, for a repository may have many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RefList {
    /// A line each: the name, the object's id, and for an annotated tag the id of what is behind it.
    lines: String,
}

/// One reference of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct GitRef<'l> {
    /// Its full name.
    pub name: &'l str,
    /// The object that it names, in hex.
    pub id: &'l str,
    /// The object behind an annotated tag.
    pub peeled: Option<&'l str>,
}

impl<'l> GitRef<'l> {
    /// The commit: the object behind the tag, where it is one.
    pub fn commit(&self) -> &'l str {
        self.peeled.unwrap_or(self.id)
    }
}

impl RefList {
    /// The references, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = GitRef<'_>> {
        self.lines.lines().filter_map(|line| {
            let mut words = line.split(' ');
            Some(GitRef { name: words.next()?, id: words.next()?, peeled: words.next() })
        })
    }

    /// The reference of a full name.
    pub fn get(&self, name: &str) -> Option<GitRef<'_>> {
        self.iter().find(|found| found.name == name)
    }

    /// Those of them that a selection holds.
    pub(super) fn only(&self, selection: &RefSelection) -> Self {
        self.iter().filter(|found| selection.holds(found.name)).collect()
    }
}

/// The references have to be in the order of their names, which hold no spaces.
impl<'l> FromIterator<GitRef<'l>> for RefList {
    fn from_iter<I: IntoIterator<Item = GitRef<'l>>>(refs: I) -> Self {
        let mut lines = String::new();
        for GitRef { name, id, peeled } in refs {
            for word in [name, " ", id].into_iter().chain(peeled.iter().flat_map(|id| [" ", id])) {
                lines.push_str(word);
            }
            lines.push('\n');
        }
        lines.shrink_to_fit();
        Self { lines }
    }
}

impl UpstreamState {
    /// A digest that two states have in common where they are equal, in hex.
    pub fn digest(&self) -> String {
        // Maps with keys of text, and text: nothing that JSON cannot hold.
        let text = serde_json::to_vec(self).unwrap_or_default();
        digest(&text)
    }
}

/// Why nothing may be concluded from what an upstream said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProbeDoubt {
    /// The answer has nothing that tells one state from another.
    NoValidator,
    /// The answer's entity tag says that the bytes may differ.
    WeakValidator,
    /// The file was changed so shortly before that it may change again unseen.
    TooRecent,
    /// The address leads to another host, which may be another one next time.
    Redirected,
    /// It leads where no answer of a server may lead.
    ForbiddenRedirect,
    /// The upstream wants to know who asks, or says that it is not there, which some say to strangers.
    Denied,
    /// It is not there.
    NotFound,
    /// The upstream could not be asked.
    Failed,
    /// The answer is no answer to what was asked, or is too large.
    Malformed,
    /// It is not at any reference, and the server does not tell of anything else.
    Untold,
    /// It is not an upstream of a kind that can be asked.
    Unsupported,
    /// The run ended before.
    Cancelled,
}

/// What asking cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ProbeCost {
    /// Requests, or processes that made some.
    pub requests: u64,
    /// Bytes of the answers, as far as they were read here.
    pub bytes: u64,
    /// For how long requests were under way, all added up.
    pub seconds: f64,
}

impl ProbeCost {
    pub(super) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.bytes += other.bytes;
        self.seconds += other.seconds;
    }
}

impl UpstreamAnswer {
    /// An answer that may be believed.
    pub(super) fn known(state: UpstreamState) -> Self {
        Self { state: Some(state), doubt: None, failure: None, signs: UpstreamSigns::default() }
    }

    /// An answer of which nothing follows.
    pub(super) fn doubtful(doubt: ProbeDoubt) -> Self {
        Self { state: None, doubt: Some(doubt), failure: None, signs: UpstreamSigns::default() }
    }

    /// The same with what the answer tells beside.
    pub(super) fn with_signs(self, signs: UpstreamSigns) -> Self {
        Self { signs, ..self }
    }

    /// No answer.
    pub(super) fn failed(doubt: ProbeDoubt, failure: Diagnosis) -> Self {
        Self { failure: Some(failure), ..Self::doubtful(doubt) }
    }
}

impl fmt::Display for ProbeDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NoValidator => "the server sends no validator",
            Self::WeakValidator => "the server sends a weak validator",
            Self::TooRecent => "it was changed just now",
            Self::Redirected => "it is redirected to another host",
            Self::ForbiddenRedirect => "it is redirected to where no server may lead",
            Self::Denied => "the server did not let this host in",
            Self::NotFound => "it was not found",
            Self::Failed => "the upstream could not be asked",
            Self::Malformed => "the answer makes no sense",
            Self::Untold => "it is at no reference, and the server tells of nothing else",
            Self::Unsupported => "upstreams of this kind cannot be asked",
            Self::Cancelled => "the run was stopped",
        })
    }
}
