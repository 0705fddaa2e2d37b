//! Where everything that is to be told comes together: deciding, delivering, remembering.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::decide::{Finding, Frame, decide};
use super::deliver::{self, Delivery};
use super::error::{Fault, NotifyError};
use super::findings::{self, Links};
use super::memory::{Key, Memory, Step};
use super::message::{Happening, Topic};
use super::{Beat, Notifier, Pulse};
use crate::cancel::Cancel;
use crate::diagnosis::{Actor, Diagnosis, Kind, Place, Retry};
use crate::names::RunId;
use crate::report::{Outcome, RunReport};
use crate::runner::processes;
use crate::secret::{Redact as _, Redactor};
use crate::state::{BranchState, Lock, Store};

/// How long one waits for another that tells: one run may be at its end while another finds its lock held.
const PATIENCE: Duration = Duration::from_secs(120);

/// The desk of one state directory, with all who are to be told.
pub(crate) struct Desk<'f> {
    seats: Vec<Seat>,
    redactor: &'f Redactor,
    frame: Frame,
    /// Held until all is told.
    _lock: Option<Lock>,
}

/// One notifier at it.
struct Seat {
    notifier: Arc<dyn Notifier>,
    /// The file of its memory; none where nothing can be remembered.
    path: Option<PathBuf>,
    memory: Memory,
    /// Whether it had anything to do.
    tried: bool,
    failed: Option<NotifyError>,
}

/// What a run found out.
#[derive(Clone, Copy)]
pub(crate) struct Report<'f> {
    pub(crate) of: &'f RunReport,
    pub(crate) states: &'f [BranchState],
    pub(crate) store: &'f Store,
    pub(crate) links: Links<'f>,
    /// Whether it was about everything that is configured.
    pub(crate) whole: bool,
}

impl<'f> Desk<'f> {
    /// Opens the desk in the first of the directories that can be written; where none can, without a memory.
    pub(crate) fn open(
        directories: &[PathBuf],
        notifiers: &[Arc<dyn Notifier>],
        redactor: &'f Redactor,
        frame: Frame,
    ) -> Self {
        let holder = format!("notifiers, process {}", std::process::id());
        let mut opened = None;
        for directory in directories {
            if let Ok(lock) = Lock::acquire(directory, &holder, PATIENCE, &Cancel::new()) {
                // What a killed run's notifiers left running is ended before they are started again.
                let _ = processes::clear_leftovers(directory.as_os_str());
                opened = Some((directory, lock));
                break;
            }
        }
        let (directory, lock) = opened.unzip();
        let seat = |notifier: &Arc<dyn Notifier>| {
            let path = directory.map(|directory| Memory::path(directory, notifier.name()));
            let memory = path.as_deref().map(Memory::load).unwrap_or_default();
            Seat { notifier: Arc::clone(notifier), path, memory, tried: false, failed: None }
        };
        Self { seats: notifiers.iter().map(seat).collect(), redactor, frame, _lock: lock }
    }

    /// Tells of failures of no project; the rest is left as it was.
    pub(crate) fn failures(mut self, failures: &[Diagnosis]) -> Vec<Diagnosis> {
        let findings = self.clean(findings::of_host(failures, self.frame.url.as_deref()));
        self.round(&|_, _| findings.clone());
        self.end()
    }

    /// Tells of a run that ended, and feels its pulse; gives what failed of it.
    pub(crate) fn run(mut self, run: &Report<'_>, started: Vec<Delivery>) -> Vec<Diagnosis> {
        let mut beat = Beat::Stopped;
        if run.of.outcome != Outcome::Interrupted {
            let findings = self.clean(findings::of_run(run));
            if run.whole {
                let there = run.states.iter().map(|state| findings::key(&state.project, state.branch.as_ref()));
                let there: BTreeSet<Key> = there.collect();
                self.seats.iter_mut().for_each(|seat| seat.memory.keep(&there));
            }
            self.round(&|_, memory| {
                let over = findings::over(memory, &findings, run.of);
                findings.iter().cloned().chain(over).collect()
            });
            let good = run.of.outcome.is_good() && self.failed().next().is_none();
            beat = if good { Beat::Good } else { Beat::Bad };
        }
        for delivery in started {
            drop(delivery.wait());
        }
        self.pulse(&run.of.run, beat, &findings::short(run.of));
        self.end()
    }

