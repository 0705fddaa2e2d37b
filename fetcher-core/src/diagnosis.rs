//! What failed, which element, and who must act: data, and what gets it from a log of bst's.
//!
//! The words of bst and of the programs under it are looked for line by line ([`Diagnoser`]); what is known of a sort of
//! failure is in one place. Nothing is guessed: what no rule knows is [`FailureKind::Unknown`], with the lines that matter.

mod annotations;
mod builders;
mod closing_line;
mod diagnoser;
mod element_log;
mod exception;
mod exit;
mod explain;
mod grpc;
mod hidden;
mod installed;
mod load;
mod network;
mod place;
mod python;
mod redact;
mod render;
mod requirement;
mod session_end;
mod specificity;
mod tools;

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::names::{ElementName, Stage};

pub use crate::failure::{Actor, FailureKind, Remedy, Retry};
pub use annotations::render_github;
pub use diagnoser::{Diagnoser, LogDiagnoses, LogFacts, diagnose, of_runner};
pub use network::{HostReachability, ProxyFailure, upstream_host};
pub(crate) use redact::redacted_element;
pub use render::render_text;
pub use specificity::Specificity;
#[cfg(feature = "fetcher")]
pub(crate) use tools::requirement_of_module;

/// One failure, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Diagnosis {
    /// What sort of failure it is.
    pub kind: FailureKind,
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
    pub place: Location,
    /// Whether it may fail, by `allow-failure` of the project: then it is a finding, and nothing counts it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allowed: bool,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(element) = &self.element {
            write!(f, "{element}: ")?;
        }
        write!(f, "{}: {} ({})", self.kind, self.message, self.hint)
    }
}

impl std::error::Error for Diagnosis {}

/// Where a failure's cause is to be found; what is not known is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Location {
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

#[cfg(test)]
mod tests;
