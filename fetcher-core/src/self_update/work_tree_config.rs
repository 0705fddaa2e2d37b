//! The configuration as it stands in the work tree, read once for as long as nobody changes that.

use std::path::Path;

use super::change_text::{of_file, unsigned};
use super::checkout;
use super::clone::ConfigRepository;
use super::clone_locks::JournalEntry;
use super::error::UpdateError;
use super::trust::SignedCommit;
use super::{LoadedConfig, WRITER_TIMEOUT, WorkTreeGuard};
use crate::config::{Config, ConfigError};
use crate::environment::Environment;
use crate::runner::RunContext;

/// The configuration in the work tree.
pub(super) struct WorkTreeConfig {
    /// As it is here, or what is wrong with it.
    pub(super) config: Result<Config, ConfigError>,
    /// What was accepted last, where signatures are asked for.
    pub(super) signed: Option<SignedCommit>,
    /// Whether files of that commit are something else here.
    pub(super) is_changed: bool,
    commit: Option<String>,
    held: WorkTreeGuard,
}

impl WorkTreeConfig {
    /// Reads it, once a checkout that was killed in the middle is brought to its end.
    pub(super) fn read(path: &Path, clone: &ConfigRepository, context: RunContext<'_>) -> Result<Self, UpdateError> {
        let RunContext { environment, cancel, .. } = context;
        let held = hold(clone, context)?;
        let signed = SignedCommit::of(clone, environment)?;
        let changed = match &signed {
            Some(signed) => signed.changed(clone, cancel).map_err(|error| of_file(path, error.to_string())),
            None => Ok(Vec::new()),
        };
        // Where they cannot be compared the next commit may still be a good one, and nobody reads this one.
        let is_changed = changed.as_ref().is_ok_and(|paths| !paths.is_empty());
        let config = match changed {
            Ok(paths) if paths.is_empty() => Config::load(path, environment),
            Ok(paths) => Err(unsigned(path, &paths)),
            Err(error) => Err(error),
        };
        let commit = clone.head().filter(|head| clone.tracks(*head));
        let commit = commit.map(|commit| format!("{commit}{}", if clone.is_changed() { "-dirty" } else { "" }));
        Ok(Self { config, signed, is_changed, commit, held })
    }

    /// Whether it stays as it is for as long as this lives.
    pub(super) fn is_held(&self) -> bool {
        self.held.0.is_some()
    }

    /// Whether it says that it follows nobody. Where commits have to be signed, what was changed here says nothing.
    pub(super) fn is_own(&self) -> bool {
        let says_so = |config: &Config| config.self_update.enabled == Some(false);
        self.signed.is_none() && self.config.as_ref().is_ok_and(says_so)
    }

    /// For who uses it.
    pub(super) fn loaded(self) -> Result<LoadedConfig, ConfigError> {
        Ok(LoadedConfig { config: self.config?, commit: self.commit, held: self.held })
    }
}

impl LoadedConfig {
    /// Reads a configuration as it is here, whole, without asking anybody.
    ///
    /// # Errors
    /// As for [`Config::load`]; also where somebody changes the files and does not come to an end.
    pub fn load(path: &Path, context: RunContext<'_>) -> Result<Self, ConfigError> {
        // A work tree that cannot be opened is not followed either.
        let Ok(Some(clone)) = ConfigRepository::of(path) else { return load_alone(path, context.environment) };
        let read = WorkTreeConfig::read(path, &clone, context);
        read.map_err(|error| of_file(path, error.to_string()))?.loaded()
    }
}

/// Reads one that is in no repository, or in none that can be opened.
pub(super) fn load_alone(path: &Path, environment: &Environment) -> Result<LoadedConfig, ConfigError> {
    Ok(LoadedConfig { config: Config::load(path, environment)?, commit: None, held: WorkTreeGuard(None) })
}

/// Shares the work tree, once a checkout that was killed in the middle is brought to its end.
fn hold(clone: &ConfigRepository, context: RunContext<'_>) -> Result<WorkTreeGuard, UpdateError> {
    for _ in 0..10 {
        let held = clone.desk.read(WRITER_TIMEOUT, context.cancel).map_err(clone.failed("lock"))?;
        if let JournalEntry::Nothing = clone.desk.journal().map_err(clone.failed("read the journal of"))? {
            return Ok(WorkTreeGuard(held));
        }
        drop(held);
        recover(clone, context)?;
    }
    Err(clone.busy(WRITER_TIMEOUT))
}

/// Brings the checkout to an end that is under way: forward, or back where that cannot be, which the next run tells
/// if it meets the same again.
fn recover(clone: &ConfigRepository, context: RunContext<'_>) -> Result<(), UpdateError> {
    let Some(_alone) = clone.desk.write(WRITER_TIMEOUT, context.cancel).map_err(clone.failed("lock"))? else {
        return Err(clone.busy(WRITER_TIMEOUT));
    };
    match clone.desk.journal().map_err(clone.failed("read the journal of"))? {
        JournalEntry::Nothing => Ok(()),
        JournalEntry::Checkout(journal) => {
            let staging = checkout::staging(clone)?;
            if staging.is_ready(&journal.commit) {
                return checkout::finish(clone, &staging, &journal).map(drop);
            }
            checkout::amend(clone, Some(&journal), context.clock.now(), context.cancel)
        }
        JournalEntry::Old(journal) => checkout::amend(clone, Some(&journal), context.clock.now(), context.cancel),
        JournalEntry::Unknown => checkout::amend(clone, None, context.clock.now(), context.cancel),
    }
}
