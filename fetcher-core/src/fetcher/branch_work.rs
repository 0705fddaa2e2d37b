//! What is known of a branch between its phases.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::bst::Bst;
use crate::diagnosis::Diagnosis;
use crate::names::VariantName;
use crate::pipeline::PreparedFiles;
use crate::project::Branch;
use crate::report::{HoldReport, StageReport, TrackedRef};
use crate::state::ElementMemory;

/// A branch that is being worked on, between its phases.
pub(super) struct BranchWork<'p> {
    pub(super) branch: Branch<'p>,
    pub(super) project: PathBuf,
    pub(super) bst: Bst,
    /// What was prepared in the checkout.
    pub(super) prepared: Option<PreparedFiles>,
    /// What was done so far.
    pub(super) stages: Vec<StageReport>,
    pub(super) spent: Duration,
    /// What is known of the elements, by option set.
    pub(super) memories: BTreeMap<Option<VariantName>, ElementMemory>,
    /// What tracking found.
    pub(super) changes: Vec<TrackedRef>,
    /// The holds on its elements.
    pub(super) holds: Vec<HoldReport>,
    /// What went wrong beside the stages.
    pub(super) failures: Vec<Diagnosis>,
    /// Whose sourcedir has the branch's upstreams now.
    pub(super) slot: usize,
}
