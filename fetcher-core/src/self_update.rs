//! A configuration that follows its own git repository, and a program that follows its configuration.
//!
//! [`SelfUpdate::follow`] asks the upstream of the clone that holds the configuration file, judges what is new there in
//! the commit itself, and only then brings the work tree to it. [`LoadedConfig::load`] reads the configuration without asking anybody.
//! Both give it whole: a run holds a shared lock on the work tree until its end ([`WorkTreeGuard`]), and a checkout that was
//! killed in the middle is brought to its end by whoever comes next.
//!
//! Nothing of the repository is executed: no hook, no filter; submodules are left alone. Git's own configuration,
//! credential helpers and keys of the user serve to reach it.
//!
//! ```no_run
//! use std::{path::Path, time::Duration};
//! use fetcher_core::{Cancel, Environment, Fetcher, RunContext, RunSelection, SelfUpdate};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (environment, cancel) = (Environment::of_this_process(), Cancel::new());
//! let update = SelfUpdate::new(RunContext::new(&environment, &cancel));
//! let followed = update.follow(Path::new("/etc/bst-fetcher/config.toml"));
//! let loaded = followed.loaded?;
//! let fetcher = Fetcher::new(loaded.config, environment.clone()).configured_by(loaded.commit, followed.failures);
//! let report = fetcher.run(&RunSelection::all(), &mut |_| {})?;
//! drop(loaded.held);
//! # Ok(())
//! # }
//! ```

mod change_text;
mod checkout;
mod clone;
mod clone_locks;
mod clone_path;
mod commit_check;
mod commit_contents;
mod commit_files;
mod current_config;
mod differences;
mod error;
mod index;
mod init;
mod local_backup;
mod objects;
mod program;
mod signature;
mod staging;
mod trust;
mod validate;
mod work_tree_config;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::Oid;

use crate::config::{Config, ConfigError};
use crate::diagnosis::Diagnosis;
use crate::git::Git;
use crate::runner::{LocalRunner, RunContext, processes};
use crate::secret::{Redact as _, Redactor};

use change_text::{kept_aside, of_file};
use checkout::CheckoutPlan;
use clone::{ConfigRepository, FollowedBranch};
use commit_check::CommitCheck;
use current_config::CurrentConfig;
use program::RunningProgram;
use work_tree_config::WorkTreeConfig;

pub use error::{CommitSummary, UpdateError};
pub use init::{InitError, Initialized};
pub use validate::ValidatedConfig;

/// How long one exchange with the configuration's git server may take.
const TIMEOUT: Duration = Duration::from_secs(300);
/// How long to wait at least for somebody who reads the work tree.
const MIN_READERS_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait for somebody who changes the work tree, which takes moments.
const WRITER_TIMEOUT: Duration = Duration::from_secs(60);

/// Follows a configuration's repository.
pub struct SelfUpdate<'a> {
    context: RunContext<'a>,
    wait: Duration,
    timeout: Duration,
    program: Option<(&'a Path, bool)>,
}

/// A configuration, read whole.
#[derive(Debug)]
#[non_exhaustive]
pub struct LoadedConfig {
    /// The configuration.
    pub config: Config,
    /// The commit of its repository, with `-dirty` behind it where files were changed here since; none where it comes
    /// from no repository.
    pub commit: Option<String>,
    /// Keeps its files as they are.
    pub held: WorkTreeGuard,
}

/// While this lives, nobody changes the work tree of the configuration: the files that it names stay what they are.
#[derive(Debug, Default)]
pub struct WorkTreeGuard(Option<File>);

/// What came of following.
#[derive(Debug)]
#[non_exhaustive]
pub struct FollowResult {
    /// The configuration to use: the new one, or the last good one.
    pub loaded: Result<LoadedConfig, ConfigError>,
    /// What went wrong; for [`Fetcher::configured_by`](crate::fetcher::Fetcher::configured_by).
    pub failures: Vec<Diagnosis>,
    /// What happened that is no failure, a sentence each.
    pub notes: Vec<String>,
    /// A newer version of the program is in place and has been seen to work: it should go on instead of this one.
    pub renewed: bool,
}

/// Whether a configuration whose repository cannot be opened is to follow it, or once did.
fn is_followed(path: &Path, loaded: Option<&LoadedConfig>) -> bool {
    let wanted = loaded.is_some_and(|loaded| loaded.config.self_update.enabled == Some(true));
    let once = |place: clone_path::ClonePath| place.top.join(".git/bst-fetcher").symlink_metadata().is_ok();
    wanted || clone_path::find(path).is_some_and(once)
}

/// Before any lock is taken, for which something has to be written: a work tree that never held this file in a commit, or
/// that nobody may follow, is none of ours.
fn may_follow(clone: &ConfigRepository, here: Option<&WorkTreeConfig>) -> bool {
    let committed = [clone.head(), clone.last_taken()].into_iter().flatten().any(|commit| clone.tracks(commit));
    committed && !here.is_some_and(WorkTreeConfig::is_own)
}

