//! The desk with notifiers that misbehave.

use std::sync::Mutex;
use std::thread;

use super::super::sample::{failure, frame};
use super::super::{Message, Wants};
use super::*;

/// A notifier that does what it is told to.
#[derive(Default)]
struct Fake {
    name: &'static str,
    got: Mutex<Vec<Message>>,
    /// What becomes of the next messages; they are taken once there is no more of it.
    next: Mutex<Vec<Option<Fault>>>,
}

impl Fake {
    fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self { name, ..Self::default() })
    }

    fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        *self.next.lock().unwrap() = faults.into_iter().map(Some).collect();
    }

    fn take(&self) -> Vec<String> {
        let got = std::mem::take(&mut *self.got.lock().unwrap());
        let delayed = |message: &Message| if message.delayed { " (delayed)" } else { "" };
        let kind = |message: &Message| {
            message.topics[0].failures.first().map_or_else(String::new, |failure| format!(" {}", failure.kind))
        };
        got.iter().map(|message| format!("{}{}{}", message.event.as_str(), kind(message), delayed(message))).collect()
    }
}

impl Notifier for Fake {
    fn name(&self) -> &str {
        self.name
    }

    fn wants(&self) -> Wants {
        Wants { timeout: Duration::from_secs(30), ..Wants::default() }
    }

    fn send(&self, message: &Message) -> Result<(), NotifyError> {
        let fault = self.next.lock().unwrap().pop().flatten();
        match fault {
            Some(Fault::Bug) => panic!("a bug"),
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

    fn wants(&self) -> Wants {
        Wants { timeout: Duration::from_millis(10), ..Wants::default() }
    }

    fn send(&self, _: &Message) -> Result<(), NotifyError> {
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
    fn tell(&mut self, kinds: &[Kind]) -> Vec<Kind> {
        self.hour += 1;
        let failures: Vec<_> = kinds.iter().map(|kind| failure(*kind, None, None)).collect();
        let redactor = Redactor::default();
        let directories = [self.directory.path().join("notify")];
        let desk = Desk::open(&directories, &self.notifiers, &redactor, frame(self.hour));
        desk.failures(&failures).into_iter().map(|failure| failure.kind).collect()
    }
}

#[test]
fn what_was_not_taken_waits_and_is_taken_before_anything_new() {
    let fake = Fake::new("fake");
    let mut world = World::new(&[fake.clone() as Arc<dyn Notifier>]);
    fake.next([Fault::Unreachable]);
    assert_eq!(world.tell(&[Kind::DiskFull]), [Kind::Notifier]);
    assert_eq!(fake.take(), [""; 0]);
    assert_eq!(world.tell(&[Kind::DiskFull, Kind::Tls]), []);
    assert_eq!(fake.take(), ["failure disk-full (delayed)", "failure tls"]);
    assert_eq!(world.tell(&[Kind::DiskFull, Kind::Tls]), []);
    assert_eq!(fake.take(), [""; 0], "all of it was told");
}

#[test]
fn one_message_that_is_refused_holds_up_no_other() {
    let fake = Fake::new("fake");
    let mut world = World::new(&[fake.clone() as Arc<dyn Notifier>]);
    fake.next([Fault::Refused]);
    assert_eq!(world.tell(&[Kind::DiskFull, Kind::Tls]), [Kind::Notifier]);
    assert_eq!(fake.take().len(), 1);
    assert_eq!(world.tell(&[Kind::DiskFull, Kind::Tls]), []);
    assert_eq!(fake.take().len(), 1, "the refused one again");
    // Where one cannot be reached, the next is not tried.
    fake.next([Fault::Unreachable]);
    world.tell(&[Kind::Dns, Kind::Network]);
    assert_eq!(fake.take(), [""; 0]);
    // What some have got is not sent again.
    world.tell(&[]);
    fake.take();
    fake.next([Fault::InPart]);
    assert_eq!(world.tell(&[Kind::Bug]), [Kind::Notifier]);
    assert_eq!(world.tell(&[Kind::Bug]), []);
    assert_eq!(fake.take(), [""; 0]);
}

#[test]
fn whoever_hangs_or_panics_neither_stalls_nor_silences_the_others() {
    let (panics, fine) = (Fake::new("panics"), Fake::new("fine"));
    let mut world = World::new(&[Arc::new(Hangs), panics.clone(), fine.clone()]);
    panics.next([Fault::Bug]);
    assert_eq!(world.tell(&[Kind::DiskFull]), [Kind::Notifier, Kind::Notifier]);
    assert_eq!(fine.take(), ["failure disk-full", "failure notifier", "failure notifier"]);
    assert_eq!(world.tell(&[Kind::DiskFull]), [Kind::Notifier]);
    assert_eq!(fine.take(), ["recovery"], "the one works again, the other hangs as before");
    assert_eq!(panics.take(), ["failure disk-full (delayed)", "failure notifier (delayed)"]);
}

#[test]
fn what_waits_is_bounded_in_number_and_age_and_the_newest_is_kept() {
    let fake = Fake::new("fake");
    let mut world = World::new(&[fake.clone() as Arc<dyn Notifier>]);
    for _ in 0..40 {
        // Three kinds in turn make different failures of one after the other.
        for kind in [Kind::DiskFull, Kind::Tls, Kind::Dns] {
            fake.next([Fault::Unreachable]);
            world.tell(&[kind]);
            world.hour += 24;
        }
        if world.hour > 24 * 20 {
            break;
        }
    }
    let memory = Memory::load(&Memory::path(&world.directory.path().join("notify"), "fake"));
    assert!((1..=8).contains(&memory.outbox.len()), "{}", memory.outbox.len());
    assert_eq!(memory.outbox.last().unwrap().at, super::super::sample::at(world.hour - 24));
    let mut memory = Memory::default();
    let step = || Step { at: super::super::sample::at(0), message: None, after: std::collections::BTreeMap::new() };
    memory.outbox = (0..150).map(|_| step()).collect();
    memory.trim(super::super::sample::at(1));
    assert_eq!(memory.outbox.len(), 100);
}

#[test]
fn without_a_directory_it_is_told_and_a_broken_memory_tells_anew() {
    let fake = Fake::new("fake");
    let redactor = Redactor::default();
    let failures = [failure(Kind::Permission, None, None)];
    let nowhere = [PathBuf::from("/proc/nowhere")];
    for _ in 0..2 {
        let desk = Desk::open(&nowhere, &[fake.clone() as Arc<dyn Notifier>], &redactor, frame(0));
        assert_eq!(desk.failures(&failures), []);
        assert_eq!(fake.take(), ["failure permission"]);
    }
    let mut world = World::new(&[fake.clone() as Arc<dyn Notifier>]);
    world.tell(&[Kind::Tls]);
    fake.take();
    std::fs::write(Memory::path(&world.directory.path().join("notify"), "fake"), "{").unwrap();
    world.tell(&[Kind::Tls]);
    assert_eq!(fake.take(), ["failure tls"]);
}

#[test]
fn a_memory_of_version_1_is_read() {
    let text = r#"{ "version": 1, "topics": { "p/main": { "trouble": { "since": "2026-01-02T03:04:05Z", "signature":
        ["not-found fetch a.bst"], "cause": "c", "told": "2026-01-02T03:04:05Z" } } } }"#;
    let memory: Memory = serde_json::from_str(text).unwrap();
    assert!(memory.known("p/main").trouble.is_some() && memory.outbox.is_empty());
    assert_eq!(memory.troubled().len(), 1);
}
