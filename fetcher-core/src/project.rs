//! A project that is followed, its branches, and working trees of them.
//!
//! ```no_run
//! # use std::{path::Path, time::Duration};
//! use fetcher_core::{Cancel, Config, Environment, LocalRunner, Project, git::Git};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (environment, cancel) = (Environment::of_this_process(), Cancel::new());
//! let config = Config::load("config.toml", &environment)?;
//! let runner = LocalRunner::new(config.state_dir.as_os_str());
//! let git = Git { runner: &runner, environment: &environment, cancel: &cancel, timeout: Duration::from_secs(600) };
//! let project = Project::new(&config.projects[0], &config.cache_dir, git)?;
//! for branch in project.fetch(&project.list()?.tips)?.branches {
//!     println!("{} is in {:?}", branch.name(), branch.checkout()?.directory);
//! }
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::config::ProjectConfig;
use crate::git::{Git, GitError, Mirror, Note, Remote, Selection, Tip, TreeReader, select};
use crate::names::{BranchName, CommitId};

/// A project: its repository elsewhere, and the mirror of it here.
pub struct Project<'a> {
    config: &'a ProjectConfig,
    cache_dir: &'a Path,
    mirror: Mirror<'a>,
}

/// What a fetch of a project's branches gave.
pub struct Branches<'p> {
    /// The branches that the mirror has now, each at its tip.
    pub branches: Vec<Branch<'p>>,
    /// Branches that vanished between the listing and the fetch.
    pub gone: Vec<BranchName>,
    /// What is worth saying.
    pub notes: Vec<String>,
}

/// One branch of a project at one commit, which the project's mirror has.
#[derive(Clone)]
pub struct Branch<'p> {
    project: &'p Project<'p>,
    tip: Tip,
}

/// A working tree that is exactly a branch's tip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// The directory with `project.conf` in it.
    pub directory: PathBuf,
    /// What is worth saying.
    pub notes: Vec<Note>,
}

/// Why there is no working tree to work in.
#[derive(Debug, Error)]
pub enum CheckoutError {
    /// It could not be made.
    #[error(transparent)]
    Git(#[from] GitError),
    /// It has no project where the configuration says, or what is there leads out of the repository.
    #[error("there is no project.conf in {directory:?} of the repository")]
    NoProject {
        /// `directory` of the project's configuration.
        directory: PathBuf,
    },
}

impl<'a> Project<'a> {
    /// A project with its mirror, checkouts and submodules below `cache_dir`, in `mirrors`, `checkouts` and
    /// `submodules`, where a [`Fetcher`](crate::Fetcher) has them. Nothing happens until it is used.
    ///
    /// # Errors
    /// When its address is none, or the file with its token cannot be read.
    pub fn new(config: &'a ProjectConfig, cache_dir: &'a Path, git: Git<'a>) -> Result<Self, GitError> {
        let remote = Remote::new(&config.url, &config.git)?;
        let mirror = Mirror::new(git, &cache_dir.join("mirrors").join(config.name.as_str()), remote);
        Ok(Self { config, cache_dir, mirror })
    }

    /// What is configured.
    pub fn config(&self) -> &'a ProjectConfig {
        self.config
    }

    /// Asks the remote repository, with one connection, which of the branches are there that the configuration means.
    ///
    /// # Errors
    /// When it cannot be asked. A branch that is not there stops nothing: it is in [`Selection::missing`].
    pub fn list(&self) -> Result<Selection, GitError> {
        let mut refs = self.mirror.remote_refs()?;
        let mut selection = select(&self.config.branches, &self.config.exclude_branches, &refs)?;
        refs.notes.append(&mut selection.notes);
        Ok(Selection { notes: refs.notes, ..selection })
    }

    /// Gets branches into the mirror, with one connection, or none where it has their tips already. The mirror keeps
    /// these branches alone.
    ///
    /// # Errors
    /// When the remote repository cannot be asked, or the mirror cannot be written.
    pub fn fetch<'p>(&'p self, tips: &[Tip]) -> Result<Branches<'p>, GitError>
    where
        'a: 'p,
    {
        let fetched = self.mirror.fetch(tips)?;
        let rebuilt = fetched.rebuilt.map(|reason| format!("the mirror was made anew, for it was corrupt: {reason}"));
        Ok(Branches {
            branches: fetched.tips.into_iter().map(|tip| Branch { project: self, tip }).collect(),
            gone: fetched.gone.into_iter().map(|tip| tip.branch).collect(),
            notes: fetched.notes.iter().map(ToString::to_string).chain(rebuilt).collect(),
        })
    }

    /// Looks into a commit without checking it out.
    ///
    /// # Errors
    /// When the commit cannot be had, or the mirror cannot be read.
    pub fn read_tree<T>(&self, commit: &CommitId, read: impl FnMut(&TreeReader<'_>) -> T) -> Result<T, GitError> {
        self.mirror.read_tree(commit, read)
    }

    /// Removes the working trees of all branches but these.
    pub fn remove_checkouts_but<'b>(&self, branches: impl IntoIterator<Item = &'b BranchName>) {
        let kept: BTreeSet<_> = branches.into_iter().map(BranchName::slug).collect();
        for entry in fs::read_dir(self.checkouts()).into_iter().flatten().flatten() {
            if !kept.contains(&*entry.file_name().to_string_lossy()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    fn checkouts(&self) -> PathBuf {
        self.cache_dir.join("checkouts").join(self.config.name.as_str())
    }
}

impl<'p> Branch<'p> {
    /// The project whose branch it is.
    pub fn project(&self) -> &'p Project<'p> {
        self.project
    }

    /// Its name.
    pub fn name(&self) -> &BranchName {
        &self.tip.branch
    }

    /// The commit at its tip.
    pub fn commit(&self) -> &CommitId {
        &self.tip.commit
    }

    /// Makes the branch's working tree exactly the commit, submodules included where the project wants them. Whatever
    /// else was in it is gone. Only one thread or process may work in it at a time.
    ///
    /// # Errors
    /// When the tree cannot be made, or has no project where the configuration says.
    pub fn checkout(&self) -> Result<Checkout, CheckoutError> {
        let Project { config, cache_dir, mirror } = self.project;
        let submodules = config.submodules.then(|| cache_dir.join("submodules"));
        let place = self.project.checkouts().join(self.name().slug());
        let checked = mirror.checkout(&place, self.commit(), submodules.as_deref())?;
        let directory = checked.path.join(&config.directory);
        // A link in the repository may lead out of it.
        let real = directory.canonicalize().ok().zip(checked.path.canonicalize().ok());
        let inside = real.filter(|(directory, tree)| directory.starts_with(tree));
        match inside.filter(|(directory, _)| directory.join("project.conf").is_file()) {
            Some((directory, _)) => Ok(Checkout { directory, notes: checked.notes }),
            None => Err(CheckoutError::NoProject { directory: config.directory.clone() }),
        }
    }
}
