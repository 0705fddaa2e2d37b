//! Running `bst` for a stage: one attempt after another, until it worked, cannot work, or its time is over.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::inputs::{self, Changed};
use super::log::Log;
use super::seen::{Attempt, Seen, StageRun, outcome, record};
use super::{Pipeline, unresolved};
use crate::bst::conf::UserConfiguration;
use crate::bst::dialect::{Action, Elements, Global};
use crate::bst::messages::{ElementState, Parser};
use crate::bst::refs;
use crate::cancel::Cancel;
use crate::config::{Deps, OnError, VariantConfig};
use crate::diagnosis::{Actor, Diagnoser, Diagnoses, Diagnosis, Kind, Place, Retry};
use crate::names::{ElementName, Stage, digest};
use crate::report::{Event, RefChange, StageReport};
use crate::runner::{Exit, Invocation};

/// How often a stage may be mended on the way (a junction tracked by name, elements without a ref left out), which
/// does not count as a retry.
const MENDS: u32 = 8;
/// The least time a `bst` is given, at the end of a stage's time.
const LEAST_TIME: Duration = Duration::from_secs(1);

/// A pipeline at work with one option set.
pub(super) struct Work<'w, 'p> {
    pipeline: &'w Pipeline<'p>,
    pub(super) variant: Option<&'w VariantConfig>,
    cancel: &'w Cancel,
    pub(super) events: &'w mut dyn FnMut(Event),
    /// The elements that the configuration asks for.
    pub(super) elements: Elements,
    options: BTreeMap<String, String>,
    /// Every element that bst listed, with its state before the first stage.
    listed: BTreeMap<ElementName, ElementState>,
    /// The elements that were tracked.
    tracked: BTreeSet<ElementName>,
    /// The junctions that lead to listed elements, and those that bst told of.
    junctions: BTreeSet<ElementName>,
    changed: Result<Vec<Changed>, String>,
    /// Whether `source push` was run again because of its bug with junctions.
    stumbled: bool,
}

impl<'w, 'p> Work<'w, 'p> {
    pub(super) fn new(
        pipeline: &'w Pipeline<'p>,
        variant: Option<&'w VariantConfig>,
        cancel: &'w Cancel,
        events: &'w mut dyn FnMut(Event),
    ) -> Result<Self, Diagnosis> {
        let project = pipeline.project;
        let mut options = project.options.clone();
        options.extend(variant.iter().flat_map(|variant| variant.options.clone()));
        let mut targets = project.targets.clone();
        if targets.is_empty() && !pipeline.bst.dialect().has_default_targets() {
            targets = inputs::all_elements(&pipeline.directories.project);
        }
        let elements = Elements { targets, deps: project.deps, except: project.except.clone() };
        let mut work = Self {
            pipeline,
            variant,
            cancel,
            events,
            elements,
            options,
            listed: BTreeMap::new(),
            tracked: BTreeSet::new(),
            junctions: BTreeSet::new(),
            changed: Ok(Vec::new()),
            stumbled: false,
        };
        work.prepare().map_err(|(path, error)| Diagnosis {
            kind: if error.kind() == std::io::ErrorKind::StorageFull { Kind::DiskFull } else { Kind::Permission },
            element: None,
            stage: Some(Stage::Track),
            message: format!("cannot write {}: {error}", path.display()),
            retry: Retry::No,
            actor: Actor::Host,
            hint: "make the cache directory writable for the user that runs this, with space left".to_owned(),
            place: Place { file: Some(path), ..Place::default() },
        })?;
        Ok(work)
    }

    /// Writes `buildstream.conf`.
    fn prepare(&mut self) -> Result<(), (PathBuf, std::io::Error)> {
        let directories = &self.pipeline.directories;
        let path = self.conf_path();
        let write = || {
            for directory in [&directories.cachedir, &directories.sourcedir, &directories.temporary] {
                fs::create_dir_all(directory)?;
            }
            fs::write(&path, self.conf(&directories.cachedir, &directories.sourcedir, &self.task_logs()))
        };
        write().map_err(|error| (path.clone(), error))
    }

