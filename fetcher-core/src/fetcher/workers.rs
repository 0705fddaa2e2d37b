//! `jobs` threads that list projects' branches and work on branches, each as soon as it can.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

use super::branch_work::BranchWork;
use super::callbacks::blame;
use super::tools::RunTools;
use super::upstreams::RunUpstreams;
use super::{Fetcher, RunSelection, error_diagnoses};
use crate::bst::conf::has_quota;
use crate::config::ProjectConfig;
use crate::diagnosis::Diagnosis;
use crate::free_space::FreeSpace;
use crate::names::{BranchName, ProjectBranch, ProjectBranchBuf, RunId, Stage};
use crate::panics;
use crate::pipeline::{RunDone, allow_all};
use crate::project::{Branch, Project};
use crate::report::{BranchReport, Event, Outcome, StageReport};
use crate::runner::RunContext;
use crate::state::{CacheLayout, StateStore, UsageRegister};

/// What the threads tell the one that waits for them.
pub(super) enum WorkerMessage {
    Event(Box<Event>),
    Branch(Box<BranchReport>),
}

/// What all threads share.
pub(super) struct WorkerPool<'f> {
    pub(super) fetcher: &'f Fetcher,
    pub(super) selection: &'f RunSelection,
    pub(super) store: &'f StateStore,
    pub(super) temporary: &'f Path,
    pub(super) usage: &'f Mutex<UsageRegister>,
    /// Whose caches are where.
    pub(super) layout: &'f CacheLayout,
    pub(super) space: &'f FreeSpace,
    /// Of the run; what runs bst stops it where space runs short.
    pub(super) context: RunContext<'f>,
    pub(super) tools: RunTools<'f>,
    pub(super) upstreams: RunUpstreams<'f>,
    pub(super) run: &'f RunId,
}

enum WorkerTask<'p> {
    /// Find out the branches of the projects of one repository.
    List(Vec<&'p ProjectSlot<'p>>),
    /// Work on the committed refs of a branch of one.
    Committed(&'p ProjectSlot<'p>, Branch<'p>),
    /// Work on the refs that tracking finds, in what is checked out.
    Tracked(&'p ProjectSlot<'p>, Branch<'p>, Box<BranchWork<'p>>),
}

impl WorkerTask<'_> {
    /// What comes first: who waits for committed refs builds with them today. Upstreams are fetched once where the
    /// same worker goes on with a branch.
    fn rank(&self, slot: usize) -> u8 {
        match self {
            WorkerTask::List(_) => 0,
            WorkerTask::Committed(..) => 1,
            WorkerTask::Tracked(_, _, work) if work.slot == slot => 2,
            WorkerTask::Tracked(..) => 3,
        }
    }
}

struct TaskQueue<'p> {
    tasks: VecDeque<WorkerTask<'p>>,
    /// Threads that are at work, and may find more to do.
    busy: usize,
}

impl<'p> TaskQueue<'p> {
    /// What is next for the worker of a slot: of what comes first, the oldest.
    fn pop(&mut self, slot: usize) -> Option<WorkerTask<'p>> {
        let next = (0..self.tasks.len()).min_by_key(|at| (self.tasks[*at].rank(slot), *at))?;
        self.tasks.remove(next)
    }
}

/// A thread at work. However its task ends, by a panic too, nobody waits for it then.
struct BusyWorker<'q, 'p> {
    queue: &'q Mutex<TaskQueue<'p>>,
    more: &'q Condvar,
}

impl Drop for BusyWorker<'_, '_> {
    fn drop(&mut self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).busy -= 1;
        self.more.notify_all();
    }
}

/// Of each cache with a quota, whose turn it is with its bst.
pub(super) type CacheTurns = BTreeMap<PathBuf, Mutex<()>>;

/// A project's place in the run.
pub(super) struct ProjectSlot<'f> {
    pub(super) config: &'f ProjectConfig,
    pub(super) project: OnceLock<Project<'f>>,
    pub(super) branches: Mutex<Vec<BranchName>>,
    /// What the run did for any of its branches.
    pub(super) done: RunDone,
}

/// The branches in the order of the configuration; none where a project's could not be found out.
type BranchOrder = Vec<ProjectBranchBuf>;

