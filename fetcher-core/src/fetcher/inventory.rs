//! How sources are probed and what is remembered of tracking them, for people to see.

use std::collections::BTreeMap;

use super::Fetcher;
use crate::bst::inventory::Inventory;
use crate::config::ProjectConfig;
use crate::names::{BranchName, ElementName, ProjectBranch};
use crate::pipeline::{ElementProbing, TrackingMemory, overview};
use crate::project::working_tree;
use crate::secret::Redact as _;
use crate::state::{StateError, StateStore};

impl Fetcher {
    /// How the elements of a branch are probed, as the last run left its checkout; nothing where there is none any more.
    /// Nobody is asked, and nothing is changed.
    ///
    /// # Errors
    /// When what is remembered of tracking cannot be read.
    pub fn source_probes(
        &self,
        project: &ProjectConfig,
        branch: &BranchName,
        inventory: &Inventory,
    ) -> Result<BTreeMap<ElementName, ElementProbing>, StateError> {
        let of = ProjectBranch::new(&project.name, branch);
        let checkout = working_tree(&self.config.cache_dir, of).join(&project.directory);
        if !checkout.join("project.conf").is_file() {
            return Ok(BTreeMap::new());
        }
        let memory = TrackingMemory::file(&StateStore::new(&self.config.state_dir), &project.name).read()?;
        let found = overview(&checkout, (&self.config.probe, project), inventory, memory.as_ref());
        Ok(found.into_iter().map(|(element, probing)| (element, probing.redacted(&self.redactor))).collect())
    }
}