    fn conf_path(&self) -> PathBuf {
        self.pipeline.directories.temporary.join("buildstream.conf")
    }

    /// Where bst puts its tasks' logs. They are not kept, for they are not redacted: the stage's log has their ends.
    fn task_logs(&self) -> PathBuf {
        self.pipeline.directories.temporary.join("logs")
    }

    fn conf(&self, cachedir: &Path, sourcedir: &Path, logdir: &Path) -> String {
        let project = self.pipeline.project;
        let (source_caches, config) = (&project.source_caches[..], &project.buildstream.config);
        UserConfiguration { cachedir, sourcedir, logdir, source_caches, config }.render(self.pipeline.bst.dialect())
    }

    /// The digest of all that a fetch and a push depend on; none where the checkout cannot be read.
    pub(super) fn inputs(&mut self, commit: &crate::names::CommitId) -> Option<String> {
        if !self.pipeline.project.track {
            self.look();
        }
        let nowhere = Path::new("/");
        let mut inputs = vec![
            commit.to_string(),
            self.pipeline.bst.version.to_string(),
            self.conf(nowhere, nowhere, nowhere),
            format!("{:?} {:?} {:?}", self.elements, self.options, self.pipeline.project.push),
            format!("fetch {} track {}", self.pipeline.project.fetch, self.pipeline.project.track),
        ];
        for file in self.changed.as_ref().ok()? {
            inputs.push(file.path.display().to_string());
            inputs.push(file.new.clone().unwrap_or_default());
        }
        let parts: Vec<_> = inputs.iter().map(|part| digest(part.as_bytes())).collect();
        Some(digest(parts.concat().as_bytes()))
    }

    /// Looks at what tracking changed in the checkout.
    fn look(&mut self) {
        self.changed = inputs::changed(&self.pipeline.directories.project).map_err(|error| error.to_string());
    }

    /// The refs that tracking changed.
    pub(super) fn ref_changes(&mut self) -> Result<Vec<RefChange>, String> {
        self.look();
        let files = self.changed.as_ref().map_err(Clone::clone)?;
        Ok(inputs::ref_changes(&self.pipeline.directories.project, files))
    }

    /// What to ask a fetch for, and the elements that it has to leave out because they have no ref.
    pub(super) fn resolved_elements(&mut self) -> (Elements, BTreeSet<ElementName>) {
        let missing = unresolved(self.listed.iter(), &self.tracked);
        if missing.is_empty() {
            return (self.with_junctions(self.elements.clone()), missing);
        }
        // `--except` would take away their dependencies too, so that the others are named instead.
        let named = self.listed.keys().filter(|element| !missing.contains(*element)).map(ToString::to_string);
        let named = Elements { targets: named.collect(), deps: Deps::None, except: Vec::new() };
        (self.with_junctions(named), missing)
    }

    /// Adds the junctions, which no `--deps` includes, where other targets are named too.
    fn with_junctions(&self, mut elements: Elements) -> Elements {
        if !elements.targets.is_empty() {
            let junctions = self.unnamed_junctions(&elements);
            elements.targets.extend(junctions);
        }
        elements
    }

    /// The junctions that a command for `elements` does not name.
    pub(super) fn unnamed_junctions(&self, elements: &Elements) -> Vec<String> {
        // Where the project's default targets are all its elements, its own junctions are among them.
        let asked = |junction: &ElementName| {
            self.listed.contains_key(junction) || elements.targets.iter().any(|target| target == junction.as_str())
        };
        self.junctions.iter().filter(|junction| !asked(junction)).map(ToString::to_string).collect()
    }

