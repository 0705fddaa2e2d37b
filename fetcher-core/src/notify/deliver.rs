//! Handing messages to notifiers: each in a thread of its own, so that none can hold up or end the others.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::error::{DeliveryErrorKind, NotifyError};
use super::message::Notification;
use super::{Heartbeat, Notifier};

/// How much longer than its `timeout` a notifier is waited for, so that it can say itself what kept it.
const GRACE: Duration = Duration::from_secs(3);

/// What became of a message; the first field is its place.
type DeliveryResult = (usize, Result<(), NotifyError>);

/// What is known of a message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DeliveryStatus {
    /// It was told.
    Told,
    /// It was not.
    Failed(NotifyError),
    /// It may have been told or not: the notifier did not say so in its time, or panicked.
    Uncertain(NotifyError),
    /// It was not tried.
    Untried,
}

impl DeliveryStatus {
    /// Why it was not told, as far as is known.
    pub(super) fn error(self) -> Option<NotifyError> {
        match self {
            DeliveryStatus::Failed(error) | DeliveryStatus::Uncertain(error) => Some(error),
            DeliveryStatus::Told | DeliveryStatus::Untried => None,
        }
    }
}

impl From<Result<(), NotifyError>> for DeliveryStatus {
    fn from(result: Result<(), NotifyError>) -> Self {
        match result {
            Ok(()) => DeliveryStatus::Told,
            Err(error) if error.fault == DeliveryErrorKind::Bug => DeliveryStatus::Uncertain(error),
            Err(error) => DeliveryStatus::Failed(error),
        }
    }
}

/// Messages on their way.
pub(crate) struct Delivery {
    receiver: Receiver<(Instant, DeliveryResult)>,
    count: usize,
    started: Instant,
    timeout: Duration,
}

/// Lets a notifier tell messages.
pub(super) fn messages(notifier: &Arc<dyn Notifier>, messages: Vec<Notification>) -> Delivery {
    let count = messages.len();
    start(notifier, count, move |notifier, told| notifier.send_all(&messages, told))
}

/// Sends a notifier a heartbeat of a run.
pub(super) fn heartbeat(notifier: &Arc<dyn Notifier>, heartbeat: Heartbeat) -> Delivery {
    start(notifier, 1, move |notifier, told| told(0, notifier.heartbeat(&heartbeat)))
}

fn start(
    notifier: &Arc<dyn Notifier>,
    count: usize,
    work: impl FnOnce(&dyn Notifier, &mut dyn FnMut(usize, Result<(), NotifyError>)) + Send + 'static,
) -> Delivery {
    let (sender, receiver) = channel();
    let timeout = notifier.delivery_timeout();
    let (notifier, last) = (Arc::clone(notifier), sender.clone());
    let body = move || {
        let mut next = 0;
        let done = catch_unwind(AssertUnwindSafe(|| {
            work(notifier.as_ref(), &mut |at, result| {
                next = at + 1;
                // Where nobody waits any more, that is what was remembered of it.
                let _ = sender.send((Instant::now(), (at, result)));
            });
        }));
        if let Err(panic) = done {
            let _ = last.send((Instant::now(), (next, Err(panicked(panic.as_ref())))));
        }
    };
    let spawned = thread::Builder::new().name("notifier".to_owned()).spawn(body);
    let delivery = Delivery { receiver, count, started: Instant::now(), timeout };
    if let Err(error) = spawned {
        let (sender, receiver) = channel();
        let hint = "the host has no room for another thread: look at its limits";
        let failed = NotifyError::new(DeliveryErrorKind::Unreachable, format!("cannot start a thread: {error}"), hint);
        // It is received below.
        let _ = sender.send((Instant::now(), (0, Err(failed))));
        return Delivery { receiver, ..delivery };
    }
    delivery
}

fn panicked(panic: &(dyn Any + Send)) -> NotifyError {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    NotifyError::new(
        DeliveryErrorKind::Bug,
        format!("it panicked: {text}"),
        "report this to the authors of the notifier",
    )
}

impl Delivery {
    /// Waits until every message is told, the notifier has given up, or its time is over.
    pub(super) fn wait(self) -> Vec<DeliveryStatus> {
        let mut fates = vec![DeliveryStatus::Untried; self.count];
        let delivery_timeout = self.timeout.saturating_add(GRACE);
        let mut progress = self.started;
        while fates.contains(&DeliveryStatus::Untried) {
            let left = delivery_timeout.saturating_sub(progress.elapsed());
            match self.receiver.recv_timeout(left) {
                Ok((when, (at, result))) => {
                    progress = when;
                    if let Some(fate) = fates.get_mut(at) {
                        *fate = result.into();
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let late = NotifyError::new(
                        DeliveryErrorKind::Unreachable,
                        format!("it said nothing for {:?}", self.timeout),
                        "see what it waits for, or raise its `timeout`",
                    );
                    if let Some(fate) = fates.iter_mut().find(|fate| **fate == DeliveryStatus::Untried) {
                        *fate = DeliveryStatus::Uncertain(late);
                    }
                    break;
                }
            }
        }
        fates
    }
}
