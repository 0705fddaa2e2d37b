//! What is told of files that were changed on this host.

use std::path::{Path, PathBuf};

use super::clone::ConfigRepository;
use super::error::diagnosis;
use super::local_backup::LocalBackup;
use crate::config::{ConfigError, ConfigProblem};
use crate::diagnosis::{Diagnosis, FailureKind, Retry};
use crate::sanitize::strip_control;

/// Files that are not what was signed.
pub(super) fn unsigned(path: &Path, changed: &[PathBuf]) -> ConfigError {
    let message = format!(
        "its repository's commits have to be signed, and files were changed here since the last one that was accepted: {}",
        listed(changed)
    );
    let advice =
        "`bst-fetcher run` keeps the changes aside and puts back what was signed; sign and push what is of use";
    problem(path, message, advice)
}

/// What went wrong before the configuration could be read.
pub(super) fn of_file(path: &Path, message: String) -> ConfigError {
    problem(path, message, "run `bst-fetcher check` as the user that runs the fetcher")
}

fn problem(path: &Path, message: String, advice: &str) -> ConfigError {
    let advice = advice.to_owned();
    let (file, key) = (path.to_owned(), String::new());
    ConfigError { problems: vec![ConfigProblem { file, line: 0, column: 0, key, message, advice }] }
}

/// Tells of local changes, and how to get them back.
pub(super) fn kept_aside(clone: &ConfigRepository, kept: &LocalBackup) -> Diagnosis {
    let top = clone.top.display();
    let what = if kept.paths.is_empty() { "commits that were made here".to_owned() } else { listed(&kept.paths) };
    let name = &kept.name;
    let message =
        format!("changes made on this host in {top} gave way to its repository's: {what}; they are kept as {name}");
    let hint = format!(
        "look at them with `git -C {top} log -p -3 {name}`, and bring what is of use into the repository itself"
    );
    diagnosis(FailureKind::SelfUpdate, message, Retry::No, hint)
}

/// The first of some files, and how many there are beside them.
fn listed(paths: &[PathBuf]) -> String {
    const SHOWN: usize = 5;
    let mut what: Vec<String> = paths.iter().take(SHOWN).map(|path| strip_control(&path.to_string_lossy())).collect();
    if paths.len() > SHOWN {
        what.push(format!("{} more", paths.len() - SHOWN));
    }
    what.join(", ")
}
