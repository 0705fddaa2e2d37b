//! The desk with notifiers that misbehave.

use std::sync::Mutex;
use std::thread;

use super::super::sample::{failure, frame};
use super::super::{Notification, Subscription};
use super::*;
use crate::diagnosis::FailureKind;

/// A notifier that does what it is told to.
#[derive(Default)]
struct Fake {
    name: &'static str,
    got: Mutex<Vec<Notification>>,
    /// What becomes of the next messages; they are taken once there is no more of it.
    next: Mutex<Vec<Option<DeliveryErrorKind>>>,
}

impl Fake {
    fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self { name, ..Self::default() })
    }

    fn next(&self, faults: impl IntoIterator<Item = DeliveryErrorKind>) {
        *self.next.lock().unwrap() = faults.into_iter().map(Some).collect();
    }

    fn take(&self) -> Vec<String> {
        let got = std::mem::take(&mut *self.got.lock().unwrap());
        let delayed = |message: &Notification| match (message.delayed, message.again) {
            (_, true) => " (again)",
            (true, false) => " (delayed)",
            (false, false) => "",
        };
        let kind = |message: &Notification| {
            message.topics[0].failures.first().map_or_else(String::new, |failure| format!(" {}", failure.kind))
        };
        got.iter().map(|message| format!("{}{}{}", message.event.as_str(), kind(message), delayed(message))).collect()
    }
}

impl Notifier for Fake {
    fn name(&self) -> &str {
        self.name
    }

    fn subscription(&self) -> Subscription {
        Subscription { timeout: Duration::from_secs(30), ..Subscription::default() }
    }

    fn send(&self, message: &Notification) -> Result<(), NotifyError> {
        let fault = self.next.lock().unwrap().pop().flatten();
        match fault {
            Some(DeliveryErrorKind::Bug) => panic!("a bug"),
            Some(fault) => Err(NotifyError::new(fault, "it cannot", "mend it")),
            None => {
                self.got.lock().unwrap().push(message.clone());
                Ok(())
            }
        }
    }
}

/// One that never comes back.
struct Hangs;

impl Notifier for Hangs {
    fn name(&self) -> &'static str {
        "hangs"
    }

    fn subscription(&self) -> Subscription {
        Subscription { timeout: Duration::from_millis(10), ..Subscription::default() }
    }

    fn send(&self, _: &Notification) -> Result<(), NotifyError> {
        thread::sleep(Duration::from_secs(600));
        Ok(())
    }
}

struct World {
    directory: tempfile::TempDir,
    notifiers: Vec<Arc<dyn Notifier>>,
    hour: i64,
}

impl World {
    fn new(notifiers: &[Arc<dyn Notifier>]) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), notifiers: notifiers.to_vec(), hour: 0 }
    }

    /// Tells of failures of these kinds; the kinds of what failed of it.
    fn tell(&mut self, kinds: &[FailureKind]) -> Vec<FailureKind> {
        self.hour += 1;
        let failures: Vec<_> = kinds.iter().map(|kind| failure(*kind, None, None)).collect();
        let redactor = Redactor::default();
        let directories = [self.directory.path().join("notify")];
        let desk = Dispatcher::open(&directories, &self.notifiers, &redactor, frame(self.hour));
        desk.failures(&failures).into_iter().map(|failure| failure.kind).collect()
    }
}

#[test]
fn what_was_not_taken_waits_and_is_taken_before_anything_new() {
    let fake = Fake::new("fake");
    let mut world = World::new(&[fake.clone() as Arc<dyn Notifier>]);
    fake.next([DeliveryErrorKind::Unreachable]);
    assert_eq!(world.tell(&[FailureKind::DiskFull]), [FailureKind::Notifier]);
    assert_eq!(fake.take(), [""; 0]);
    assert_eq!(world.tell(&[FailureKind::DiskFull, FailureKind::Tls]), []);
    assert_eq!(fake.take(), ["failure disk-full (delayed)", "failure tls"]);
    assert_eq!(world.tell(&[FailureKind::DiskFull, FailureKind::Tls]), []);
    assert_eq!(fake.take(), [""; 0], "all of it was told");
}

