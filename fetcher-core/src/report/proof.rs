//! What is proved to be in the source caches, as reports tell it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{BranchReport, StageReport};
use crate::names::{ElementName, Refs, Stage, VariantName};

/// What the stage `verify` found out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ProofReport {
    /// The caches that were asked, or would have been: their addresses, or `the local cache`.
    pub caches: Vec<String>,
    /// The elements all of whose sources are there: every cache said so now, or within `refresh-after`.
    pub proved: BTreeSet<ElementName>,
    /// How many of them were not asked about now, for they were proved within `refresh-after`.
    pub remembered: u64,
    /// The elements of whose sources something is missing.
    pub missing: BTreeSet<ElementName>,
    /// How many elements lacked something, and were whole after one more push.
    pub repaired: u64,
    /// The elements that a client with empty caches and no way to any upstream fetched now from the caches.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub fetched_by_client: BTreeSet<ElementName>,
    /// Different blobs that were asked for, over all caches.
    pub blobs: u64,
    /// Requests that were made.
    pub requests: u64,
}

impl StageReport {
    /// The elements whose sources this stage proved to be in the caches.
    pub fn proved(&self) -> impl Iterator<Item = &ElementName> {
        self.proof.iter().flat_map(|proof| &proof.proved)
    }
}

impl BranchReport {
    /// Whether all sources of an element are proved to be in the source caches, with these refs and this option set (none
    /// where the project has no `variants`). What was not proved, for whatever reason, is not.
    pub fn is_proved(&self, element: &ElementName, variant: Option<&VariantName>, refs: Refs) -> bool {
        let of_it = |stage: &&StageReport| {
            stage.stage == Stage::Verify && stage.variant.as_ref() == variant && stage.refs == Some(refs)
        };
        let proof = self.stages.iter().rfind(of_it).and_then(|stage| stage.proof.as_ref());
        proof.is_some_and(|proof| proof.proved.contains(element))
    }
}
