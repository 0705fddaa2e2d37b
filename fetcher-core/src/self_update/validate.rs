//! Judging a configuration where it does not run: in its own repository's CI, before it is merged.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use super::clone::ConfigRepository;
use super::commit_check;
use super::commit_contents::CommitContents;
use super::commit_files::FallbackFiles;
use super::error::{CheckoutObstacle, UpdateError};
use crate::cancel::Cancel;
use crate::config::{Config, ConfigError, ConfigProblem, choose_file};
use crate::environment::Environment;

/// A configuration that is good as far as can be seen here.
#[derive(Debug)]
#[non_exhaustive]
pub struct ValidatedConfig {
    /// The configuration.
    pub config: Config,
    /// The file inside the repository.
    pub file: PathBuf,
    /// The commit that it was read from, in hexadecimal.
    pub commit: String,
    /// Files that the host has to have, and that are not in the repository.
    pub files: Vec<PathBuf>,
    /// Environment variables that the host has to set.
    pub variables: Vec<String>,
}

impl ValidatedConfig {
    /// Judges the configuration of a commit in a clone of its repository, without the host that it is for: files outside
    /// the repository and files that it ignores are taken to be there, variables to be set. Nothing is written.
    ///
    /// `file` is the configuration file inside the repository; without one it is chosen as for a host that has none of its
    /// own. `revision` is what `git rev-parse` understands, `HEAD` as a rule.
    ///
    /// # Errors
    /// When anything in it is wrong, or there is no such clone, revision or file.
    pub fn of_commit(
        clone: &Path,
        revision: &str,
        file: Option<&Path>,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let refuse = |message: String, advice: &str| {
            let (file, key, advice) = (clone.to_owned(), String::new(), advice.to_owned());
            ConfigError { problems: vec![ConfigProblem { file, line: 0, column: 0, key, message, advice }] }
        };
        let top = top_of(clone).ok_or_else(|| refuse("it is in no git work tree".to_owned(), "run this in a clone"))?;
        let chosen = match file {
            Some(file) => inside(&top, clone, file),
            None => choose_file(&top, None, "")?,
        };
        let opened =
            ConfigRepository::open(top, chosen).map_err(|error| refuse(error.to_string(), "see to the clone"))?;
        let found = opened.repository.revparse_single(revision).and_then(|object| object.peel_to_commit());
        let commit = found.map_err(|error| {
            refuse(
                format!("{revision:?} is no commit here: {}", error.message()),
                "fetch it first; CI often fetches one commit alone",
            )
        })?;
        judged(&opened, commit.id(), environment).map_err(|error| refuse(error.to_string(), "see to the clone"))?
    }
}

fn judged(
    clone: &ConfigRepository,
    commit: git2::Oid,
    environment: &Environment,
) -> Result<Result<ValidatedConfig, ConfigError>, UpdateError> {
    let noted = RefCell::default();
    match CommitContents::of(&clone.repository, commit, &Cancel::new()) {
        Ok(_) => {}
        Err(CheckoutObstacle::Refused(message)) => {
            let (file, key) = (clone.entry.clone(), String::new());
            let advice = "take it out of the repository: no host takes this commit".to_owned();
            return Ok(Err(ConfigError {
                problems: vec![ConfigProblem { file, line: 0, column: 0, key, message, advice }],
            }));
        }
        Err(obstacle) => return Err(UpdateError::repository("read a commit of", &clone.top, obstacle)),
    }
    let view = clone.view(commit, FallbackFiles::OnTheHost(&noted))?;
    let text = commit_check::check_commit(&view, &clone.entry, environment).text.unwrap_or_default();
    noted.borrow_mut().clear();
    // Where the directories are is the host's own affair.
    let mut environment = environment.clone();
    if environment.get("HOME").is_none() {
        environment.set("HOME", "/nowhere");
    }
    let (environment, variables) = commit_check::with_variables(&text, &environment);
    let judged = commit_check::check_commit(&view, &clone.entry, &environment).config;
    let files = noted.take();
    let commit = commit.to_string();
    Ok(judged.map(|config| ValidatedConfig { config, file: clone.entry.clone(), commit, files, variables }))
}

/// The top of the work tree that a directory is in.
fn top_of(directory: &Path) -> Option<PathBuf> {
    let directory = directory.canonicalize().ok()?;
    directory.ancestors().find(|part| part.join(".git").exists()).map(Path::to_owned)
}

/// A file as named from a directory of the clone, or from its top.
fn inside(top: &Path, from: &Path, file: &Path) -> PathBuf {
    let from = from.canonicalize().unwrap_or_else(|_| from.to_owned()).join(file);
    let named = if from.symlink_metadata().is_ok() { from } else { top.join(file) };
    named.strip_prefix(top).unwrap_or(file).components().collect()
}
