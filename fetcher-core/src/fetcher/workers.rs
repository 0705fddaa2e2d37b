//! `jobs` threads that list projects' branches and work on branches, each as soon as it can.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use super::branch_work::BranchWork;
use super::callbacks::blame;
use super::tools::RunTools;
use super::tracked_publication::is_published;
use super::{Fetcher, RunSelection, error_diagnoses};
use crate::bst::conf::has_quota;
use crate::config::ProjectConfig;
use crate::diagnosis::Diagnosis;
use crate::free_space::FreeSpace;
use crate::git::{Git, GitError};
use crate::names::{BranchName, ProjectName, RunId, Stage};
use crate::panics;
use crate::project::{Branch, Project};
use crate::report::{BranchReport, Event, Outcome, StageReport};
use crate::runner::{LocalRunner, Runner};
use crate::state::{StateStore, UsageRegister, UsageStatus};

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
    /// What runs git and what else is no business of bst's.
    pub(super) local: &'f LocalRunner,
    pub(super) space: &'f FreeSpace,
    /// What runs bst, and stops it where space runs short.
    pub(super) runner: &'f dyn Runner,
    pub(super) tools: RunTools<'f>,
    pub(super) run: &'f RunId,
}

enum WorkerTask<'p> {
    /// Find out a project's branches.
    List(&'p ProjectSlot<'p>),
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

/// A project's place in the run.
pub(super) struct ProjectSlot<'f> {
    pub(super) config: &'f ProjectConfig,
    project: OnceLock<Project<'f>>,
    branches: Mutex<Vec<BranchName>>,
}

/// What is known of a project's branches.
struct ListedBranches<'p> {
    /// Those that are there and meant.
    names: Vec<BranchName>,
    /// Those of them to work on.
    branches: Vec<Branch<'p>>,
    /// Those that are configured or were listed, and are not there.
    missing: Vec<(BranchName, Diagnosis)>,
    /// Those that are there and not meant.
    others: Vec<BranchName>,
}

/// The branches in the order of the configuration; none where a project's could not be found out.
type BranchOrder = Vec<(ProjectName, Option<BranchName>)>;

impl<'f> WorkerPool<'f> {
    /// Does all the work; `tell` is called on this thread.
    pub(super) fn run(&self, tell: &mut dyn FnMut(WorkerMessage)) -> BranchOrder {
        let config = &self.fetcher.config;
        let wanted = |project: &&ProjectConfig| {
            self.selection.projects.is_empty()
                || self.selection.projects.iter().any(|name| name == project.name.as_str())
        };
        let place = |config| ProjectSlot { config, project: OnceLock::new(), branches: Mutex::default() };
        let places: Vec<ProjectSlot<'_>> = config.projects.iter().filter(wanted).map(place).collect();
        let quota = config.projects.iter().any(|project| has_quota(&project.buildstream.config));
        if quota {
            // Nothing of ours runs now, so that the next casd counts afresh.
            self.fetcher.forget_disk_usage();
        }
        let one_at_a_time = quota.then(Mutex::default);
        let queue = Mutex::new(TaskQueue { tasks: places.iter().map(WorkerTask::List).collect(), busy: 0 });
        let more = Condvar::new();
        let (sender, receiver) = channel();
        std::thread::scope(|scope| {
            for slot in 0..config.jobs.get() {
                let (sender, queue, more) = (sender.clone(), &queue, &more);
                let one_at_a_time = one_at_a_time.as_ref();
                scope.spawn(move || self.work(slot, queue, more, one_at_a_time, &sender));
            }
            drop(sender);
            receiver.into_iter().for_each(tell);
        });
        let mut order = BranchOrder::new();
        for place in &places {
            order.push((place.config.name.clone(), None));
            let branches = place.branches.lock().unwrap_or_else(PoisonError::into_inner);
            order.extend(branches.iter().map(|branch| (place.config.name.clone(), Some(branch.clone()))));
        }
        order
    }

