//! A branch that is checked out, prepared, and has its `bst`.

use thiserror::Error;

use super::{SourceSlot, Workspace};
use crate::bst::Bst;
use crate::diagnosis::Diagnosis;
use crate::fetcher::branch;
use crate::fetcher::own_cache::OwnCache;
use crate::fetcher::tools::RunTools;
use crate::names::{ProjectBranch, Stage};
use crate::pipeline::{Pipeline, PipelineDirectories, PipelineSession, Preparation, PreparedFiles, tracked_changes};
use crate::project::{Branch, BranchCheckout};
use crate::report::{BranchReport, Event, Outcome, StageReport, TrackedRef};
use crate::secret::Redact as _;
use crate::state::ElementMemory;

/// A branch of a [`Workspace`] that can be worked on: a working tree that is exactly its tip, prepared where the project
/// wants that, and the project's `bst`.
pub struct OpenBranch<'w> {
    workspace: &'w Workspace<'w>,
    branch: Branch<'w>,
    checkout: BranchCheckout,
    prepared: Option<PreparedFiles>,
    bst: Bst,
    directories: PipelineDirectories,
    stages: Vec<StageReport>,
    own_cache: OwnCache,
    /// Holds the environment of `bst`, where that is one of ours.
    _tools: RunTools<'w>,
    _slot: SourceSlot<'w>,
}

impl std::fmt::Debug for OpenBranch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenBranch").field("branch", &self.branch).field("bst", &self.bst).finish_non_exhaustive()
    }
}

/// Why a branch cannot be worked on.
#[derive(Debug, Error)]
#[error("{} of {}: {}", report.stages.last().map_or(Stage::Checkout, |stage| stage.stage), report.project, words(report))]
#[non_exhaustive]
pub struct OpenError {
    /// What there is to report of it.
    pub report: Box<BranchReport>,
}

fn words(report: &BranchReport) -> &str {
    report.all_failures().next().map_or("it failed", |failure| &failure.message)
}

impl<'f> Workspace<'f> {
    /// Checks a branch out, finds or makes its project's `bst`, and prepares the checkout where the configuration says how.
    /// One thread or process may work on a branch at a time; several branches may be open at once.
    ///
    /// # Errors
    /// When one of these fails, with the branch's report.
    pub fn open<'w>(&'w self, branch: &Branch<'w>) -> Result<OpenBranch<'w>, OpenError>
    where
        'f: 'w,
    {
        let context = self.context();
        let config = branch.project().config();
        let mut stages =
            vec![StageReport { attempts: 1, ..StageReport::new(Stage::Checkout, None, context.clock.now()) }];
        let began = std::time::Instant::now();
        let checkout = branch::checked_out(branch, &mut stages[0]);
        let tools = RunTools::new(self.fetcher, context, &self.run_directory());
        let made = checkout.and_then(|checkout| Ok((checkout, tools.bst(config)?)));
        stages[0].seconds = began.elapsed().as_secs_f64();
        let (checkout, bst) = match made {
            Ok((checkout, (bst, failure))) => {
                if let Some(failure) = failure {
                    stages[0].outcome = Outcome::Partial;
                    stages[0].failures.push(failure);
                }
                (checkout, bst)
            }
            Err(failure) => {
                stages[0].outcome = Outcome::Failed;
                stages[0].failures.push(failure.with_stage(Stage::Checkout));
                return Err(self.not_open(branch, stages));
            }
        };
        let slot = SourceSlot::take(&self.slots);
        let directories = self.directories(branch, &checkout, slot.number);
        let mut prepared = None;
        if !config.prepare.is_empty() {
            let preparation = Preparation {
                project: config,
                commit: branch.commit(),
                context,
                directory: &checkout.directory,
                tree: &checkout.tree,
                temporary: &directories.temporary,
                objects: directories.objects.as_deref(),
                run: &directories.run,
                logs: &directories.logs,
                again: false,
            };
            let (report, files) = preparation.run();
            let is_good = report.outcome.is_good();
            stages.push(report);
            if !is_good {
                return Err(self.not_open(branch, stages));
            }
            prepared = files;
        }
        let stages = stages.redacted(context.redactor);
        let own_cache = OwnCache::of(directories.cachedir.clone());
        Ok(OpenBranch {
            workspace: self,
            branch: branch.clone(),
            checkout,
            prepared,
            bst,
            directories,
            stages,
            own_cache,
            _tools: tools,
            _slot: slot,
        })
    }

