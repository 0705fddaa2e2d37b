//! What is made of a line of a log: the remedy of its kind, or one of its own.

use std::borrow::Cow;

use super::{Actor, FailureKind, Remedy, Retry};

/// What is made of a line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LineDiagnosis {
    pub(super) kind: FailureKind,
    pub(super) retry: Retry,
    pub(super) actor: Actor,
    pub(super) hint: Cow<'static, str>,
}

impl LineDiagnosis {
    /// What the kind means where nothing more is known.
    pub(super) fn of(kind: FailureKind) -> Self {
        let Remedy { retry, actor, hint } = kind.remedy();
        Self { kind, retry, actor, hint: Cow::Borrowed(hint) }
    }

    /// This host's own cache has no room.
    pub(super) fn local_cache_full() -> Self {
        Self::of(FailureKind::DiskFull).hint(
            "BuildStream's cache on this host has no room: make space on the cache directory's file system, or raise \
             `cache: quota` in `buildstream.config`",
        )
    }

    /// The proxy does not answer, or does not let it through.
    pub(super) fn proxy() -> Self {
        Self::of(FailureKind::Network).actor(Actor::Host).hint(
            "the proxy does not answer, or does not let it through: see `https_proxy`, `http_proxy` and `no_proxy` of this host, and \
             the proxy's own rules",
        )
    }

    /// bst cannot write to what it was given as its standard error.
    pub(super) fn blocking() -> Self {
        Self::of(FailureKind::Configuration).hint(
            "bst refuses a standard output or error that does not block (O_NONBLOCK), as some runners and `ssh -tt` leave it: run it \
             with its output to a file or a pipe (`bst … 2>&1 | cat`)",
        )
    }

    /// What answers is no such cache as it was taken for.
    pub(super) fn wrong_endpoint() -> Self {
        Self::of(FailureKind::CacheDenied)
            .actor(Actor::Host)
            .hint("what answers there does not offer this: see `url`, `instance-name` and `type` (index, storage) in `source-caches`")
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
