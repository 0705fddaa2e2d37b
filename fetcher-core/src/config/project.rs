//! What is configured for one project.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::buildstream::{BUILDSTREAM, BuildStreamConfig};
use super::declare::{FromConfigNode, FromConfigTable as _, config_table, config_word_names, config_words};
use super::keys::KeyDefault::{Required as Must, Value, Words};
use super::keys::{KeyDeclaration, MinimumDuration, TableDeclaration, ValueKind};
use super::probe::ProbeMode;
use super::project_git::GIT;
use super::project_sandbox::{CREDENTIALS, SANDBOX};
use super::publish::{ElementGroup, GROUP, PUBLISH, PublishConfig};
use super::selection::{ALLOW_FAILURE, AllowFailure, HOLD, HoldConfig, SELECT, SelectConfig, VARIANT, VariantConfig};
use super::source_cache::{SOURCE_CACHE, SourceCacheConfig};
use super::value::{ConfigNode, ConfigValue};
use super::{Config, ConfigError, DiskFiles};
use crate::environment::Environment;
use crate::git::GitAccess;
use crate::names::{ProjectName, Refs, TrustName};
use crate::runner::{SandboxOptions, UpstreamCredentials};

pub(super) static PROJECT: TableDeclaration =
    TableDeclaration { keys: ProjectConfig::KEYS, layered: true, ..TableDeclaration::EMPTY };

pub(super) static DEFAULTS: TableDeclaration =
    TableDeclaration { keys: ProjectConfig::KEYS, layered: true, ..TableDeclaration::EMPTY };

config_word_names! {
    REFS: Refs {
        Committed = "committed",
        Tracked = "tracked",
    }
}

