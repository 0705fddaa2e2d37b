//! Where everything that is to be told comes together: deciding, delivering, remembering.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::deliver::{self, Delivery, DeliveryStatus};
use super::error::{DeliveryErrorKind, NotifyError};
use super::findings::{self, FinishedRun};
use super::message::{NotificationEvent, NotificationTopic};
use super::notifier_state::{NotifierState, QueuedMessage, TopicKey};
use super::policy::{MessageContext, TopicFinding, decide};
use super::{Heartbeat, Notifier, RunPhase};
use crate::cancel::Cancel;
use crate::diagnosis::Diagnosis;
use crate::json_file::JsonFile;
use crate::names::RunId;
use crate::report::Outcome;
use crate::runner::processes;
use crate::secret::{Redact as _, Redactor};
use crate::state::{DirectoryLock, StateError};

/// How long one waits for another that tells: one run may be at its end while another finds its lock held.
const LOCK_TIMEOUT: Duration = Duration::from_secs(120);

/// The desk of one state directory, with all who are to be told.
pub(crate) struct Dispatcher<'f> {
    seats: Vec<Recipient>,
    redactor: &'f Redactor,
    frame: MessageContext,
    /// What went wrong when it was opened.
    problems: Vec<StateError>,
    /// Held until all is told.
    _lock: Option<DirectoryLock>,
}

/// One notifier at it.
struct Recipient {
    notifier: Arc<dyn Notifier>,
    /// The file of its memory; none where nothing can be remembered.
    file: Option<JsonFile<NotifierState>>,
    memory: NotifierState,
    /// What is wrong with the file.
    forgotten: Option<StateError>,
    /// Whether it had anything to do.
    tried: bool,
    failed: Option<NotifyError>,
}

impl<'f> Dispatcher<'f> {
    /// Opens the desk in the first of the directories that can be written; where none can, without a memory.
    pub(crate) fn open(
        directories: &[PathBuf],
        notifiers: &[Arc<dyn Notifier>],
        redactor: &'f Redactor,
        frame: MessageContext,
    ) -> Self {
        let holder = format!("notifiers, process {}", std::process::id());
        let (mut opened, mut problems) = (None, Vec::new());
        for directory in directories {
            // Why one cannot be had is told by whoever wants to write the state or the cache in it.
            if let Ok(lock) = DirectoryLock::acquire(directory, &holder, LOCK_TIMEOUT, &Cancel::new()) {
                // What a killed run's notifiers left running is ended before they are started again.
                if let Err(error) = processes::clear_leftovers(directory.as_os_str()) {
                    problems.push(StateError::io("end what ran on in", directory)(error));
                }
                opened = Some((directory, lock));
                break;
            }
        }
        let (directory, lock) = opened.unzip();
        let seat = |notifier: &Arc<dyn Notifier>| {
            let file = directory.map(|directory| NotifierState::file(directory, notifier.name()));
            // Where it cannot be read everything is told anew, which is better than not at all.
            let (memory, forgotten) = file.as_ref().map(JsonFile::load).unwrap_or_default();
            let memory = memory.unwrap_or_default().clamped(frame.at);
            Recipient { notifier: Arc::clone(notifier), file, memory, forgotten, tried: false, failed: None }
        };
        Self { seats: notifiers.iter().map(seat).collect(), redactor, frame, problems, _lock: lock }
    }

    /// Tells of failures of no project; the rest is left as it was.
    pub(crate) fn failures(mut self, failures: &[Diagnosis]) -> Vec<Diagnosis> {
        let own = self.unremembered();
        let findings = self.clean(findings::of_host(failures.iter().chain(&own), self.frame.url.as_deref()));
        self.round(&|_, _| findings.clone());
        self.end()
    }