    fn directories(&self, branch: &Branch<'_>, checkout: &BranchCheckout, slot: usize) -> PipelineDirectories {
        let (config, run) = (&self.fetcher.config, self.run_directory());
        let project = branch.project().config();
        let caches = self.layout.of(&project.trust());
        let number = config.projects.iter().position(|other| other.name == project.name);
        PipelineDirectories {
            project: checkout.directory.clone(),
            cachedir: caches.cachedir,
            sourcedir: caches.sources.join(slot.to_string()),
            // Of each project its own, for what one left there another would find.
            temporary: self.temporary.path().join(format!("{slot}.{}", number.unwrap_or(config.projects.len()))),
            logs: run.join(ProjectBranch::new(&project.name, branch.name()).path()),
            objects: Some(branch.project().objects()),
            run,
        }
    }

    fn not_open(&self, branch: &Branch<'_>, stages: Vec<StageReport>) -> OpenError {
        let report = branch_report(branch, stages).redacted(&self.fetcher.redactor);
        OpenError { report: Box::new(report) }
    }
}

impl<'w> OpenBranch<'w> {
    /// The branch.
    pub fn branch(&self) -> &Branch<'w> {
        &self.branch
    }

    /// The directory with `project.conf`.
    pub fn directory(&self) -> &std::path::Path {
        &self.checkout.directory
    }

    /// The `bst` of the project.
    pub fn bst(&self) -> &Bst {
        &self.bst
    }

    /// The reports of the stages so far: the checkout, and what was prepared.
    pub fn stages(&self) -> &[StageReport] {
        &self.stages
    }

    /// The pipeline on the checkout. Upstreams are not asked what moved: everything is tracked that is to be tracked.
    pub fn pipeline(&self) -> Pipeline<'_> {
        let fetcher = self.workspace.fetcher;
        Pipeline {
            project: self.branch.project().config(),
            branch: self.branch.name(),
            commit: self.branch.commit(),
            bst: &self.bst,
            context: self.workspace.context(),
            directories: self.directories.clone(),
            prepared: self.prepared.as_ref(),
            one_at_a_time: self.workspace.one_at_a_time.as_ref(),
            refresh_after: fetcher.config.refresh_after,
            probing: None,
            clean_client_every: fetcher.config.clean_client_every,
            local_cache: Some(&self.own_cache),
            done_in_run: None,
        }
    }

    /// Begins a session of its pipeline, without any of the project's `variants`; the fetcher's cancel stops it.
    ///
    /// # Errors
    /// When the pipeline's directories cannot be made and written.
    pub fn session<'s, 'p>(
        &'s self,
        pipeline: &'s Pipeline<'p>,
        events: impl FnMut(Event) + 's,
    ) -> Result<PipelineSession<'s, 'p>, Diagnosis> {
        pipeline.session(None, events)
    }

    /// The branch's report, with the stages of a session that is over.
    pub fn report(&self, (stages, memory): (Vec<StageReport>, ElementMemory)) -> BranchReport {
        let at = self.workspace.fetcher.clock.now();
        let known = [memory.tracked.inventory, memory.committed.inventory];
        let inventories: Vec<_> = known.into_iter().flatten().map(|known| known.inventory).collect();
        let mut stages: Vec<_> = self.stages.iter().cloned().chain(stages).collect();
        let tracked = stages.iter_mut().rfind(|stage| stage.stage == Stage::Track);
        let changes = match (tracked, &self.prepared) {
            (None, _) => Vec::new(),
            (Some(track), prepared) => {
                let found = tracked_changes(&self.checkout.directory, &inventories, prepared.as_ref());
                found.unwrap_or_else(|error| {
                    track.notes.push(format!("the changed refs cannot be told: {error}"));
                    Vec::new()
                })
            }
        };
        let changes = changes.into_iter().map(|change| TrackedRef::new(change, None, at)).collect();
        let bst_version = Some(self.bst.version.to_string());
        let report = BranchReport { bst_version, changes, ..branch_report(&self.branch, stages) };
        report.redacted(&self.workspace.fetcher.redactor)
    }
}

fn branch_report(branch: &Branch<'_>, stages: Vec<StageReport>) -> BranchReport {
    let outcome = branch::outcome(&stages);
    let started = stages.first().map(|stage| stage.started).unwrap_or_default();
    let seconds = stages.iter().map(|stage| stage.seconds).sum();
    let name = branch.project().config().name.clone();
    BranchReport {
        commit: Some(branch.commit().clone()),
        seconds,
        outcome,
        stages,
        ..BranchReport::new(name, Some(branch.name().clone()), started)
    }
}
