//! The vocabulary of failures: their sorts, who must act, what helps, and the words by which they are known.
//!
//! It stands below all that can fail, so that git, pip and BuildStream's logs are read with one table.

mod http_status;
mod io_error;
mod kind;
mod line_diagnosis;
mod name_mask;
pub(crate) mod phrases;
#[cfg(feature = "fetcher")]
mod push_refusal;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use io_error::is_full;
pub use kind::{FailureKind, Remedy};
pub(crate) use line_diagnosis::LineDiagnosis;
pub(crate) use name_mask::without_names;
#[cfg(feature = "fetcher")]
pub use push_refusal::PushRefusal;

/// Whether trying again can mend a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// It cannot: the same will fail in the same way.
    No,
    /// It may well pass by itself.
    Yes,
    /// One more try is worth it, not more (a 404 that a mirror had for a moment, say). Also what a newer release calls
    /// otherwise.
    #[serde(other)]
    Once,
}

/// Who must act for a failure to go away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Actor {
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
    /// The administrator of the fetching host: its tools, space, network, credentials, configuration. Also whom only a
    /// newer release knows.
    #[serde(other)]
    Host,
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
