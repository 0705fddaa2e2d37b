//! Running `bst` for a stage: one attempt after another, until it worked, cannot work, or its time is over.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::access;
use super::inputs;
use super::log::StageLog;
use super::output::{KeyMismatch, StageAttempt};
use super::results::{CommandScope, ElementResults};
pub(super) use super::stage_request::{StageRequest, StageRun};
use super::{Pipeline, unresolved};
use crate::atomic_file::write_atomic;
use crate::bst::conf::UserConfiguration;
use crate::bst::dialect::{BstAction, ElementSelection};
use crate::bst::distributions::plugin_distributions;
use crate::bst::messages::ElementState;
use crate::config::{DependencyScope, OnError, SourceCacheConfig, VariantConfig};
use crate::diagnosis::{Actor, Diagnosis, FailureKind, Location, Retry};
use crate::names::{ElementName, Refs, SourceKey, Stage};
use crate::report::{Activity, Event, RefChange, StageReport};
use crate::runner::{ChildNetwork, Exit, RunContext};
use crate::secret::{Redact as _, Redactor};

/// The least time a `bst` is given, at the end of a stage's time.
pub(super) const LEAST_TIME: Duration = Duration::from_secs(1);
/// How often a stage may be mended on the way (a junction tracked by name, elements without a ref left out), which
/// does not count as a retry.
pub(super) const MAX_RECOVERIES: u32 = 8;

/// The name of the configuration that bst gets as a rule.
pub(super) const CONF: &str = "buildstream.conf";

/// Who is told what happens, with secrets masked.
pub(super) struct MaskedEvents<'w> {
    lent: Box<dyn FnMut(Event) + 'w>,
    redactor: &'w Redactor,
}

impl MaskedEvents<'_> {
    pub(super) fn send(&mut self, event: Event) {
        (self.lent)(event.redacted(self.redactor));
    }
}

/// A pipeline at work with one option set.
pub(super) struct StageRunner<'w, 'p> {
    pub(super) pipeline: &'w Pipeline<'p>,
    pub(super) variant: Option<&'w VariantConfig>,
    /// Which refs are fetched and pushed.
    pub(super) refs: Refs,
    /// The pipeline's.
    pub(super) context: RunContext<'w>,
    pub(super) events: MaskedEvents<'w>,
    /// The elements that the configuration asks for.
    pub(super) elements: ElementSelection,
    pub(super) options: BTreeMap<String, String>,
    /// Every element that bst listed, with its state before the first stage.
    pub(super) listed: BTreeMap<ElementName, ElementState>,
    /// What became of the elements, stage by stage.
    pub(super) results: ElementResults,
    /// The junctions that were tracked by name, because nothing could be loaded without.
    pub(super) tracked_junctions: BTreeSet<ElementName>,
    /// The junctions that lead to listed elements, and those that bst told of.
    pub(super) junctions: BTreeSet<ElementName>,
    /// The keys of elements' sources, as far as bst named them.
    pub(super) source_keys: BTreeMap<ElementName, SourceKey>,
    /// Set where bst's messages and its summary do not agree on how many keys there are: none of them is used.
    pub(super) key_mismatch: Option<KeyMismatch>,
    /// The name of the configuration that bst gets.
    pub(super) conf_name: &'static str,
    /// The texts of all configurations by their names. What is in the files may be a child's by now.
    pub(super) confs: BTreeMap<&'static str, String>,
    /// Variables that bst gets beside the usual ones.
    pub(super) more_environment: BTreeMap<OsString, OsString>,
    /// What of the network bst reaches.
    pub(super) network: ChildNetwork,
    /// The installed distributions that bring plugins.
    pub(super) plugins: Vec<String>,
    /// Whether `source push` was run again because of its bug with junctions.
    pub(super) push_retried: bool,
    /// The elements that need not be tracked, whose tracked refs are in the checkout.
    pub(super) left_out: BTreeSet<ElementName>,
}

