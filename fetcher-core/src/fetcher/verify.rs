//! Asking the caches, whenever somebody wants to know.

use std::path::Path;
use std::time::Duration;

use super::own_cache::OwnCache;
use super::tools::RunTools;
use super::{Fetcher, FetcherError};
use crate::config::{ProjectConfig, VariantConfig};
use crate::diagnosis::{Diagnosis, FailureKind};
use crate::names::{BranchName, CommitId, ElementName, ProjectBranch, Refs};
use crate::pipeline::audit::AuditRequest;
use crate::pipeline::{Pipeline, PipelineDirectories};
use crate::project::{Project, working_tree};
use crate::runner::{LocalRunner, RunContext};
use crate::secret::Redact as _;
use crate::state::{CacheLayout, ElementMemory, StateError, StateStore};

pub use crate::pipeline::audit::BranchAudit;

/// What is to be proved.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct VerifyRequest {
    /// The name of a project; none for all.
    pub project: Option<String>,
    /// The name of a branch; none for all.
    pub branch: Option<String>,
    /// Elements; none for all.
    pub elements: Vec<ElementName>,
    /// Whether every byte of every blob is read: caches are asked else whether they have a blob, which says nothing of
    /// what is in it.
    pub contents: bool,
    /// Whether a `bst` with empty caches, and with no way to any upstream, fetches what is proved: the refs that the last
    /// run left in the checkouts, which are those that tracking found.
    pub clean_client: bool,
}

/// What came of it.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// What was asked for, by branch, option set and refs.
    pub audits: Vec<BranchAudit>,
    /// What of the memory cannot be read, so that nothing is known of it.
    pub problems: Vec<StateError>,
    /// Whether somebody wanted to stop before the end.
    pub is_interrupted: bool,
}

impl VerifyReport {
    /// Whether everything that was asked for is there.
    pub fn is_whole(&self) -> bool {
        !self.is_interrupted && self.problems.is_empty() && self.audits.iter().all(BranchAudit::is_whole)
    }
}

/// A branch with one option set.
#[derive(Clone, Copy)]
struct Subject<'a> {
    project: &'a ProjectConfig,
    branch: &'a BranchName,
    commit: Option<&'a CommitId>,
    variant: Option<&'a VariantConfig>,
}

/// What a client with empty caches is made with.
struct CleanClient<'a> {
    context: RunContext<'a>,
    temporary: &'a Path,
    tools: &'a RunTools<'a>,
    layout: &'a CacheLayout,
}

impl Fetcher {
    /// Asks the caches for all sources of the branches that runs have worked on: always, whatever was proved before, and
    /// without any `bst` unless a client with empty caches is wanted. Nothing is changed, and nothing remembered.
    ///
    /// # Errors
    /// With such a client, when a run is under way, or there is no temporary directory for it.
    pub fn verify(&self, request: &VerifyRequest) -> Result<VerifyReport, FetcherError> {
        let store = StateStore::new(&self.config.state_dir);
        let mut report = VerifyReport::default();
        let temporary = self.temporary()?;
        let local = LocalRunner::default();
        let sandboxed = self.sandboxed(&local, temporary.path());
        let context = self.context(self.runner.as_deref().unwrap_or(&sandboxed), &local);
        let tools = RunTools::new(self, context, temporary.path());
        let (layout, unread) = CacheLayout::look(&self.config.cache_dir);
        report.problems.extend(unread);
        let client = CleanClient { context, temporary: temporary.path(), tools: &tools, layout: &layout };
        // The checkouts have to stay as they are.
        let _locks = request.clean_client.then(|| self.lock("bst-fetcher verify", Duration::ZERO)).transpose()?;
        for state in store.branches() {
            let Some(branch) = state.branch else { continue };
            let is_asked = |asked: &Option<String>, name: &str| asked.as_deref().is_none_or(|asked| asked == name);
            let is_wanted = |project: &&ProjectConfig| {
                project.name == state.project && is_asked(&request.project, project.name.as_str())
            };
            let Some(project) = self.config.projects.iter().find(is_wanted) else { continue };
            if !is_asked(&request.branch, branch.as_str()) {
                continue;
            }
            let variants: Vec<_> = match &project.variants[..] {
                [] => vec![None],
                variants => variants.iter().map(Some).collect(),
            };
            for variant in variants {
                let subject = Subject { project, branch: &branch, commit: state.commit.as_ref(), variant };
                self.audit(&store, &subject, request, &client, &mut report);
                if report.is_interrupted {
                    return Ok(report);
                }
            }
        }
        Ok(report)
    }

