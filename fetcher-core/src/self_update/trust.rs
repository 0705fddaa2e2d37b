//! A configuration that asks for signatures: what it says, and what it names of its repository, is that of the commit that
//! was accepted last, whatever was changed on this host since.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use git2::Oid;

use super::clone::ConfigRepository;
use super::commit_check::{self, CommitCheck};
use super::commit_contents::CommitContents;
use super::commit_files::PathLookup;
use super::differences::differences;
use super::error::{CheckoutObstacle, UpdateError};
use super::staging::StagedMove;
use crate::cancel::Cancel;
use crate::config::{DiskFiles, FileLookup as _, SelfUpdateConfig};
use crate::environment::Environment;

/// A commit that is in use and asks for signatures.
#[derive(Clone)]
pub(super) struct SignedCommit {
    pub(super) commit: Oid,
    pub(super) settings: SelfUpdateConfig,
    /// The text of the file of allowed signers.
    pub(super) signers: Result<String, String>,
}

impl SignedCommit {
    /// The commit that was accepted last, if it asks for signatures.
    pub(super) fn of(clone: &ConfigRepository, environment: &Environment) -> Result<Option<Self>, UpdateError> {
        let Some(commit) = clone.last_taken().or_else(|| clone.head()) else { return Ok(None) };
        let CommitCheck { text, config } = commit_check::here(clone, commit, environment)?;
        // What this host lacks is no reason to trust anybody.
        let config = config.ok().or_else(|| commit_check::anywhere(clone, commit, environment));
        let settings = match (config, text) {
            (Some(config), _) => config.self_update,
            (None, Some(text)) => {
                let directory = clone.top.join(&clone.entry);
                let file = commit_check::setting(&text, "allowed-signers");
                let Some(file) = file.or_else(|| text.contains("allowed-signers").then(String::new)) else {
                    return Ok(None);
                };
                let allowed_signers = Some(directory.parent().unwrap_or(&clone.top).join(file));
                SelfUpdateConfig { allowed_signers, ..SelfUpdateConfig::default() }
            }
            (None, None) => return Ok(None),
        };
        let Some(file) = settings.allowed_signers.clone().filter(|_| settings.enabled != Some(false)) else {
            return Ok(None);
        };
        let signers = signers(clone, commit, &file).map_err(|error| format!("{}: {error}", file.display()));
        Ok(Some(Self { commit, settings, signers }))
    }

    /// The files of the commit that are something else in the work tree.
    pub(super) fn changed(&self, clone: &ConfigRepository, cancel: &Cancel) -> Result<Vec<PathBuf>, UpdateError> {
        let look = || {
            let contents = CommitContents::of(&clone.repository, self.commit, cancel)?;
            let moves = differences(&clone.repository, &contents, &clone.top, &[], cancel)?;
            let paths: BTreeSet<&Path> = moves.iter().map(StagedMove::path).collect();
            Ok(paths.into_iter().map(Path::to_owned).collect())
        };
        look().map_err(|obstacle: CheckoutObstacle| {
            UpdateError::repository("compare with what was signed the files of", &clone.top, obstacle)
        })
    }
}

/// The allowed signers: from the commit, or from a file outside of the repository, and never from the work tree.
fn signers(clone: &ConfigRepository, commit: Oid, file: &Path) -> Result<String, String> {
    const IN_IT: &str =
        "it is in the repository's work tree and not in the commit; commit it, or name a file elsewhere";
    let told = |error: std::io::Error| error.to_string();
    // A link on this host may lead into the work tree.
    let real = file.canonicalize().ok().filter(|_| !file.starts_with(&clone.top));
    let file = real.as_deref().unwrap_or(file);
    let Ok(inside) = file.strip_prefix(&clone.top) else { return DiskFiles.read(file).map_err(told) };
    let view = clone.view(commit, clone.here()).map_err(|error| error.to_string())?;
    match view.find(inside).map_err(told)? {
        PathLookup::File(blob, _) => view.text(blob).map_err(told),
        PathLookup::Outside { by_link: false } => DiskFiles.read(file).map_err(told),
        PathLookup::Outside { by_link: true } => {
            Err("it is a symbolic link that leads out of the repository".to_owned())
        }
        PathLookup::Directory | PathLookup::Nothing | PathLookup::Submodule(_) => Err(IN_IT.to_owned()),
    }
}