/// What is told of one follow-up.
#[derive(Default)]
struct UpdateOutcome {
    failures: Vec<Diagnosis>,
    notes: Vec<String>,
    /// The version of the program that a configuration wants which this program cannot read.
    wanted: Option<String>,
}

impl std::fmt::Debug for SelfUpdate<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SelfUpdate").finish_non_exhaustive()
    }
}

impl<'a> SelfUpdate<'a> {
    /// One that waits for nobody, and leaves the program as it is. Its gits run on this machine, whichever runners the
    /// context has.
    pub fn new(context: RunContext<'a>) -> Self {
        Self { context, wait: Duration::ZERO, timeout: TIMEOUT, program: None }
    }

    /// The top of the git work tree that a configuration file is in, if it is in one: what has to be writable for it to be
    /// followed.
    pub fn work_tree(path: &Path) -> Option<PathBuf> {
        clone_path::find(path).map(|place| place.top)
    }

    /// How long to wait for another run that uses the same clone to end.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// How long one exchange with the git server may take; five minutes if not said otherwise.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Renews the program too: the file that is started the next time, and whether the running program was itself
    /// started by a renewal, which is then not done again.
    #[must_use]
    pub fn program(mut self, path: &'a Path, renewed: bool) -> Self {
        self.program = Some((path, renewed));
        self
    }

    /// Follows the repository that a configuration file is in, if it is in one, and reads the configuration: once, and
    /// again only where the work tree was let go in between, for somebody else or for what came.
    pub fn follow(&self, path: &Path) -> FollowResult {
        let mut account = UpdateOutcome::default();
        let loaded = match ConfigRepository::of(path) {
            Ok(Some(clone)) => self.follow_clone(path, &clone, &mut account),
            Ok(None) => work_tree_config::load_alone(path, self.context.environment),
            Err(error) => {
                let loaded = work_tree_config::load_alone(path, self.context.environment);
                if is_followed(path, loaded.as_ref().ok()) {
                    account.failures.push(error.diagnosis());
                } else {
                    // A repository of all of /etc, say, which is somebody else's and has nothing to do with this.
                    account.notes.push(error.to_string());
                }
                loaded
            }
        };
        let renewed = loaded.as_ref().is_ok_and(|loaded| self.renew(&loaded.config, &mut account));
        let secrets = loaded.as_ref().map(|loaded| loaded.config.secrets(self.context.environment)).unwrap_or_default();
        let redactor = Redactor::watching(secrets);
        let (failures, notes) = (account.failures.redacted(&redactor), account.notes.redacted(&redactor));
        FollowResult { loaded, failures, notes, renewed }
    }

    fn follow_clone(
        &self,
        path: &Path,
        clone: &ConfigRepository,
        account: &mut UpdateOutcome,
    ) -> Result<LoadedConfig, ConfigError> {
        let read = || WorkTreeConfig::read(path, clone, self.context);
        // What cannot be read yet may be once a checkout that somebody was killed in is brought to its end.
        let mut here = read().ok();
        let updated = self.update(clone, &mut here, &read, account);
        account.failures.extend(updated.err().map(|error| error.diagnosis()));
        match here {
            Some(here) => here.loaded(),
            None => read().map_err(|error| of_file(path, error.to_string()))?.loaded(),
        }
    }

    /// Takes what is new upstream. `here` is what the work tree has; it is let go, and nothing is left of it, before
    /// anything there may change.
    fn update(
        &self,
        clone: &ConfigRepository,
        here: &mut Option<WorkTreeConfig>,
        read: &dyn Fn() -> Result<WorkTreeConfig, UpdateError>,
        account: &mut UpdateOutcome,
    ) -> Result<(), UpdateError> {
        let Some(head) = clone.head().filter(|_| may_follow(clone, here.as_ref())) else { return Ok(()) };
        let lock = |wait| clone.desk.update(wait, self.context.cancel).map_err(clone.failed("lock"));
        let mut alone = lock(Duration::ZERO)?;
        if alone.is_none() {
            // Who updates now may want the work tree for himself.
            *here = None;
            let wait = self.wait.max(WRITER_TIMEOUT);
            alone = lock(wait)?;
            if alone.is_none() {
                return Err(clone.busy(wait));
            }
        }
        // What a killed run left of its gits. Only who holds the lock may say so. Where they cannot be ended git says what
        // they hold, and a journal is there whole or not at all.
        let _ = processes::clear_leftovers(clone.desk.path().as_os_str());
        let read_here = match here.take().filter(WorkTreeConfig::is_held) {
            Some(read_here) => read_here,
            // Before anything was ever updated here there was no lock to hold it by.
            None => read()?,
        };
        // Whoever was waited for may have moved it.
        let head = clone.head().unwrap_or(head);
        let current = CurrentConfig::of(clone, head, &read_here, self.context.environment)?;
        *here = Some(read_here);
        if let Some(commit) = current.restore {
            clone.underway()?;
            *here = None;
            // Where that cannot be the next commit may still be a good one.
            let restored = self.check_out(clone, commit, None, &current, account);
            account.failures.extend(restored.err().map(|error| error.diagnosis()));
        }
        let runner = LocalRunner::new(clone.desk.path());
        let git = Git::new(self.context.local_runner(&runner), self.timeout);
        let Some(upstream) = current.upstream(clone, head)? else { return Ok(()) };
        let tip = clone.tip(&git, &upstream)?;
        if !self.is_wanted(clone, &git, &upstream, tip, &current, account)? {
            return Ok(());
        }
        *here = None;
        let taken = self.check_out(clone, tip, Some(&upstream), &current, account);
        if taken.as_ref().is_err_and(UpdateError::is_full) {
            clone.make_room(&git);
        }
        taken
    }

