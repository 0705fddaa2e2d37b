//! Asking the caches for all that is known of a branch, without any bst and without remembering what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::Pipeline;
use super::prover::{KeyAnswer, SourceProver};
use super::stage_runner::StageRunner;
use super::verify::proof_target;
use crate::config::{ProjectConfig, VariantConfig};
use crate::diagnosis::{Diagnosis, redacted_element};
use crate::names::{BranchName, ElementName, ProjectName, Refs, SourceKey, VariantName};
use crate::runner::RunContext;
use crate::secret::{Redact, Redactor};
use crate::state::ElementMemory;

/// What the caches have of a branch with one option set and some refs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct BranchAudit {
    /// The project.
    pub project: ProjectName,
    /// The branch.
    pub branch: BranchName,
    /// The option set; none where the project has no `variants`.
    pub variant: Option<VariantName>,
    /// The refs.
    pub refs: Refs,
    /// The caches that were asked: their addresses, or `the local cache`.
    pub caches: Vec<String>,
    /// The elements all of whose sources are there.
    pub proved: BTreeSet<ElementName>,
    /// The others, each with what is missing, or why nothing is known of it.
    pub missing: BTreeMap<ElementName, String>,
    /// The elements that a client with empty caches fetched, where there was one.
    pub fetched_by_client: Option<BTreeSet<ElementName>>,
    /// How that client was kept from upstreams.
    pub isolation: Option<String>,
    /// Different blobs that were asked for, over all caches.
    pub blobs: u64,
    /// Requests that were made.
    pub requests: u64,
    /// Seconds that it took.
    pub seconds: f64,
    /// Why the caches could not be asked; nothing is proved then.
    pub failure: Option<Diagnosis>,
}

impl BranchAudit {
    /// Whether everything is there.
    pub fn is_whole(&self) -> bool {
        self.failure.is_none() && self.missing.is_empty()
    }
}

impl Redact for BranchAudit {
    fn redacted(self, redactor: &Redactor) -> Self {
        let Self {
            project,
            branch,
            variant,
            refs,
            caches,
            proved,
            missing,
            fetched_by_client,
            isolation,
            blobs,
            requests,
            seconds,
            failure,
        } = self;
        let name = |element: &ElementName| redacted_element(element, redactor);
        let missing = missing.into_iter();
        Self {
            project,
            branch,
            variant,
            refs,
            caches: caches.redacted(redactor),
            proved: proved.iter().filter_map(name).collect(),
            missing: missing.filter_map(|(element, what)| Some((name(&element)?, what.redacted(redactor)))).collect(),
            fetched_by_client: fetched_by_client.map(|fetched| fetched.iter().filter_map(name).collect()),
            isolation,
            blobs,
            requests,
            seconds,
            failure: failure.redacted(redactor),
        }
    }
}

/// What is to be asked for.
pub(crate) struct AuditRequest<'a> {
    pub(crate) project: &'a ProjectConfig,
    pub(crate) branch: &'a BranchName,
    pub(crate) variant: Option<&'a VariantName>,
    pub(crate) refs: Refs,
    /// These elements alone; empty for all.
    pub(crate) elements: &'a [ElementName],
    /// Whether every byte is read.
    pub(crate) reads_contents: bool,
    /// Whose environment says whose certificates are believed.
    pub(crate) context: RunContext<'a>,
}

impl AuditRequest<'_> {
    /// Asks for all that the memory knows of; none in the case that somebody wants to stop.
    pub(crate) fn ask(&self, cachedir: &Path, memory: &ElementMemory) -> Option<BranchAudit> {
        let began = Instant::now();
        let mut audit = BranchAudit {
            project: self.project.name.clone(),
            branch: self.branch.clone(),
            variant: self.variant.cloned(),
            refs: self.refs,
            caches: Vec::new(),
            proved: BTreeSet::new(),
            missing: BTreeMap::new(),
            fetched_by_client: None,
            isolation: None,
            blobs: 0,
            requests: 0,
            seconds: 0.0,
            failure: None,
        };
        let keys = self.keys(memory);
        let target = match proof_target(self.project) {
            Ok(target) => target,
            Err(why) => {
                audit.missing = keys.into_keys().map(|element| (element, why.clone())).collect();
                return Some(audit);
            }
        };
        audit.caches = target.names();
        let prover = SourceProver::new(target, cachedir, self.project.timeout).trusting(self.context.environment);
        let mut prover = prover.reading_contents(self.reads_contents);
        match prover.ask(&keys.values().flatten().cloned().collect(), self.context.cancel) {
            Ok(()) => {}
            Err(Some(failure)) => audit.failure = Some(failure),
            Err(None) => return None,
        }
        for (element, key) in keys {
            match key.as_ref().map(|key| prover.answer(key)) {
                Some(Some(KeyAnswer::Proved)) => drop(audit.proved.insert(element)),
                Some(Some(KeyAnswer::Missing(what))) => drop(audit.missing.insert(element, what.clone())),
                Some(None) => drop(audit.missing.insert(element, "nobody could be asked".to_owned())),
                None => drop(audit.missing.insert(element, NOT_DONE.to_owned())),
            }
        }
        (audit.blobs, audit.requests) = prover.cost();
        audit.seconds = began.elapsed().as_secs_f64();
        Some(audit)
    }

    /// The elements that ought to be there, with their keys as far as they are known.
    fn keys(&self, memory: &ElementMemory) -> BTreeMap<ElementName, Option<SourceKey>> {
        let known = memory.of(self.refs);
        let listing = known.inventory.as_ref().or(memory.committed.inventory.as_ref());
        let listed = listing.into_iter().flat_map(|listing| &listing.inventory.elements);
        let mut keys: BTreeMap<_, _> =
            listed.filter(|element| element.has_refs).map(|element| (element.name.clone(), None)).collect();
        keys.extend(known.done.iter().map(|(element, done)| (element.clone(), done.key.clone())));
        keys.retain(|element, _| self.elements.is_empty() || self.elements.contains(element));
        keys
    }
}

impl Pipeline<'_> {
    /// Lets a client with empty caches fetch what an audit found proved; what it does not get is not there.
    ///
    /// # Errors
    /// In words, why there could be no such client.
    pub(crate) fn try_a_client(
        &self,
        audit: &mut BranchAudit,
        variant: Option<&VariantConfig>,
        memory: &ElementMemory,
    ) -> Result<(), String> {
        let caches = self.client_caches(&proof_target(self.project)?)?;
        let done = &memory.of(audit.refs).done;
        let keys: BTreeMap<_, _> =
            audit.proved.iter().filter_map(|name| Some((name.clone(), done.get(name)?.key.clone()?))).collect();
        let work = StageRunner::new(self, audit.refs, variant, |_| {});
        let mut work = work.map_err(|failure| failure.message)?;
        work.junctions.extend(done.keys().flat_map(ElementName::junctions));
        let result = work.clean_client(&keys, &caches)?;
        audit.isolation = Some(result.isolation.as_str().to_owned());
        audit.seconds += result.seconds;
        for (element, why) in result.missing {
            audit.proved.remove(&element);
            audit.missing.insert(element, format!("a client with empty caches does not get them: {why}"));
        }
        audit.fetched_by_client = Some(result.fetched);
        Ok(())
    }
}

/// What is said of an element that no run has fetched and pushed.
const NOT_DONE: &str = "no run has brought them there yet, or the last one found them incomplete";
