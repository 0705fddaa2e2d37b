//! `jobs` threads that list projects' branches and work on branches, each as soon as it can.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use super::tools::Tools;
use super::{Fetcher, Selection, explain};
use crate::bst::conf::has_quota;
use crate::config::ProjectConfig;
use crate::diagnosis::Diagnosis;
use crate::git::{Git, GitError, Mirror, Remote, Tip, select};
use crate::names::{BranchName, ProjectName, RunId, Stage};
use crate::report::{BranchReport, Event, Outcome, StageReport};
use crate::runner::{LocalRunner, Runner};
use crate::state::Store;

/// What the threads tell the one that waits for them.
pub(super) enum Message {
    Event(Box<Event>),
    Branch(Box<BranchReport>),
}

/// What all threads share.
pub(super) struct Workers<'f> {
    pub(super) fetcher: &'f Fetcher,
    pub(super) selection: &'f Selection,
    pub(super) store: &'f Store,
    pub(super) temporary: &'f Path,
    pub(super) local: &'f LocalRunner,
    pub(super) runner: &'f dyn Runner,
    pub(super) tools: Tools<'f>,
    pub(super) run: &'f RunId,
}

enum Task {
    /// Find out the branches of the project with this index.
    List(usize),
    /// Work on a branch of it.
    Branch(usize, Tip),
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<Task>,
    /// Threads that are at work, and may find more to do.
    busy: usize,
}

/// A thread at work. However its task ends, by a panic too, nobody waits for it then.
struct Busy<'q> {
    queue: &'q Mutex<Queue>,
    more: &'q Condvar,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).busy -= 1;
        self.more.notify_all();
    }
}

/// A project's place in the run.
pub(super) struct Place<'f> {
    pub(super) config: &'f ProjectConfig,
    mirror: OnceLock<Result<Mirror<'f>, GitError>>,
    branches: Mutex<Vec<BranchName>>,
}

/// The branches in the order of the configuration; none where a project's could not be found out.
type Order = Vec<(ProjectName, Option<BranchName>)>;

