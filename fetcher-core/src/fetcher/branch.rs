//! One branch: its checkout, its `bst`, and its pipelines, in two phases between which other branches may have their
//! turn.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;

use super::branch_work::BranchWork;
use super::callbacks::blame;
use super::git_diagnoses;
use super::own_cache::OwnCache;
use super::workers::{CacheTurns, ProjectSlot, WorkerPool};
use crate::bst::project_files::ProjectFiles;
use crate::config::{DependencyScope, ProjectConfig, VariantConfig};
use crate::diagnosis::Diagnosis;
use crate::names::{BranchName, ElementName, ProjectBranch, Refs, Stage, VariantName};
use crate::pipeline::{
    Pipeline, PipelineDirectories, Preparation, PreparedFiles, ProjectHolds, TrackProbing, expired, tracked_changes,
};
use crate::project::{Branch, BranchCheckout, CheckoutError};
use crate::report::{
    Activity, BranchReport, CacheCoverage, Event, HoldReport, Outcome, RefChange, StageReport, TrackedRef,
};
use crate::state::ElementMemory;

impl<'f> WorkerPool<'f> {
    /// Checks a branch out and does what is to be done for its committed refs, as the only one that uses the sourcedir
    /// of `slot`; gives what is left to do, or the report where that is nothing.
    pub(super) fn committed<'p>(
        &'p self,
        slot: usize,
        place: &'p ProjectSlot<'p>,
        branch: &Branch<'p>,
        turns: &CacheTurns,
        events: &mut dyn FnMut(Event),
    ) -> Result<Box<BranchWork<'p>>, BranchReport>
    where
        'f: 'p,
    {
        let began = Instant::now();
        let (project, name) = (place.config.name.clone(), branch.name().clone());
        events(Event::BranchStarted { project: project.clone(), branch: name.clone() });
        let (variant, refs, stage) = (None, None, Stage::Checkout);
        events(Event::StageStarted { project, branch: name, variant, refs, stage, attempt: 1 });
        let mut checkout = self.report();
        // Its branches were listed, or there would be no such branch.
        checkout.reached.extend(self.fetcher.listing_proves(place.config));
        let made = checked_out(branch, &mut checkout);
        checkout.seconds = began.elapsed().as_secs_f64();
        let made = made.and_then(|made| {
            let (project, branch) = (Some(place.config.name.clone()), Some(branch.name().clone()));
            let mut tell = |activity| {
                events(Event::Activity { project: project.clone(), branch: branch.clone(), activity });
            };
            tell(Activity::PreparingBuildStream);
            let bst = self.tools.bst_telling(place.config, &mut || tell(Activity::InstallingBuildStream))?;
            Ok((made, bst))
        });
        let (made, bst) = match made {
            Ok((made, (bst, failure))) => {
                if let Some(failure) = failure {
                    checkout.outcome = Outcome::Partial;
                    checkout.failures.push(failure);
                }
                (made, bst)
            }
            Err(failure) => {
                return Err(BranchReport {
                    commit: Some(branch.commit().clone()),
                    seconds: began.elapsed().as_secs_f64(),
                    ..self.failed(place, Some(branch.name().clone()), checkout, failure)
                });
            }
        };
        let mut stages = vec![checkout];
        let prepared = match self.prepared(slot, place.config, branch, &made, events) {
            None => None,
            Some((stage, prepared)) => {
                let outcome = stage.outcome;
                stages.push(stage);
                if !outcome.is_good() {
                    return Err(BranchReport {
                        commit: Some(branch.commit().clone()),
                        seconds: began.elapsed().as_secs_f64(),
                        ..self.branch_report(place, Some(branch.name().clone()), stages, outcome)
                    });
                }
                prepared
            }
        };
        let project = made.directory;
        let missing = self.selection.elements.iter().find(|element| !ProjectFiles::new(&project).has(element));
        if let Some(element) = missing {
            stages[0].notes.push(format!("there is no {element} here"));
            return Err(BranchReport {
                commit: Some(branch.commit().clone()),
                ..self.branch_report(place, Some(branch.name().clone()), stages, Outcome::Skipped)
            });
        }
        let memories = self.memories(place.config, branch.name(), &mut stages[0].notes);
        let branch = branch.clone();
        let (changes, failures) = (Vec::new(), Vec::new());
        let mut work = Box::new(BranchWork {
            branch,
            project,
            bst,
            prepared,
            stages,
            spent: Duration::ZERO,
            memories,
            changes,
            holds: Vec::new(),
            failures,
            slot,
        });
        if place.config.wants(Refs::Committed) {
            self.pipelines(slot, place, &mut work, Refs::Committed, turns, events);
        }
        work.spent = began.elapsed();
        if place.config.wants(Refs::Tracked) { Ok(work) } else { Err(self.finished(place, &mut work)) }
    }

    /// Prepares a clean checkout; none where nothing is to be prepared.
    fn prepared(
        &self,
        slot: usize,
        project: &ProjectConfig,
        branch: &Branch<'_>,
        checkout: &BranchCheckout,
        events: &mut dyn FnMut(Event),
    ) -> Option<(StageReport, Option<PreparedFiles>)> {
        if project.prepare.is_empty() {
            return None;
        }
        let (name, run) = (branch.name(), self.store.run_directory(self.run));
        let (variant, refs, stage, attempt) = (None, None, Stage::Prepare, 1);
        events(Event::StageStarted {
            project: project.name.clone(),
            branch: name.clone(),
            variant,
            refs,
            stage,
            attempt,
        });
        let preparation = Preparation {
            project,
            commit: branch.commit(),
            context: self.context,
            directory: &checkout.directory,
            tree: &checkout.tree,
            objects: Some(&branch.project().objects()),
            temporary: &self.temporary.join(format!("{slot}.{}", self.number_of(project))),
            run: &run,
            logs: &run.join(ProjectBranch::new(&project.name, name).path()),
            again: self.selection.force,
        };
        let (report, prepared) = preparation.run();
        let (project, branch) = (project.name.clone(), name.clone());
        events(Event::StageFinished { project, branch, report: report.clone() });
        Some((report, prepared))
    }

    /// Does what is to be done for the refs that tracking finds.
    pub(super) fn tracked<'p>(
        &'p self,
        slot: usize,
        place: &'p ProjectSlot<'p>,
        work: &mut BranchWork<'p>,
        turns: &CacheTurns,
        events: &mut dyn FnMut(Event),
    ) -> BranchReport {
        let began = Instant::now();
        self.pipelines(slot, place, work, Refs::Tracked, turns, events);
        self.find_changes(work);
        self.find_holds(work);
        let publication = self.publish(work, slot, turns, events);
        work.spent += began.elapsed();
        BranchReport { publication: publication.map(Box::new), ..self.finished(place, work) }
    }

    /// Finds what tracking changed, and what of that is new.
    fn find_changes(&self, work: &mut BranchWork<'_>) {
        let (project, branch) = (&work.branch.project().config().name, work.branch.name());
        let inventories: Vec<_> = work
            .memories
            .values()
            .flat_map(|memory| [&memory.tracked.inventory, &memory.committed.inventory])
            .flatten()
            .map(|known| known.inventory.clone())
            .collect();
        let at = self.context.clock.now();
        // Where the memory cannot be read, the run that cannot write it says so.
        let known = self.store.branch(project, Some(branch)).ok().flatten().and_then(|state| state.tracked);
        match tracked_changes(&work.project, &inventories, work.prepared.as_ref()) {
            Ok(changes) => {
                let new = |change| {
                    let failed_with = failed_with(&change, &work.stages);
                    TrackedRef { failed_with, ..TrackedRef::new(change, known.as_deref(), at) }
                };
                work.changes = changes.into_iter().map(new).collect();
            }
            Err(error) => {
                if let Some(stage) = work.stages.iter_mut().rfind(|stage| stage.stage == Stage::Track) {
                    stage.notes.push(format!("the changed refs cannot be told: {error}"));
                }
            }
        }
    }

    /// Finds what held elements back, and what is to be told of holds that are over: once each.
    fn find_holds(&self, work: &mut BranchWork<'_>) {
        let (config, branch) = (work.branch.project().config(), work.branch.name());
        let today = self.context.clock.now().to_zoned_datetime(TimeZone::UTC).date();
        // What cannot be read is told where the state is written.
        let known = self.store.branch(&config.name, Some(branch)).ok().flatten().map(|state| state.holds);
        let known = known.unwrap_or_default();
        work.holds = ProjectHolds::read(config, &work.project, today).into_reports(&work.stages);
        let is_told = |hold: &HoldReport| known.iter().any(|known| known.expired && known.is_same(hold));
        let news = work.holds.iter().filter(|hold| hold.expired && !is_told(hold)).map(expired);
        if let Some(stage) = work.stages.iter_mut().rfind(|stage| stage.stage == Stage::Track) {
            stage.findings.extend(news);
        }
        if !self.selection.elements.is_empty() {
            // A run over a few elements says nothing of what else is held.
            for hold in &mut work.holds {
                let same = known.iter().filter(|known| known.is_same(hold));
                let mut elements: BTreeSet<_> = same.flat_map(|known| known.elements.iter().cloned()).collect();
                elements.extend(hold.elements.drain(..));
                hold.elements.extend(elements);
            }
        }
    }

    /// The report of a branch whose work is over, or came to an end.
    pub(super) fn finished(&self, place: &ProjectSlot<'_>, work: &mut BranchWork<'_>) -> BranchReport {
        let stages = std::mem::take(&mut work.stages);
        let outcome = outcome(&stages);
        let mut report = BranchReport {
            commit: Some(work.branch.commit().clone()),
            seconds: work.spent.as_secs_f64(),
            bst_version: Some(work.bst.version.to_string()),
            changes: std::mem::take(&mut work.changes),
            holds: std::mem::take(&mut work.holds),
            coverage: self.coverage(place.config, work),
            ..self.branch_report(place, Some(work.branch.name().clone()), stages, outcome)
        };
        for failure in work.failures.drain(..) {
            blame(&mut report, failure);
        }
        report
    }

    /// What of the tip's sources is known to be in the cache: nothing of a run of a few elements, which did not look at
    /// the others.
    fn coverage(&self, project: &ProjectConfig, work: &BranchWork<'_>) -> Vec<CacheCoverage> {
        if !self.selection.elements.is_empty() {
            return Vec::new();
        }
        let commit = work.branch.commit();
        let of_variant = |(variant, memory): (&'_ Option<VariantName>, &'_ ElementMemory)| {
            memory.coverage(commit, variant.as_ref()).cloned().collect::<Vec<_>>()
        };
        let known = work.memories.iter().flat_map(of_variant);
        known.filter(|known| project.wants(known.refs)).collect()
    }

    /// What is known of a branch's elements, by option set. What cannot be read is not known: all is done again then.
    fn memories(
        &self,
        project: &ProjectConfig,
        branch: &BranchName,
        notes: &mut Vec<String>,
    ) -> BTreeMap<Option<VariantName>, ElementMemory> {
        let known = |variant: Option<&VariantConfig>| {
            let variant = variant.map(|variant| &variant.name);
            let known = self.store.elements(&project.name, branch, variant).unwrap_or_else(|error| {
                notes.push(format!("what was done is not known, so that all of it is done again: {error}"));
                None
            });
            let known = known.unwrap_or_default();
            let known = if self.selection.force { known.into_forced() } else { known };
            (variant.cloned(), ElementMemory { version: ElementMemory::VERSION, ..known })
        };
        variants(project).into_iter().map(known).collect()
    }

    /// The place of a project in the configuration.
    fn number_of(&self, project: &ProjectConfig) -> usize {
        let projects = &self.fetcher.config.projects;
        projects.iter().position(|other| other.name == project.name).unwrap_or(projects.len())
    }

    /// Where a branch's pipelines work.
    pub(super) fn directories(&self, slot: usize, work: &BranchWork<'_>) -> PipelineDirectories {
        let project = work.branch.project().config();
        let (caches, run) = (self.layout.of(&project.trust()), self.store.run_directory(self.run));
        PipelineDirectories {
            project: work.project.clone(),
            cachedir: caches.cachedir,
            sourcedir: caches.sources.join(slot.to_string()),
            // Of each project its own, for what one left there another would find.
            temporary: self.temporary.join(format!("{slot}.{}", self.number_of(project))),
            logs: run.join(ProjectBranch::new(&project.name, work.branch.name()).path()),
            objects: Some(work.branch.project().objects()),
            run,
        }
    }

    fn pipelines(
        &self,
        slot: usize,
        place: &ProjectSlot<'_>,
        work: &mut BranchWork<'_>,
        refs: Refs,
        turns: &CacheTurns,
        events: &mut dyn FnMut(Event),
    ) {
        let config = &self.fetcher.config;
        let configured = work.branch.project().config();
        let (narrowed, branch) = (narrowed(configured, &self.selection.elements), work.branch.name().clone());
        let project = narrowed.as_ref().unwrap_or(configured);
        let directories = self.directories(slot, work);
        let (tracking, unread) = self.upstreams.memory(&project.name, self.context.clock.now());
        work.failures.extend(unread.map(|error| error.diagnosis()));
        let probing = TrackProbing {
            prober: self.upstreams.prober(),
            ask_again: &|questions| self.upstreams.ask_again(questions),
            memory: &tracking,
            config: &config.probe,
            forced: self.selection.force,
        };
        let own_cache = OwnCache::of(directories.cachedir.clone());
        let pipeline = Pipeline {
            project,
            branch: &branch,
            commit: work.branch.commit(),
            bst: &work.bst,
            context: self.context,
            one_at_a_time: turns.get(&directories.cachedir),
            directories,
            prepared: work.prepared.as_ref(),
            refresh_after: config.refresh_after,
            // Whoever does everything again does it for each branch.
            done_in_run: (!self.selection.force).then_some(&place.done),
            probing: self.upstreams.are_asked(project).then_some(probing),
            clean_client_every: config.clean_client_every,
            local_cache: Some(&own_cache),
        };
        for variant in variants(project) {
            let name = variant.map(|variant| &variant.name);
            let memory = work.memories.entry(name.cloned()).or_default();
            let whole = narrowed.is_some().then(|| memory.clone());
            if whole.is_some() {
                memory.forget_failures();
            }
            let mut stages = pipeline.run(refs, variant, memory, events);
            if let Some(whole) = whole {
                memory.return_to(whole);
            }
            // What one option set got is kept, whatever becomes of the next.
            if let (Err(error), Some(stage)) =
                (self.store.save_elements(&project.name, &branch, name, memory), stages.last_mut())
            {
                stage.notes.push(format!("what was done is not remembered: {error}"));
            }
            let saved = self.upstreams.save(&project.name, &tracking, self.context.clock.now());
            if let (Err(error), Some(stage)) = (saved, stages.last_mut()) {
                stage.notes.push(format!("what tracking found is not remembered: {error}"));
            }
            work.stages.extend(stages);
        }
    }
}

