//! Looking at this machine: what a run would stumble over, told before it does.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::tools::RunTools;
use super::{Fetcher, FetcherError};
use crate::bst::Bst;
use crate::config::{BuildStreamTool, ProjectConfig};
use crate::diagnosis::Diagnosis;
use crate::names::ProjectName;
use crate::runner::{LocalRunner, RunContext, Sandboxed};
use crate::secret::{Redact, Redactor};

mod places;
mod plugins;
pub(super) mod programs;
mod push;
mod remotes;
mod sandbox;
#[cfg(feature = "trust-store")]
mod trusted;

#[cfg(feature = "trust-store")]
use trusted::authorities;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct HostCheck {
    /// What it is: `git`, `bst of gnome`, `cache-dir`.
    pub name: String,
    /// How it is.
    pub level: CheckStatus,
    /// What was found: a version, an amount, a failing program's own words.
    pub found: String,
    /// What to do about it; empty where all is well.
    pub hint: String,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// Worth a look; nothing fails for it yet.
    Warn,
    /// Runs fail for it.
    Fail,
}

impl CheckStatus {
    /// The level as it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            CheckStatus::Ok => "ok",
            CheckStatus::Warn => "warn",
            CheckStatus::Fail => "FAIL",
        }
    }
}

impl HostCheck {
    fn ok(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { name: name.into(), level: CheckStatus::Ok, found: found.into(), hint: String::new() }
    }

    fn warn(name: impl Into<String>, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name: name.into(), level: CheckStatus::Warn, found: found.into(), hint: hint.into() }
    }

    fn fail(name: impl Into<String>, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name: name.into(), level: CheckStatus::Fail, found: found.into(), hint: hint.into() }
    }

    fn diagnosed(name: impl Into<String>, failure: &Diagnosis) -> Self {
        Self::fail(name, failure.message.clone(), failure.hint.clone())
    }
}

impl Redact for HostCheck {
    fn redacted(self, redactor: &Redactor) -> Self {
        let Self { name, level, found, hint } = self;
        let [name, found, hint] = [name, found, hint].map(|text| text.redacted(redactor));
        Self { name, level, found, hint }
    }
}

/// A line for people, and below what is not well what to do about it.
///
/// ```no_run
/// use fetcher_core::fetcher::host::CheckStatus;
/// use fetcher_core::{Config, Environment, Fetcher};
///
/// let environment = Environment::of_this_process();
/// let fetcher = Fetcher::new(Config::load("config.toml", &environment)?, environment);
/// // As in `ok    git: 2.39.5`.
/// fetcher.check_host(&mut |check| if check.level != CheckStatus::Ok { println!("{check}") })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl fmt::Display for HostCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.found.trim().replace('\n', "\n      ");
        write!(f, "{:4}  {}: {found}", self.level.as_str(), self.name)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "\n      → {}", self.hint) }
    }
}

/// What all looks share.
struct Preflight<'f> {
    fetcher: &'f Fetcher,
    context: RunContext<'f>,
    /// What confines `bst`, where no other runner was lent.
    sandboxed: &'f Sandboxed<LocalRunner>,
    temporary: &'f Path,
}

/// A `bst`, and the projects that it is for.
struct UsedBst<'f> {
    bst: Result<Bst, Diagnosis>,
    tool: &'f BuildStreamTool,
    projects: Vec<&'f ProjectConfig>,
}

impl Fetcher {
    /// Looks at this machine: programs and their versions, space, whether each project's repository can be reached and
    /// each source cache takes pushes. `tell` gets each result as it comes. Managed environments that are not there
    /// yet are made; where a cache takes pushes, a source of a few bytes is pushed to it.
    ///
    /// # Errors
    /// When not even a temporary directory can be made.
    pub fn check_host(&self, tell: &mut dyn FnMut(HostCheck)) -> Result<(), FetcherError> {
        let temporary = self.temporary()?;
        // It belongs to no state directory: a run that begins meanwhile would take its children for leftovers.
        let local = LocalRunner::default();
        let sandboxed = self.sandboxed(&local, temporary.path());
        let look = Preflight {
            fetcher: self,
            context: self.context(self.runner.as_deref().unwrap_or(&sandboxed), &local),
            sandboxed: &sandboxed,
            temporary: temporary.path(),
        };
        let mut add = |found: Vec<HostCheck>| {
            for check in found {
                tell(check.redacted(&self.redactor));
            }
        };
        add(look.places());
        add(look.git_programs());
        #[cfg(feature = "trust-store")]
        add(vec![authorities(&self.environment)]);
        add(look.sandbox());
        let tools = RunTools::new(self, look.context, temporary.path());
        let used = look.used(&tools);
        for used in &used {
            add(look.bst(used));
        }
        for project in &self.config.projects {
            add(vec![look.remote(project)]);
        }
        for used in &used {
            for project in &used.projects {
                add(look.projects(project, used.bst.as_ref().ok()));
            }
        }
        for used in &used {
            if let Ok(bst) = &used.bst {
                for project in &used.projects {
                    add(look.shown_secrets(project, bst).into_iter().collect());
                    add(look.push_remotes(project, bst));
                }
            }
        }
        Ok(())
    }
}

impl<'f> Preflight<'f> {
    fn used(&self, tools: &RunTools<'_>) -> Vec<UsedBst<'f>> {
        let mut all: Vec<UsedBst<'f>> = Vec::new();
        for project in &self.fetcher.config.projects {
            let (tool, passed) = (&project.buildstream.tool, &project.buildstream.pass_environment);
            let same = |used: &&mut UsedBst<'f>| {
                used.tool == tool && used.projects.iter().all(|other| other.buildstream.pass_environment == *passed)
            };
            if let Some(used) = all.iter_mut().find(same) {
                used.projects.push(project);
            } else {
                let bst = tools.bst(project).and_then(|(bst, failure)| failure.map_or(Ok(bst), Err));
                all.push(UsedBst { bst, tool, projects: vec![project] });
            }
        }
        all
    }
}

fn names(projects: &[&ProjectConfig]) -> String {
    projects.iter().map(|project| project.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// A directory of its own for what is done about a project.
fn place(temporary: &Path, kind: &str, project: &ProjectName) -> PathBuf {
    temporary.join(kind).join(project.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_several_lines_stays_below_its_name() {
        let check = HostCheck::fail("cache-dir", "one\ntwo\n", "make space");
        assert_eq!(check.to_string(), "FAIL  cache-dir: one\n      two\n      → make space");
        assert_eq!(HostCheck::ok("git", "2.39.5").to_string(), "ok    git: 2.39.5");
    }
}
