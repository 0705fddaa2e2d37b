//! What is made of a line of a log: the remedy of its kind, or one of its own.

use std::borrow::Cow;

use super::{Actor, Kind, Remedy, Retry};

/// What is made of a line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) kind: Kind,
    pub(super) retry: Retry,
    pub(super) actor: Actor,
    pub(super) hint: Cow<'static, str>,
}

impl Verdict {
    /// What the kind means where nothing more is known.
    pub(super) fn of(kind: Kind) -> Self {
        let Remedy { retry, actor, hint } = kind.remedy();
        Self { kind, retry, actor, hint: Cow::Borrowed(hint) }
    }

    pub(super) fn hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    pub(super) fn actor(self, actor: Actor) -> Self {
        Self { actor, ..self }
    }

    pub(super) fn retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }
}
