//! What an embedding program lends to a run, made harmless: a panic in it is a failure of what was at work then, and all
//! else goes on.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};

use jiff::Timestamp;

use super::error_diagnoses;
use crate::clock::{Clock, SystemClock};
use crate::diagnosis::Diagnosis;
use crate::names::{ProjectBranch, ProjectBranchBuf};
use crate::panics;
use crate::report::{Activity, BranchReport, Event, Outcome};

/// A clock that always tells a time: the machine's, where the one that is lent panics.
pub(super) struct GuardedClock {
    lent: Box<dyn Clock>,
    /// What it said when it panicked, by the thread that asked.
    panics: Mutex<Vec<(ThreadId, String)>>,
}

impl GuardedClock {
    pub(super) fn new(lent: impl Clock + 'static) -> Self {
        Self { lent: Box::new(lent), panics: Mutex::default() }
    }

    /// The failures of the clock on this thread since it was asked last, each once.
    pub(super) fn take_failures(&self) -> Vec<Diagnosis> {
        let mut panics = self.panics.lock().unwrap_or_else(PoisonError::into_inner);
        let here = thread::current().id();
        let (mine, others) = std::mem::take(&mut *panics).into_iter().partition(|(thread, _)| *thread == here);
        *panics = others;
        let mine: Vec<(ThreadId, String)> = mine;
        mine.iter().map(|(_, words)| error_diagnoses::callback_panicked("clock", words)).collect()
    }

    /// The time, in any case.
    pub(super) fn now(&self) -> Timestamp {
        panics::catch(|| self.lent.now()).unwrap_or_else(|words| {
            let said = (thread::current().id(), words);
            let mut panics = self.panics.lock().unwrap_or_else(PoisonError::into_inner);
            if !panics.contains(&said) {
                panics.push(said);
            }
            SystemClock.now()
        })
    }
}

impl Clock for GuardedClock {
    fn now(&self) -> Timestamp {
        self.now()
    }
}

/// A sink of events that is told on, whatever it made of the events before.
pub(super) struct GuardedSink<'s> {
    lent: &'s mut dyn FnMut(Event),
    /// Failures of the sink at events of a branch that is still at work.
    failures: Vec<(ProjectBranchBuf, Diagnosis)>,
}

impl<'s> GuardedSink<'s> {
    pub(super) fn new(lent: &'s mut dyn FnMut(Event)) -> Self {
        Self { lent, failures: Vec::new() }
    }

    /// Tells the sink of an event that belongs to no branch, or to one whose report is at hand.
    pub(super) fn send(&mut self, event: Event) -> Result<(), Diagnosis> {
        panics::catch(|| (self.lent)(event))
            .map_err(|words| error_diagnoses::callback_panicked("sink of events", &words))
    }

    /// Tells the sink of an event of a branch at work; where it fails, that is the branch's failure.
    pub(super) fn send_of_branch(&mut self, event: Event) {
        let of = event.project_branch().map(ProjectBranch::to_buf);
        if let Err(failure) = self.send(event)
            && let Some(of) = of
        {
            self.failures.push((of, failure));
        }
    }

    /// Enters what failed at the branch's events into its report.
    pub(super) fn settle(&mut self, report: &mut BranchReport) {
        let is_mine = |(of, _): &mut (ProjectBranchBuf, Diagnosis)| of.borrowed() == report.project_branch();
        let mine: Vec<_> = self.failures.extract_if(.., is_mine).collect();
        for (_, failure) in mine {
            blame(report, failure);
        }
    }

    /// Says what goes on that is of no project.
    pub(super) fn tell(&mut self, activity: Activity) -> Result<(), Diagnosis> {
        self.send(Event::Activity { project: None, branch: None, activity })
    }

    /// What failed at events of branches that have no report.
    pub(super) fn take_failures(&mut self) -> Vec<Diagnosis> {
        std::mem::take(&mut self.failures).into_iter().map(|(_, failure)| failure).collect()
    }
}

/// Enters a failure that is none of its stages' own into a branch's report.
pub(super) fn blame(report: &mut BranchReport, failure: Diagnosis) {
    if let Some(stage) = report.stages.first_mut().filter(|stage| !stage.failures.contains(&failure)) {
        stage.failures.push(failure);
        stage.outcome = worse(stage.outcome);
    }
    report.outcome = worse(report.outcome);
}

fn worse(outcome: Outcome) -> Outcome {
    if outcome.is_good() { Outcome::Partial } else { outcome }
}
