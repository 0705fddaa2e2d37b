//! The configuration as it is meant: every default filled in, every path absolute, every `${NAME}` replaced.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::environment::Environment;
use crate::names::TrustName;
use crate::secret::Secret;

mod build;
mod declare;
mod files;
mod keys;
mod last_good;
mod load;
mod notify;
mod probe;
mod problem;
mod project;
mod publish;
mod reader;
mod schema;
mod secrets;
mod self_update;
mod serve;
mod show;
mod sources;
mod tables;
#[cfg(test)]
mod tests;
mod value;
mod weekly;

pub(crate) use files::LARGEST;
pub use files::{DiskFiles, FileLookup, FileStatus};
pub use notify::{
    CommandConfig, CommitStatusConfig, EmailConfig, HealthcheckConfig, IrcConfig, NotifierConfig, NotifyOn,
    NotifyTarget, StatusForge, UploadConfig, WebhookConfig, WebhookFormat, ZulipConfig,
};
pub use probe::{ProbeConfig, ProbeMode};
pub use problem::{ConfigError, ConfigProblem};
pub use project::{
    AllowFailure, BuildStreamConfig, BuildStreamTool, DependencyScope, HoldConfig, OnError, ProjectConfig, PushMode,
    SelectConfig, SourceCacheConfig, VariantConfig,
};
pub use publish::{
    CommitFormat, ElementGroup, ForgeKind, GitHubApp, HumanCommitPolicy, PublishConfig, PublishMode, PublishSelection,
    RequestScope,
};
pub use schema::schema;
pub use self_update::SelfUpdateConfig;
pub use serve::{ServeConfig, ServeTls};
pub use sources::{UserConfigDirectory, choose_file};
pub use weekly::WeeklySchedule;

/// A whole configuration.
///
/// ```
/// use std::path::Path;
/// use fetcher_core::{Environment, config::{Config, DiskFiles}};
///
/// let text = "[[project]]\nurl = 'https://gitlab.com/freedesktop-sdk/freedesktop-sdk.git'\n";
/// let environment = Environment::from_iter([("HOME", "/home/me")]);
/// let config = Config::parse(text, Path::new("/etc/bst-fetcher/config.toml"), &DiskFiles, &environment)?;
/// assert_eq!(config.projects[0].name.as_str(), "freedesktop-sdk");
/// assert_eq!(config.cache_dir, Path::new("/home/me/.cache/bst-fetcher"));
/// # Ok::<(), fetcher_core::config::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that it was read from, absolute.
    pub path: PathBuf,
    /// What is worth a remark but stops nothing, in the order of the lines.
    pub warnings: Vec<ConfigProblem>,
    /// The digest of the file's text, to know a change by.
    pub digest: String,
    /// `fetcher.state-dir`: the memory between runs, and the run directories.
    pub state_dir: PathBuf,
    /// `fetcher.cache-dir`: mirrors, checkouts, BuildStream's caches, managed environments.
    pub cache_dir: PathBuf,
    /// `fetcher.jobs`: how many branches are worked on at once.
    pub jobs: NonZeroUsize,
    /// `fetcher.min-free-space`, in bytes, of the file systems of `state_dir` and `cache_dir`.
    pub min_free_space: u64,
    /// `fetcher.keep-runs`: how long run directories are kept.
    pub keep_runs: Duration,
    /// `fetcher.keep-logs`, in bytes: how much all runs' logs may take; and again as much the pages' copies of them.
    pub keep_logs: u64,
    /// `fetcher.lock-alarm-after`: for how long another run may hold the lock before that is told.
    pub lock_alarm_after: Duration,
    /// `fetcher.publish-dir`: where status pages and logs are written.
    pub publish_dir: Option<PathBuf>,
    /// `fetcher.base-url`: what links in notifications begin with; it ends in a slash.
    pub base_url: Option<String>,
    /// `fetcher.metrics-file`: a Prometheus textfile.
    pub metrics_file: Option<PathBuf>,
    /// `fetcher.refresh-after`: how long "nothing changed" may skip fetch and push.
    pub refresh_after: Duration,
    /// `[probe]`.
    pub probe: ProbeConfig,
    /// `fetcher.clean-client-every`: within which time a client with empty caches fetches everything once.
    pub clean_client_every: Option<Duration>,
    /// `[self-update]`.
    pub self_update: SelfUpdateConfig,
    /// `[[project]]`, `[defaults]` merged in; no two have the same name.
    pub projects: Vec<ProjectConfig>,
    /// `[[notify]]`.
    pub notify: Vec<NotifierConfig>,
    /// `[upload]`: where pages and logs are sent to.
    pub upload: Option<UploadConfig>,
    /// `[serve]`.
    pub serve: ServeConfig,
    /// Every value with where it came from.
    effective: value::ConfigTable,
    /// The secrets that environment variables put into it.
    secret_variables: Vec<Secret>,
}