impl<'f> Workers<'f> {
    /// Does all the work; `tell` is called on this thread.
    pub(super) fn run(&self, tell: &mut dyn FnMut(Message)) -> Order {
        let config = &self.fetcher.config;
        let wanted = |project: &&ProjectConfig| {
            self.selection.projects.is_empty()
                || self.selection.projects.iter().any(|name| name == project.name.as_str())
        };
        let place = |config| Place { config, mirror: OnceLock::new(), branches: Mutex::default() };
        let places: Vec<Place<'_>> = config.projects.iter().filter(wanted).map(place).collect();
        let quota = config.projects.iter().any(|project| has_quota(&project.buildstream.config));
        if quota {
            // Nothing of ours runs now, so that the next casd counts afresh.
            let _ = fs::remove_file(config.cache_dir.join("cachedir/cas/disk_usage"));
        }
        let one_at_a_time = quota.then(Mutex::default);
        let queue = Mutex::new(Queue { tasks: (0..places.len()).map(Task::List).collect(), busy: 0 });
        let more = Condvar::new();
        let (sender, receiver) = channel();
        std::thread::scope(|scope| {
            for slot in 0..config.jobs.get() {
                let (sender, places, queue, more) = (sender.clone(), &places, &queue, &more);
                let one_at_a_time = one_at_a_time.as_ref();
                scope.spawn(move || self.work(slot, places, queue, more, one_at_a_time, &sender));
            }
            drop(sender);
            receiver.into_iter().for_each(tell);
        });
        let mut order = Order::new();
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
        places: &'p [Place<'p>],
        queue: &Mutex<Queue>,
        more: &Condvar,
        one_at_a_time: Option<&Mutex<()>>,
        sender: &Sender<Message>,
    ) where
        'f: 'p,
    {
        let mut events = |event| drop(sender.send(Message::Event(Box::new(event))));
        loop {
            let task = {
                let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
                loop {
                    if let Some(task) = queue.tasks.pop_front() {
                        queue.busy += 1;
                        break task;
                    }
                    if queue.busy == 0 {
                        return;
                    }
                    queue = more.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
            };
            let _busy = Busy { queue, more };
            let mut found = Vec::new();
            let mut reports = Vec::new();
            if !self.fetcher.cancel.is_cancelled() {
                match &task {
                    Task::List(project) => {
                        let place = &places[*project];
                        let (tips, told) = self.list(place, &mut events);
                        found.extend(tips.into_iter().map(|tip| Task::Branch(*project, tip)));
                        reports = told;
                    }
                    Task::Branch(project, tip) => {
                        reports.push(self.branch(slot, &places[*project], tip, one_at_a_time, &mut events));
                    }
                }
            }
            for report in reports {
                let _ = sender.send(Message::Branch(Box::new(report)));
            }
            queue.lock().unwrap_or_else(PoisonError::into_inner).tasks.extend(found);
        }
    }

    /// Finds out a project's branches and gets them all into its mirror.
    fn list<'p>(&'p self, place: &'p Place<'p>, events: &mut dyn FnMut(Event)) -> (Vec<Tip>, Vec<BranchReport>)
    where
        'f: 'p,
    {
        let began = Instant::now();
        let mut report = self.report(place, None);
        let listed = self.try_list(place, &mut report.notes);
        report.seconds = began.elapsed().as_secs_f64();
        let (tips, mut missing) = match listed {
            Ok(listed) => listed,
            Err(error) => {
                let failure = self.redacted(explain::git(&error, Stage::Checkout));
                return (Vec::new(), vec![self.failed(place, None, report, failure)]);
            }
        };
        let branches: Vec<_> = tips.iter().map(|tip| tip.branch.clone()).collect();
        place.branches.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&branches);
        if self.selection.is_all() && !self.selection.dry_run {
            self.forget_others(place.config, &branches, &missing);
        }
        events(Event::Branches { project: place.config.name.clone(), branches });
        let mut reports: Vec<_> = missing
            .drain(..)
            .map(|(branch, failure)| self.failed(place, Some(branch), self.report(place, None), failure))
            .collect();
        let was_broken = self
            .store
            .branch(&place.config.name, None)
            .ok()
            .flatten()
            .is_some_and(|state| state.failing_since.is_some());
        if was_broken || !report.notes.is_empty() {
            reports.push(self.branch_report(place, None, vec![report], Outcome::Ok));
        }
        (if self.selection.dry_run { Vec::new() } else { tips }, reports)
    }

    #[expect(clippy::type_complexity, reason = "two lists that go to one caller")]
    fn try_list<'p>(
        &'p self,
        place: &'p Place<'p>,
        notes: &mut Vec<String>,
    ) -> Result<(Vec<Tip>, Vec<(BranchName, Diagnosis)>), GitError>
    where
        'f: 'p,
    {
        let config = place.config;
        let mirror = self.mirror(place)?;
        let refs = mirror.remote_refs()?;
        let mut chosen = select(&config.branches, &config.exclude_branches, &refs)?;
        let asked =
            |name: &str| self.selection.branches.is_empty() || self.selection.branches.iter().any(|b| b == name);
        chosen.tips.retain(|tip| asked(tip.branch.as_str()));
        let gone = chosen.missing.iter().filter(|missing| asked(&missing.name));
        let mut missing: Vec<_> = gone
            .filter_map(|missing| Some((missing.name.parse().ok()?, explain::missing_branch(missing, &config.url))))
            .collect();
        notes.extend(refs.notes.iter().chain(&chosen.notes).map(ToString::to_string));
        if self.selection.dry_run || chosen.tips.is_empty() {
            return Ok((chosen.tips, missing));
        }
        // The mirror keeps what it is asked for alone, so that a run over some branches would cost the next a fetch.
        let fetched = mirror.fetch(&chosen.tips)?;
        notes.extend(fetched.notes.iter().map(ToString::to_string));
        notes.extend(fetched.rebuilt.map(|reason| format!("the mirror was made anew, for it was corrupt: {reason}")));
        let vanished = fetched.gone.iter().map(|tip| (tip.branch.clone(), explain::vanished(&tip.branch, &config.url)));
        missing.extend(vanished);
        Ok((fetched.tips, missing))
    }

    /// The project's mirror, which all its branches share.
    pub(super) fn mirror<'p>(&'p self, place: &'p Place<'p>) -> Result<&'p Mirror<'p>, GitError>
    where
        'f: 'p,
    {
        if let Some(Ok(mirror)) = place.mirror.get() {
            return Ok(mirror);
        }
        let remote = Remote::new(&place.config.url, &place.config.git)?;
        let git = Git {
            runner: self.local,
            environment: &self.fetcher.environment,
            cancel: &self.fetcher.cancel,
            timeout: place.config.timeout,
        };
        let directory = self.fetcher.config.cache_dir.join("mirrors").join(place.config.name.as_str());
        let made = place.mirror.get_or_init(|| Ok(Mirror::new(git, &directory, remote)));
        made.as_ref().map_err(|_| GitError::Cancelled)
    }

    /// Forgets branches that are no longer there or no longer configured.
    fn forget_others(&self, project: &ProjectConfig, branches: &[BranchName], missing: &[(BranchName, Diagnosis)]) {
        let kept: BTreeSet<_> = branches.iter().chain(missing.iter().map(|(branch, _)| branch)).collect();
        for state in self.store.branches() {
            if state.project == project.name && state.branch.as_ref().is_some_and(|branch| !kept.contains(branch)) {
                self.store.forget(&state.project, state.branch.as_ref());
            }
        }
        let slugs: BTreeSet<_> = branches.iter().map(BranchName::slug).collect();
        let checkouts = self.fetcher.config.cache_dir.join("checkouts").join(project.name.as_str());
        for entry in fs::read_dir(checkouts).into_iter().flatten().flatten() {
            if !slugs.contains(&*entry.file_name().to_string_lossy()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// An empty report of getting a branch or a project's list of branches.
    pub(super) fn report(&self, _: &Place<'_>, log: Option<std::path::PathBuf>) -> StageReport {
        StageReport {
            stage: Stage::Checkout,
            variant: None,
            outcome: Outcome::Ok,
            skipped: None,
            attempts: 1,
            started: self.fetcher.clock.now(),
            seconds: 0.0,
            bst_seconds: 0.0,
            elements: crate::report::Elements::default(),
            bytes: 0,
            changes: Vec::new(),
            failures: Vec::new(),
            notes: Vec::new(),
            log,
        }
    }

    fn failed(
        &self,
        place: &Place<'_>,
        branch: Option<BranchName>,
        mut report: StageReport,
        failure: Diagnosis,
    ) -> BranchReport {
        let interrupted = failure.kind == crate::diagnosis::Kind::Interrupted;
        report.outcome = if interrupted { Outcome::Interrupted } else { Outcome::Failed };
        report.failures.push(failure);
        let outcome = report.outcome;
        self.branch_report(place, branch, vec![report], outcome)
    }

    pub(super) fn branch_report(
        &self,
        place: &Place<'_>,
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
        }
    }

    pub(super) fn redacted(&self, mut failure: Diagnosis) -> Diagnosis {
        failure.message = self.fetcher.redactor.redact(&failure.message).into_owned();
        failure
    }
}