impl<'f> WorkerPool<'f> {
    /// Does all the work; `tell` is called on this thread.
    pub(super) fn run(&self, tell: &mut dyn FnMut(WorkerMessage)) -> BranchOrder {
        let config = &self.fetcher.config;
        let wanted = |project: &&ProjectConfig| {
            self.selection.projects.is_empty()
                || self.selection.projects.iter().any(|name| name == project.name.as_str())
        };
        let place = |config| ProjectSlot {
            config,
            project: OnceLock::new(),
            branches: Mutex::default(),
            done: RunDone::default(),
        };
        let places: Vec<ProjectSlot<'_>> = config.projects.iter().filter(wanted).map(place).collect();
        let limited = config.projects.iter().filter(|project| has_quota(&project.buildstream.config));
        let turns = limited.map(|project| (self.layout.of(&project.trust()).cachedir, Mutex::default()));
        let turns: CacheTurns = turns.collect();
        if !turns.is_empty() {
            // Nothing of ours runs now, so that the next casd counts afresh.
            self.fetcher.forget_disk_usage();
        }
        let queue = Mutex::new(TaskQueue {
            tasks: by_repository(&places).into_iter().map(WorkerTask::List).collect(),
            busy: 0,
        });
        let more = Condvar::new();
        let (sender, receiver) = channel();
        std::thread::scope(|scope| {
            for slot in 0..config.jobs.get() {
                let (sender, queue, more) = (sender.clone(), &queue, &more);
                let turns = &turns;
                scope.spawn(move || self.work(slot, queue, more, turns, &sender));
            }
            drop(sender);
            receiver.into_iter().for_each(tell);
        });
        let mut order = BranchOrder::new();
        for place in &places {
            let of = |branch| ProjectBranch::new(&place.config.name, branch).to_buf();
            order.push(of(None));
            let branches = place.branches.lock().unwrap_or_else(PoisonError::into_inner);
            order.extend(branches.iter().map(|branch| of(Some(branch))));
        }
        order
    }