    /// Runs one command until it worked, cannot work, or its time is over. `stages` are those it does, in their order.
    pub(super) fn run(&mut self, stages: &[Stage], action: Action, elements: &Elements) -> StageRun {
        let (started, began) = (self.pipeline.clock.now(), Instant::now());
        let stage = stages[stages.len() - 1];
        let until = began + self.pipeline.project.timeout;
        let free = free_bytes(&self.pipeline.directories.cachedir);
        let variant = self.variant.map(|variant| &variant.name);
        let fresh = |stage: &Stage| StageReport::new(*stage, variant.cloned(), started);
        let mut reports: Vec<_> = stages.iter().map(fresh).collect();
        let mut log = self.open_log(stages, &mut reports);
        let (mut asked, mut mends, mut tries, mut fetched) = (elements.clone(), 0, 0, false);
        loop {
            tries += 1;
            self.announce(stage, tries);
            let attempt = self.attempt(stage, action, &asked, &mut log, until);
            fetched |= attempt.queues.contains_key(&Stage::Fetch);
            self.learn(&attempt);
            if mends < MENDS && self.mend(&attempt, action, &mut asked, &mut log, until) {
                mends += 1;
                tries -= 1;
                // What was mended is no failure, and nothing was done before it was.
                for report in &mut reports {
                    report.bst_seconds += attempt.seconds;
                    report.notes.extend(attempt.failures.iter().map(|failure| format!("mended: {}", failure.message)));
                }
                continue;
            }
            record(&mut reports, &attempt, tries == 1);
            let again = self.again(&attempt, tries, &asked, until);
            let Some((next, wait)) = again else { break };
            asked = next;
            log.write(format!("[trying again in {} s]\n", wait.as_secs_f32()).as_bytes());
            if self.cancel.wait(wait) {
                break;
            }
        }
        let bytes = free.saturating_sub(free_bytes(&self.pipeline.directories.cachedir));
        let interrupted = self.cancel.is_cancelled();
        for report in &mut reports {
            report.attempts = tries;
            report.seconds = began.elapsed().as_secs_f64();
            report.bytes = if report.stage == Stage::Push { 0 } else { bytes };
            report.outcome = outcome(report, interrupted);
        }
        StageRun { reports, fetched }
    }