    fn clean(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        for finding in &mut findings {
            finding.topic = std::mem::replace(&mut finding.topic, Topic::host()).redacted(self.redactor);
        }
        findings
    }

    fn failed(&self) -> impl Iterator<Item = (&str, &NotifyError)> {
        self.seats.iter().filter_map(|seat| Some((seat.notifier.name(), seat.failed.as_ref()?)))
    }

    /// Tells those who can be told of those who cannot, and gives what failed in all.
    fn end(mut self) -> Vec<Diagnosis> {
        let known: Vec<(String, bool, Option<Diagnosis>)> = self
            .seats
            .iter()
            .filter(|seat| seat.tried)
            .map(|seat| {
                let name = seat.notifier.name();
                let failure = seat.failed.as_ref().map(|error| error.diagnosis(name, self.redactor));
                (name.to_owned(), failure.is_none(), failure)
            })
            .collect();
        self.round(&|name, memory| {
            let others = known.iter().filter(|(other, ..)| other != name);
            let finding = |(other, works, failure): &(String, bool, Option<Diagnosis>)| {
                let key = format!("host:notifier:{other}");
                match failure {
                    Some(failure) => Some(Finding::host(key, &[failure])),
                    None if *works && memory.known(&key).trouble.is_some() => Some(Finding::well(key, Topic::host())),
                    None => None,
                }
            };
            others.filter_map(finding).collect()
        });
        let mut failures: Vec<_> = self.failed().map(|(name, error)| error.diagnosis(name, self.redactor)).collect();
        for seat in &mut self.seats {
            failures.extend(seat.save().err());
        }
        failures
    }

    /// Decides for each notifier, lets all of them tell at once, and remembers what they told.
    fn round(&mut self, findings: &dyn Fn(&str, &Memory) -> Vec<Finding>) {
        let mut deliveries = Vec::new();
        for seat in &mut self.seats {
            let name = seat.notifier.name();
            let found = findings(name, &seat.memory);
            let decided = decide(name, &seat.notifier.wants(), &seat.memory, &found, &self.frame);
            deliveries.push(seat.start(decided, &self.frame));
        }
        for (seat, delivery) in self.seats.iter_mut().zip(deliveries) {
            if let Some(delivery) = delivery {
                seat.take_in(delivery.wait());
            }
        }
    }

    fn pulse(&mut self, run: &RunId, beat: Beat, text: &str) {
        let text = text.to_owned().redacted(self.redactor);
        let pulse = Pulse { run: run.clone(), host: self.frame.host.clone(), beat, text };
        let taking = self.seats.iter_mut().filter(|seat| seat.notifier.takes_pulse());
        let deliveries: Vec<_> = taking.map(|seat| (deliver::pulse(&seat.notifier, pulse.clone()), seat)).collect();
        for (delivery, seat) in deliveries {
            seat.tried = true;
            let result = delivery.wait().pop().flatten();
            seat.failed = seat.failed.take().or(result.and_then(Result::err));
        }
    }
}

impl Seat {
    /// Puts what was decided behind what waits, and begins to tell all of it.
    fn start(&mut self, decided: Vec<Step>, frame: &Frame) -> Option<Delivery> {
        let waits = |step: &mut Step| step.message.iter_mut().for_each(|message| message.delayed = true);
        if !self.tried {
            self.memory.outbox.iter_mut().for_each(waits);
        }
        self.memory.outbox.extend(decided);
        let given_up = self.memory.trim(frame.at);
        let messages: Vec<_> = self.memory.outbox.iter().filter_map(|step| step.message.clone()).collect();
        if messages.is_empty() {
            self.take_in(Vec::new());
            return None;
        }
        // Whatever happens from here on, what is to be told is not lost.
        let _ = self.save();
        if self.failed.is_some() {
            return None;
        }
        self.tried = true;
        if given_up > 0 {
            let message = format!("{given_up} messages that it could not be told were given up");
            self.failed = Some(NotifyError::new(Fault::Refused, message, "the runs' reports have all of it"));
        }
        Some(deliver::messages(&self.notifier, messages))
    }

