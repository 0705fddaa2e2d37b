//! Tracks, fetches and pushes the sources of [BuildStream](https://buildstream.build) projects ahead of time.
//!
//! For every branch of every configured project it gets a clean checkout of the branch's tip, tracks, fetches, and
//! pushes the sources to a remote source cache, so that nobody who builds waits for an upstream.
//!
//! # Where to begin
//!
//! **Everything that is configured**: a [`Fetcher`], with a configuration from a file ([`Config::load`]) or made in code,
//! and with notifiers of one's own.
//!
//! ```no_run
//! use fetcher_core::config::{Config, ProjectConfig};
//! use fetcher_core::notify::{Notification, Notifier, NotifyError, render};
//! use fetcher_core::{Environment, Fetcher, RunSelection};
//!
//! struct Screen;
//!
//! impl Notifier for Screen {
//!     fn name(&self) -> &str {
//!         "screen"
//!     }
//!     fn send(&self, notification: &Notification) -> Result<(), NotifyError> {
//!         println!("{}", render::line(notification));
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let environment = Environment::of_this_process();
//! let mut project = ProjectConfig::new("https://gitlab.com/freedesktop-sdk/freedesktop-sdk.git")?;
//! project.branches = vec!["release/*".into()];
//! let config = Config::new(&environment)?.project(project);
//! let fetcher = Fetcher::new(config, environment).notifier(Screen);
//! let report = fetcher.run(&RunSelection::all(), &mut |event| println!("{event:?}"))?;
//! println!("{}", report.outcome);
//! # Ok(())
//! # }
//! ```
//!
//! **One stage of one branch**: a [`Workspace`] has the directories and the `bst` of a configuration, a [`Project`] lists
//! and fetches its branches, a [`Branch`] is opened, and a [session](pipeline::PipelineSession) of its [`Pipeline`] has the
//! stages as methods. A program leaves one out, or adds one of its own, and its report is like any other.
//!
//! ```no_run
//! use fetcher_core::config::{Config, ProjectConfig};
//! use fetcher_core::{Environment, Fetcher, pipeline::ElementChoice};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let environment = Environment::of_this_process();
//! let project = ProjectConfig::new("https://gitlab.com/freedesktop-sdk/freedesktop-sdk.git")?;
//! let fetcher = Fetcher::new(Config::new(&environment)?.project(project), environment);
//! let workspace = fetcher.workspace()?;
//! let mut reports = Vec::new();
//! for project in workspace.projects()? {
//!     for branch in project.fetch(&project.list()?.tips)?.branches {
//!         let open = workspace.open(&branch)?;
//!         let pipeline = open.pipeline();
//!         let mut session = open.session(&pipeline, |event| println!("{event:?}"))?;
//!         println!("{}", session.fetch(ElementChoice::Configured).outcome);
//!         reports.push(open.report(session.finish()));
//!     }
//! }
//! println!("{}", workspace.finish(reports)?.outcome);
//! # Ok(())
//! # }
//! ```
//!
//! **What failed, from a log**: [`diagnosis`] reads what `bst` wrote, from anywhere, and needs no other part.
//!
//! ```
//! use fetcher_core::diagnosis::{Actor, FailureKind, diagnose};
//! use fetcher_core::Exit;
//!
//! let mut log: &[u8] = b"git source at a.bst [line 3 column 2]: Did not find 'git' in PATH: ['/bin']\n";
//! let found = diagnose(Some(Exit::Status(255)), None, &mut log)?;
//! assert_eq!((found.failures[0].kind, found.failures[0].actor), (FailureKind::HostToolMissing, Actor::Host));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! **Git alone**: [`git`] has mirrors, branches by pattern, and working trees that are exactly a commit, with an example.
//!
//! Programs for each of these, and for a run from asynchronous code, a runner of one's own and a configuration that is
//! built in code, are in the crate's `examples`.
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `fetcher` (default) | all that a [`Fetcher`] needs. Without it there are names, BuildStream's messages, [`diagnosis`], [`report`] and [`runner`]: no libgit2, no C compiler |
//! | `email`, `irc`, `webhook` | notifiers |
//! | `cas` (default) | asking source caches whether what was pushed is there |
//! | `probe` | asking upstreams over HTTP what moved |
//! | `forge` | the interfaces of GitLab, GitHub and Gitea, for requests to merge tracked refs |
//! | `serve` | the server of the local cache |
//! | `trust-store` | whose certificates are believed; what needs TLS brings it |
//!
//! # What it does to a host
//!
//! It writes below the state and cache directories of the configuration, and below `publish-dir` and `metrics-file` where
//! they are set. It starts `git`, `bst`, `python3` for managed environments, and the commands that a configuration names,
//! each in a process group that ends with it. It does no terminal I/O, keeps no process-wide state, installs no signal
//! handler, and reads the process's environment only where the caller hands it in as an [`Environment`]. Runs are
//! blocking: from asynchronous code they are started in a thread of their own, and stopped with a [`Cancel`].

