//! A project that is followed, its branches, and working trees of them.
//!
//! ```no_run
//! # use std::{path::Path, time::Duration};
//! use fetcher_core::{Cancel, Config, Environment, LocalRunner, Project, RunContext, git::Git};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (environment, cancel) = (Environment::of_this_process(), Cancel::new());
//! let config = Config::load("config.toml", &environment)?;
//! let runner = LocalRunner::new(config.state_dir.as_os_str());
//! let git = Git::new(RunContext::new(&environment, &cancel).local_runner(&runner), Duration::from_secs(600));
//! let project = Project::new(&config.projects[0], &config.cache_dir, git)?;
//! for branch in project.fetch(&project.list()?.tips)?.branches {
//!     println!("{} is in {:?}", branch.name(), branch.checkout()?.directory);
//! }
//! # Ok(())
//! # }
//! ```

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::config::ProjectConfig;
use crate::git::{
    BranchMatches, BranchTip, CheckoutResult, Git, GitError, GitNote, Mirror, RemoteRefs, RemoteRepository,
    ScratchRepository, TreeReader, select,
};
use crate::names::{BranchName, CommitId, ProjectBranch};
use crate::own_directory::OwnDirectory;

/// A project: its repository elsewhere, and the mirror of it here.
#[derive(Debug)]
pub struct Project<'a> {
    config: &'a ProjectConfig,
    cache_dir: &'a Path,
    mirror: Arc<Mirror<'a>>,
}

/// What a fetch of a project's branches gave.
#[derive(Debug)]
#[non_exhaustive]
pub struct BranchListing<'p> {
    /// The branches that the mirror has now, each at its tip.
    pub branches: Vec<Branch<'p>>,
    /// Branches that vanished between the listing and the fetch.
    pub gone: Vec<BranchName>,
    /// What is worth saying.
    pub notes: Vec<String>,
}

/// One branch of a project at one commit, which the project's mirror has.
#[derive(Debug, Clone)]
pub struct Branch<'p> {
    project: &'p Project<'p>,
    tip: BranchTip,
}

/// A working tree that is exactly a branch's tip.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BranchCheckout {
    /// The directory with `project.conf` in it.
    pub directory: PathBuf,
    /// The top of the working tree.
    pub tree: PathBuf,
    /// What is worth saying.
    pub notes: Vec<GitNote>,
}

/// Why there is no working tree to work in.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckoutError {
    /// It could not be made.
    #[error(transparent)]
    Git(#[from] GitError),
    /// It has no project where the configuration says, or what is there leads out of the repository.
    #[error("there is no project.conf in {directory:?} of the repository{}", elsewhere(.others))]
    NoProject {
        /// `directory` of the project's configuration.
        directory: PathBuf,
        /// The directories of the repository that have one, as far as they were looked for: the first few.
        others: Vec<PathBuf>,
    },
}

/// The words for where else a project is.
fn elsewhere(others: &[PathBuf]) -> String {
    let names = |path: &PathBuf| {
        if path.as_os_str().is_empty() { "its root".to_owned() } else { format!("{:?}", path.display().to_string()) }
    };
    let names: Vec<String> = others.iter().map(names).collect();
    if names.is_empty() { String::new() } else { format!("; there is one in {}", names.join(", ")) }
}

/// The first few directories of a checkout with a project.conf, without following links.
fn projects_below(tree: &Path) -> Vec<PathBuf> {
    const DEPTH: usize = 3;
    const MOST_DIRECTORIES: usize = 2000;
    const FEW: usize = 5;
    let mut found = Vec::new();
    let mut open = VecDeque::from([(PathBuf::new(), 0)]);
    let mut looked = 0;
    while let Some((inside, depth)) = open.pop_front() {
        looked += 1;
        if tree.join(&inside).join("project.conf").is_file() {
            found.push(inside.clone());
        }
        if found.len() == FEW || looked == MOST_DIRECTORIES {
            break;
        }
        // What cannot be listed is no place to propose.
        let Ok(entries) = fs::read_dir(tree.join(&inside)) else { continue };
        let directories = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let mut names: Vec<_> = directories.map(|entry| entry.file_name()).filter(|name| name != ".git").collect();
        names.sort();
        open.extend(names.into_iter().filter(|_| depth < DEPTH).map(|name| (inside.join(name), depth + 1)));
    }
    found
}

impl<'a> Project<'a> {
    /// A project with its mirror, checkouts and submodules below `cache_dir`, in `mirrors`, `checkouts` and
    /// `submodules`, where a [`Fetcher`](crate::Fetcher) has them. Nothing happens until it is used.
    ///
    /// # Errors
    /// When its address is none, or the file with its token cannot be read.
    pub fn new(config: &'a ProjectConfig, cache_dir: &'a Path, git: Git<'a>) -> Result<Self, GitError> {
        let remote = RemoteRepository::new(&config.url, &config.git)?;
        let mirror = Mirror::new(git, &cache_dir.join("mirrors").join(Self::mirror_name(config)?), remote);
        Ok(Self { config, cache_dir, mirror: Arc::new(mirror) })
    }

