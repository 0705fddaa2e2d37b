//! The configuration as it is meant: every default filled in, every path absolute, every `${NAME}` replaced.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::declare::config_root;
use self::keys::KeyDefault::{Value, Words};
use self::keys::{KeyDeclaration, MinimumDuration, ValueKind};
use crate::environment::Environment;
use crate::names::TrustName;
use crate::secret::Secret;

mod build;
mod buildstream;
mod declare;
mod files;
mod keys;
mod last_good;
mod load;
mod notify;
mod probe;
mod problem;
mod project;
mod project_git;
mod project_sandbox;
mod publish;
mod reader;
mod schema;
mod secrets;
mod selection;
mod self_update;
mod serve;
mod show;
mod source_cache;
mod sources;
mod tables;
#[cfg(test)]
mod tests;
mod value;
mod weekly;

pub use buildstream::{BuildStreamConfig, BuildStreamTool};
pub(crate) use files::LARGEST;
pub use files::{DiskFiles, FileLookup, FileStatus};
pub use notify::{
    CommandConfig, CommitStatusConfig, EmailConfig, HealthcheckConfig, IrcConfig, NotifierConfig, NotifyOn,
    NotifyTarget, StatusForge, UploadConfig, WebhookConfig, WebhookFormat, ZulipConfig,
};
pub use probe::{ProbeConfig, ProbeMode};
pub use problem::{ConfigError, ConfigProblem};
pub use project::{DependencyScope, OnError, ProjectConfig, PushMode};
pub use publish::{
    CommitFormat, ElementGroup, ForgeKind, GitHubApp, HumanCommitPolicy, MovedTagPolicy, PublishConfig, PublishMode,
    PublishSelection, RenamedTagPolicy, RequestScope,
};
pub use schema::schema;
pub use selection::{AllowFailure, HoldConfig, SelectConfig, VariantConfig};
pub use self_update::SelfUpdateConfig;
pub use serve::{ServeConfig, ServeTls};
pub use source_cache::SourceCacheConfig;
pub use sources::{UserConfigDirectory, choose_file};
pub use weekly::WeeklySchedule;

config_root! {
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
    ///
    /// Sizes are in bytes.
    #[derive(Debug, Clone)]
    #[non_exhaustive]
    pub struct Config {
        /// The memory between runs, and the runs' directories.
        state_dir: PathBuf = KeyDeclaration::new("state-dir", ValueKind::Path, Words("`$STATE_DIRECTORY`, else `$XDG_STATE_HOME/bst-fetcher`, else `~/.local/state/bst-fetcher`"), "\"/var/lib/bst-fetcher\"");
        /// Mirrors, checkouts, BuildStream's `cachedir` and `sourcedir`, managed environments.
        cache_dir: PathBuf = KeyDeclaration::new("cache-dir", ValueKind::Path, Words("`$CACHE_DIRECTORY`, else `$XDG_CACHE_HOME/bst-fetcher`, else `~/.cache/bst-fetcher`"), "\"/var/cache/bst-fetcher\"");
        /// How many branches are worked on at once.
        jobs: NonZeroUsize = KeyDeclaration::new("jobs", ValueKind::Number(1, 256), Value("2"), "4");
        /// The free space that the file systems of `state-dir` and `cache-dir` have to have. Below it things are
        /// removed until there is enough: what killed programs left, what is old, then checkouts and mirrors, which
        /// are made anew (the run tells it). If that is not enough the run fails before anything is half-fetched.
        /// `git` and `bst` are stopped before they use it up. Set it to what your projects' sources need.
        min_free_space: u64 = KeyDeclaration::new("min-free-space", ValueKind::Size, Value("\"1G\""), "\"10G\"");
        /// How long the directories of past runs, with their logs, are kept; and how long what a configuration no
        /// longer names: mirrors, checkouts, environments, the memory of branches.
        keep_runs: Duration = KeyDeclaration::new("keep-runs", ValueKind::Time(MinimumDuration::Zero), Value("\"30d\""), "\"7d\"");
        /// How much the logs of all runs may take in `state-dir`, and again in `publish-dir`. Beyond it those of the
        /// oldest runs go first; the newest run keeps its own.
        keep_logs: u64 = KeyDeclaration::new("keep-logs", ValueKind::Size, Value("\"2G\""), "\"500M\"");
        /// For how long another run may hold the lock before those who are notified hear of it. A run that finds the
        /// lock held by a younger one ends in silence.
        lock_alarm_after: Duration = KeyDeclaration::new("lock-alarm-after", ValueKind::Time(MinimumDuration::Second), Value("\"24h\""), "\"6h\"");
        /// Where status pages and logs are written, for any web server.
        publish_dir: Option<PathBuf> = KeyDeclaration::new("publish-dir", ValueKind::Path, Words("no pages"), "\"/var/www/fetcher\"");
        /// Where people find `publish-dir`: what links in notifications begin with.
        base_url: Option<String> = KeyDeclaration::new("base-url", ValueKind::Url(&["https", "http"]), Words("no links"), "\"https://fetcher.example.org/\"");
        /// A textfile for Prometheus's node exporter; its name has to end in `.prom` there.
        metrics_file: Option<PathBuf> = KeyDeclaration::new("metrics-file", ValueKind::Path, Words("no metrics"), "\"/var/lib/prometheus/node-exporter/bst-fetcher.prom\"");
        /// How long "nothing changed" may skip fetch and push, and what was proved to be in the caches may go
        /// unasked. Asking keeps it from expiring there: a cache that drops what nobody asks for needs less.
        refresh_after: Duration = KeyDeclaration::new("refresh-after", ValueKind::Time(MinimumDuration::Zero), Value("\"24h\""), "\"12h\"");
        /// Within which time a `bst` with empty caches, and with no way to any upstream, is to have fetched from the
        /// source caches all that is pushed to them, or from the local cache all that is fetched where nothing is
        /// pushed: a share in each run.
        clean_client_every: Option<Duration> = KeyDeclaration::new("clean-client-every", ValueKind::Time(MinimumDuration::Second), Words("never"), "\"7d\"");
    }
    beside {
        /// The file that it was read from, absolute.
        pub path: PathBuf;
        /// What is worth a remark but stops nothing, in the order of the lines.
        pub warnings: Vec<ConfigProblem>;
        /// The digest of the file's text, to know a change by.
        pub digest: String;
        /// `[probe]`.
        pub probe: ProbeConfig;
        /// `[self-update]`.
        pub self_update: SelfUpdateConfig;
        /// `[[project]]`, `[defaults]` merged in; no two have the same name.
        pub projects: Vec<ProjectConfig>;
        /// `[[notify]]`.
        pub notify: Vec<NotifierConfig>;
        /// `[upload]`: where pages and logs are sent to.
        pub upload: Option<UploadConfig>;
        /// `[serve]`.
        pub serve: ServeConfig;
        /// Every value with where it came from.
        effective: value::ConfigTable;
        /// The secrets that environment variables put into it.
        secret_variables: Vec<Secret>;
    }
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
