//! What is configured for BuildStream and for one project.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use globset::GlobBuilder;
use jiff::civil::Date;
use serde_json::{Map, Value};

use super::ProbeMode;
use super::publish::{ElementGroup, PublishConfig};
use crate::environment::Environment;
use crate::git::GitAccess;
use crate::names::{ElementName, ProjectName, Refs, TrustName, VariantName};
use crate::runner::{SandboxOptions, UpstreamCredentials};

use super::{Config, ConfigError, DiskFiles};

/// `[buildstream]`, or `[project.buildstream]` where a project has its own.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildStreamConfig {
    /// Where `bst` comes from.
    pub tool: BuildStreamTool,
    /// Variables of the caller's environment that children get beside the usual ones.
    pub pass_environment: Vec<String>,
    /// `config`: merged into the generated `buildstream.conf`, a project's `config` over the program's.
    pub config: Map<String, Value>,
}

/// Where `bst` comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildStreamTool {
    /// Nothing was said: `bst` where it is usable, else a managed environment of the default requirements.
    Default {
        /// The Python interpreter that makes the environment.
        python: String,
    },
    /// `command`: the program and its first arguments. A relative path with a slash in it is made absolute.
    Command(Vec<String>),
    /// `requirements`: a managed environment.
    Requirements {
        /// The text of a pip requirements file.
        requirements: String,
        /// The Python interpreter that makes the environment.
        python: String,
        /// The directory that relative paths inside the requirements are relative to.
        directory: PathBuf,
    },
}

/// One `[[project]]`.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own in the file")]
pub struct ProjectConfig {
    /// `name`, or the last part of the url without `.git`.
    pub name: ProjectName,
    /// `trust`: whose caches it uses; none for its own ([`ProjectConfig::trust`]).
    pub trust: Option<TrustName>,
    /// `url`, absolute where it was a path.
    pub url: String,
    /// `branches`: names and globs; empty for the remote's HEAD.
    pub branches: Vec<String>,
    /// `exclude-branches`: names and globs.
    pub exclude_branches: Vec<String>,
    /// `directory`: where `project.conf` is, relative to the repository's top.
    pub directory: PathBuf,
    /// `targets`; empty for the project's default targets.
    pub targets: Vec<String>,
    /// `deps`.
    pub deps: DependencyScope,
    /// `except`.
    pub except: Vec<String>,
    /// `cross-junctions`.
    pub cross_junctions: bool,
    /// `options`, by name.
    pub options: BTreeMap<String, String>,
    /// `variants`; empty where the stages run once with `options` alone.
    pub variants: Vec<VariantConfig>,
    /// `submodules`.
    pub submodules: bool,
    /// `prepare`: what is run in a clean checkout before bst is; empty for nothing.
    pub prepare: Vec<String>,
    /// `select`: what is tracked, of the targets and their dependencies.
    pub select: SelectConfig,
    /// `hold`: what is not tracked, and why.
    pub holds: Vec<HoldConfig>,
    /// `refs`: which refs are fetched and pushed.
    pub refs: BTreeSet<Refs>,
    /// `track`.
    pub track: bool,
    /// `fetch`.
    pub fetch: bool,
    /// `push`.
    pub push: PushMode,
    /// `verify`: whether the caches are asked for what was fetched and pushed.
    pub verify: bool,
    /// `timeout` of a stage.
    pub timeout: Duration,
    /// `retries`: how many more times a stage is tried.
    pub retries: u32,
    /// `retry-delay`: the wait before the first retry; it doubles with each.
    pub retry_delay: Duration,
    /// `on-error`.
    pub on_error: OnError,
    /// `allow-failure`: what may fail without being counted.
    pub allow_failure: AllowFailure,
    /// `probe`: whether upstreams are asked what moved; none for what `[probe]` says.
    pub probe: Option<ProbeMode>,
    /// `git`.
    pub git: GitAccess,
    /// `source-caches`.
    pub source_caches: Vec<SourceCacheConfig>,
    /// `buildstream` of the project, else of the program; the project's `config` is merged in.
    pub buildstream: BuildStreamConfig,
    /// `publish`.
    pub publish: PublishConfig,
    /// `group`.
    pub groups: Vec<ElementGroup>,
    /// `sandbox` of the project over that of the program.
    pub sandbox: SandboxOptions,
    /// `credentials`.
    pub credentials: UpstreamCredentials,
}

