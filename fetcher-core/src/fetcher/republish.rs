//! Publishing what the last run tracked, without another run.

use std::path::Path;
use std::sync::Arc;

use super::candidates::CandidateLoader;
use super::publish_failures::{forge_failure, publish_failure};
use super::tools::RunTools;
use super::tracked_publication::{cached_in, entered};
use super::{Fetcher, FetcherError, RunSelection, git_diagnoses, made, notifications};
use crate::bst::Bst;
use crate::config::{ProjectConfig, PublishMode};
use crate::diagnosis::Diagnosis;
use crate::git::Git;
use crate::json_file::JsonFile;
use crate::names::{BranchName, Stage};
use crate::pipeline::{PipelineDirectories, tracked_changes};
use crate::project::{Branch, Project};
use crate::publish::{PublicationError, PublishMemory, Publisher, TrackedCheckout};
use crate::report::{BranchReport, Outcome, PublicationReport, StageReport, TrackedRef};
use crate::runner::{LocalRunner, RunContext};
use crate::secret::Redact as _;
use crate::state::{BranchState, CacheLayout, StateStore};

impl Fetcher {
    /// Publishes what the last run tracked and knew to be cached, of every selected branch, whatever its `schedule`; with
    /// `dry_run`, pushes nothing and says what would be. A failure is data in the reports.
    ///
    /// # Errors
    /// When a run is under way, a project that was asked for is not configured, or the directories cannot be used.
    pub fn publish(&self, selection: &RunSelection) -> Result<Vec<BranchReport>, FetcherError> {
        self.check(selection)?;
        let holder = format!("publishing, process {}", std::process::id());
        let state_dir = made(&self.config.state_dir)?;
        let (_locks, _unended) = self.lock(&holder, selection.lock_wait)?;
        let (store, temporary) = (StateStore::new(&self.config.state_dir), self.temporary()?);
        let runner = LocalRunner::new(state_dir.as_os_str());
        let sandboxed = self.sandboxed(&runner, temporary.path());
        let context = self.context(self.runner.as_deref().unwrap_or(&sandboxed), &runner);
        let tools = RunTools::new(self, context, temporary.path());
        let (layout, unread) = CacheLayout::look(&self.config.cache_dir);
        let (unread, temporary) = (unread.iter().map(ToString::to_string).collect(), temporary.path());
        let dry_run = selection.dry_run;
        let tools = RepublishTools { context, tools: &tools, layout: &layout, unread, dry_run, temporary };
        let asked = |names: &[String], name: &str| names.is_empty() || names.iter().any(|asked| asked == name);
        let mut reports = Vec::new();
        for project in &self.config.projects {
            if project.publish.mode == PublishMode::None || !asked(&selection.projects, project.name.as_str()) {
                continue;
            }
            for state in store.branches().into_iter().filter(|state| state.project == project.name) {
                let Some(branch) = state.branch.clone() else { continue };
                if asked(&selection.branches, branch.as_str()) {
                    let place = Republished { fetcher: self, project, branch: &branch, state: &state, store: &store };
                    let report = place.publish(&tools);
                    reports.push(report.redacted(&self.redactor));
                }
            }
        }
        Ok(reports)
    }
}

/// What publishing by hand is done with.
struct RepublishTools<'r> {
    context: RunContext<'r>,
    tools: &'r RunTools<'r>,
    layout: &'r CacheLayout,
    /// What of that cannot be read.
    unread: Vec<String>,
    /// Whether nothing is pushed.
    dry_run: bool,
    temporary: &'r Path,
}

/// A branch of which the last run's tracked refs are published.
struct Republished<'r> {
    fetcher: &'r Fetcher,
    project: &'r ProjectConfig,
    branch: &'r BranchName,
    state: &'r BranchState,
    store: &'r StateStore,
}

