//! One branch: its checkout, its `bst`, and its pipelines.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

use super::explain;
use super::workers::{Place, Workers};
use crate::bst::Bst;
use crate::diagnosis::Diagnosis;
use crate::names::Stage;
use crate::pipeline::{Directories, Memory, Pipeline};
use crate::project::{Branch, CheckoutError};
use crate::report::{BranchReport, Event, Outcome, StageReport};
use crate::state::BranchState;

impl<'f> Workers<'f> {
    /// Does all that is to be done for a branch, as the only one that uses the sourcedir of `slot`.
    pub(super) fn branch<'p>(
        &'p self,
        slot: usize,
        place: &'p Place<'p>,
        branch: &Branch<'p>,
        one_at_a_time: Option<&Mutex<()>>,
        events: &mut dyn FnMut(Event),
    ) -> BranchReport
    where
        'f: 'p,
    {
        let began = Instant::now();
        let (project, name) = (place.config.name.clone(), branch.name().clone());
        events(Event::BranchStarted { project: project.clone(), branch: name.clone() });
        events(Event::StageStarted { project, branch: name, variant: None, stage: Stage::Checkout, attempt: 1 });
        let mut checkout = self.report();
        // Its branches were listed, or there would be no such branch.
        checkout.reached.extend(self.fetcher.listing_proves(place.config));
        let mut bst_version = None;
        let prepared = checked_out(branch, &mut checkout);
        checkout.seconds = began.elapsed().as_secs_f64();
        let prepared = prepared.and_then(|directory| Ok((directory, self.tools.bst(place.config)?)));
        let stages = match prepared {
            Err(failure) => {
                let interrupted = failure.kind == crate::diagnosis::Kind::Interrupted;
                checkout.outcome = if interrupted { Outcome::Interrupted } else { Outcome::Failed };
                checkout.failures.push(failure);
                vec![checkout]
            }
            Ok((directory, (bst, failure))) => {
                bst_version = Some(bst.version.to_string());
                if let Some(failure) = failure {
                    checkout.outcome = Outcome::Partial;
                    checkout.failures.push(failure);
                }
                let mut stages = vec![checkout];
                stages.extend(self.pipelines(slot, branch, &bst, directory, one_at_a_time, events));
                stages
            }
        };
        let outcome = outcome(&stages);
        BranchReport {
            commit: Some(branch.commit().clone()),
            seconds: began.elapsed().as_secs_f64(),
            bst_version,
            ..self.branch_report(place, Some(branch.name().clone()), stages, outcome)
        }
    }

    fn pipelines(
        &self,
        slot: usize,
        branch: &Branch<'_>,
        bst: &Bst,
        project: PathBuf,
        one_at_a_time: Option<&Mutex<()>>,
        events: &mut dyn FnMut(Event),
    ) -> Vec<StageReport> {
        let config = &self.fetcher.config;
        let run = self.store.run_directory(self.run);
        let project_config = branch.project().config();
        let name = &project_config.name;
        // What cannot be read is not written over either; entering how the branch ended tells why.
        let known = self.store.branch(name, Some(branch.name())).unwrap_or_default();
        let mut state = known.unwrap_or_else(|| BranchState::new(name.clone(), Some(branch.name().clone())));
        let directories = Directories {
            project,
            cachedir: config.cache_dir.join("cachedir"),
            sourcedir: config.cache_dir.join("sources").join(slot.to_string()),
            temporary: self.temporary.join(slot.to_string()),
            logs: run.join(name.as_str()).join(branch.name().slug()),
            run,
        };
        let variants: Vec<_> = match &project_config.variants[..] {
            [] => vec![None],
            variants => variants.iter().map(Some).collect(),
        };
        let mut stages = Vec::new();
        for variant in variants {
            let key = variant.map(|variant| variant.name.to_string()).unwrap_or_default();
            let done = if self.selection.force { None } else { state.done.remove(&key) };
            let pipeline = Pipeline {
                project: project_config,
                branch: branch.name(),
                commit: branch.commit(),
                bst,
                runner: self.runner,
                environment: &self.fetcher.environment,
                redactor: &self.fetcher.redactor,
                clock: &self.fetcher.clock,
                directories: directories.clone(),
                one_at_a_time,
                memory: Memory { done: done.as_ref(), refresh_after: config.refresh_after },
            };
            let run = pipeline.run(variant, &self.fetcher.cancel, events);
            match run.done {
                Some(done) => drop(state.done.insert(key, done)),
                None => drop(state.done.remove(&key)),
            }
            stages.extend(run.stages);
            // What one option set got is kept, whatever becomes of the next. Where it cannot be, it is only got again;
            // entering how the branch ended tells why.
            let _ = self.store.save(&state);
        }
        stages
    }
}

/// Makes the working tree, and gives the directory of the project in it.
fn checked_out(branch: &Branch<'_>, report: &mut StageReport) -> Result<PathBuf, Diagnosis> {
    let checkout = branch.checkout().map_err(|error| match error {
        CheckoutError::Git(error) => explain::git(&error, Stage::Checkout),
        CheckoutError::NoProject { .. } => explain::no_project(&error),
    })?;
    report.notes.extend(checkout.notes.iter().map(ToString::to_string));
    Ok(checkout.directory)
}

/// How a branch ended. What counts is whether sources were got; where that was not asked for, whether refs were.
fn outcome(stages: &[StageReport]) -> Outcome {
    let of = |wanted: Stage| {
        let done = move |stage: &&StageReport| stage.stage == wanted && stage.skipped.is_none();
        stages.iter().filter(done).map(|stage| stage.outcome).collect::<Vec<_>>()
    };
    let counts = [Stage::Fetch, Stage::Push, Stage::Track].map(of).into_iter().find(|done| !done.is_empty());
    let some = |done: &Vec<Outcome>| done.iter().any(|outcome| matches!(outcome, Outcome::Ok | Outcome::Partial));
    if stages.iter().any(|stage| stage.outcome == Outcome::Interrupted) {
        Outcome::Interrupted
    } else if stages.iter().all(|stage| stage.outcome.is_good()) {
        Outcome::Ok
    } else if counts.is_some_and(|done| some(&done)) {
        Outcome::Partial
    } else {
        Outcome::Failed
    }
}