    fn work<'p>(
        &'p self,
        slot: usize,
        queue: &Mutex<TaskQueue<'p>>,
        more: &Condvar,
        one_at_a_time: Option<&Mutex<()>>,
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
            let done = panics::catch(|| self.perform(slot, &mut task, one_at_a_time, &mut events));
            let (mut found, mut reports) =
                done.unwrap_or_else(|words| (Vec::new(), vec![self.panicked(&mut task, &words)]));
            let failures = self.fetcher.clock.take_failures();
            if let (WorkerTask::List(place), true, false) = (&task, reports.is_empty(), failures.is_empty()) {
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
        one_at_a_time: Option<&Mutex<()>>,
        events: &mut dyn FnMut(Event),
    ) -> (Vec<WorkerTask<'p>>, Vec<BranchReport>)
    where
        'f: 'p,
    {
        let cancelled = self.fetcher.cancel.is_cancelled();
        match task {
            WorkerTask::List(_) | WorkerTask::Committed(..) if cancelled => (Vec::new(), Vec::new()),
            WorkerTask::List(place) => {
                let place: &'p ProjectSlot<'p> = place;
                let (branches, reports) = self.list(place, events);
                (branches.into_iter().map(|branch| WorkerTask::Committed(place, branch)).collect(), reports)
            }
            WorkerTask::Committed(place, branch) => {
                let place: &'p ProjectSlot<'p> = place;
                match self.committed(slot, place, branch, one_at_a_time, events) {
                    Ok(work) => (vec![WorkerTask::Tracked(place, branch.clone(), work)], Vec::new()),
                    Err(report) => (Vec::new(), vec![report]),
                }
            }
            // What was done for the committed refs is told.
            WorkerTask::Tracked(place, _, work) if cancelled => {
                (Vec::new(), vec![BranchReport { outcome: Outcome::Interrupted, ..self.finished(place, work) }])
            }
            WorkerTask::Tracked(place, _, work) => {
                (Vec::new(), vec![self.tracked(slot, place, work, one_at_a_time, events)])
            }
        }
    }

    /// The report of a task that ended in a panic.
    fn panicked(&self, task: &mut WorkerTask<'_>, words: &str) -> BranchReport {
        let failure = error_diagnoses::work_panicked(words);
        match task {
            WorkerTask::List(place) => self.failed(place, None, self.report(), failure),
            WorkerTask::Committed(place, branch) => self.broken_off(place, branch, failure),
            WorkerTask::Tracked(place, branch, work) => {
                let place: &ProjectSlot<'_> = place;
                let mut report = self.broken_off(place, branch, failure);
                let done = self.finished(place, work);
                report.stages.splice(0..0, done.stages);
                report
            }
        }
    }

    fn broken_off(&self, place: &ProjectSlot<'_>, branch: &Branch<'_>, failure: Diagnosis) -> BranchReport {
        BranchReport {
            commit: Some(branch.commit().clone()),
            ..self.failed(place, Some(branch.name().clone()), self.report(), failure)
        }
    }

    /// Finds out a project's branches and gets them all into its mirror.
    fn list<'p>(
        &'p self,
        place: &'p ProjectSlot<'p>,
        events: &mut dyn FnMut(Event),
    ) -> (Vec<Branch<'p>>, Vec<BranchReport>)
    where
        'f: 'p,
    {
        let began = Instant::now();
        let mut report = self.report();
        let listed = self.try_list(place, &mut report.notes);
        report.seconds = began.elapsed().as_secs_f64();
        let mut listed = match listed {
            Ok(listed) => listed,
            Err(error) => {
                let failure = error_diagnoses::git(&error, Stage::Checkout);
                return (Vec::new(), vec![self.failed(place, None, report, failure)]);
            }
        };
        place.branches.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&listed.names);
        if !self.selection.dry_run {
            self.note_branches(place, &listed);
        }
        if self.selection.is_all() && !self.selection.dry_run {
            report.notes.extend(self.forget_others(place, &listed));
        }
        events(Event::Branches { project: place.config.name.clone(), branches: listed.names });
        let mut reports: Vec<_> = listed
            .missing
            .drain(..)
            .map(|(branch, failure)| self.failed(place, Some(branch), self.report(), failure))
            .collect();
        // Where that cannot be read, entering that it is well tells why.
        let known = self.store.branch(&place.config.name, None);
        let was_broken = known.map_or(true, |state| state.is_some_and(|state| state.failing_since.is_some()));
        if was_broken || !report.notes.is_empty() {
            reports.push(self.branch_report(place, None, vec![report], Outcome::Ok));
        }
        (listed.branches, reports)
    }

