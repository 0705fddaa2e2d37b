//! What all that is at work shares, borrowed as one.

use std::sync::LazyLock;

use super::{LocalRunner, Runner};
use crate::cancel::Cancel;
use crate::clock::{Clock, SystemClock};
use crate::environment::Environment;
use crate::secret::Redactor;

/// Runs on this machine, for nobody in particular.
static THIS_MACHINE: LazyLock<LocalRunner> = LazyLock::new(LocalRunner::default);
/// Knows secrets by their form alone.
static BY_FORM: LazyLock<Redactor> = LazyLock::new(Redactor::default);

/// What all that is at work shares: who runs children, in what they find themselves, what stops them, the time, and what
/// masks secrets. It is borrowed, and a copy costs nothing; where a part of the work is to have something of its own (its
/// project's sandbox, say), it gets a copy with that in place.
///
/// ```
/// use fetcher_core::{Cancel, Environment, RunContext};
///
/// let (environment, cancel) = (Environment::of_this_process(), Cancel::new());
/// let context = RunContext::new(&environment, &cancel);
/// assert!(context.runner.is_local());
/// ```
///
/// What has a context (`Git`, a `Mirror`, a `Project`) is kept in a struct where that is borrowed for as long as the program
/// lives:
///
/// ```
/// # #[cfg(feature = "fetcher")] {
/// use std::{path::Path, sync::LazyLock, time::Duration};
/// use fetcher_core::git::{Git, GitAccess, GitError, Mirror, RemoteRepository};
/// use fetcher_core::{Cancel, Environment, RunContext};
///
/// static ENVIRONMENT: LazyLock<Environment> = LazyLock::new(Environment::of_this_process);
/// static CANCEL: LazyLock<Cancel> = LazyLock::new(Cancel::new);
///
/// struct Watched {
///     mirror: Mirror<'static>,
/// }
///
/// fn watch(url: &str, directory: &Path) -> Result<Watched, GitError> {
///     let git = Git::new(RunContext::new(&ENVIRONMENT, &CANCEL), Duration::from_secs(600));
///     Ok(Watched { mirror: Mirror::new(git, directory, RemoteRepository::new(url, &GitAccess::default())?) })
/// }
/// # watch("https://example.org/sdk.git", Path::new("/var/cache/x")).unwrap();
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RunContext<'a> {
    /// What the children's environments are picked from, by allow-lists.
    pub environment: &'a Environment,
    /// What runs a project's code: every `bst`, what its `prepare` names, and what makes managed environments.
    pub runner: &'a dyn Runner,
    /// What runs git and the other programs of this host, which are none of a project's.
    pub local_runner: &'a dyn Runner,
    /// What stops children, and every wait and walk in between.
    pub cancel: &'a Cancel,
    /// Where the time comes from.
    pub clock: &'a dyn Clock,
    /// What masks secrets on their way into logs, reports and messages.
    pub redactor: &'a Redactor,
}

impl<'a> RunContext<'a> {
    /// Everything runs on this machine without a sandbox, by its clock, and secrets are known by their form alone.
    pub fn new(environment: &'a Environment, cancel: &'a Cancel) -> Self {
        let machine: &LocalRunner = &THIS_MACHINE;
        Self { environment, runner: machine, local_runner: machine, cancel, clock: &SystemClock, redactor: &BY_FORM }
    }

    /// Lets `runner` run a project's code.
    #[must_use]
    pub fn runner(self, runner: &'a dyn Runner) -> Self {
        Self { runner, ..self }
    }

    /// Lets `runner` run git and the other programs of this host.
    #[must_use]
    pub fn local_runner(self, runner: &'a dyn Runner) -> Self {
        Self { local_runner: runner, ..self }
    }

    /// Takes the time from `clock`.
    #[must_use]
    pub fn clock(self, clock: &'a dyn Clock) -> Self {
        Self { clock, ..self }
    }

    /// Lets `redactor` mask secrets.
    #[must_use]
    pub fn redactor(self, redactor: &'a Redactor) -> Self {
        Self { redactor, ..self }
    }
}