impl<'w, 'p> StageRunner<'w, 'p> {
    pub(super) fn new(
        pipeline: &'w Pipeline<'p>,
        refs: Refs,
        variant: Option<&'w VariantConfig>,
        events: impl FnMut(Event) + 'w,
    ) -> Result<Self, Diagnosis> {
        let project = pipeline.project;
        let mut options = project.options.clone();
        options.extend(variant.iter().flat_map(|variant| variant.options.clone()));
        let mut targets = project.targets.clone();
        if targets.is_empty() && !pipeline.bst.dialect().has_default_targets() {
            let directory = &pipeline.directories.project;
            targets =
                inputs::all_elements(directory).map_err(|error| cannot("list the elements in", directory, &error))?;
        }
        let elements = ElementSelection { targets, deps: project.deps, except: project.except.clone() };
        let mut runner = Self {
            pipeline,
            variant,
            refs,
            context: pipeline.context,
            events: MaskedEvents { lent: Box::new(events), redactor: pipeline.context.redactor },
            elements,
            options,
            listed: BTreeMap::new(),
            results: ElementResults::default(),
            tracked_junctions: BTreeSet::new(),
            junctions: BTreeSet::new(),
            source_keys: BTreeMap::new(),
            key_mismatch: None,
            conf_name: CONF,
            confs: BTreeMap::new(),
            more_environment: BTreeMap::new(),
            network: ChildNetwork::default(),
            plugins: plugin_distributions(&pipeline.bst.command, pipeline.context.environment),
            push_retried: false,
            left_out: BTreeSet::new(),
        };
        runner.prepare().map_err(|(path, error)| cannot("write", &path, &error))?;
        Ok(runner)
    }

    /// Goes over to other refs: nothing is known of the elements then but their keys and junctions.
    pub(super) fn turn_to(&mut self, refs: Refs) {
        if self.refs == refs {
            return;
        }
        self.refs = refs;
        self.listed.clear();
        self.results = ElementResults::default();
        self.tracked_junctions.clear();
        self.left_out.clear();
        self.push_retried = false;
        self.source_keys.clear();
    }

    /// Writes `buildstream.conf`.
    fn prepare(&mut self) -> Result<(), (PathBuf, std::io::Error)> {
        let directories = &self.pipeline.directories;
        let path = self.conf_path();
        let write = |runner: &mut Self| {
            for directory in [&directories.cachedir, &directories.sourcedir, &directories.temporary] {
                fs::create_dir_all(directory)?;
            }
            access::make_home(runner.pipeline.project, &directories.temporary)?;
            let conf = runner.conf(&directories.cachedir, &directories.sourcedir, &runner.task_logs());
            runner.write_conf(CONF, conf)
        };
        write(self).map_err(|error| (path.clone(), error))
    }

    /// Writes a configuration, which bst gets by this name.
    pub(super) fn write_conf(&mut self, name: &'static str, text: String) -> std::io::Result<()> {
        // Children write into this directory too: a link that one of them left is replaced, and not followed.
        write_atomic(&self.pipeline.directories.temporary.join(name), text.as_bytes())?;
        self.confs.insert(name, text);
        Ok(())
    }

    pub(super) fn conf_path(&self) -> PathBuf {
        self.pipeline.directories.temporary.join(self.conf_name)
    }

    /// Where bst puts its tasks' logs. They are not kept, for they are not redacted: the stage's log has their ends.
    pub(super) fn task_logs(&self) -> PathBuf {
        self.pipeline.directories.temporary.join("logs")
    }

    pub(super) fn conf(&self, cachedir: &Path, sourcedir: &Path, logdir: &Path) -> String {
        let project = self.pipeline.project;
        self.conf_with(cachedir, sourcedir, logdir, &project.source_caches, &project.buildstream.config)
    }

    /// The same with other source caches and further keys than the project's.
    pub(super) fn conf_with(
        &self,
        cachedir: &Path,
        sourcedir: &Path,
        logdir: &Path,
        source_caches: &[SourceCacheConfig],
        config: &Map<String, Value>,
    ) -> String {
        UserConfiguration { cachedir, sourcedir, logdir, source_caches, config }.render(self.pipeline.bst.dialect())
    }

    /// The refs that tracking changed.
    pub(super) fn ref_changes(&self) -> Result<Vec<RefChange>, String> {
        let project = &self.pipeline.directories.project;
        let files = inputs::changed(project, self.pipeline.prepared).map_err(|error| error.to_string())?;
        inputs::ref_changes(project, &files).map_err(|error| error.to_string())
    }

    /// The elements that bst listed and that have a ref by now, and those that have none.
    pub(super) fn listed_elements(&self) -> (BTreeSet<ElementName>, BTreeSet<ElementName>) {
        let tracked = |element: &ElementName| {
            self.tracked_junctions.contains(element)
                || self.results.is_done(Stage::Track, element)
                || self.left_out.contains(element)
        };
        let missing = unresolved(self.listed.iter(), tracked);
        (self.listed.keys().filter(|element| !missing.contains(*element)).cloned().collect(), missing)
    }