    fn work<'p>(
        &'p self,
        slot: usize,
        queue: &Mutex<TaskQueue<'p>>,
        more: &Condvar,
        turns: &CacheTurns,
        sender: &Sender<WorkerMessage>,
    ) where
        'f: 'p,
    {
        let mut events = |event| drop(sender.send(WorkerMessage::Event(Box::new(event))));
        loop {
            let mut task = {
                let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
                loop {
                    if let Some(task) = queue.pop(slot) {
                        queue.busy += 1;
                        break task;
                    }
                    if queue.busy == 0 {
                        return;
                    }
                    queue = more.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
            };
            let _busy = BusyWorker { queue, more };
            let done = panics::catch(|| self.perform(slot, &mut task, turns, &mut events));
            let (mut found, mut reports) = done.unwrap_or_else(|words| (Vec::new(), self.panicked(&mut task, &words)));
            let failures = self.fetcher.clock.take_failures();
            if let (WorkerTask::List(places), true, false) = (&task, reports.is_empty(), failures.is_empty())
                && let Some(place) = places.first()
            {
                reports.push(self.branch_report(place, None, vec![self.report()], Outcome::Ok));
            }
            for task in &mut found {
                if let WorkerTask::Tracked(_, _, work) = task {
                    work.failures.extend(failures.iter().cloned());
                }
            }
            for report in &mut reports {
                for failure in &failures {
                    blame(report, failure.clone());
                }
            }
            for report in reports {
                // It is received until the last thread ends.
                let _ = sender.send(WorkerMessage::Branch(Box::new(report)));
            }
            queue.lock().unwrap_or_else(PoisonError::into_inner).tasks.extend(found);
        }
    }

    /// Does a task; gives what is to be done next and what there is to report.
    fn perform<'p>(
        &'p self,
        slot: usize,
        task: &mut WorkerTask<'p>,
        turns: &CacheTurns,
        events: &mut dyn FnMut(Event),
    ) -> (Vec<WorkerTask<'p>>, Vec<BranchReport>)
    where
        'f: 'p,
    {
        let cancelled = self.context.cancel.is_cancelled();
        match task {
            WorkerTask::List(_) | WorkerTask::Committed(..) if cancelled => (Vec::new(), Vec::new()),
            WorkerTask::List(places) => {
                let (branches, reports) = self.list(places, events);
                (branches.into_iter().map(|(place, branch)| WorkerTask::Committed(place, branch)).collect(), reports)
            }
            WorkerTask::Committed(place, branch) => {
                let place: &'p ProjectSlot<'p> = place;
                match self.committed(slot, place, branch, turns, events) {
                    Ok(work) => (vec![WorkerTask::Tracked(place, branch.clone(), work)], Vec::new()),
                    Err(report) => (Vec::new(), vec![report]),
                }
            }
            // What was done for the committed refs is told.
            WorkerTask::Tracked(place, _, work) if cancelled => {
                (Vec::new(), vec![BranchReport { outcome: Outcome::Interrupted, ..self.finished(place, work) }])
            }
            WorkerTask::Tracked(place, _, work) => (Vec::new(), vec![self.tracked(slot, place, work, turns, events)]),
        }
    }

    /// The reports of a task that ended in a panic.
    fn panicked(&self, task: &mut WorkerTask<'_>, words: &str) -> Vec<BranchReport> {
        let failure = error_diagnoses::work_panicked(words);
        match task {
            WorkerTask::List(places) => {
                let failed = |place: &&ProjectSlot<'_>| self.failed_anyway(place, None, self.report(), failure.clone());
                places.iter().map(failed).collect()
            }
            WorkerTask::Committed(place, branch) => vec![self.broken_off(place, branch, failure)],
            WorkerTask::Tracked(place, branch, work) => {
                let place: &ProjectSlot<'_> = place;
                let mut report = self.broken_off(place, branch, failure);
                let done = self.finished(place, work);
                report.stages.splice(0..0, done.stages);
                vec![report]
            }
        }
    }

    fn broken_off(&self, place: &ProjectSlot<'_>, branch: &Branch<'_>, failure: Diagnosis) -> BranchReport {
        BranchReport {
            commit: Some(branch.commit().clone()),
            ..self.failed_anyway(place, Some(branch.name().clone()), self.report(), failure)
        }
    }

    /// A report of getting a branch or a project's list of branches, which begins now.
    pub(super) fn report(&self) -> StageReport {
        StageReport { attempts: 1, ..StageReport::new(Stage::Checkout, None, self.context.clock.now()) }
    }

    pub(super) fn failed(
        &self,
        place: &ProjectSlot<'_>,
        branch: Option<BranchName>,
        mut report: StageReport,
        failure: Diagnosis,
    ) -> BranchReport {
        enter(&mut report, failure);
        allow_all(&place.config.allow_failure, &mut report);
        let outcome = if report.allowed { Outcome::Ok } else { report.outcome };
        self.branch_report(place, branch, vec![report], outcome)
    }

    /// The same for what no project is to blame for, so that none may fail so.
    fn failed_anyway(
        &self,
        place: &ProjectSlot<'_>,
        branch: Option<BranchName>,
        mut report: StageReport,
        failure: Diagnosis,
    ) -> BranchReport {
        enter(&mut report, failure);
        let outcome = report.outcome;
        self.branch_report(place, branch, vec![report], outcome)
    }

    pub(super) fn branch_report(
        &self,
        place: &ProjectSlot<'_>,
        branch: Option<BranchName>,
        stages: Vec<StageReport>,
        outcome: Outcome,
    ) -> BranchReport {
        let started = stages.first().map_or_else(|| self.context.clock.now(), |stage| stage.started);
        let seconds = stages.iter().map(|stage| stage.seconds).sum();
        BranchReport { seconds, outcome, stages, ..BranchReport::new(place.config.name.clone(), branch, started) }
    }
}

/// The projects of each repository, in the order of the configuration. What has no address that can be used is by itself,
/// and told when it is listed.
fn by_repository<'p, 'f>(places: &'p [ProjectSlot<'f>]) -> Vec<Vec<&'p ProjectSlot<'f>>> {
    let mut groups: Vec<(Option<String>, Vec<&ProjectSlot<'f>>)> = Vec::new();
    for place in places {
        let name = Project::mirror_name(place.config).ok();
        match groups.iter_mut().find(|(known, _)| known.is_some() && *known == name) {
            Some((_, group)) => group.push(place),
            None => groups.push((name, vec![place])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Enters what ended a stage.
fn enter(report: &mut StageReport, failure: Diagnosis) {
    let interrupted = failure.kind == crate::diagnosis::FailureKind::Interrupted;
    report.outcome = if interrupted { Outcome::Interrupted } else { Outcome::Failed };
    report.failures.push(failure);
}