    fn audit(
        &self,
        store: &StateStore,
        subject: &Subject<'_>,
        request: &VerifyRequest,
        client: &CleanClient<'_>,
        report: &mut VerifyReport,
    ) {
        let Subject { project, branch, variant, .. } = *subject;
        let name = variant.map(|variant| &variant.name);
        let memory = match store.elements(&project.name, branch, name) {
            Ok(memory) => memory.unwrap_or_default(),
            Err(error) => return report.problems.push(error),
        };
        let caches = client.layout.of(&project.trust());
        for refs in [Refs::Committed, Refs::Tracked].into_iter().filter(|refs| project.wants(*refs)) {
            let (elements, reads_contents) = (&request.elements[..], request.contents);
            let context = client.context;
            let asked = AuditRequest { project, branch, variant: name, refs, elements, reads_contents, context };
            let Some(mut audit) = asked.ask(&caches.cachedir, &memory) else {
                report.is_interrupted = true;
                return;
            };
            // The checkout has one sort of refs alone.
            let is_checked_out = project.wants(Refs::Tracked) == (refs == Refs::Tracked);
            if request.clean_client && is_checked_out && audit.failure.is_none() {
                audit.failure = self.try_a_client(subject, &memory, client, &mut audit).err();
            }
            report.audits.push(audit.redacted(&self.redactor));
        }
        report.is_interrupted |= self.cancel.is_cancelled();
    }

    fn try_a_client(
        &self,
        subject: &Subject<'_>,
        memory: &ElementMemory,
        client: &CleanClient<'_>,
        audit: &mut BranchAudit,
    ) -> Result<(), Diagnosis> {
        let Subject { project, branch, commit, variant } = *subject;
        let failure = |why: String| {
            let message = format!("no client with empty caches could be tried: {why}");
            Diagnosis::of_kind(FailureKind::Unknown, message).with_hint("see to what is named, and try again")
        };
        let config = &self.config;
        let tree = working_tree(&config.cache_dir, ProjectBranch::new(&project.name, branch));
        let directory = tree.join(&project.directory);
        let commit = commit.filter(|_| directory.join("project.conf").is_file());
        let commit = commit.ok_or_else(|| failure("there is no checkout; a run makes one".to_owned()))?;
        let (bst, _) = client.tools.bst(project)?;
        let mirror = Project::mirror_name(project).ok();
        let own_cache = OwnCache::of(client.layout.of(&project.trust()).cachedir);
        let pipeline = Pipeline {
            project,
            branch,
            commit,
            prepared: None,
            bst: &bst,
            context: client.context,
            directories: PipelineDirectories {
                project: directory,
                cachedir: client.temporary.join("cachedir"),
                sourcedir: client.layout.of(&project.trust()).sources.join("verify"),
                temporary: client.temporary.join("bst"),
                objects: mirror.map(|name| config.cache_dir.join("mirrors").join(name).join("objects")),
                run: client.temporary.to_owned(),
                logs: client.temporary.join("logs"),
            },
            one_at_a_time: None,
            refresh_after: config.refresh_after,
            probing: None,
            done_in_run: None,
            clean_client_every: None,
            local_cache: Some(&own_cache),
        };
        pipeline.try_a_client(audit, variant, memory).map_err(failure)
    }
}