    /// What to ask a fetch for, and the elements that it has to leave out because they have no ref.
    pub(super) fn resolved_elements(&self) -> (ElementSelection, BTreeSet<ElementName>) {
        let (resolved, missing) = self.listed_elements();
        if missing.is_empty() {
            return (self.with_junctions(self.elements.clone()), missing);
        }
        // `--except` would take away their dependencies too, so that the others are named instead.
        let named = resolved.iter().map(ToString::to_string);
        let named = ElementSelection { targets: named.collect(), deps: DependencyScope::None, except: Vec::new() };
        (self.with_junctions(named), missing)
    }

    /// Adds the junctions, which no `--deps` includes, where other targets are named too.
    pub(super) fn with_junctions(&self, mut elements: ElementSelection) -> ElementSelection {
        if !elements.targets.is_empty() {
            let junctions = self.unnamed_junctions(&elements);
            elements.targets.extend(junctions.iter().map(ToString::to_string));
        }
        elements
    }

    /// The junctions that a command for `elements` does not name.
    pub(super) fn unnamed_junctions(&self, elements: &ElementSelection) -> BTreeSet<ElementName> {
        // Where the project's default targets are all its elements, its own junctions are among them.
        let asked = |junction: &ElementName| {
            self.listed.contains_key(junction) || elements.targets.iter().any(|target| target == junction.as_str())
        };
        self.junctions.iter().filter(|junction| !asked(junction)).cloned().collect()
    }

    /// Runs one command until it worked, cannot work, or its time is over. `stages` are those it does, in their order.
    pub(super) fn run(&mut self, stages: &[Stage], action: BstAction, mut whole: StageRequest) -> StageRun {
        let (started, began) = (self.context.clock.now(), Instant::now());
        let stage = stages[stages.len() - 1];
        let until = began + self.pipeline.project.timeout;
        let variant = self.variant.map(|variant| &variant.name);
        let fresh = |stage: &Stage| StageReport {
            refs: refs_of(*stage, self.refs),
            ..StageReport::new(*stage, variant.cloned(), started)
        };
        let mut reports: Vec<_> = stages.iter().map(fresh).collect();
        let mut log = self.open_log(stages, &mut reports);
        let (mut asked, mut recoveries, mut tries, mut fetched) = (whole.clone(), 0, 0, false);
        loop {
            tries += 1;
            self.announce(stage, tries);
            let mut attempt = self.attempt(stage, action, &asked.elements, &mut log, until);
            fetched |= attempt.queues.contains_key(&Stage::Fetch);
            self.absorb_output(&attempt);
            let recovered = recoveries < MAX_RECOVERIES
                && self.recover(stage, action, &mut attempt, &mut whole, &mut asked, &mut log, until);
            self.results.absorb(stages, &asked.scope, &attempt);
            add_attempt(&mut reports, &attempt);
            if recovered {
                recoveries += 1;
                tries -= 1;
                continue;
            }
            let Some((next, wait)) = self.next_retry(stages, action, &attempt, tries, &whole, until) else { break };
            asked = next;
            log.write(format!("[trying again in {} s]\n", wait.as_secs_f32()).as_bytes());
            self.tell(Activity::WaitingToRetry);
            if self.context.cancel.wait(wait) {
                break;
            }
        }
        if let Err(error) = log.finish() {
            let note = format!("the log is not whole: {error}");
            for report in &mut reports {
                report.notes.push(note.clone());
            }
        }
        for report in &mut reports {
            report.attempts = tries;
            report.seconds = began.elapsed().as_secs_f64();
            self.results.enter(report, self.context.cancel.is_cancelled());
        }
        StageRun { reports, fetched }
    }

    fn open_log(&self, stages: &[Stage], reports: &mut [StageReport]) -> StageLog {
        let names: Vec<_> = stages.iter().map(Stage::as_str).collect();
        let path = self.log_path(&names.join("-"));
        let directories = &self.pipeline.directories;
        match StageLog::open(&path, self.context.redactor) {
            Ok(log) => {
                let relative = path.strip_prefix(&directories.run).unwrap_or(&path);
                for report in reports {
                    report.log = Some(relative.to_owned());
                }
                log
            }
            Err(error) => {
                let note = format!("no log: cannot write {}: {error}", path.display());
                for report in reports {
                    report.notes.push(note.clone());
                }
                StageLog::none()
            }
        }
    }

    /// Where a command's log is; what is done for both sorts of refs has two.
    pub(super) fn log_path(&self, name: &str) -> PathBuf {
        let mut path = self.pipeline.directories.logs.clone();
        if let Some(variant) = self.variant {
            path.push(variant.name.as_str());
        }
        let of_track = name == Stage::Track.as_str();
        path.push(if of_track { format!("{name}.log") } else { format!("{}-{name}.log", self.refs) });
        path
    }

