//! Why a message was not told.

use std::fmt;

use crate::diagnosis::{Actor, Diagnosis, FailureKind, Retry};
use crate::secret::{Redact, Redactor};

/// What sort of failure it is that a message was not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryErrorKind {
    /// Nobody answers, or not in time: another message would fare no better now.
    Unreachable,
    /// The server does not know us, or we do not trust it: another message would fare no better now.
    Denied,
    /// This message is refused; another one may be taken.
    Refused,
    /// Some of those whom it was for have got it. It is not sent again, for they would get it twice.
    InPart,
    /// The notifier cannot work as it is configured, or on this host.
    Setup,
    /// The notifier has a bug: it panicked.
    Bug,
}

/// Why a message was not told, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotifyError {
    /// What sort of failure it is.
    pub fault: DeliveryErrorKind,
    /// What happened, in the server's or program's words where it has some.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl NotifyError {
    /// A failure, and what to do about it.
    pub fn new(fault: DeliveryErrorKind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { fault, message: message.into(), hint: hint.into() }
    }

    /// The failure as reports have it, secrets masked.
    pub fn diagnosis(&self, notifier: &str, redactor: &Redactor) -> Diagnosis {
        let retry = match self.fault {
            DeliveryErrorKind::Unreachable => Retry::Yes,
            DeliveryErrorKind::Denied
            | DeliveryErrorKind::Refused
            | DeliveryErrorKind::InPart
            | DeliveryErrorKind::Setup
            | DeliveryErrorKind::Bug => Retry::No,
        };
        let message = format!("the notifier {notifier} could not tell: {}", self.message);
        let failure = Diagnosis::new(FailureKind::Notifier, message, retry, Actor::Host, self.hint.clone());
        failure.redacted(redactor)
    }
}

impl Redact for NotifyError {
    fn redacted(self, redactor: &Redactor) -> Self {
        let Self { fault, message, hint } = self;
        Self { fault, message: message.redacted(redactor), hint: hint.redacted(redactor) }
    }
}

impl fmt::Display for NotifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.hint)
    }
}

impl std::error::Error for NotifyError {}