/// A commented configuration to begin with, which works as it is.
///
/// ```
/// use std::path::Path;
/// use fetcher_core::{Environment, config::{Config, DiskFiles, starter}};
///
/// let environment = Environment::from_iter([("HOME", "/home/me")]);
/// let config = Config::parse(starter(), Path::new("/home/me/config.toml"), &DiskFiles, &environment)?;
/// assert_eq!(config.projects.len(), 1);
/// # Ok::<(), fetcher_core::config::ConfigError>(())
/// ```
pub fn starter() -> &'static str {
    include_str!("config/starter.toml")
}

impl Config {
    /// What a file means that says nothing: the defaults of every key, and no project. `environment` says where state and cache are,
    /// by `XDG_STATE_HOME`, `XDG_CACHE_HOME` and `HOME`; the configuration's own path is empty.
    ///
    /// ```
    /// use fetcher_core::{Config, Environment, config::ProjectConfig};
    ///
    /// let environment = Environment::from_iter([("HOME", "/home/me")]);
    /// let mut project = ProjectConfig::new("https://gitlab.com/freedesktop-sdk/freedesktop-sdk.git")?;
    /// project.branches = vec!["master".into(), "release/*".into()];
    /// let mut config = Config::new(&environment)?.project(project);
    /// config.jobs = 4.try_into()?;
    /// assert_eq!(config.projects[0].name.as_str(), "freedesktop-sdk");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the environment does not say where state and cache are.
    pub fn new(environment: &Environment) -> Result<Self, ConfigError> {
        // A file has to have a project. What is said of this one does not stay.
        let text = "[[project]]\nurl = 'https://project.invalid/none.git'\n";
        let mut config = Self::parse(text, Path::new(""), &DiskFiles, environment)?;
        config.projects.clear();
        config.effective.remove("project");
        config.digest.clear();
        Ok(config)
    }

    /// Adds a project, or replaces the one of the same name.
    #[must_use]
    pub fn project(mut self, project: ProjectConfig) -> Self {
        match self.projects.iter_mut().find(|known| known.name == project.name) {
            Some(known) => *known = project,
            None => self.projects.push(project),
        }
        self
    }

    /// Whose caches its projects use, each once, in the order of the projects.
    pub fn trusts(&self) -> Vec<TrustName> {
        let mut trusts = Vec::new();
        for trust in self.projects.iter().map(ProjectConfig::trust) {
            if !trusts.contains(&trust) {
                trusts.push(trust);
            }
        }
        trusts
    }

    /// Reads a configuration file. Relative paths in it are relative to where the file really is, symbolic links to it
    /// followed. Files with secrets are not read, but it is seen that they could be.
    ///
    /// # Errors
    /// When the file cannot be read or anything in it is wrong: then with all that is.
    pub fn load(path: impl AsRef<Path>, environment: &Environment) -> Result<Self, ConfigError> {
        load::load(path.as_ref(), environment)
    }

    /// Reads a configuration from text that is not, or not yet, in the file `path`: relative paths are relative to the
    /// directory of `path`, and the files that it names are looked up in `files`.
    ///
    /// # Errors
    /// When anything in it is wrong: then with all that is.
    pub fn parse(
        text: &str,
        path: &Path,
        files: &dyn FileLookup,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        load::parse(text, path, path, files, environment)
    }
}
