//! Why there was no run.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::names::ElementName;
use crate::state::{LockError, StateError};

/// Why there was no run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetcherError {
    /// Another run is under way, or the state directory cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The memory cannot be written.
    #[error(transparent)]
    State(#[from] StateError),
    /// A directory that is needed cannot be made.
    #[error("cannot make {path:?}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// No project has a branch that was asked for by name.
    #[error(
        "no configured project has a branch {name:?} that its `branches` select; `bst-fetcher run --dry-run` lists them"
    )]
    NoSuchBranch {
        /// The name.
        name: String,
    },
    /// No branch has an element that was asked for by name.
    #[error("no branch has the element {}", name.as_str())]
    NoSuchElement {
        /// The name.
        name: ElementName,
    },
    /// A project that was asked for by name is not configured.
    #[error("no project is called {name:?}; the configuration has {}", known.join(", "))]
    NoSuchProject {
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
}