    /// Tells of a run that ended, and sends its last heartbeat; gives what failed of it.
    pub(crate) fn run(mut self, run: &FinishedRun<'_>, started: Vec<Delivery>) -> Vec<Diagnosis> {
        let mut phase = RunPhase::Stopped;
        if run.of.outcome != Outcome::Interrupted {
            let findings = self.clean(findings::of_run(run, &self.unremembered()));
            if run.whole {
                let there = run.states.iter().map(|state| state.project_branch().key());
                let there: BTreeSet<TopicKey> = there.collect();
                self.seats.iter_mut().for_each(|seat| seat.memory.keep(&there));
            }
            self.round(&|_, memory| {
                let over = findings::over(memory, &findings, run.of);
                findings.iter().cloned().chain(over).collect()
            });
            let good = run.of.outcome.is_good() && self.failed().next().is_none();
            phase = if good { RunPhase::Good } else { RunPhase::Bad };
        }
        for delivery in started {
            drop(delivery.wait());
        }
        self.heartbeat(&run.of.run, phase, &findings::short(run.of));
        self.end()
    }

    fn clean(&self, mut findings: Vec<TopicFinding>) -> Vec<TopicFinding> {
        for finding in &mut findings {
            finding.topic = std::mem::replace(&mut finding.topic, NotificationTopic::host()).redacted(self.redactor);
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
                    Some(failure) => Some(TopicFinding::host(key, &[failure])),
                    None if *works && memory.known(&key).trouble.is_some() => {
                        Some(TopicFinding::well(key, NotificationTopic::host()))
                    }
                    None => None,
                }
            };
            others.filter_map(finding).collect()
        });
        let mut failures: Vec<_> = self.failed().map(|(name, error)| error.diagnosis(name, self.redactor)).collect();
        self.seats.iter_mut().for_each(Recipient::save);
        failures.extend(self.unremembered());
        failures
    }

    /// What is wrong with what is remembered.
    fn unremembered(&self) -> Vec<Diagnosis> {
        let forgotten = self.seats.iter().filter_map(|seat| seat.forgotten.as_ref()).map(unremembered);
        self.problems.iter().map(StateError::diagnosis).chain(forgotten).collect()
    }

    /// Decides for each notifier, lets all of them tell at once, and remembers what they told.
    fn round(&mut self, findings: &dyn Fn(&str, &NotifierState) -> Vec<TopicFinding>) {
        let mut deliveries = Vec::new();
        for seat in &mut self.seats {
            let name = seat.notifier.name();
            let found = findings(name, &seat.memory);
            let decided = decide(name, &seat.notifier.subscription(), &seat.memory, &found, &self.frame);
            deliveries.push(seat.start(decided, &self.frame));
        }
        for (seat, delivery) in self.seats.iter_mut().zip(deliveries) {
            if let Some(delivery) = delivery {
                seat.take_in(delivery.wait());
            }
        }
    }

    fn heartbeat(&mut self, run: &RunId, phase: RunPhase, text: &str) {
        let text = text.to_owned().redacted(self.redactor);
        let heartbeat = Heartbeat { run: run.clone(), host: self.frame.host.clone(), phase, text };
        let taking = self.seats.iter_mut().filter(|seat| seat.notifier.wants_heartbeat());
        let deliveries: Vec<_> =
            taking.map(|seat| (deliver::heartbeat(&seat.notifier, heartbeat.clone()), seat)).collect();
        for (delivery, seat) in deliveries {
            seat.tried = true;
            let failed = delivery.wait().pop().and_then(DeliveryStatus::error);
            seat.failed = seat.failed.take().or(failed);
        }
    }
}

impl Recipient {
    /// Puts what was decided behind what waits, and begins to tell all of it.
    fn start(&mut self, decided: Vec<QueuedMessage>, frame: &MessageContext) -> Option<Delivery> {
        let waits = |step: &mut QueuedMessage| {
            let begun = std::mem::take(&mut step.begun);
            if let Some(message) = &mut step.message {
                (message.delayed, message.again) = (true, message.again || begun);
            }
        };
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
        let sends = self.failed.is_none();
        if sends {
            self.memory.outbox.iter_mut().for_each(|step| step.begun = step.message.is_some());
        }
        // Whatever happens from here on, what is to be told is not lost; if nobody learns what came of it, it is told
        // again and says so.
        self.save();
        if !sends {
            return None;
        }
        self.tried = true;
        if given_up > 0 {
            let message = format!("{given_up} messages that it could not be told were given up");
            self.failed =
                Some(NotifyError::new(DeliveryErrorKind::Refused, message, "the runs' reports have all of it"));
        }
        Some(deliver::messages(&self.notifier, messages))
    }