impl Republished<'_> {
    fn publish(&self, tools: &RepublishTools<'_>) -> BranchReport {
        let now = self.fetcher.clock.now();
        let notes = tools.unread.clone();
        let mut stage = StageReport { attempts: 1, notes, ..StageReport::new(Stage::Publish, None, now) };
        let publication = match self.published(tools, &mut stage) {
            Ok(publication) => publication,
            Err(failure) => {
                stage.failures.push(*failure);
                stage.outcome = Outcome::Failed;
                None
            }
        };
        BranchReport {
            project: self.project.name.clone(),
            branch: Some(self.branch.clone()),
            commit: self.state.commit.clone(),
            started: now,
            seconds: 0.0,
            outcome: stage.outcome,
            bst_version: None,
            stages: vec![stage],
            changes: Vec::new(),
            holds: self.state.holds.clone(),
            coverage: Vec::new(),
            publication: publication.map(Box::new),
        }
    }

    fn published(
        &self,
        tools: &RepublishTools<'_>,
        stage: &mut StageReport,
    ) -> Result<Option<PublicationReport>, Box<Diagnosis>> {
        let fetcher = self.fetcher;
        let memory = self.store.publish_path(&self.project.name, self.branch);
        let failed = |error: PublicationError| Box::new(publish_failure(None, &error));
        let known = JsonFile::<PublishMemory>::at(&memory).read().map_err(|error| failed(error.into()))?;
        let Some((commit, readiness)) = known.and_then(|known| Some((known.commit?, known.readiness))) else {
            stage.outcome = Outcome::Skipped;
            stage.skipped = Some("no run has tracked it yet, with `publish` as it is".to_owned());
            return Ok(None);
        };
        let forge = fetcher.forge_of(self.project, tools.context).map_err(|error| Box::new(forge_failure(&error)))?;
        let git = Git::new(tools.context, self.project.timeout);
        let of_git = |error| Box::new(git_diagnoses::git(&error, Stage::Publish));
        let project = Project::new(self.project, &fetcher.config.cache_dir, git).map_err(of_git)?;
        let branch = project.branch_at(self.branch, &commit);
        let directory = branch.directory();
        let tracked = self.tracked(&directory).map_err(|error| failed(PublicationError::Internal(error)))?;
        let (bst, _) = tools.tools.bst(self.project)?;
        let check = self.loader(tools, &branch, &bst);
        let (host, cached_in) = (notifications::host_name(), cached_in(self.project));
        let publisher = Publisher {
            project: self.project,
            git,
            forge: Arc::clone(&forge),
            host: &host,
            now: fetcher.clock.now(),
            temporary: tools.temporary,
            memory,
            cached_in: &cached_in,
            check: Some(&check),
            dry_run: tools.dry_run,
            at_once: true,
        };
        let publication = publisher.publish(&TrackedCheckout {
            branch: &branch,
            directory: &directory,
            // No elements are prepared, and refs are in nothing else.
            prepared: None,
            tracked: &tracked,
            readiness: &readiness,
            taken_back: &[],
            untracked: &[],
            holds: &self.state.holds,
        });
        entered(&publication, &[], stage);
        Ok(Some(publication.report))
    }

    fn loader<'l>(&self, tools: &RepublishTools<'l>, branch: &'l Branch<'l>, bst: &'l Bst) -> CandidateLoader<'l>
    where
        Self: 'l,
    {
        let caches = tools.layout.of(&self.project.trust());
        let temporary = tools.temporary;
        CandidateLoader {
            branch,
            bst,
            context: tools.context,
            place: temporary.join("candidate"),
            directories: PipelineDirectories {
                project: branch.directory(),
                cachedir: caches.cachedir,
                // No run is at work: the first worker's is free.
                sourcedir: caches.sources.join("0"),
                temporary: temporary.join("bst"),
                objects: None,
                run: temporary.to_owned(),
                logs: temporary.join("logs"),
            },
            may_push: !tools.dry_run,
            refresh_after: self.fetcher.config.refresh_after,
            one_at_a_time: None,
        }
    }

    /// What tracking wrote into the checkout, with since when each ref is known.
    fn tracked(&self, directory: &Path) -> Result<Vec<TrackedRef>, String> {
        let name = &self.project.name;
        let variants = super::branch::variants(self.project);
        let memories = variants.into_iter().filter_map(|variant| {
            // Inventories only tell kinds and urls, which files do as well.
            self.store.elements(name, self.branch, variant.map(|variant| &variant.name)).ok().flatten()
        });
        let inventories: Vec<_> = memories
            .flat_map(|memory| [memory.tracked.inventory, memory.committed.inventory])
            .flatten()
            .map(|known| known.inventory)
            .collect();
        let now = self.fetcher.clock.now();
        let known = self.state.tracked.as_deref();
        let changes = tracked_changes(directory, &inventories, None)?;
        Ok(changes.into_iter().map(|change| TrackedRef::new(change, known, now)).collect())
    }
}