    /// Another project of the same repository, which [`Project::mirror_name`] tells: both use this one's mirror.
    #[must_use]
    pub fn sharing_mirror(&self, config: &'a ProjectConfig) -> Self {
        Self { config, cache_dir: self.cache_dir, mirror: Arc::clone(&self.mirror) }
    }

    /// The name of the directory in `mirrors` where a project's repository is mirrored: the same for all projects of one
    /// repository that reach it in the same way.
    ///
    /// # Errors
    /// When the project's address is none.
    pub fn mirror_name(config: &ProjectConfig) -> Result<String, GitError> {
        RemoteRepository::slug(&config.url, &config.git)
    }

    /// Where the mirror has the objects of commits, which checkouts borrow. Nothing else of the mirror is in there.
    pub fn objects(&self) -> PathBuf {
        self.mirror.objects()
    }

    /// What is configured.
    pub fn config(&self) -> &'a ProjectConfig {
        self.config
    }

    /// Asks the remote repository, with one connection, which of the branches are there that the configuration means.
    ///
    /// # Errors
    /// When it cannot be asked. A branch that is not there stops nothing: it is in [`BranchMatches::missing`].
    pub fn list(&self) -> Result<BranchMatches, GitError> {
        self.select(&self.remote_refs()?)
    }

    /// Asks the remote repository for its branches, with one connection.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn remote_refs(&self) -> Result<RemoteRefs, GitError> {
        self.prepare_mirrors()?;
        self.mirror.remote_refs()
    }

    /// Which of the remote repository's branches the configuration means.
    ///
    /// # Errors
    /// When a pattern is malformed, or matches too much. A branch that is not there stops nothing: it is in
    /// [`BranchMatches::missing`].
    pub fn select(&self, refs: &RemoteRefs) -> Result<BranchMatches, GitError> {
        let mut selection = select(&self.config.branches, &self.config.exclude_branches, refs)?;
        selection.notes.splice(0..0, refs.notes.iter().cloned());
        Ok(selection)
    }

    /// Gets branches into the mirror, with one connection, or none where it has their tips already. The mirror keeps
    /// these branches alone, so that projects that share it have to ask for all of theirs at once.
    ///
    /// # Errors
    /// When the remote repository cannot be asked, or the mirror cannot be written.
    pub fn fetch<'p>(&'p self, tips: &[BranchTip]) -> Result<BranchListing<'p>, GitError>
    where
        'a: 'p,
    {
        self.prepare_mirrors()?;
        let fetched = self.mirror.fetch(tips)?;
        let rebuilt = fetched.rebuilt.map(|reason| format!("the mirror was made anew, for it was corrupt: {reason}"));
        Ok(BranchListing {
            branches: fetched.tips.into_iter().map(|tip| Branch { project: self, tip }).collect(),
            gone: fetched.gone.into_iter().map(|tip| tip.branch).collect(),
            notes: fetched.notes.iter().map(ToString::to_string).chain(rebuilt).collect(),
        })
    }

    /// A repository for commits that are to be pushed to `remote`, in a directory that is empty or not there. It has the
    /// objects of the project's mirror.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch<'p>(&'p self, remote: RemoteRepository, directory: &Path) -> Result<ScratchRepository<'p>, GitError>
    where
        'a: 'p,
    {
        ScratchRepository::new(&self.mirror, remote, directory)
    }

    /// Makes `directory/tree` exactly a commit that was made in a scratch repository, as [`Branch::checkout`] does.
    ///
    /// # Errors
    /// When the tree cannot be made, or has no project where the configuration says.
    pub fn checkout_of(
        &self,
        scratch: &ScratchRepository<'_>,
        commit: &CommitId,
        directory: &Path,
    ) -> Result<BranchCheckout, CheckoutError> {
        let submodules = self.submodules()?;
        found_in(self.config, scratch.checkout(directory, commit, submodules.as_deref())?)
    }

    /// Where the mirrors of submodules are, made where it is missing; none where they are not wanted.
    fn submodules(&self) -> Result<Option<PathBuf>, GitError> {
        if self.config.submodules {
            self.own_directory(&["submodules"])?;
        }
        Ok(self.config.submodules.then(|| self.cache_dir.join("submodules")))
    }

    /// The messages of a commit and of those before it, at most so many.
    ///
    /// # Errors
    /// When the commit cannot be had.
    pub fn messages(&self, commit: &CommitId, most: usize) -> Result<Vec<String>, GitError> {
        self.mirror.messages(commit, most)
    }

    /// A branch at a commit that the mirror has, for a project that shares it with the one that fetched.
    pub fn branch<'p>(&'p self, tip: &BranchTip) -> Branch<'p>
    where
        'a: 'p,
    {
        Branch { project: self, tip: tip.clone() }
    }

    /// Makes the directory of the mirrors. What an earlier release mirrored for this project alone is taken over.
    fn prepare_mirrors(&self) -> Result<(), GitError> {
        let mirrors = self.own_directory(&["mirrors"])?;
        self.mirror.take_over(&mirrors.path().join(self.config.name.as_str())).map(drop)
    }

    /// Looks into a commit without checking it out.
    ///
    /// # Errors
    /// When the commit cannot be had, or the mirror cannot be read.
    pub fn read_tree<T>(&self, commit: &CommitId, read: impl FnMut(&TreeReader<'_>) -> T) -> Result<T, GitError> {
        self.mirror.read_tree(commit, read)
    }

    /// A branch at a commit that it had, without asking anybody.
    pub(crate) fn branch_at<'p>(&'p self, name: &BranchName, commit: &CommitId) -> Branch<'p>
    where
        'a: 'p,
    {
        Branch { project: self, tip: BranchTip { branch: name.clone(), commit: commit.clone() } }
    }

    /// Removes the working trees of all branches but these.
    ///
    /// # Errors
    /// When one cannot be removed: then the others are.
    pub fn remove_checkouts_but<'b>(&self, branches: impl IntoIterator<Item = &'b BranchName>) -> io::Result<()> {
        let kept: BTreeSet<_> = branches.into_iter().map(BranchName::slug).collect();
        let checkouts = self.own_directory(&["checkouts", self.config.name.as_str()]).map_err(io::Error::other)?;
        let mut removed = Ok(());
        for name in checkouts.names()? {
            if !kept.contains(&*name.to_string_lossy()) {
                removed = removed.and(checkouts.remove(&name).map(drop));
            }
        }
        removed
    }

    /// A directory below the cache directory, made where it is missing. A link in its place is none of ours: it is
    /// replaced, and what it leads to left alone.
    fn own_directory(&self, names: &[&str]) -> Result<OwnDirectory, GitError> {
        let made = || {
            fs::create_dir_all(self.cache_dir)?;
            let top = OwnDirectory::open(self.cache_dir)?.ok_or(io::ErrorKind::NotADirectory)?;
            names.iter().try_fold(top, |directory, name| directory.make(name))
        };
        let path = || names.iter().fold(self.cache_dir.to_owned(), |path, name| path.join(name));
        made().map_err(|source| GitError::Io { action: "make", path: path(), source })
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

    /// Its name and the commit at its tip.
    pub fn tip(&self) -> &BranchTip {
        &self.tip
    }

    /// The commit at its tip.
    pub fn commit(&self) -> &CommitId {
        &self.tip.commit
    }

    /// Where the project's directory is in the branch's working tree, whether that is there or not.
    pub(crate) fn directory(&self) -> PathBuf {
        let Project { config, cache_dir, .. } = self.project;
        working_tree(cache_dir, ProjectBranch::new(&config.name, self.name())).join(&config.directory)
    }

    /// Makes the branch's working tree exactly the commit, submodules included where the project wants them. Whatever
    /// else was in it is gone. Only one thread or process may work in it at a time.
    ///
    /// # Errors
    /// When the tree cannot be made, or has no project where the configuration says.
    pub fn checkout(&self) -> Result<BranchCheckout, CheckoutError> {
        let config = self.project.config;
        let submodules = self.project.submodules()?;
        let place = self.project.own_directory(&["checkouts", config.name.as_str(), &self.name().slug()])?;
        let checked = self.project.mirror.checkout(place.path(), self.commit(), submodules.as_deref())?;
        found_in(config, checked)
    }
}

