//! Following git repositories: what branches there are, a mirror of those that are wanted, and working trees that are
//! exactly a commit.
//!
//! ```no_run
//! # use std::{path::Path, time::Duration};
//! # use fetcher_core::{Cancel, Environment, RunContext};
//! use fetcher_core::git::{GitAccess, Git, Mirror, RemoteRepository, select};
//!
//! # fn follow() -> Result<(), fetcher_core::git::GitError> {
//! let (environment, cancel) = (Environment::of_this_process(), Cancel::new());
//! let git = Git::new(RunContext::new(&environment, &cancel), Duration::from_secs(600));
//! let remote = RemoteRepository::new("https://gitlab.com/freedesktop-sdk/freedesktop-sdk.git", &GitAccess::default())?;
//! let mirror = Mirror::new(git, Path::new("/var/cache/x/mirrors/freedesktop-sdk"), remote);
//! let chosen = select(&["release/*".to_owned()], &[], &mirror.remote_refs()?)?;
//! for tip in mirror.fetch(&chosen.tips)?.tips {
//!     let slot = Path::new("/var/cache/x/checkouts/freedesktop-sdk").join(tip.branch.slug());
//!     let checked = mirror.checkout(&slot, &tip.commit, Some(Path::new("/var/cache/x/submodules")))?;
//!     println!("{} is in {:?}", tip.branch, checked.path);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What does what
//! Objects, trees and indexes are read and written in this process, by libgit2. **The network is the business of the
//! `git` program**, a child like `bst`: a build then needs a C compiler and no TLS library; ssh heeds the user's own
//! configuration, agent, proxies and known hosts; an exchange that hangs is killed at its deadline; and `bst` needs
//! that program on the host anyway. Children get an allow-list of the environment, and no secret is in their arguments.
//!
//! # What is trusted
//! A project's repository, and what a project's plugins leave behind in a working tree, are hostile. Nothing in them is
//! run: no hook, no filter (so Git LFS, `eol=crlf`, `ident` and `working-tree-encoding` do nothing, and a
//! [note](GitNote::Unconverted) says so), no `update = !command` of a submodule. Working trees are written from open
//! directories, and no symbolic link is followed; their `.git` holds what this library
//! puts there and nothing else. Which files are still as they
//! were written is known from an index that is kept outside the tree, by change times, which only root can forge.
//! A mirror's HEAD, configuration and references are written by this library alone, references as one file in one step:
//! stale locks, deleted branches, and a branch `a` that became `a/b` are nothing special.

mod access;
mod budget;
mod checkout;
mod child;
mod contained_files;
mod error;
mod gitdir;
mod gitmodules;
mod mirror;
mod push;
mod refs;
mod scratch;
mod store;
mod tree;
mod tree_reader;
mod url;
mod written_index;

use std::fmt;
use std::path::PathBuf;

pub use crate::failure::PushRefusal;
pub use access::{GitAccess, RemoteRepository};
pub use checkout::CheckoutResult;
pub use child::Git;
pub use error::{GitError, GitFailure};
pub use mirror::{FetchSummary, Mirror};
pub use push::{PushFailure, PushLease, PushUpdate, Pushed};
pub use refs::{BranchMatches, BranchTip, MissingBranch, RemoteRefs, select};
pub use scratch::ScratchRepository;
pub(crate) use store::{give_up, remove_all_leftovers};
pub use tree_reader::TreeReader;
pub use url::RemoteUrl;

/// Something that stopped nothing, and is worth saying.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GitNote {
    /// A branch's name cannot be used here; the branch is passed over.
    BranchRefused {
        /// The name.
        name: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// A configured glob matches no branch.
    NothingMatches {
        /// The glob.
        pattern: String,
    },
    /// A mirror was corrupt, and was made anew.
    Rebuilt {
        /// Its directory.
        directory: PathBuf,
        /// What was wrong with it.
        reason: String,
    },
    /// Garbage could not be collected in a mirror, which goes on growing.
    Maintenance {
        /// Its directory.
        directory: PathBuf,
        /// Why.
        reason: String,
    },
    /// A submodule was left out, for its `.gitmodules` says `update = none`.
    SubmoduleLeftOut {
        /// Its path in the working tree.
        path: PathBuf,
    },
    /// A `.gitattributes` asks for conversions, which are not done: files are as they are committed.
    Unconverted {
        /// The file's path in the working tree.
        file: PathBuf,
        /// The attributes.
        attributes: Vec<String>,
    },
}

impl fmt::Display for GitNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BranchRefused { name, reason } => write!(f, "the branch {name:?} is passed over: {reason}"),
            Self::NothingMatches { pattern } => write!(f, "no branch matches {pattern:?}"),
            Self::Rebuilt { directory, reason } => {
                write!(f, "the mirror {} was made anew: {reason}", directory.display())
            }
            Self::Maintenance { directory, reason } => {
                write!(f, "the mirror {} could not be tidied: {reason}", directory.display())
            }
            Self::SubmoduleLeftOut { path } => {
                write!(f, "the submodule {} is left out: .gitmodules says update = none", path.display())
            }
            Self::Unconverted { file, attributes } => {
                let attributes = attributes.join(", ");
                write!(f, "{} asks for {attributes}: files stay as they are committed", file.display())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_may_share_what_follows_repositories() {
        fn shared<T: Send + Sync>() {}
        shared::<Mirror<'_>>();
        shared::<RemoteRepository>();
        shared::<GitError>();
    }
}