impl ProjectConfig {
    /// A project of which nothing is said but its `url`: all else is as the table of keys has it. Its name is the last
    /// part of the url; a path has to be absolute.
    ///
    /// # Errors
    /// When it is no address of a repository, or no name follows from it.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        let text = format!("[[project]]\nurl = {}\n", toml::Value::String(url.to_owned()));
        // What the directories are that follow from it does not matter: projects have none of their own.
        let environment = Environment::from_iter([("HOME", "/")]);
        let config = Config::parse(&text, Path::new(""), &DiskFiles, &environment)?;
        let none =
            || ConfigError::of_file(Path::new(""), "a value got lost while it was read", "report this as a fault");
        config.projects.into_iter().next().ok_or_else(none)
    }

    /// Whose caches it uses: those of projects that it shares them with, or its own by its name.
    pub fn trust(&self) -> TrustName {
        self.trust.clone().unwrap_or_else(|| TrustName::from(&self.name))
    }

    /// Whether the stages for these refs are wanted: `track = false` leaves the committed ones alone.
    pub fn wants(&self, refs: Refs) -> bool {
        match refs {
            Refs::Committed => !self.track || self.refs.contains(&Refs::Committed),
            Refs::Tracked => self.track && self.refs.contains(&Refs::Tracked),
        }
    }
}

/// One option set of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariantConfig {
    /// Its name in reports.
    pub name: VariantName,
    /// Its options, over the project's.
    pub options: BTreeMap<String, String>,
}

/// `select`: what is tracked. Each list holds names and globs; what is said in several has to be true together, and an
/// empty one says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SelectConfig {
    /// `urls`: of a source, as written (`gnome:*`) or with the alias resolved.
    pub urls: Vec<String>,
    /// `kinds`: of a source.
    pub kinds: Vec<String>,
    /// `elements`: an element's name.
    pub elements: Vec<String>,
}

impl SelectConfig {
    /// Whether nothing is left out by it.
    pub fn is_everything(&self) -> bool {
        self.urls.is_empty() && self.kinds.is_empty() && self.elements.is_empty()
    }
}

/// One `[[project.hold]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldConfig {
    /// `element`: a name or a glob.
    pub element: String,
    /// `reason`.
    pub reason: String,
    /// `until`: the last day on which it holds, by UTC.
    pub until: Option<Date>,
}

/// `deps`: which dependencies of the targets are meant. The words are bst's `--deps` of 2.x.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DependencyScope {
    /// The targets alone.
    None,
    /// Build dependencies.
    Build,
    /// Run-time dependencies.
    Run,
    /// All dependencies.
    #[default]
    All,
}

/// `push`: whether sources are pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PushMode {
    /// `"auto"`: where a source cache has `push = true`.
    #[default]
    Auto,
    /// `true`: always, also where only the project's own configuration names a cache that takes pushes.
    Always,
    /// `false`.
    Never,
}

/// `allow-failure`: what of a project may fail; it is told then, and not counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AllowFailure {
    /// `true`: all of the project.
    pub project: bool,
    /// `variants`: the option sets of which everything may fail.
    pub variants: BTreeSet<VariantName>,
    /// `elements`: names and globs.
    pub elements: Vec<String>,
}

impl AllowFailure {
    /// Whether everything of an option set may fail; of all that is not done for one, where there is none.
    pub fn includes_variant(&self, variant: Option<&VariantName>) -> bool {
        self.project || variant.is_some_and(|variant| self.variants.contains(variant))
    }

    /// Whether an element may fail by its name.
    pub fn includes_element(&self, element: &ElementName) -> bool {
        self.elements.iter().any(|pattern| {
            let glob = GlobBuilder::new(pattern).literal_separator(false).backslash_escape(true).build();
            // What is no glob is a name.
            glob.map_or(pattern == element.as_str(), |glob| glob.compile_matcher().is_match(element.as_str()))
        })
    }
}

/// `on-error`: what bst does when an element fails. The words are bst's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// Go on with the elements that do not depend on it.
    #[default]
    Continue,
    /// Start nothing new.
    Quit,
    /// Stop what is under way.
    Terminate,
}

/// One `[[project.source-caches]]`, with BuildStream's own keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceCacheConfig {
    /// `url`.
    pub url: String,
    /// `push`.
    pub push: bool,
    /// `type`: `all`, `index` or `storage`.
    pub kind: Option<String>,
    /// `instance-name`.
    pub instance_name: Option<String>,
    /// `auth`: every key of BuildStream's; paths are absolute.
    pub auth: BTreeMap<String, Value>,
    /// `connection-config`: every key of BuildStream's.
    pub connection_config: BTreeMap<String, Value>,
}