#[test]
fn one_message_that_is_refused_holds_up_no_other() {
    let fake = Fake::new("fake");
    let mut world = World::new(&[fake.clone() as Arc<dyn Notifier>]);
    fake.next([DeliveryErrorKind::Refused]);
    assert_eq!(world.tell(&[FailureKind::DiskFull, FailureKind::Tls]), [FailureKind::Notifier]);
    assert_eq!(fake.take().len(), 1);
    assert_eq!(world.tell(&[FailureKind::DiskFull, FailureKind::Tls]), []);
    assert_eq!(fake.take().len(), 1, "the refused one again");
    // Where one cannot be reached, the next is not tried.
    fake.next([DeliveryErrorKind::Unreachable]);
    world.tell(&[FailureKind::Dns, FailureKind::Network]);
    assert_eq!(fake.take(), [""; 0]);
    // What some have got is not sent again.
    world.tell(&[]);
    fake.take();
    fake.next([DeliveryErrorKind::InPart]);
    assert_eq!(world.tell(&[FailureKind::Bug]), [FailureKind::Notifier]);
    assert_eq!(world.tell(&[FailureKind::Bug]), []);
    assert_eq!(fake.take(), [""; 0]);
}

#[test]
fn whoever_hangs_or_panics_neither_stalls_nor_silences_the_others() {
    let (panics, fine) = (Fake::new("panics"), Fake::new("fine"));
    let mut world = World::new(&[Arc::new(Hangs), panics.clone(), fine.clone()]);
    panics.next([DeliveryErrorKind::Bug]);
    assert_eq!(world.tell(&[FailureKind::DiskFull]), [FailureKind::Notifier, FailureKind::Notifier]);
    assert_eq!(fine.take(), ["failure disk-full", "failure notifier", "failure notifier"]);
    assert_eq!(world.tell(&[FailureKind::DiskFull]), [FailureKind::Notifier]);
    assert_eq!(fine.take(), ["recovery"], "the one works again, the other hangs as before");
    assert_eq!(panics.take(), ["failure disk-full (again)", "failure notifier (delayed)"]);
}

#[test]
fn what_waits_is_bounded_in_number_and_age_and_the_newest_is_kept() {
    let fake = Fake::new("fake");
    let mut world = World::new(&[fake.clone() as Arc<dyn Notifier>]);
    for _ in 0..40 {
        // Three kinds in turn make different failures of one after the other.
        for kind in [FailureKind::DiskFull, FailureKind::Tls, FailureKind::Dns] {
            fake.next([DeliveryErrorKind::Unreachable]);
            world.tell(&[kind]);
            world.hour += 24;
        }
        if world.hour > 24 * 20 {
            break;
        }
    }
    let memory = NotifierState::file(&world.directory.path().join("notify"), "fake").read().unwrap().unwrap();
    assert!((1..=8).contains(&memory.outbox.len()), "{}", memory.outbox.len());
    assert_eq!(memory.outbox.last().unwrap().at, super::super::sample::at(world.hour - 24));
    let mut memory = NotifierState::default();
    let step = || QueuedMessage {
        at: super::super::sample::at(0),
        message: None,
        begun: false,
        after: std::collections::BTreeMap::new(),
    };
    memory.outbox = (0..150).map(|_| step()).collect();
    memory.trim(super::super::sample::at(1));
    assert_eq!(memory.outbox.len(), 100);
}

#[test]
fn without_a_directory_it_is_told_and_a_broken_memory_tells_anew() {
    let fake = Fake::new("fake");
    let redactor = Redactor::default();
    let failures = [failure(FailureKind::Permission, None, None)];
    let nowhere = [PathBuf::from("/proc/nowhere")];
    for _ in 0..2 {
        let desk = Dispatcher::open(&nowhere, &[fake.clone() as Arc<dyn Notifier>], &redactor, frame(0));
        assert_eq!(desk.failures(&failures), []);
        assert_eq!(fake.take(), ["failure permission"]);
    }
    let mut world = World::new(&[fake.clone() as Arc<dyn Notifier>]);
    world.tell(&[FailureKind::Tls]);
    fake.take();
    let file = NotifierState::file(&world.directory.path().join("notify"), "fake");
    std::fs::write(file.path(), "{").unwrap();
    assert_eq!(world.tell(&[FailureKind::Tls]), [FailureKind::State]);
    assert_eq!(fake.take(), ["failure state", "failure tls"]);
    assert_eq!(std::fs::read(file.path().with_file_name("fake.json.broken")).unwrap(), b"{");
    assert_eq!((world.tell(&[FailureKind::Tls]), fake.take()), (Vec::new(), Vec::<String>::new()));
    let newer = r#"{ "version": 99, "topics": [] }"#;
    std::fs::write(file.path(), newer).unwrap();
    assert_eq!(world.tell(&[FailureKind::Tls]), [FailureKind::State]);
    assert_eq!(fake.take(), ["failure state", "failure tls"]);
    assert_eq!(std::fs::read_to_string(file.path()).unwrap(), newer, "it is left as it is");
}

