//! What is made of a line of a log: the remedy of its kind, or one of its own.

use std::borrow::Cow;

use super::{Actor, FailureKind, Remedy, Retry};

/// What to do where a proxy stands in the way.
pub(super) const PROXY_HINT: &str = "the proxy does not answer, or does not let it through: see `https_proxy`, `http_proxy` and `no_proxy` of this host, and \
             the proxy's own rules";
/// What to do where bst cannot write to what it was given as its standard error.
pub(super) const BLOCKING_HINT: &str = "bst refuses a standard output or error that does not block (O_NONBLOCK), as some runners and `ssh -tt` leave it: run it \
             with its output to a file or a pipe (`bst … 2>&1 | cat`)";

/// What is made of a line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineDiagnosis {
    pub(crate) kind: FailureKind,
    pub(crate) retry: Retry,
    pub(crate) actor: Actor,
    pub(crate) hint: Cow<'static, str>,
}

impl LineDiagnosis {
    /// What the kind means where nothing more is known.
    pub(crate) fn of(kind: FailureKind) -> Self {
        let Remedy { retry, actor, hint } = kind.remedy();
        Self { kind, retry, actor, hint: Cow::Borrowed(hint) }
    }

    /// The proxy does not answer, or does not let it through.
    pub(crate) fn proxy() -> Self {
        Self::of(FailureKind::Network).actor(Actor::Host).hint(PROXY_HINT)
    }

    pub(crate) fn hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// The hint with what a line says in a place that it has.
    pub(crate) fn filled(self, place: &str, with: &str) -> Self {
        let hint = self.hint.replace(place, with);
        self.hint(hint)
    }

    pub(crate) fn actor(self, actor: Actor) -> Self {
        Self { actor, ..self }
    }

    pub(crate) fn retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }
}