/// The option sets with which the element of a change could not be tracked.
fn failed_with(change: &RefChange, stages: &[StageReport]) -> Vec<VariantName> {
    let failed = stages.iter().filter(|stage| {
        let of_element = |failure: &Diagnosis| failure.element.as_ref() == Some(&change.element);
        stage.stage == Stage::Track && stage.all_failures().any(of_element)
    });
    failed.filter_map(|stage| stage.variant.clone()).collect()
}

/// A project of which these elements alone are meant; none where all of it is.
fn narrowed(project: &ProjectConfig, elements: &[ElementName]) -> Option<ProjectConfig> {
    let targets: Vec<_> = elements.iter().map(ToString::to_string).collect();
    let (deps, except) = (DependencyScope::None, Vec::new());
    (!targets.is_empty()).then(|| ProjectConfig { targets, deps, except, ..project.clone() })
}

/// The option sets to work with, one without a name where none is configured.
pub(super) fn variants(project: &ProjectConfig) -> Vec<Option<&VariantConfig>> {
    match &project.variants[..] {
        [] => vec![None],
        variants => variants.iter().map(Some).collect(),
    }
}

/// Makes the working tree.
pub(super) fn checked_out(branch: &Branch<'_>, report: &mut StageReport) -> Result<BranchCheckout, Diagnosis> {
    let checkout = branch.checkout().map_err(|error| match error {
        CheckoutError::Git(error) => git_diagnoses::git(&error, Stage::Checkout),
        CheckoutError::NoProject { .. } => git_diagnoses::no_project(&error),
    })?;
    report.notes.extend(checkout.notes.iter().map(ToString::to_string));
    Ok(checkout)
}

/// How a branch ended. What counts is whether sources were got; where that was not asked for, whether refs were.
pub(super) fn outcome(stages: &[StageReport]) -> Outcome {
    let of = |wanted: Stage| {
        let done = move |stage: &&StageReport| stage.stage == wanted && stage.skipped.is_none() && !stage.allowed;
        stages.iter().filter(done).map(|stage| stage.outcome).collect::<Vec<_>>()
    };
    let counts = [Stage::Fetch, Stage::Push, Stage::Track].map(of).into_iter().find(|done| !done.is_empty());
    let some = |done: &Vec<Outcome>| done.iter().any(|outcome| matches!(outcome, Outcome::Ok | Outcome::Partial));
    if stages.iter().any(|stage| stage.outcome == Outcome::Interrupted) {
        Outcome::Interrupted
    } else if stages.iter().all(StageReport::counts_as_good) {
        Outcome::Ok
    } else if counts.is_some_and(|done| some(&done)) {
        Outcome::Partial
    } else {
        Outcome::Failed
    }
}
