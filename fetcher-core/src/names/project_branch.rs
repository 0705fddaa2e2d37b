//! A branch of a project: what it is called, for people and for files.

use std::fmt;
use std::path::PathBuf;

use super::{BranchName, ProjectName};

/// This branch of this project; the project itself, where no branch is named. In order it stands before its branches.
///
/// ```
/// use fetcher_core::{BranchName, ProjectBranch, ProjectName};
///
/// let (project, branch): (ProjectName, BranchName) = ("sdk".parse()?, "release/24.08".parse()?);
/// let of = ProjectBranch::new(&project, &branch);
/// assert_eq!(of.to_string(), "sdk (release/24.08)");
/// assert_eq!(of.key(), "sdk/release/24.08");
/// assert_eq!(of.path().to_str(), Some("sdk/release~24.08"));
/// assert!(ProjectBranch::new(&project, None) < of);
/// # Ok::<(), fetcher_core::NameError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectBranch<'n> {
    project: &'n ProjectName,
    branch: Option<&'n BranchName>,
}

impl<'n> ProjectBranch<'n> {
    /// A branch; without one the project itself.
    pub fn new(project: &'n ProjectName, branch: impl Into<Option<&'n BranchName>>) -> Self {
        Self { project, branch: branch.into() }
    }

    /// The project.
    pub fn project(self) -> &'n ProjectName {
        self.project
    }

    /// The branch, where it is one.
    pub fn branch(self) -> Option<&'n BranchName> {
        self.branch
    }

    /// The same, owned.
    pub fn to_buf(self) -> ProjectBranchBuf {
        ProjectBranchBuf { project: self.project.clone(), branch: self.branch.cloned() }
    }

    /// By what it is known in files: `PROJECT/BRANCH`, or `PROJECT`.
    pub fn key(self) -> String {
        self.branch.map_or_else(|| self.project.to_string(), |branch| format!("{}/{branch}", self.project))
    }

    /// Its branch as the name of a file or directory: `~` where it is the project itself, which is no branch's slug, for
    /// no branch is called `/`.
    pub fn slug(self) -> String {
        self.branch.map_or_else(|| "~".to_owned(), BranchName::slug)
    }

    /// Its place in a directory of projects: the project's directory, and in it the branch's.
    pub fn path(self) -> PathBuf {
        [self.project.as_str(), &self.slug()].iter().collect()
    }
}

/// `PROJECT (BRANCH)`, or the project alone.
impl fmt::Display for ProjectBranch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.branch {
            Some(branch) => f.pad(&format!("{} ({branch})", self.project)),
            None => f.pad(self.project.as_str()),
        }
    }
}

/// A [`ProjectBranch`] that is kept.
///
/// ```
/// use fetcher_core::{ProjectBranch, ProjectName};
///
/// let project: ProjectName = "sdk".parse()?;
/// let kept = ProjectBranch::new(&project, None).to_buf();
/// drop(project);
/// assert_eq!(kept.borrowed().to_string(), "sdk");
/// # Ok::<(), fetcher_core::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectBranchBuf {
    project: ProjectName,
    branch: Option<BranchName>,
}

impl ProjectBranchBuf {
    /// The same, borrowed.
    pub fn borrowed(&self) -> ProjectBranch<'_> {
        ProjectBranch { project: &self.project, branch: self.branch.as_ref() }
    }
}