#[test]
fn a_memory_of_version_1_is_read() {
    let text = r#"{ "version": 1, "topics": { "p/main": { "trouble": { "since": "2026-01-02T03:04:05Z", "signature":
        ["not-found fetch a.bst"], "cause": "c", "told": "2026-01-02T03:04:05Z" } } } }"#;
    let memory: NotifierState = serde_json::from_str(text).unwrap();
    assert!(memory.known("p/main").trouble.is_some() && memory.outbox.is_empty());
    assert_eq!(memory.troubled().len(), 1);
}

/// One that keeps what is remembered while it sends.
struct Spy(Arc<Mutex<String>>, PathBuf);

impl Notifier for Spy {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn send(&self, _: &Notification) -> Result<(), NotifyError> {
        *self.0.lock().unwrap() = std::fs::read_to_string(&self.1).unwrap();
        Ok(())
    }
}

#[test]
fn what_may_have_been_told_says_that_it_is_told_again_and_what_was_not_tried_does_not() {
    // Killed between sending and remembering: the memory is what it was when sending began.
    let fake = Fake::new("fake");
    let mut world = World::new(&[fake.clone() as Arc<dyn Notifier>]);
    let file = NotifierState::file(&world.directory.path().join("notify"), "fake");
    let during = Arc::new(Mutex::new(String::new()));
    let spy = Arc::new(Spy(Arc::clone(&during), file.path().to_owned()));
    let notifiers = std::mem::replace(&mut world.notifiers, vec![spy as Arc<dyn Notifier>]);
    assert_eq!(world.tell(&[FailureKind::DiskFull]), []);
    world.notifiers = notifiers;
    std::fs::write(file.path(), during.lock().unwrap().as_str()).unwrap();
    assert_eq!(world.tell(&[FailureKind::DiskFull]), []);
    assert_eq!(fake.take(), ["failure disk-full (again)"]);
    assert_eq!((world.tell(&[FailureKind::DiskFull]), fake.take()), (Vec::new(), Vec::new()));
    // What waits behind one that cannot be reached was not sent.
    fake.next([DeliveryErrorKind::Unreachable]);
    world.tell(&[FailureKind::Dns, FailureKind::Tls]);
    world.tell(&[FailureKind::Dns, FailureKind::Tls]);
    assert!(fake.take().iter().all(|told| !told.contains("again")));
}

#[test]
fn what_a_clock_that_was_ahead_noted_is_neither_kept_nor_quiet_for_ever() {
    let fake = Fake::new("fake");
    let mut world = World::new(&[fake.clone() as Arc<dyn Notifier>]);
    world.hour = 24 * 3000;
    world.tell(&[FailureKind::DiskFull]);
    fake.next([DeliveryErrorKind::Unreachable]);
    world.tell(&[FailureKind::DiskFull, FailureKind::Tls]);
    fake.take();
    world.hour = 0;
    fake.next([DeliveryErrorKind::Unreachable]);
    world.tell(&[FailureKind::DiskFull, FailureKind::Tls]);
    let memory = NotifierState::file(&world.directory.path().join("notify"), "fake").read().unwrap().unwrap();
    let now = super::super::sample::at(1);
    assert!(memory.outbox.iter().all(|step| step.at <= now), "{memory:#?}");
    assert!(memory.topics.values().filter_map(|known| known.trouble.as_ref()).all(|known| known.told <= now));
    world.hour = 24;
    world.tell(&[FailureKind::DiskFull, FailureKind::Tls]);
    assert!(fake.take().contains(&"still-failing disk-full".to_owned()), "remind-after counts again");
}