config_table! {
    /// One `[[project]]`.
    #[derive(Debug, Clone, PartialEq)]
    #[non_exhaustive]
    pub struct ProjectConfig {
        /// What the project is called in reports, on pages and on the command line.
        name: ProjectName = KeyDeclaration::new("name", ValueKind::Name, Words("the last part of `url` without `.git`"), "\"other\"");
        /// Whose caches the project uses. What one project's plugins write there, the others believe; so only
        /// projects that name the same share BuildStream's cache and its mirrors of upstreams. A project that is
        /// renamed keeps its caches by naming here what it was called.
        trust: Option<TrustName> = KeyDeclaration::new("trust", ValueKind::Name, Words("the project's own `name`"), "\"gnome\"");
        /// The project's git repository: https, http, ssh, git, file, `user@host:path`, or a path.
        url: String = KeyDeclaration::new("url", ValueKind::Repository, Must, "\"https://git.example.org/other.git\"");
        /// The branches to fetch: names or globs.
        branches: Vec<String> = KeyDeclaration::new("branches", ValueKind::List(&ValueKind::Branches, 0), Words("the remote's HEAD"), "[\"master\", \"release/*\"]");
        /// Branches that are left out although `branches` names them.
        exclude_branches: Vec<String> = KeyDeclaration::new("exclude-branches", ValueKind::List(&ValueKind::Branches, 0), Value("[]"), "[\"release/1*\"]");
        /// Where `project.conf` is, inside the repository.
        directory: PathBuf = KeyDeclaration::new("directory", ValueKind::InnerPath, Value("\".\""), "\"sdk\"");
        /// The elements to track, fetch and push.
        targets: Vec<String> = KeyDeclaration::new("targets", ValueKind::List(&ValueKind::Element, 0), Words("the project's own default targets"), "[\"components.bst\"]");
        /// Which dependencies of the targets too, in bst's words.
        deps: DependencyScope = KeyDeclaration::new("deps", ValueKind::Word(DependencyScope::WORDS), Value("\"all\""), "\"build\"");
        /// Elements that are left out, with what only they depend on.
        except: Vec<String> = KeyDeclaration::new("except", ValueKind::List(&ValueKind::Element, 0), Value("[]"), "[\"broken.bst\"]");
        /// Whether elements of subprojects are tracked too; they need `ref-storage: project.refs`.
        cross_junctions: bool = KeyDeclaration::new("cross-junctions", ValueKind::Bool, Value("false"), "true");
        /// The project's options. Booleans and numbers are written as BuildStream expects them, a list is for an
        /// option of type flags.
        options: BTreeMap<String, String> = KeyDeclaration::new("options", ValueKind::Map(&ValueKind::OptionValue), Value("{}"), "{ target_arch = \"x86_64\" }");
        /// Option sets: the stages run once for each, because what a project fetches may depend on its options.
        variants: Vec<VariantConfig> = KeyDeclaration::new("variants", ValueKind::Tables(&VARIANT), Value("[]"), "[{ name = \"arm\", options = { target_arch = \"aarch64\" } }]");
        /// Whether the repository's submodules are checked out, recursively.
        submodules: bool = KeyDeclaration::new("submodules", ValueKind::Bool, Value("true"), "false");
        /// What a clean checkout needs before bst can load the project. It is run in the directory of `project.conf`,
        /// with bst's environment and within `timeout`, once for each tip and command; what it adds or changes in the
        /// checkout is kept, and put back without running it again. `run --force` runs it anew.
        prepare: Vec<String> = KeyDeclaration::new("prepare", ValueKind::CheckoutCommand, Value("[]"), "[\"make\", \"-C\", \"files/boot-keys\", \"generate-keys\", \"IMPORT_MODE=snakeoil\"]");
        /// What is tracked, of the targets and their dependencies; all of it where nothing is said. What is left out
        /// is fetched and pushed with the ref that it has.
        select: SelectConfig = KeyDeclaration::new("select", ValueKind::Table(&SELECT), Value("{}"), "{ urls = [\"gnome:*\"], kinds = [\"git_repo\"] }");
        /// What is not tracked, and why. Lines of `.bstignore` beside `project.conf` are holds too: the name of an
        /// element, or of a file that elements include, and after `#` the reason.
        holds: Vec<HoldConfig> = KeyDeclaration::new("hold", ValueKind::Tables(&HOLD), Value("[]"), "[{ element = \"components/qemu.bst\", reason = \"needs qemu.qmp\", until = 2027-01-31 }]");
        /// Which refs are fetched and pushed: those that the branch's tip has, which people build; and those that
        /// tracking finds. The committed ones come first.
        refs: BTreeSet<Refs> = KeyDeclaration::new("refs", ValueKind::List(&ValueKind::Word(REFS), 1), Value("[\"committed\", \"tracked\"]"), "[\"committed\"]");
        /// Whether new refs are looked for upstream. `false` leaves the committed ones alone.
        track: bool = KeyDeclaration::new("track", ValueKind::Bool, Value("true"), "false");
        /// Whether sources are fetched.
        fetch: bool = KeyDeclaration::new("fetch", ValueKind::Bool, Value("true"), "false");
        /// Whether sources are pushed. `"auto"`: where a source cache has `push = true`; `true`: also where only the
        /// project's own configuration names such a cache.
        push: PushMode = KeyDeclaration::new("push", ValueKind::BoolOr(&["auto"]), Value("\"auto\""), "true");
        /// Whether the source caches are asked for every blob of what was pushed; where nothing is pushed, whether
        /// the local cache is looked through for what was fetched.
        verify: bool = KeyDeclaration::new("verify", ValueKind::Bool, Value("true"), "false");
        /// How long one stage may take.
        timeout: Duration = KeyDeclaration::new("timeout", ValueKind::Time(MinimumDuration::Second), Value("\"2h\""), "\"90m\"");
        /// How many more times a stage is tried that failed of something a retry can mend.
        retries: u32 = KeyDeclaration::new("retries", ValueKind::Number(0, 100), Value("2"), "5");
        /// The wait before the first retry; it doubles with each.
        retry_delay: Duration = KeyDeclaration::new("retry-delay", ValueKind::Time(MinimumDuration::Zero), Value("\"30s\""), "\"1m\"");
        /// What bst does when an element fails, in bst's words.
        on_error: OnError = KeyDeclaration::new("on-error", ValueKind::Word(OnError::WORDS), Value("\"continue\""), "\"quit\"");
        /// What may fail: `true` for all of the project, or a table. Such failures are told and shown as allowed, and
        /// count neither in the branch's result nor in the exit status. What is the matter with this host or with a
        /// source cache counts all the same.
        allow_failure: AllowFailure = KeyDeclaration::new("allow-failure", ValueKind::BoolOrTable(&ALLOW_FAILURE), Value("false"), "{ elements = [\"experimental/*\"] }");
        key {
            /// Merged into this project's `buildstream.conf`, over `[buildstream] config`.
            key = KeyDeclaration::new("config", ValueKind::Free, Value("{}"), "{ scheduler = { fetchers = 4 } }");
        }
        then {
            /// Whether upstreams are asked what moved, so that the rest need not be tracked.
            probe: Option<ProbeMode> = KeyDeclaration::new("probe", ValueKind::Word(ProbeMode::WORDS), Words("`probe.mode`"), "\"off\"");
            /// How the repository and its submodules are reached.
            git: GitAccess = KeyDeclaration::new("git", ValueKind::Table(&GIT), Value("{}"), "{ username = \"me\" }");
            /// Remote source caches, with BuildStream's own keys.
            source_caches: Vec<SourceCacheConfig> = KeyDeclaration::new("source-caches", ValueKind::Tables(&SOURCE_CACHE), Value("[]"), "[{ url = \"https://cache.example.org:11001\" }]");
            /// The keys of `[buildstream]` for this project alone, as for an old branch that needs BuildStream 1.
            buildstream: BuildStreamConfig = KeyDeclaration::new("buildstream", ValueKind::Table(&BUILDSTREAM), Words("as `[buildstream]`"), "{ command = [\"/opt/bst-1.6/bin/bst\"] }");
            /// What becomes of tracked refs once their sources are cached.
            publish: PublishConfig = KeyDeclaration::new("publish", ValueKind::Table(&PUBLISH), Value("{}"), "{ mode = \"branch\" }");
            /// Elements that are published all at once, in one commit, or not at all.
            groups: Vec<ElementGroup> = KeyDeclaration::new("group", ValueKind::Tables(&GROUP), Value("[]"), "[{ name = \"core\", elements = [\"sdk.bst\"] }]");
            /// The keys of `[sandbox]` for this project alone.
            sandbox: SandboxOptions = KeyDeclaration::new("sandbox", ValueKind::Table(&SANDBOX), Words("as `[sandbox]`"), "{ mode = \"off\" }");
            /// What the project's upstreams ask for: files that are shown to this project's `bst` alone, since the
            /// sandbox hides those in the home of the user.
            credentials: UpstreamCredentials = KeyDeclaration::new("credentials", ValueKind::Table(&CREDENTIALS), Value("{}"), "{ netrc = \"upstreams.netrc\" }");
        }
    }
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

config_words! {
    /// `deps`: which dependencies of the targets are meant. The words are bst's `--deps` of 2.x.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[non_exhaustive]
    pub enum DependencyScope {
        /// The targets alone.
        None = "none",
        /// Build dependencies.
        Build = "build",
        /// Run-time dependencies.
        Run = "run",
        /// All dependencies.
        #[default]
        All = "all",
    }
}

config_words! {
    /// `on-error`: what bst does when an element fails. The words are bst's.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[non_exhaustive]
    pub enum OnError {
        /// Go on with the elements that do not depend on it.
        #[default]
        Continue = "continue",
        /// Start nothing new.
        Quit = "quit",
        /// Stop what is under way.
        Terminate = "terminate",
    }
}

/// `push`: whether sources are pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PushMode {
    /// `"auto"`: where a source cache has `push = true`.
    #[default]
    Auto,
    /// `true`: always, also where only the project's own configuration names a cache that takes pushes.
    Always,
    /// `false`.
    Never,
}

impl FromConfigNode for PushMode {
    fn from_node(node: Option<&ConfigNode>) -> Option<Self> {
        match &node?.value {
            ConfigValue::Bool(true) => Some(Self::Always),
            ConfigValue::Bool(false) => Some(Self::Never),
            ConfigValue::Text(_) => Some(Self::Auto),
            _ => None,
        }
    }
}