    fn open_log(&self, stages: &[Stage], reports: &mut [StageReport]) -> Log {
        let directories = &self.pipeline.directories;
        let mut path = directories.logs.clone();
        if let Some(variant) = self.variant {
            path.push(variant.name.as_str());
        }
        let names: Vec<_> = stages.iter().map(|stage| stage.as_str()).collect();
        path.push(format!("{}.log", names.join("-")));
        match Log::open(&path, self.pipeline.redactor) {
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
                Log::none()
            }
        }
    }

    fn announce(&mut self, stage: Stage, attempt: u32) {
        (self.events)(Event::StageStarted {
            project: self.pipeline.project.name.clone(),
            branch: self.pipeline.branch.clone(),
            variant: self.variant.map(|variant| variant.name.clone()),
            stage,
            attempt,
        });
    }

    /// Keeps what later stages need to know.
    fn learn(&mut self, attempt: &Attempt) {
        for (element, state) in &attempt.listed {
            self.listed.entry(element.clone()).or_insert(*state);
            self.junctions.extend(element.junctions());
        }
        self.junctions.extend(attempt.junctions.iter().cloned());
        self.tracked.extend(attempt.done.get(&Stage::Track).into_iter().flatten().cloned());
    }

    /// Mends what a command stumbled over, where that is ours to mend; says whether it should be run again.
    fn mend(&mut self, attempt: &Attempt, action: Action, asked: &mut Elements, log: &mut Log, until: Instant) -> bool {
        if self.cancel.is_cancelled() {
            return false;
        }
        for failure in &attempt.failures {
            match (failure.kind, &failure.element) {
                (Kind::JunctionNoRef, Some(junction))
                    if self.pipeline.project.track && !self.tracked.contains(junction) =>
                {
                    let elements = named(std::iter::once(junction));
                    let tracked = self.attempt(Stage::Track, Action::Track, &elements, log, until);
                    self.junctions.insert(junction.clone());
                    self.tracked.insert(junction.clone());
                    return tracked.failures.is_empty() && tracked.exit.is_success();
                }
                (Kind::NoRef, _) if action != Action::Track && self.listed.is_empty() => {
                    if !self.list(log, until) {
                        return false;
                    }
                    let (resolved, missing) = self.resolved_elements();
                    *asked = resolved;
                    return !missing.is_empty() && !asked.targets.is_empty();
                }
                // `source push` stumbles over the fetch queue of its own loading where that had to fetch a junction; the
                // junction is there then, and the same command works.
                (Kind::Bug, _) if action == Action::Push && failure.message.contains("Trying to add task group") => {
                    return !std::mem::replace(&mut self.stumbled, true);
                }
                (Kind::MirrorCorrupt, _) => {
                    let mirror = failure
                        .place
                        .file
                        .as_deref()
                        .filter(|path| path.starts_with(&self.pipeline.directories.sourcedir));
                    if let Some(mirror) = mirror {
                        log.write(format!("[removing the corrupt mirror {}]\n", mirror.display()).as_bytes());
                        let _ = fs::remove_dir_all(mirror);
                    }
                }
                _ => {}
            }
        }
        false
    }

    /// Asks `bst show` for the elements and their states, where no stage told of them.
    fn list(&mut self, log: &mut Log, until: Instant) -> bool {
        let conf = self.conf_path();
        let conf = conf.to_string_lossy();
        let arguments = self.pipeline.bst.dialect().show_arguments(&self.global(&conf), &self.elements);
        let mut output = Vec::new();
        let exit = self.invoke(arguments, until, &mut |bytes| {
            log.write(bytes);
            output.extend_from_slice(bytes);
            output.truncate(refs::LARGEST);
        });
        for line in String::from_utf8_lossy(&output).lines() {
            if let Some((state, element)) = line.split_once('\t')
                && let Ok(element) = element.parse::<ElementName>()
            {
                let no_ref = state.trim() == "no reference";
                let state = if no_ref { ElementState::NoReference } else { ElementState::Waiting };
                self.junctions.extend(element.junctions());
                self.listed.insert(element, state);
            }
        }
        exit.is_ok_and(Exit::is_success)
    }

    /// What to try next and after which wait; none where there is nothing left to try.
    fn again(&self, attempt: &Attempt, tries: u32, asked: &Elements, until: Instant) -> Option<(Elements, Duration)> {
        let project = self.pipeline.project;
        if tries > project.retries || self.cancel.is_cancelled() || attempt.exit == Exit::TimedOut {
            return None;
        }
        let worth = |failure: &&Diagnosis| match failure.retry {
            Retry::Yes => true,
            Retry::Once => tries == 1,
            Retry::No => false,
        };
        let worthy: Vec<_> = attempt.failures.iter().filter(worth).collect();
        let wait = project.retry_delay.saturating_mul(1 << (tries - 1).min(10));
        if worthy.is_empty() || Instant::now() + wait + LEAST_TIME > until {
            return None;
        }
        // What worked need not be done again, where bst did go on with the others.
        let elements: Option<Vec<_>> = worthy.iter().map(|failure| failure.element.as_ref()).collect();
        let next = match elements {
            Some(elements) if project.on_error == OnError::Continue => named(elements.into_iter()),
            _ => asked.clone(),
        };
        Some((next, wait))
    }

    fn global<'g>(&'g self, conf: &'g str) -> Global<'g> {
        let options = self.options.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Global { config: conf, on_error: self.pipeline.project.on_error, options }
    }

    fn attempt(&mut self, stage: Stage, action: Action, elements: &Elements, log: &mut Log, until: Instant) -> Attempt {
        let began = Instant::now();
        let conf = self.conf_path();
        let cross = self.pipeline.project.cross_junctions;
        let conf = conf.to_string_lossy();
        let arguments = self.pipeline.bst.dialect().arguments(&self.global(&conf), action, elements, cross);
        log.write(format!("$ bst {}\n", arguments.join(" ")).as_bytes());
        let mut diagnoser = Diagnoser::new(Some(stage));
        let mut seen = Seen::default();
        let mut parser = Parser::default();
        let (name, branch) = (&self.pipeline.project.name, self.pipeline.branch);
        // The events are lent out while bst runs; nobody else wants them then.
        let exit = {
            let mut reported = None;
            let (one_at_a_time, invocation) = self.invocation(arguments, until);
            let _turn = one_at_a_time;
            let events = &mut *self.events;
            self.pipeline.runner.run(&invocation, self.cancel, &mut |bytes| {
                log.write(bytes);
                parser.push(bytes, &mut |item| {
                    seen.take(&item);
                    diagnoser.take(&item);
                });
                let progress = seen.progress(stage);
                if reported.as_ref() != Some(&progress) {
                    let (stage, done, total, element) = progress.clone();
                    events(Event::Progress {
                        project: name.clone(),
                        branch: branch.clone(),
                        stage,
                        done,
                        total,
                        element,
                    });
                    reported = Some(progress);
                }
            })
        };
        parser.finish(&mut |item| {
            seen.take(&item);
            diagnoser.take(&item);
        });
        let _ = fs::remove_dir_all(self.task_logs());
        let (exit, found) = match exit {
            Ok(exit) => (exit, diagnoser.finish(exit)),
            Err(error) => {
                let failures = vec![crate::diagnosis::of_runner(&error, stage)];
                (Exit::Status(-1), Diagnoses { failures, ..Diagnoses::default() })
            }
        };
        let redacted = |all: Vec<Diagnosis>| all.into_iter().map(|found| self.redacted(found)).collect::<Vec<_>>();
        let (findings, warnings): (Vec<_>, Vec<_>) =
            found.warnings.into_iter().partition(|warning| warning.kind == Kind::ChecksumChanged);
        Attempt {
            exit,
            failures: redacted(found.failures),
            findings: redacted(findings),
            reached: found.facts.network.reached.into_keys().collect(),
            notes: redacted(warnings).into_iter().map(|warning| warning.message).collect(),
            seconds: began.elapsed().as_secs_f64(),
            ..seen.into_attempt()
        }
    }

    fn redacted(&self, failure: Diagnosis) -> Diagnosis {
        let redact = |text: &str| self.pipeline.redactor.redact(text).into_owned();
        let place = Place { url: failure.place.url.as_deref().map(redact), ..failure.place };
        Diagnosis { message: redact(&failure.message), hint: redact(&failure.hint), place, ..failure }
    }

    /// Runs a `bst` whose messages matter to nobody else.
    fn invoke(&self, arguments: Vec<String>, until: Instant, output: &mut dyn FnMut(&[u8])) -> Result<Exit, ()> {
        let (_turn, invocation) = self.invocation(arguments, until);
        self.pipeline.runner.run(&invocation, self.cancel, output).map_err(|_| ())
    }

    fn invocation(&self, arguments: Vec<String>, until: Instant) -> (Option<MutexGuard<'w, ()>>, Invocation) {
        let pipeline = self.pipeline;
        let turn = pipeline.one_at_a_time.map(|lock| lock.lock().unwrap_or_else(PoisonError::into_inner));
        let mut command = pipeline.bst.command.clone();
        command.extend(arguments.into_iter().map(OsString::from));
        let mut environment =
            crate::bst::child_environment(pipeline.environment, &pipeline.project.buildstream.pass_environment);
        environment.insert("TMPDIR".into(), pipeline.directories.temporary.clone().into());
        let timeout = until.saturating_duration_since(Instant::now()).max(LEAST_TIME);
        let invocation = Invocation { command, directory: pipeline.directories.project.clone(), environment, timeout };
        (turn, invocation)
    }
}

fn named<'e>(elements: impl Iterator<Item = &'e ElementName>) -> Elements {
    let targets = elements.map(ToString::to_string).collect::<BTreeSet<_>>();
    Elements { targets: targets.into_iter().collect(), deps: Deps::None, except: Vec::new() }
}

/// The free bytes of the file system that holds a path; 0 where it does not say.
fn free_bytes(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(0, |found| found.f_bavail.saturating_mul(found.f_frsize))
}
