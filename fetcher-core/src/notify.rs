//! Telling: who hears of what, when, and how it gets there.
//!
//! A [`Notifier`] gets [`Message`]s, which are data; what they look like is made from them by pure functions in
//! [`render`]. What each notifier was told is remembered, so that the same failure is not told with every run, and what
//! could not be delivered waits for the next run.
//!
//! ```
//! use fetcher_core::notify::{Message, Notifier, NotifyError, render};
//!
//! struct Board(std::sync::Mutex<Vec<String>>);
//!
//! impl Notifier for Board {
//!     fn name(&self) -> &str {
//!         "board"
//!     }
//!     fn send(&self, message: &Message) -> Result<(), NotifyError> {
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
mod decide;
mod deliver;
mod desk;
#[cfg(feature = "email")]
mod email;
mod error;
#[cfg(any(feature = "email", feature = "irc", feature = "webhook"))]
mod files;
mod findings;
#[cfg(feature = "webhook")]
mod healthcheck;
mod host;
#[cfg(feature = "webhook")]
mod http;
#[cfg(feature = "irc")]
mod irc;
mod memory;
mod message;
pub mod render;
mod script;
#[cfg(feature = "webhook")]
mod template;
mod wants;
#[cfg(feature = "webhook")]
mod webhook;
#[cfg(feature = "webhook")]
mod zulip;

use std::time::Duration;

use crate::names::RunId;

pub use error::{Fault, NotifyError};
pub use message::{Happening, Message, Topic};
pub use wants::Wants;

pub(crate) use configured::configured;
pub(crate) use decide::Frame;
pub(crate) use deliver::Delivery;
pub(crate) use desk::{Desk, started, tried};
pub(crate) use findings::{FinishedRun, Links};
pub(crate) use host::NotifierHost;

/// Somebody or something to tell.
///
/// Each is called in a thread of its own, and no longer waited for when its time is over, so that it can neither stall
/// nor end the others; one that panics has failed.
pub trait Notifier: Send + Sync {
    /// Its name, unique among the notifiers: what it was told is remembered under it.
    fn name(&self) -> &str;

    /// What it wants to hear of.
    fn wants(&self) -> Wants {
        Wants::default()
    }

    /// Delivers one message.
    ///
    /// # Errors
    /// When it was not delivered: then it is sent again with the next run, for a week at most.
    fn send(&self, message: &Message) -> Result<(), NotifyError>;

    /// Delivers messages in their order, and says of each what became of it. By itself it [`send`](Notifier::send)s one
    /// after the other, up to one whose failure says that the next would fare no better.
    fn send_all(&self, messages: &[Message], told: &mut dyn FnMut(usize, Result<(), NotifyError>)) {
        for (at, message) in messages.iter().enumerate() {
            let sent = self.send(message);
            let goes_on = match &sent {
                Ok(()) => true,
                Err(error) => matches!(error.fault, Fault::Refused | Fault::InPart),
            };
            told(at, sent);
            if !goes_on {
                return;
            }
        }
    }

    /// How long it is waited for before each message is told; longer than its `timeout` where it has to go slowly.
    fn patience(&self) -> Duration {
        self.wants().timeout
    }

    /// Whether it wants a [`Pulse`] of every run.
    fn takes_pulse(&self) -> bool {
        false
    }

    /// Takes the pulse of a run: every run begins and ends with one, whatever the notifier wants to hear of.
    ///
    /// # Errors
    /// When it was not delivered. It is not sent again.
    fn pulse(&self, pulse: &Pulse) -> Result<(), NotifyError> {
        let _ = pulse;
        Ok(())
    }
}

/// A sign of life of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulse {
    /// The run.
    pub run: RunId,
    /// The host's name.
    pub host: String,
    /// What the run does.
    pub beat: Beat,
    /// What there is to say of it: a short report in text.
    pub text: String,
}

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
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
