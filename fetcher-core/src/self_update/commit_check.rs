//! Reading a configuration from a commit, as it would be read after a checkout.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use git2::Oid;

use super::clone::ConfigRepository;
use super::commit_files::{CommitFiles, FallbackFiles, PathLookup};
use super::error::{CommitSummary, UpdateError};
use crate::config::{Config, ConfigError, ConfigProblem};
use crate::environment::Environment;
use crate::runner::RunContext;

/// As many commits are looked at for the one that broke the configuration.
const FAR: usize = 100;

/// A configuration as it is in a commit, and its text as far as there is one.
pub(super) struct CommitCheck {
    pub(super) text: Option<String>,
    pub(super) config: Result<Config, ConfigError>,
}

/// Judges the configuration of a commit as a run on this host would.
pub(super) fn here(
    clone: &ConfigRepository,
    commit: Oid,
    environment: &Environment,
) -> Result<CommitCheck, UpdateError> {
    Ok(check_commit(&clone.view(commit, clone.here())?, &clone.entry, environment))
}

/// Judges a configuration by the files of a view.
pub(super) fn check_commit(view: &CommitFiles<'_>, entry: &Path, environment: &Environment) -> CommitCheck {
    match text(view, entry) {
        Ok((text, place)) => {
            let mut config = Config::parse(&text, &view.top.join(place), view, environment);
            if let Err(error) = &mut config {
                // Named as in the repository, for the file on this host is another.
                error.problems.iter_mut().for_each(|problem| entry.clone_into(&mut problem.file));
            }
            CommitCheck { text: Some(text), config }
        }
        Err((message, advice)) => {
            let (file, key, advice) = (entry.to_owned(), String::new(), advice.to_owned());
            let problem = ConfigProblem { file, line: 0, column: 0, key, message, advice };
            CommitCheck { text: None, config: Err(ConfigError { problems: vec![problem] }) }
        }
    }
}

/// The text of the configuration file, and where it is once links are followed.
fn text(view: &CommitFiles<'_>, entry: &Path) -> Result<(String, PathBuf), (String, &'static str)> {
    const IN_IT: &str = "put the file itself into the repository";
    let found = view.find(entry).map_err(|error| (format!("it cannot be read: {error}"), IN_IT))?;
    let (blob, place) = match found {
        PathLookup::File(blob, place) => (blob, place),
        PathLookup::Directory => return Err(("it is a directory".to_owned(), IN_IT)),
        PathLookup::Nothing => {
            let advice = "put it back, or let the host use another one: `ln -sfn` its config.toml to that file";
            return Err(("it is no longer in the repository".to_owned(), advice));
        }
        PathLookup::Submodule(path) => {
            return Err((format!("it is in the submodule {}, which is not checked out", path.display()), IN_IT));
        }
        PathLookup::Outside { .. } => {
            return Err(("it is a symbolic link that leads out of the repository".to_owned(), IN_IT));
        }
    };
    let text = view.text(blob).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => (format!("{error}"), "save it as UTF-8"),
        io::ErrorKind::FileTooLarge => (error.to_string(), "see what it is; a configuration has a few kilobytes"),
        _ => (format!("it cannot be read: {error}"), "run `git fsck` in the clone"),
    })?;
    Ok((text, place))
}

/// The error for a tip with a broken configuration: it names the commit of the tip's first-parent line that broke it in
/// this way.
pub(super) fn broken(
    clone: &ConfigRepository,
    tip: Oid,
    known: Option<Oid>,
    problems: ConfigError,
    context: RunContext<'_>,
) -> UpdateError {
    let mut culprit = tip;
    let parents =
        std::iter::successors(Some(tip), |commit| clone.repository.find_commit(*commit).ok()?.parent_id(0).ok());
    for commit in
        parents.skip(1).take(FAR).take_while(|commit| Some(*commit) != known && !context.cancel.is_cancelled())
    {
        match here(clone, commit, context.environment) {
            Ok(CommitCheck { config: Err(older), .. }) if same(&older, &problems) => culprit = commit,
            Ok(_) | Err(_) => break,
        }
    }
    UpdateError::Broken { commit: clone.told(culprit), file: clone.entry.clone(), problems }
}

/// Whether the same is wrong, be it at other lines.
fn same(one: &ConfigError, other: &ConfigError) -> bool {
    let what = |error: &ConfigError| -> BTreeSet<(String, String)> {
        error.problems.iter().map(|problem| (problem.key.clone(), problem.message.clone())).collect()
    };
    what(one) == what(other)
}

/// What `[self-update]` of a configuration says, though the configuration cannot be read by this program.
pub(super) fn setting(text: &str, key: &str) -> Option<String> {
    let table: toml::Table = text.parse().ok()?;
    table.get("self-update")?.get(key)?.as_str().map(str::to_owned)
}

/// The configuration of a commit as far as it can be judged without the host that it is for: what the host has to have
/// is taken to be there.
pub(super) fn anywhere(clone: &ConfigRepository, commit: Oid, environment: &Environment) -> Option<Config> {
    let noted = RefCell::default();
    let view = clone.view(commit, FallbackFiles::OnTheHost(&noted)).ok()?;
    let (text, _) = text(&view, &clone.entry).ok()?;
    let (environment, _) = with_variables(&text, environment);
    check_commit(&view, &clone.entry, &environment).config.ok()
}

/// The environment with a value for every variable that a text names and that is not set, and the names of those.
pub(super) fn with_variables(text: &str, environment: &Environment) -> (Environment, Vec<String>) {
    let mut whole = environment.clone();
    let mut missing = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if is_name && whole.get(name).is_none() {
                // It passes for most of what a variable may stand for: a port, part of an address, a name. A
                // directory has to be one that no repository has.
                let value = if name.ends_with("DIRECTORY") || name.ends_with("DIR") { "/nowhere" } else { "1" };
                whole.set(name, value);
                missing.push(name.to_owned());
            }
            rest = after;
        }
    }
    (whole, missing)
}

impl CommitSummary {
    /// A commit in a few words, for a note.
    pub(super) fn brief(&self) -> String {
        format!("{} ({})", &self.commit[..12.min(self.commit.len())], self.subject)
    }
}
