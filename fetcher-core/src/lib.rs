//! Tracks, fetches and pushes the sources of [BuildStream](https://buildstream.build) projects ahead of time.
//!
//! For every branch of every configured project it gets a clean checkout of the branch's tip, tracks, fetches, and
//! pushes the sources to a remote source cache, so that nobody who builds waits for an upstream.
//!
//! The library does no terminal I/O, keeps no process-wide state, and reads the process's environment only where the
//! caller hands it in as an [`Environment`].

mod atomic_file;
pub mod bst;
pub mod cancel;
#[cfg(feature = "cas")]
pub mod cas;
pub mod clock;
pub mod config;
pub mod diagnosis;
pub mod environment;
pub mod fetcher;
mod file_state;
pub mod free_space;
pub mod git;
#[cfg(any(feature = "forge", feature = "webhook"))]
mod http;
mod json_file;
pub mod links;
pub mod metrics;
pub mod names;
pub mod notify;
mod own_directory;
pub mod pages;
mod panics;
pub mod pipeline;
pub mod project;
pub mod publish;
pub mod report;
pub mod requirements;
pub mod runner;
pub mod sanitize;
pub mod secret;
pub mod self_update;
#[cfg(feature = "serve")]
pub mod serve;
pub mod state;
pub mod upload;

pub use cancel::Cancel;
pub use clock::{Clock, SystemClock};
pub use config::Config;
pub use diagnosis::Diagnosis;
pub use environment::Environment;
pub use fetcher::{Fetcher, FetcherError, RunSelection};
pub use free_space::FreeSpace;
pub use names::{BranchName, CommitId, ElementName, ProjectName, RunId, Stage, VariantName};
pub use pipeline::Pipeline;
pub use project::{Branch, Project};
pub use report::{Event, RunReport};
pub use runner::{Exit, Invocation, LocalRunner, Runner};
pub use secret::{Redactor, Secret};
pub use self_update::SelfUpdate;
