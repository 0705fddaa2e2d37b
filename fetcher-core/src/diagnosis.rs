//! What failed, which element, and who must act: data, and what gets it from a log of bst's.
//!
//! The words of bst and of the programs under it are looked for line by line ([`Diagnoser`]); what is known of a sort of
//! failure is in one place. Nothing is guessed: what no rule knows is [`Kind::Unknown`], with the lines that matter.

mod cache;
mod diagnoser;
mod elements;
mod ending;
mod explain;
mod hidden;
mod http;
mod load;
mod network;
mod phrases;
mod place;
mod render;
mod requirement;
mod tools;
mod verdict;

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::names::{ElementName, Stage};

pub use diagnoser::{Diagnoser, Diagnoses, Facts, diagnose, of_runner};
pub use network::{ProxyFailure, Reachability, upstream_host};
pub use render::render_text;
pub(crate) use tools::requirement_of_module;

/// One failure, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Diagnosis {
    /// What sort of failure it is.
    pub kind: Kind,
    /// The element that failed; none where the failure is not one element's.
    #[serde(default)]
    pub element: Option<ElementName>,
    /// The stage in which it failed; none where it was before or outside any.
    #[serde(default)]
    pub stage: Option<Stage>,
    /// The failing program's own words, or ours where no program failed. One line or a few.
    pub message: String,
    /// Whether trying again can mend it.
    pub retry: Retry,
    /// Who must act.
    pub actor: Actor,
    /// What they should do, concretely.
    pub hint: String,
    /// Where to look.
    #[serde(rename = "where", default)]
    pub place: Place,
}

impl Diagnosis {
    /// A failure of no element and no stage, whose place is not known.
    pub fn new(kind: Kind, message: impl Into<String>, retry: Retry, actor: Actor, hint: impl Into<String>) -> Self {
        let (message, hint) = (message.into(), hint.into());
        Self { kind, element: None, stage: None, message, retry, actor, hint, place: Place::default() }
    }
}

/// Where a failure's cause is to be found; what is not known is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Place {
    /// The file, as the failing program named it: as a rule relative to the project's elements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The line in the file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column in the line, from 0 as BuildStream counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The address that was asked, without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Whether trying again can mend a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// It cannot: the same will fail in the same way.
    No,
    /// One more try is worth it, not more (a 404 that a mirror had for a moment, say).
    Once,
    /// It may well pass by itself.
    Yes,
}

/// Who must act for a failure to go away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// The administrator of the fetching host: its tools, space, network, credentials, configuration.
    Host,
    /// The maintainers of the BuildStream project.
    Project,
    /// Whoever runs the upstream that a source comes from.
    Upstream,
    /// The administrator of the source cache.
    Cache,
    /// The authors of a plugin or of BuildStream.
    Plugin,
    /// Nobody yet: it may pass by itself.
    Nobody,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Actor::Host => "the fetching host's administrator",
            Actor::Project => "the project's maintainers",
            Actor::Upstream => "the upstream",
            Actor::Cache => "the source cache's administrator",
            Actor::Plugin => "the plugin's authors",
            Actor::Nobody => "nobody yet",
        })
    }
}

impl Retry {
    /// Its name as reports have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Retry::No => "no",
            Retry::Once => "once",
            Retry::Yes => "yes",
        }
    }
}

/// The sorts of failure. Their kebab-case names are stable: reports, metrics and templates use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `bst` was called in a way that it does not understand.
    Usage,
    /// The configuration (ours, or BuildStream's own user configuration) is wrong.
    Configuration,
    /// The machine lacks `bst` itself, or it cannot be started.
    BstMissing,
    /// The managed Python environment could not be made.
    Environment,
    /// BuildStream's sandbox tools are missing or do not work.
    Sandbox,
    /// The project wants another version of BuildStream.
    BstVersion,
    /// A program that a plugin needs is not installed.
    HostToolMissing,
    /// A plugin's Python package is not installed, or has the wrong version.
    PluginMissing,
    /// A Python module that a plugin imports is not installed.
    PythonModuleMissing,
    /// The project uses a plugin that it does not declare.
    PluginUndeclared,
    /// The project's own files are wrong: YAML, a missing element or file, a circular dependency, a bad option.
    ProjectInvalid,
    /// A junction has no ref.
    JunctionNoRef,
    /// A junction's sources are not there yet (BuildStream 1 does not fetch them while it loads).
    JunctionNotFetched,
    /// A source has no ref.
    NoRef,
    /// A branch, tag or commit that a source names is not there.
    RefMissing,
    /// A downloaded file is not the one that the ref names.
    Checksum,
    /// Tracking found other content under an address that had not changed. Nothing failed: it is a finding.
    ChecksumChanged,
    /// The upstream says that there is no such thing (404, 410).
    NotFound,
    /// The upstream wants other credentials (401, 403).
    Unauthorised,
    /// The upstream asks to be left alone for a while (429).
    RateLimited,
    /// The upstream is broken (5xx).
    ServerError,
    /// A name could not be resolved.
    Dns,
    /// A host could not be reached, refused, or stopped in the middle.
    Network,
    /// TLS could not be agreed on, or a certificate is not trusted.
    Tls,
    /// The disk is full, or below `min-free-space`.
    DiskFull,
    /// A file or directory cannot be written or read.
    Permission,
    /// The machine is out of memory, open files or processes.
    HostResources,
    /// The source cache could not be reached.
    CacheUnreachable,
    /// The source cache refuses pushes or reads.
    CacheDenied,
    /// The source cache is full.
    CacheFull,
    /// A push ended without everything being in the cache.
    PushIncomplete,
    /// No remote takes pushes.
    NoPushRemote,
    /// buildbox-casd died.
    CasdDied,
    /// A git mirror of bst's is corrupt.
    MirrorCorrupt,
    /// The stage ran longer than its `timeout`.
    TimeOut,
    /// Somebody stopped the run.
    Interrupted,
    /// The process was killed by somebody else, or the last run was.
    Killed,
    /// Git failed in a way that no other kind names.
    Git,
    /// Another run holds the lock for too long.
    LockHeld,
    /// The configuration or the program could not be updated, or what was changed on the host gave way to an update.
    SelfUpdate,
    /// Status pages and logs could not be sent to where they are to be seen.
    Upload,
    /// A notifier could not deliver its message.
    Notifier,
    /// A plugin or BuildStream itself has a bug.
    Bug,
    /// Nothing that is known; the message shows the lines that matter.
    Unknown,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

#[cfg(test)]
mod tests;