/// The project in a working tree.
fn found_in(config: &ProjectConfig, checked: CheckoutResult) -> Result<BranchCheckout, CheckoutError> {
    let directory = checked.path.join(&config.directory);
    // A link in the repository may lead out of it, or to nothing: then there is no project, which is told.
    let real = directory.canonicalize().ok().zip(checked.path.canonicalize().ok());
    let inside = real.filter(|(directory, tree)| directory.starts_with(tree));
    match inside.filter(|(directory, _)| directory.join("project.conf").is_file()) {
        Some((directory, tree)) => Ok(BranchCheckout { directory, tree, notes: checked.notes }),
        None => {
            Err(CheckoutError::NoProject { directory: config.directory.clone(), others: projects_below(&checked.path) })
        }
    }
}

/// Where a branch's working tree is, whether it is there or not.
pub(crate) fn working_tree(cache_dir: &Path, of: ProjectBranch<'_>) -> PathBuf {
    cache_dir.join("checkouts").join(of.path()).join("tree")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_else_a_project_is_is_named() {
        let tree = tempfile::tempdir().unwrap();
        for directory in ["b/deep", "a", ".git", "a/b/c/d"] {
            fs::create_dir_all(tree.path().join(directory)).unwrap();
            fs::write(tree.path().join(directory).join("project.conf"), "name: x\n").unwrap();
        }
        std::os::unix::fs::symlink("/", tree.path().join("link")).unwrap();
        let others = projects_below(tree.path());
        assert_eq!(others, [PathBuf::from("a"), "b/deep".into()]);
        let error = CheckoutError::NoProject { directory: "x".into(), others };
        assert_eq!(
            error.to_string(),
            "there is no project.conf in \"x\" of the repository; there is one in \"a\", \"b/deep\""
        );
    }
}