#![warn(missing_debug_implementations)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(feature = "fetcher"),
    expect(dead_code, reason = "what only a fetcher needs of the modules that all have")
)]

mod address;
mod atomic_file;
pub mod bst;
mod cancel;
#[cfg(feature = "cas")]
mod cas;
mod clock;
#[cfg(feature = "fetcher")]
pub mod config;
pub mod diagnosis;
mod environment;
mod failure;
#[cfg(feature = "fetcher")]
pub mod fetcher;
mod field_text;
#[cfg(feature = "fetcher")]
mod file_state;
mod free_space;
#[cfg(feature = "fetcher")]
pub mod git;
mod hosting;
#[cfg(any(feature = "forge", feature = "probe", feature = "webhook"))]
#[cfg_attr(not(any(feature = "forge", feature = "webhook")), expect(dead_code, reason = "probes need the proxy alone"))]
mod http;
#[cfg(feature = "fetcher")]
mod json_file;
#[cfg(feature = "fetcher")]
mod links;
#[cfg(feature = "fetcher")]
mod metrics;
mod names;
#[cfg(feature = "fetcher")]
pub mod notify;
#[cfg(feature = "fetcher")]
mod own_directory;
#[cfg(feature = "fetcher")]
mod pages;
#[cfg(feature = "fetcher")]
mod panics;
#[cfg(feature = "fetcher")]
pub mod pipeline;
#[cfg(feature = "fetcher")]
mod project;
#[cfg(feature = "fetcher")]
pub mod publish;
pub mod report;
mod requirements;
pub mod runner;
mod sanitize;
mod secret;
#[cfg(feature = "fetcher")]
mod self_update;
#[cfg(feature = "serve")]
pub mod serve;
#[cfg(feature = "fetcher")]
mod state;
#[cfg(feature = "trust-store")]
mod trust_store;
#[cfg(feature = "fetcher")]
mod upload;
#[cfg(feature = "fetcher")]
mod upstream;

pub use cancel::Cancel;
pub use clock::{Clock, FixedClock, SystemClock};
#[cfg(feature = "fetcher")]
pub use config::Config;
pub use diagnosis::Diagnosis;
pub use environment::Environment;
#[cfg(feature = "fetcher")]
pub use fetcher::{Fetcher, FetcherError, RunSelection, Workspace};
pub use free_space::{FreeSpace, SpaceShortage};
/// The library of the times in reports and of the [`Clock`].
pub use jiff;
pub use names::{
    BranchName, CommitId, ElementName, NameError, ProjectBranch, ProjectBranchBuf, ProjectName, Refs, RunId, SourceKey,
    Stage, StageName, TrustName, VariantName,
};
#[cfg(feature = "fetcher")]
pub use pipeline::Pipeline;
#[cfg(feature = "fetcher")]
pub use project::{Branch, BranchCheckout, BranchListing, CheckoutError, Project};
pub use report::{Event, RunReport};
pub use runner::{Exit, Invocation, LocalRunner, RunContext, Runner};
pub use secret::{Redact, RedactingWriter, Redactor, Secret, SecretSet};
#[cfg(feature = "fetcher")]
pub use self_update::SelfUpdate;
