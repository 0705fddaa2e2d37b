//! One branch: its checkout, its `bst`, and its pipelines.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

use super::explain;
use super::workers::{Place, Workers};
use crate::bst::Bst;
use crate::diagnosis::Diagnosis;
use crate::git::Tip;
use crate::names::Stage;
use crate::pipeline::{Directories, Memory, Pipeline};
use crate::report::{BranchReport, Event, Outcome, StageReport};
use crate::state::BranchState;

impl<'f> Workers<'f> {
    /// Does all that is to be done for a branch, as the only one that uses the sourcedir of `slot`.
    pub(super) fn branch<'p>(
        &'p self,
        slot: usize,
        place: &'p Place<'p>,
        tip: &Tip,
        one_at_a_time: Option<&Mutex<()>>,
        events: &mut dyn FnMut(Event),
    ) -> BranchReport
    where
        'f: 'p,
    {
        let began = Instant::now();
        let (project, branch) = (place.config.name.clone(), tip.branch.clone());
        events(Event::BranchStarted { project: project.clone(), branch: branch.clone() });
        events(Event::StageStarted { project, branch, variant: None, stage: Stage::Checkout, attempt: 1 });
        let mut checkout = self.report(place, None);
        let mut bst_version = None;
        let prepared = self.checkout(place, tip, &mut checkout);
        checkout.seconds = began.elapsed().as_secs_f64();
        let prepared = prepared.and_then(|directory| Ok((directory, self.tools.bst(place.config)?)));
        let stages = match prepared {
            Err(failure) => {
                let interrupted = failure.kind == crate::diagnosis::Kind::Interrupted;
                checkout.outcome = if interrupted { Outcome::Interrupted } else { Outcome::Failed };
                checkout.failures.push(self.redacted(failure));
                vec![checkout]
            }
            Ok((directory, (bst, failure))) => {
                bst_version = Some(bst.version.to_string());
                if let Some(failure) = failure {
                    checkout.outcome = Outcome::Partial;
                    checkout.failures.push(self.redacted(failure));
                }
                let mut stages = vec![checkout];
                stages.extend(self.pipelines(slot, place, tip, &bst, directory, one_at_a_time, events));
                stages
            }
        };
        let outcome = outcome(&stages);
        BranchReport {
            commit: Some(tip.commit.clone()),
            seconds: began.elapsed().as_secs_f64(),
            bst_version,
            ..self.branch_report(place, Some(tip.branch.clone()), stages, outcome)
        }
    }

    /// Makes the working tree, and gives the directory of the project in it.
    fn checkout<'p>(&'p self, place: &'p Place<'p>, tip: &Tip, report: &mut StageReport) -> Result<PathBuf, Diagnosis>
    where
        'f: 'p,
    {
        let cache = &self.fetcher.config.cache_dir;
        let directory = cache.join("checkouts").join(place.config.name.as_str()).join(tip.branch.slug());
        let submodules = place.config.submodules.then(|| cache.join("submodules"));
        let checked = self
            .mirror(place)
            .and_then(|mirror| mirror.checkout(&directory, &tip.commit, submodules.as_deref()))
            .map_err(|error| explain::git(&error, Stage::Checkout))?;
        report.notes.extend(checked.notes.iter().map(ToString::to_string));
        let project = checked.path.join(&place.config.directory);
        // A link in the repository may lead out of it.
        let inside = project.canonicalize().ok().zip(checked.path.canonicalize().ok());
        match inside.filter(|(project, tree)| project.starts_with(tree) && project.join("project.conf").is_file()) {
            Some((project, _)) => Ok(project),
            None => Err(explain::no_project(&place.config.directory)),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one pipeline, from where each is known")]
    fn pipelines(
        &self,
        slot: usize,
        place: &Place<'_>,
        tip: &Tip,
        bst: &Bst,
        project: PathBuf,
        one_at_a_time: Option<&Mutex<()>>,
        events: &mut dyn FnMut(Event),
    ) -> Vec<StageReport> {
        let config = &self.fetcher.config;
        let run = self.store.run_directory(self.run);
        let name = &place.config.name;
        let known = self.store.branch(name, Some(&tip.branch)).ok().flatten();
        let mut state = known.unwrap_or_else(|| BranchState::new(name.clone(), Some(tip.branch.clone())));
        let directories = Directories {
            project,
            cachedir: config.cache_dir.join("cachedir"),
            sourcedir: config.cache_dir.join("sources").join(slot.to_string()),
            temporary: self.temporary.join(slot.to_string()),
            logs: run.join(name.as_str()).join(tip.branch.slug()),
            run,
        };
        let variants: Vec<_> = match &place.config.variants[..] {
            [] => vec![None],
            variants => variants.iter().map(Some).collect(),
        };
        let mut stages = Vec::new();
        for variant in variants {
            let key = variant.map(|variant| variant.name.to_string()).unwrap_or_default();
            let done = if self.selection.force { None } else { state.done.remove(&key) };
            let pipeline = Pipeline {
                project: place.config,
                branch: &tip.branch,
                commit: &tip.commit,
                bst,
                runner: self.runner,
                environment: &self.fetcher.environment,
                redactor: &self.fetcher.redactor,
                clock: self.fetcher.clock.as_ref(),
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
            // What one option set got is kept, whatever becomes of the next.
            let _ = self.store.save(&state);
        }
        stages
    }
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