    /// Whether the tip is new; an error where it is not good.
    fn is_wanted(
        &self,
        clone: &ConfigRepository,
        git: &Git<'_>,
        upstream: &FollowedBranch,
        tip: Oid,
        current: &CurrentConfig,
        account: &mut UpdateOutcome,
    ) -> Result<bool, UpdateError> {
        let taken = clone.taken(upstream);
        let head = clone.head();
        let ahead = || head.is_some_and(|head| clone.repository.graph_descendant_of(head, tip).unwrap_or(false));
        if head == Some(tip) && clone.branch().as_ref() == Some(&upstream.local) {
            return clone.take(tip, Some(upstream)).map(|()| false).map_err(clone.failed("write in"));
        }
        if taken == Some(tip) || taken.is_none() && ahead() {
            if let Some(head) = head.filter(|head| *head != tip) {
                let head = clone.told(head).brief();
                account.notes.push(format!("the configuration is this host's own commit {head} until upstream moves"));
            }
            return Ok(false);
        }
        match &current.signers {
            Some(Ok(signers)) => signature::verify(clone, git, tip, signers)?,
            Some(Err(reason)) => return Err(UpdateError::Signers { reason: reason.clone() }),
            None => {}
        }
        let CommitCheck { text, config } = commit_check::here(clone, tip, self.context.environment)?;
        if let Err(problems) = config {
            account.wanted = text.as_deref().and_then(|text| commit_check::setting(text, "required-version"));
            return Err(commit_check::broken(clone, tip, taken, problems, self.context));
        }
        Ok(true)
    }

    /// Brings the work tree to a commit once nobody uses it.
    fn check_out(
        &self,
        clone: &ConfigRepository,
        commit: Oid,
        upstream: Option<&FollowedBranch>,
        current: &CurrentConfig,
        account: &mut UpdateOutcome,
    ) -> Result<(), UpdateError> {
        // Who only reads the configuration is done in a moment; another run is not.
        let wait = self.wait.max(MIN_READERS_TIMEOUT);
        let Some(_alone) = clone.desk.write(wait, self.context.cancel).map_err(clone.failed("lock"))? else {
            return Err(clone.busy(wait));
        };
        let plan = CheckoutPlan::of(clone, commit, upstream, self.context.cancel)?;
        // Somebody's own clone, in which they are at work, is not a host's.
        if !plan.losses.is_empty() && current.settings.enabled.is_none() && !clone.desk.is_hosts() {
            return Err(UpdateError::Undecided { top: clone.top.clone() });
        }
        let kept = plan.carry_out(self.context.clock.now(), self.context.cancel)?;
        if let Some(upstream) = upstream {
            clone.take(commit, Some(upstream)).map_err(clone.failed("write in"))?;
        }
        account.notes.push(format!("the configuration is now that of commit {}", clone.told(commit).brief()));
        if let Some(kept) = kept {
            account.failures.push(kept_aside(clone, &kept));
        }
        Ok(())
    }

    /// Renews the program where a configuration needs a newer one; says whether a newer one is in place.
    fn renew(&self, config: &Config, account: &mut UpdateOutcome) -> bool {
        let Some((path, renewed)) = self.program else { return false };
        let runner = LocalRunner::default();
        // The command is that of the configuration that holds, whichever wants the version.
        let wanted = [account.wanted.as_ref(), config.self_update.required_version.as_ref()];
        let program = RunningProgram {
            path,
            version: env!("CARGO_PKG_VERSION"),
            renewed,
            context: self.context.local_runner(&runner),
        };
        let Some(wanted) = wanted.into_iter().flatten().find(|wanted| program.is_too_old(wanted)) else { return false };
        let directory = config.path.parent().unwrap_or(Path::new("/"));
        // One at a time, where there is a place for a lock; the second finds what the first has brought. Where there is
        // none, or it cannot be had, each brings its own: what is put in place is whole.
        let clone = ConfigRepository::of(&config.path).ok().flatten();
        let _lock = clone
            .and_then(|clone| clone.desk.update(self.wait.max(WRITER_TIMEOUT), self.context.cancel).ok().flatten());
        match program.renew(wanted, &config.self_update, directory) {
            Ok(()) => true,
            Err(failure) => {
                account.failures.push(failure);
                false
            }
        }
    }
}
