//! One `bst`: how it is called, and what is made of its output and its end.

use std::ffi::OsString;
use std::fs;
use std::sync::{MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

use super::access;
use super::credential_gateway::StageGateway;
use super::log::StageLog;
use super::output::{OutputTracker, StageAttempt};
use super::stage_runner::{LEAST_TIME, StageRunner};
use crate::bst::dialect::{BstAction, ElementSelection, GlobalOptions};
use crate::bst::messages::LogParser;
use crate::diagnosis::{Actor, Diagnoser, Diagnosis, FailureKind, LogDiagnoses, Retry, of_runner};
use crate::names::Stage;
use crate::panics;
use crate::report::{Activity, Event};
use crate::runner::{Exit, Invocation, RunContext, RunnerError};

impl<'w> StageRunner<'w, '_> {
    /// Runs a command once.
    pub(super) fn attempt(
        &mut self,
        stage: Stage,
        action: BstAction,
        elements: &ElementSelection,
        log: &mut StageLog,
        until: Instant,
    ) -> StageAttempt {
        let began = Instant::now();
        let conf = self.conf_path();
        let cross = self.pipeline.project.cross_junctions;
        let conf = conf.to_string_lossy();
        let arguments = self.pipeline.bst.dialect().arguments(&self.global(&conf), action, elements, cross);
        log.write(format!("$ bst {}\n", arguments.join(" ")).as_bytes());
        let mut diagnoser = Diagnoser::new(Some(stage));
        let mut tracker = OutputTracker::default();
        let mut parser = LogParser::default();
        let child = match self.child(arguments, Some(action), until) {
            Ok(child) => child,
            Err(failure) => {
                let failure = failure.with_stage(stage);
                return tracker.into_attempt(Exit::Status(-1), vec![failure]);
            }
        };
        let (name, branch) = (&self.pipeline.project.name, self.pipeline.branch);
        let mut reported = None;
        // The events are lent out while bst runs; nobody else wants them then.
        let events = &mut self.events;
        let context = self.context;
        let ended = follow(stage, || {
            child.run(context, &mut |bytes| {
                log.write(bytes);
                parser.push(bytes, &mut |item| {
                    tracker.take(&item);
                    diagnoser.take(&item);
                });
                let progress = tracker.progress(stage);
                if reported.as_ref() != Some(&progress) {
                    let (stage, done, total, element) = progress.clone();
                    let (project, branch) = (name.clone(), branch.clone());
                    events.send(Event::Progress { project, branch, stage, done, total, element });
                    reported = Some(progress);
                }
            })
        });
        drop(child);
        parser.finish(&mut |item| {
            tracker.take(&item);
            diagnoser.take(&item);
        });
        let mut notes: Vec<String> = Vec::new();
        if let Err(error) = remove_if_there(|| fs::remove_dir_all(self.task_logs())) {
            notes.push(format!("cannot remove {}: {error}", self.task_logs().display()));
        }
        let (exit, found) = match ended {
            Ok(exit) => (exit, diagnoser.finish(exit)),
            Err(failure) => (Exit::Status(-1), LogDiagnoses { failures: vec![failure], ..LogDiagnoses::default() }),
        };
        let (project, environment) = (self.pipeline.project, self.context.environment);
        let name_hidden = |failure| access::name_hidden(failure, project, environment);
        let failures = found.failures.into_iter().map(name_hidden).collect();
        let (findings, warnings): (Vec<_>, Vec<_>) =
            found.warnings.into_iter().partition(|warning| warning.kind == FailureKind::ChecksumChanged);
        notes.extend(warnings.into_iter().map(|warning| warning.message));
        StageAttempt {
            findings,
            reached: found.facts.network.reached.into_keys().collect(),
            notes,
            seconds: began.elapsed().as_secs_f64(),
            ..tracker.into_attempt(exit, failures)
        }
    }

    pub(super) fn global<'g>(&'g self, conf: &'g str) -> GlobalOptions<'g> {
        let options = self.options.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        GlobalOptions { config: conf, on_error: self.pipeline.project.on_error, options }
    }

    /// A bst that is ready to run, as the only one that uses its cache where that is wanted. `action` is none where it
    /// only tells.
    pub(super) fn child(
        &mut self,
        arguments: Vec<String>,
        action: Option<BstAction>,
        until: Instant,
    ) -> Result<BstChild<'w>, Diagnosis> {
        let (turn, mut invocation) = self.invocation(arguments, until);
        let gateway = self.credential_gateway(action, &mut invocation)?;
        Ok(BstChild { _turn: turn, invocation, gateway })
    }

    pub(super) fn invocation(
        &mut self,
        arguments: Vec<String>,
        until: Instant,
    ) -> (Option<MutexGuard<'w, ()>>, Invocation) {
        let pipeline = self.pipeline;
        let turn = pipeline.one_at_a_time.map(|lock| {
            if let Err(TryLockError::WouldBlock) = lock.try_lock() {
                self.tell(Activity::WaitingForTurn);
            }
            lock.lock().unwrap_or_else(PoisonError::into_inner)
        });
        let project = pipeline.project;
        let mut environment =
            crate::bst::child_environment(pipeline.context.environment, &project.buildstream.pass_environment);
        let directories = &pipeline.directories;
        environment.insert("TMPDIR".into(), directories.temporary.clone().into());
        environment.extend(self.more_environment.clone());
        let timeout = until.saturating_duration_since(Instant::now()).max(LEAST_TIME);
        let words = arguments.into_iter().map(OsString::from);
        let mut invocation = crate::bst::invocation(&pipeline.bst.command, words, &directories.project, environment)
            .reads(access::read(project, directories))
            .writes(access::write(directories))
            .sandbox(project.sandbox.clone())
            .timeout(timeout);
        invocation.network = self.network.clone();
        invocation.access.home = Some(access::home(&directories.temporary));
        (turn, invocation)
    }
}

/// A bst that is ready to run, with what it needs while it does.
pub(super) struct BstChild<'w> {
    _turn: Option<MutexGuard<'w, ()>>,
    invocation: Invocation,
    gateway: Option<StageGateway>,
}

impl BstChild<'_> {
    /// Runs it; what it says names caches by their own addresses.
    pub(super) fn run(&self, context: RunContext<'_>, output: &mut dyn FnMut(&[u8])) -> Result<Exit, RunnerError> {
        let RunContext { runner, cancel, .. } = context;
        let Some(gateway) = &self.gateway else {
            return runner.run(&self.invocation, cancel, &mut |_, bytes| output(bytes));
        };
        let mut names = gateway.names();
        let exit = runner.run(&self.invocation, cancel, &mut |_, bytes| names.push(bytes, output));
        names.finish(output);
        exit
    }
}

/// Follows a child to its end. A runner that fails, or that panics, is a failure of the stage.
pub(super) fn follow(stage: Stage, run: impl FnOnce() -> Result<Exit, RunnerError>) -> Result<Exit, Diagnosis> {
    match panics::catch(run) {
        Ok(ended) => ended.map_err(|error| of_runner(&error, stage)),
        Err(words) => {
            let message = format!("the runner of this program panicked: {words}");
            let hint = "report this to the authors of the program that runs bst-fetcher's library, with the message";
            let failure = Diagnosis::new(FailureKind::Bug, message, Retry::No, Actor::Host, hint);
            Err(failure.with_stage(stage))
        }
    }
}

/// Does a removal; that there is nothing to remove is no error.
fn remove_if_there(remove: impl FnOnce() -> std::io::Result<()>) -> std::io::Result<()> {
    match remove() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
