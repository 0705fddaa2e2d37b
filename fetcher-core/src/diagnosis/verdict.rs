//! What a sort of failure means as a rule: whether to try again, who must act, what to do.

use std::borrow::Cow;

use super::{Actor, Kind, Retry};

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
        let (retry, actor, hint) = usual(kind);
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

/// Whether to try again, who must act, and what to do.
fn usual(kind: Kind) -> (Retry, Actor, &'static str) {
    match kind {
        Kind::Usage
        | Kind::Configuration
        | Kind::BstMissing
        | Kind::Environment
        | Kind::Sandbox
        | Kind::BstVersion
        | Kind::HostToolMissing
        | Kind::PluginMissing
        | Kind::PythonModuleMissing
        | Kind::DiskFull
        | Kind::Permission
        | Kind::HostResources
        | Kind::NoPushRemote
        | Kind::LockHeld
        | Kind::SelfUpdate
        | Kind::Upload
        | Kind::Notifier => usual_of_host(kind),
        Kind::PluginUndeclared
        | Kind::ProjectInvalid
        | Kind::JunctionNoRef
        | Kind::JunctionNotFetched
        | Kind::NoRef => usual_of_project(kind),
        Kind::RefMissing
        | Kind::Checksum
        | Kind::ChecksumChanged
        | Kind::NotFound
        | Kind::Unauthorised
        | Kind::RateLimited
        | Kind::ServerError
        | Kind::Dns
        | Kind::Network
        | Kind::Tls => usual_of_upstream(kind),
        Kind::CacheUnreachable | Kind::CacheDenied | Kind::CacheFull | Kind::PushIncomplete => usual_of_cache(kind),
        Kind::CasdDied
        | Kind::MirrorCorrupt
        | Kind::TimeOut
        | Kind::Interrupted
        | Kind::Killed
        | Kind::Git
        | Kind::Bug
        | Kind::Unknown => usual_of_run(kind),
    }
}

fn usual_of_host(kind: Kind) -> (Retry, Actor, &'static str) {
    let (retry, hint) = match kind {
        Kind::Usage => (
            Retry::No,
            "this bst does not know the command or option: see that `buildstream` in the configuration gives the version \
             that the project is made for, and report it if it does",
        ),
        Kind::BstMissing => (
            Retry::No,
            "install BuildStream, or give `requirements` or `command` in `[buildstream]` of the configuration",
        ),
        Kind::Environment => {
            (Retry::No, "see pip's words; correct `requirements`, or install what the package is built with")
        }
        Kind::Sandbox => (
            Retry::No,
            "install bubblewrap (Debian and Fedora: bubblewrap); a host that only fetches may instead make the \
             `buildbox-run` of its private BuildStream non-executable",
        ),
        Kind::BstVersion => (Retry::No, "install the version of BuildStream that the project asks for"),
        Kind::HostToolMissing => (Retry::No, "install the program, and see that it is in the PATH of this fetcher"),
        Kind::PluginMissing => (Retry::No, "add the plugins' package to `requirements` of `[buildstream]`"),
        Kind::PythonModuleMissing => (Retry::No, "add the module's package to `requirements` of `[buildstream]`"),
        Kind::DiskFull => (Retry::No, "make space on the file systems of the cache directory and the state directory"),
        Kind::Permission => (
            Retry::No,
            "give the user that runs this the right to read and write the file, and see that its file system is not read-only",
        ),
        Kind::HostResources => (
            Retry::Yes,
            "raise the limits of the service (open files, memory, processes), or lower `jobs` and `scheduler: fetchers`",
        ),
        Kind::NoPushRemote => (Retry::No, "give the project a source cache with `push = true`, or say `push = false`"),
        _ => (Retry::No, "correct the configuration"),
    };
    (retry, Actor::Host, hint)
}

fn usual_of_project(kind: Kind) -> (Retry, Actor, &'static str) {
    let hint = match kind {
        Kind::PluginUndeclared => "declare the plugin under `plugins` in project.conf, or correct the `kind`",
        Kind::JunctionNoRef => {
            "track the junction by its name and commit its ref: nothing behind it can be loaded without"
        }
        Kind::JunctionNotFetched => "fetch the junction by its name first: nothing behind it can be loaded without",
        Kind::NoRef => "track the element and commit its ref; where tracking failed, that failure comes first",
        _ => "correct the project's files at the place that is named",
    };
    let retry = if kind == Kind::JunctionNotFetched { Retry::Yes } else { Retry::No };
    (retry, Actor::Project, hint)
}

