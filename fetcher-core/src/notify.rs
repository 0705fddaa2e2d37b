//! Telling: who hears of what, when, and how it gets there.
//!
//! A [`Notifier`] gets [`Notification`]s, which are data; what they look like is made from them by pure functions in
//! [`render`]. What each notifier was told is remembered, so that the same failure is not told with every run, and what
//! could not be delivered waits for the next run.
//!
//! ```
//! use fetcher_core::notify::{Notification, Notifier, NotifyError, render};
//!
//! struct Board(std::sync::Mutex<Vec<String>>);
//!
//! impl Notifier for Board {
//!     fn name(&self) -> &str {
//!         "board"
//!     }
//!     fn send(&self, message: &Notification) -> Result<(), NotifyError> {
//!         self.0.lock().unwrap().push(render::line(message));
//!         Ok(())
//!     }
//! }
//! ```

#[cfg(test)]
pub(crate) mod sample;

mod command;
#[cfg(feature = "webhook")]
mod commit_status;
mod configured;
mod deliver;
mod dispatcher;
#[cfg(feature = "email")]
mod email;
mod error;
#[cfg(any(feature = "email", feature = "irc", feature = "webhook"))]
mod files;
mod findings;
mod forward;
#[cfg(feature = "webhook")]
mod healthcheck;
mod host;
#[cfg(feature = "webhook")]
mod http;
#[cfg(feature = "irc")]
mod irc;
mod message;
mod notifier_state;
mod policy;
pub mod render;
mod script;
mod subscription;
#[cfg(feature = "webhook")]
mod template;
#[cfg(feature = "webhook")]
mod webhook;
#[cfg(feature = "webhook")]
mod zulip;

use std::time::Duration;

use crate::names::RunId;

pub use error::{DeliveryErrorKind, NotifyError};
pub use message::{Notification, NotificationEvent, NotificationTopic};
pub use subscription::Subscription;

pub(crate) use configured::configured;
pub(crate) use deliver::Delivery;
pub(crate) use dispatcher::{Dispatcher, started, tried};
pub(crate) use findings::{FinishedRun, LinkBases};
pub(crate) use host::NotifierHost;
pub(crate) use policy::MessageContext;

/// Somebody or something to tell.
///
/// Each is called in a thread of its own, and no longer waited for when its time is over, so that it can neither stall
/// nor end the others; one that panics has failed.
pub trait Notifier: Send + Sync {
    /// Its name, unique among the notifiers: what it was told is remembered under it.
    fn name(&self) -> &str;

    /// What it wants to hear of.
    fn subscription(&self) -> Subscription {
        Subscription::default()
    }

    /// Delivers one message.
    ///
    /// # Errors
    /// When it was not delivered: then it is sent again with the next run, for a week at most.
    fn send(&self, message: &Notification) -> Result<(), NotifyError>;

    /// Delivers messages in their order, and says of each what became of it. By itself it [`send`](Notifier::send)s one
    /// after the other, up to one whose failure says that the next would fare no better.
    fn send_all(&self, messages: &[Notification], told: &mut dyn FnMut(usize, Result<(), NotifyError>)) {
        for (at, message) in messages.iter().enumerate() {
            let sent = self.send(message);
            let goes_on = match &sent {
                Ok(()) => true,
                Err(error) => matches!(error.fault, DeliveryErrorKind::Refused | DeliveryErrorKind::InPart),
            };
            told(at, sent);
            if !goes_on {
                return;
            }
        }
    }

    /// How long it is waited for before each message is told; longer than its `timeout` where it has to go slowly.
    fn delivery_timeout(&self) -> Duration {
        self.subscription().timeout
    }

    /// Whether it wants a [`Heartbeat`] of every run.
    fn wants_heartbeat(&self) -> bool {
        false
    }

    /// Takes a heartbeat of a run: every run begins and ends with one, whatever the notifier wants to hear of.
    ///
    /// # Errors
    /// When it was not delivered. It is not sent again.
    fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<(), NotifyError> {
        let _ = heartbeat;
        Ok(())
    }
}

/// A sign of life of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heartbeat {
    /// The run.
    pub run: RunId,
    /// The host's name.
    pub host: String,
    /// What the run does.
    pub phase: RunPhase,
    /// What there is to say of it: a short report in text.
    pub text: String,
}

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunPhase {
    /// It starts.
    Started,
    /// It ended, and nothing failed.
    Good,
    /// It ended, and something failed.
    Bad,
    /// Somebody stopped it.
    Stopped,
    /// There is no run: somebody tries the notifier.
    Test,
}
