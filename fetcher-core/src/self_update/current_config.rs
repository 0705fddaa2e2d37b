//! The configuration that holds before anything new is taken: it says what is followed, and who has to sign.

use std::path::Path;

use git2::Oid;

use super::clone::{ConfigRepository, FollowedBranch};
use super::commit_check::{self, CommitCheck};
use super::error::UpdateError;
use super::trust::SignedCommit;
use super::work_tree_config::WorkTreeConfig;
use crate::config::{Config, DiskFiles, FileLookup as _, SelfUpdateConfig};
use crate::environment::Environment;

/// The configuration that holds before anything new is taken.
pub(super) struct CurrentConfig {
    pub(super) settings: SelfUpdateConfig,
    /// The text of the file of allowed signers, where there is such a file.
    pub(super) signers: Option<Result<String, String>>,
    /// What the work tree has to be brought to, for it holds no good configuration, and this commit does.
    pub(super) restore: Option<Oid>,
}

impl CurrentConfig {
    /// The configuration that holds: where signatures are asked for the one of the commit that was accepted last; else
    /// the one in the work tree; where that is none, the one of the commit that is checked out, or that was last taken.
    pub(super) fn of(
        clone: &ConfigRepository,
        head: Oid,
        here: &WorkTreeConfig,
        environment: &Environment,
    ) -> Result<Self, UpdateError> {
        if let Some(SignedCommit { commit, settings, signers }) = here.signed.clone() {
            let restore = (head != commit || here.is_changed).then_some(commit);
            return Ok(Self { settings, signers: Some(signers), restore });
        }
        if let Ok(config) = &here.config {
            let signers = signers(config, |path| DiskFiles.read(path).map_err(|error| error.to_string()));
            return Ok(Self { settings: config.self_update.clone(), signers, restore: None });
        }
        let commits: Vec<Oid> = [Some(head), clone.last_taken()].into_iter().flatten().collect();
        for (commit, strict) in
            commits.iter().map(|commit| (*commit, true)).chain(commits.iter().map(|commit| (*commit, false)))
        {
            let config = if strict {
                commit_check::here(clone, commit, environment)?.config.ok()
            } else {
                commit_check::anywhere(clone, commit, environment)
            };
            let Some(config) = config else { continue };
            let view = clone.view(commit, clone.here())?;
            let signers = signers(&config, |path| view.read(path).map_err(|error| error.to_string()));
            return Ok(Self { settings: config.self_update, signers, restore: strict.then_some(commit) });
        }
        // Nothing says who may sign; where anything hints that somebody has to, nobody is trusted.
        let hints = |commit: &Oid| {
            commit_check::here(clone, *commit, environment).is_ok_and(|judged| mentions_signers(&judged))
        };
        let signers = commits
            .iter()
            .any(hints)
            .then(|| Err("no good configuration is here that says who they are; mend it on this host once".to_owned()));
        Ok(Self { settings: SelfUpdateConfig::default(), signers, restore: None })
    }

    /// What is to be followed; none where nothing is.
    pub(super) fn upstream(&self, clone: &ConfigRepository, head: Oid) -> Result<Option<FollowedBranch>, UpdateError> {
        if self.settings.enabled == Some(false) {
            return Ok(None);
        }
        let head = clone.head().unwrap_or(head);
        if self.settings.enabled.is_none() && !clone.tracks(head) {
            return Ok(None);
        }
        let upstream = clone.upstream(&self.settings)?;
        if upstream.is_some() {
            clone.underway()?;
        }
        Ok(upstream)
    }
}

fn signers(config: &Config, read: impl Fn(&Path) -> Result<String, String>) -> Option<Result<String, String>> {
    let file = config.self_update.allowed_signers.as_deref()?;
    Some(read(file).map_err(|error| format!("{}: {error}", file.display())))
}

fn mentions_signers(judged: &CommitCheck) -> bool {
    judged.text.as_deref().is_none_or(|text| text.contains("allowed-signers"))
}