    fn try_list<'p>(
        &'p self,
        place: &'p ProjectSlot<'p>,
        notes: &mut Vec<String>,
    ) -> Result<ListedBranches<'p>, GitError>
    where
        'f: 'p,
    {
        let config = place.config;
        let git = Git {
            runner: self.local,
            environment: &self.fetcher.environment,
            cancel: &self.fetcher.cancel,
            timeout: config.timeout,
            space: Some(self.space),
        };
        let project = Project::new(config, &self.fetcher.config.cache_dir, git)?;
        let project = place.project.get_or_init(|| project);
        let mut chosen = project.list()?;
        let asked =
            |name: &str| self.selection.branches.is_empty() || self.selection.branches.iter().any(|b| b == name);
        chosen.tips.retain(|tip| asked(tip.branch.as_str()));
        let gone = chosen.missing.iter().filter(|missing| asked(&missing.name));
        let mut missing: Vec<_> = gone
            .filter_map(|missing| {
                Some((missing.name.parse().ok()?, error_diagnoses::missing_branch(missing, &config.url)))
            })
            .collect();
        notes.extend(chosen.notes.iter().map(ToString::to_string));
        chosen.tips.retain(|tip| !self.is_published_by_name(config, &tip.branch));
        if self.selection.dry_run || chosen.tips.is_empty() {
            let names = chosen.tips.into_iter().map(|tip| tip.branch).collect();
            return Ok(ListedBranches { names, branches: Vec::new(), missing, others: chosen.others });
        }
        // The mirror keeps what it is asked for alone, so that a run over some branches would cost the next a fetch.
        let mut fetched = project.fetch(&chosen.tips)?;
        fetched.branches.retain(|branch| !is_published(project, branch));
        notes.extend(fetched.notes);
        let vanished = fetched.gone.into_iter().map(|branch| {
            let failure = error_diagnoses::vanished(&branch, &config.url);
            (branch, failure)
        });
        missing.extend(vanished);
        let names = fetched.branches.iter().map(|branch| branch.name().clone()).collect();
        Ok(ListedBranches { names, branches: fetched.branches, missing, others: chosen.others })
    }

    /// Notes what the configuration means of a project.
    fn note_branches(&self, place: &ProjectSlot<'_>, listed: &ListedBranches<'_>) {
        let branches = listed.names.iter().chain(listed.missing.iter().map(|(branch, _)| branch));
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        usage.list(&place.config.name, branches, self.selection.branches.is_empty());
    }

    /// Forgets branches that are no longer there, and those that no run of any configuration has named for long; gives
    /// what went wrong.
    fn forget_others(&self, place: &ProjectSlot<'_>, listed: &ListedBranches<'_>) -> Vec<String> {
        let project = &place.config.name;
        let usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        let needed = |branch: &&BranchName| usage.branch_standing(project, branch) == UsageStatus::Needed;
        let missing = listed.missing.iter().map(|(branch, _)| branch);
        let kept: BTreeSet<_> = listed.names.iter().chain(missing).chain(listed.others.iter().filter(needed)).collect();
        let mut notes = Vec::new();
        for state in self.store.branches() {
            let other = state.branch.as_ref().is_some_and(|branch| !kept.contains(branch));
            if state.project == *project && other {
                let forgotten = self.store.forget(&state.project, state.branch.as_ref());
                notes.extend(forgotten.err().map(|error| error.to_string()));
            }
        }
        if let Some(project) = place.project.get() {
            let others = kept.iter().filter(|branch| listed.others.contains(branch)).copied();
            let removed = project.remove_checkouts_but(listed.names.iter().chain(others));
            notes.extend(removed.err().map(|error| format!("working trees that are no longer needed stay: {error}")));
        }
        notes
    }

    /// A report of getting a branch or a project's list of branches, which begins now.
    pub(super) fn report(&self) -> StageReport {
        StageReport { attempts: 1, ..StageReport::new(Stage::Checkout, None, self.fetcher.clock.now()) }
    }

    fn failed(
        &self,
        place: &ProjectSlot<'_>,
        branch: Option<BranchName>,
        mut report: StageReport,
        failure: Diagnosis,
    ) -> BranchReport {
        let interrupted = failure.kind == crate::diagnosis::FailureKind::Interrupted;
        report.outcome = if interrupted { Outcome::Interrupted } else { Outcome::Failed };
        report.failures.push(failure);
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
        BranchReport {
            project: place.config.name.clone(),
            branch,
            commit: None,
            started: stages.first().map_or_else(|| self.fetcher.clock.now(), |stage| stage.started),
            seconds: stages.iter().map(|stage| stage.seconds).sum(),
            outcome,
            bst_version: None,
            stages,
            changes: Vec::new(),
            publication: None,
            holds: Vec::new(),
        }
    }
}