    /// Remembers what was told; the rest waits.
    fn take_in(&mut self, fates: Vec<DeliveryStatus>) {
        let mut fates = fates.into_iter();
        let mut kept: Vec<QueuedMessage> = Vec::new();
        for mut step in std::mem::take(&mut self.memory.outbox) {
            step.begun = false;
            let told = match step.message {
                None => kept.is_empty(),
                Some(_) => match fates.next().unwrap_or(DeliveryStatus::Untried) {
                    DeliveryStatus::Told => true,
                    DeliveryStatus::Failed(error) => {
                        let told = error.fault == DeliveryErrorKind::InPart;
                        self.failed.get_or_insert(error);
                        told
                    }
                    DeliveryStatus::Uncertain(error) => {
                        step.begun = true;
                        self.failed.get_or_insert(error);
                        false
                    }
                    DeliveryStatus::Untried => false,
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
        self.save();
    }

    /// Writes what it knows; why that is not possible is told at the end.
    fn save(&mut self) {
        let failed = self.file.as_ref().and_then(|file| file.save(&self.memory).err());
        // Why it could not be read is why it cannot be written, as a rule.
        self.forgotten = self.forgotten.take().or(failed);
    }
}

/// What is wrong with the memory of a notifier.
fn unremembered(error: &StateError) -> Diagnosis {
    let found = error.diagnosis();
    let message = format!("what was told is not all remembered, and may be told again: {}", found.message);
    found.with_message(message)
}

/// Lets those who take pulses know that a run starts. They are not waited for here.
pub(crate) fn started(notifiers: &[Arc<dyn Notifier>], run: &RunId, host: &str) -> Vec<Delivery> {
    let heartbeat =
        Heartbeat { run: run.clone(), host: host.to_owned(), phase: RunPhase::Started, text: String::new() };
    let taking = notifiers.iter().filter(super::Notifier::wants_heartbeat);
    taking.map(|notifier| deliver::heartbeat(notifier, heartbeat.clone())).collect()
}

/// Sends a sample through each of the notifiers.
pub(crate) fn tried(
    notifiers: &[Arc<dyn Notifier>],
    run: &RunId,
    frame: &MessageContext,
    redactor: &Redactor,
) -> Vec<(String, Result<(), NotifyError>)> {
    let begin = |notifier: &Arc<dyn Notifier>| {
        let name = notifier.name().to_owned();
        let message = frame.message(&name, NotificationEvent::Test, vec![NotificationTopic::host()], &[]);
        if notifier.wants_heartbeat() {
            let text = super::render::text(&message);
            let heartbeat = Heartbeat { run: run.clone(), host: frame.host.clone(), phase: RunPhase::Test, text };
            return (name, deliver::heartbeat(notifier, heartbeat));
        }
        (name, deliver::messages(notifier, vec![message]))
    };
    let under_way: Vec<_> = notifiers.iter().map(begin).collect();
    let end = |(name, delivery): (String, Delivery)| {
        let nothing = || {
            NotifyError::new(DeliveryErrorKind::Bug, "it said nothing", "report this to the authors of the notifier")
        };
        let result = match delivery.wait().pop() {
            Some(DeliveryStatus::Told) => Ok(()),
            Some(DeliveryStatus::Failed(error) | DeliveryStatus::Uncertain(error)) => Err(error),
            Some(DeliveryStatus::Untried) | None => Err(nothing()),
        };
        (name, result.map_err(|error| error.redacted(redactor)))
    };
    under_way.into_iter().map(end).collect()
}

#[cfg(test)]
mod tests;