fn usual_of_upstream(kind: Kind) -> (Retry, Actor, &'static str) {
    match kind {
        Kind::RefMissing => (
            Retry::No,
            Actor::Project,
            "the branch, tag or commit is not in the repository (any more): correct `track` or `ref`, or ask upstream \
             whether it was deleted, renamed or force-pushed",
        ),
        Kind::Checksum => (
            Retry::No,
            Actor::Upstream,
            "upstream serves another file under the same address: compare the two, and track the element anew only if \
             the change is honest",
        ),
        Kind::ChecksumChanged => (
            Retry::No,
            Actor::Upstream,
            "upstream now serves other content under the same address: see whether that is honest before the new ref is \
             taken",
        ),
        Kind::NotFound => (
            Retry::Once,
            Actor::Project,
            "the address is gone: give the element upstream's new one, or a mirror; if it is private, credentials are missing",
        ),
        Kind::Unauthorised => (
            Retry::No,
            Actor::Host,
            "give the fetching host credentials for it: ~/.netrc for downloads, a git credential helper or an ssh key for git; \
             see that a token has not expired",
        ),
        Kind::RateLimited => (
            Retry::Yes,
            Actor::Upstream,
            "the server asks for patience: run less often, lower `scheduler: fetchers`, use a mirror",
        ),
        Kind::ServerError => {
            (Retry::Yes, Actor::Upstream, "the server is broken: wait, or tell its operators if it lasts")
        }
        Kind::Dns => (
            Retry::Yes,
            Actor::Upstream,
            "the host's name is not known: see whether upstream has moved; if other hosts fail too, look at this host's DNS",
        ),
        Kind::Tls => (
            Retry::No,
            Actor::Upstream,
            "the server's certificate is not good: upstream has to mend it; if others fail too, look at this host's \
             clock and its ca-certificates",
        ),
        _ => (
            Retry::Yes,
            Actor::Upstream,
            "the server did not answer, or stopped in the middle: wait; if other hosts fail too, look at this host's network",
        ),
    }
}

fn usual_of_cache(kind: Kind) -> (Retry, Actor, &'static str) {
    let (retry, hint) = match kind {
        Kind::CacheUnreachable => (Retry::Yes, "see that the source cache is up, and that its `url` is right"),
        Kind::CacheDenied => (
            Retry::No,
            "the source cache does not let this host in: see `auth` in `source-caches`, and the rights that the cache gives it",
        ),
        Kind::CacheFull => (Retry::Yes, "make space in the source cache, or raise its quota"),
        _ => (
            Retry::Yes,
            "not everything reached the source cache, though bst ended well: look into the cache's own log, and push again",
        ),
    };
    (retry, Actor::Cache, hint)
}

fn usual_of_run(kind: Kind) -> (Retry, Actor, &'static str) {
    match kind {
        Kind::CasdDied => (Retry::Yes, Actor::Nobody, "the next try starts it anew; was it killed for want of memory?"),
        Kind::MirrorCorrupt => (
            Retry::Yes,
            Actor::Nobody,
            "bst's copy of the repository is damaged: it has to be removed, to be fetched anew",
        ),
        Kind::TimeOut => (
            Retry::Yes,
            Actor::Nobody,
            "see what it was doing at the end of the log; raise `timeout` if it only needs more. bst also hangs where the \
             disk is full, or its buildbox-casd died",
        ),
        Kind::Interrupted => (Retry::Yes, Actor::Nobody, "the next run goes on"),
        Kind::Killed => (
            Retry::Yes,
            Actor::Nobody,
            "see the system's log for who killed it: the kernel does where memory is short (`journalctl -k`)",
        ),
        Kind::Git => (Retry::Once, Actor::Nobody, "read git's words; the whole is in the task's log"),
        Kind::Bug => (
            Retry::No,
            Actor::Plugin,
            "report the traceback to the authors of the plugin, or of BuildStream where no plugin is in it",
        ),
        _ => (Retry::Once, Actor::Host, "read the lines that are shown, and the log around them"),
    }
}
