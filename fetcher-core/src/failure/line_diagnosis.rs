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

    /// This host's own cache has no room.
    pub(crate) fn local_cache_full() -> Self {
        Self::of(FailureKind::DiskFull).hint(
            "BuildStream's cache on this host has no room: make space on the cache directory's file system, or raise \
             `cache: quota` in `buildstream.config`",
        )
    }

    /// The proxy does not answer, or does not let it through.
    pub(crate) fn proxy() -> Self {
        Self::of(FailureKind::Network).actor(Actor::Host).hint(PROXY_HINT)
    }

    /// bst cannot write to what it was given as its standard error.
    pub(crate) fn blocking() -> Self {
        Self::of(FailureKind::Configuration).hint(BLOCKING_HINT)
    }

    /// What answers is no such cache as it was taken for.
    pub(crate) fn wrong_endpoint() -> Self {
        Self::of(FailureKind::CacheDenied)
            .actor(Actor::Host)
            .hint("what answers there does not offer this: see `url`, `instance-name` and `type` (index, storage) in `source-caches`")
    }

    pub(crate) fn hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    pub(crate) fn actor(self, actor: Actor) -> Self {
        Self { actor, ..self }
    }

    pub(crate) fn retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }
}