    /// A log that is there, as reports name it.
    pub(super) fn kept_log(&self, name: &str) -> Option<PathBuf> {
        let path = self.log_path(name);
        path.is_file().then(|| path.strip_prefix(&self.pipeline.directories.run).unwrap_or(&path).to_owned())
    }

    /// Says what goes on where no element moves.
    pub(super) fn tell(&mut self, activity: Activity) {
        let (project, branch) = (self.pipeline.project.name.clone(), self.pipeline.branch.clone());
        self.events.send(Event::Activity { project: Some(project), branch: Some(branch), activity });
    }

    pub(super) fn announce(&mut self, stage: Stage, attempt: u32) {
        self.events.send(Event::StageStarted {
            project: self.pipeline.project.name.clone(),
            branch: self.pipeline.branch.clone(),
            variant: self.variant.map(|variant| variant.name.clone()),
            refs: refs_of(stage, self.refs),
            stage,
            attempt,
        });
    }

    /// Keeps what later stages need to know of the project.
    fn absorb_output(&mut self, attempt: &StageAttempt) {
        for (element, state) in &attempt.listed {
            self.listed.entry(element.clone()).or_insert(*state);
            self.junctions.extend(element.junctions());
        }
        self.junctions.extend(attempt.junctions.iter().cloned());
        self.absorb_keys(attempt);
    }

    /// Keeps the keys that a bst named that pushed, all of them or none.
    pub(super) fn absorb_keys(&mut self, attempt: &StageAttempt) {
        self.key_mismatch = self.key_mismatch.or(attempt.key_mismatch());
        match self.key_mismatch {
            None => self.source_keys.extend(attempt.source_keys.clone()),
            Some(_) => self.source_keys.clear(),
        }
    }

    /// What to try next and after which wait; none where there is nothing left to try.
    fn next_retry(
        &self,
        stages: &[Stage],
        action: BstAction,
        attempt: &StageAttempt,
        tries: u32,
        whole: &StageRequest,
        until: Instant,
    ) -> Option<(StageRequest, Duration)> {
        let project = self.pipeline.project;
        if tries > project.retries || self.context.cancel.is_cancelled() || attempt.exit == Exit::TimedOut {
            return None;
        }
        let worthy = self.results.worth_another_try(stages, &whole.scope)?;
        let wait = project.retry_delay.saturating_mul(1 << (tries - 1).min(10));
        if Instant::now() + wait + LEAST_TIME > until {
            return None;
        }
        // What worked need not be done again, where bst did go on with the others.
        let next = match worthy {
            CommandScope::Named(names)
                if project.on_error == OnError::Continue
                    && names.iter().all(|element| self.can_be_named(action, element)) =>
            {
                StageRequest::named(names)
            }
            CommandScope::Named(_) | CommandScope::Everything => whole.clone(),
        };
        Some((next, wait))
    }

    /// Whether a command can be about this element alone: bst tracks nothing behind a junction unless it is told to
    /// cross junctions.
    pub(super) fn can_be_named(&self, action: BstAction, element: &ElementName) -> bool {
        action != BstAction::Track || self.pipeline.project.cross_junctions || element.junctions().next().is_none()
    }
}

/// Why work cannot begin.
fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Diagnosis {
    let message = format!("cannot {what} {}: {error}", path.display());
    let hint = "make the cache directory readable and writable for the user that runs this, with space left";
    let place = Location::of_file(path);
    Diagnosis::new(FailureKind::of_io(error), message, Retry::No, Actor::Host, hint).with_place(place)
}

/// The refs that a stage's report names.
pub(super) fn refs_of(stage: Stage, refs: Refs) -> Option<Refs> {
    match stage {
        Stage::Checkout | Stage::Prepare | Stage::Track | Stage::Publish | Stage::Custom(_) | Stage::Other => None,
        Stage::Fetch | Stage::Push | Stage::Verify => Some(refs),
    }
}

/// Adds to the reports what an attempt cost, what it remarked, and what it found.
fn add_attempt(reports: &mut [StageReport], attempt: &StageAttempt) {
    let last = reports.len() - 1;
    for (place, report) in reports.iter_mut().enumerate() {
        report.bst_seconds += attempt.seconds;
        report.reached.extend(attempt.reached.iter().cloned());
        for finding in &attempt.findings {
            let mine = finding.stage.map_or(place == last, |stage| stage == report.stage);
            if mine && !report.findings.contains(finding) {
                report.findings.push(finding.clone());
            }
        }
        for note in &attempt.notes {
            if !report.notes.contains(note) {
                report.notes.push(note.clone());
            }
        }
    }
}