    /// Remembers what was told; the rest waits.
    fn take_in(&mut self, results: Vec<Option<Result<(), NotifyError>>>) {
        let mut results = results.into_iter();
        let mut kept: Vec<Step> = Vec::new();
        for step in std::mem::take(&mut self.memory.outbox) {
            let told = match step.message {
                None => kept.is_empty(),
                Some(_) => match results.next().flatten() {
                    Some(Ok(())) => true,
                    Some(Err(error)) => {
                        let told = error.fault == Fault::InPart;
                        self.failed.get_or_insert(error);
                        told
                    }
                    None => false,
                },
            };
            if told {
                // What was known before this is not to be learned after it.
                for earlier in &mut kept {
                    earlier.after.retain(|key, _| !step.after.contains_key(key));
                }
                self.memory.learn(step);
            } else {
                kept.push(step);
            }
        }
        self.memory.outbox = kept;
        let _ = self.save();
    }

    fn save(&mut self) -> Result<(), Diagnosis> {
        let Some(path) = &self.path else { return Ok(()) };
        self.memory.save(path).map_err(|error| unsaved(path, &error))
    }
}

fn unsaved(path: &Path, error: &io::Error) -> Diagnosis {
    let (kind, hint) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (Kind::DiskFull, "make space on the state directory's file system")
        }
        _ => (Kind::Permission, "make the state directory writable for the user that runs this"),
    };
    Diagnosis {
        kind,
        element: None,
        stage: None,
        message: format!("cannot remember what was told in {}: {error}; it will be told again", path.display()),
        retry: Retry::Yes,
        actor: Actor::Host,
        hint: hint.to_owned(),
        place: Place { file: Some(path.to_owned()), ..Place::default() },
    }
}

/// Lets those who take pulses know that a run starts. They are not waited for here.
pub(crate) fn started(notifiers: &[Arc<dyn Notifier>], run: &RunId, host: &str) -> Vec<Delivery> {
    let pulse = Pulse { run: run.clone(), host: host.to_owned(), beat: Beat::Started, text: String::new() };
    let taking = notifiers.iter().filter(|notifier| notifier.takes_pulse());
    taking.map(|notifier| deliver::pulse(notifier, pulse.clone())).collect()
}

/// Sends a sample through each of the notifiers.
pub(crate) fn tried(
    notifiers: &[Arc<dyn Notifier>],
    run: &RunId,
    frame: &Frame,
    redactor: &Redactor,
) -> Vec<(String, Result<(), NotifyError>)> {
    let begin = |notifier: &Arc<dyn Notifier>| {
        let name = notifier.name().to_owned();
        let message = frame.message(&name, Happening::Test, vec![Topic::host()], &[]);
        if notifier.takes_pulse() {
            let text = super::render::text(&message);
            let pulse = Pulse { run: run.clone(), host: frame.host.clone(), beat: Beat::Test, text };
            return (name, deliver::pulse(notifier, pulse));
        }
        (name, deliver::messages(notifier, vec![message]))
    };
    let under_way: Vec<_> = notifiers.iter().map(begin).collect();
    let end = |(name, delivery): (String, Delivery)| {
        let nothing = || NotifyError::new(Fault::Bug, "it said nothing", "report this to the authors of the notifier");
        let result = delivery.wait().pop().flatten().unwrap_or_else(|| Err(nothing()));
        (name, result.map_err(|error| error.redacted(redactor)))
    };
    under_way.into_iter().map(end).collect()
}

#[cfg(test)]
mod tests;
