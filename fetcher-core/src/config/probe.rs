//! `[probe]`: asking upstreams what moved.

use std::collections::BTreeMap;
use std::time::Duration;

use super::declare::{FromConfigTable as _, config_table, config_words};
use super::keys::KeyDefault::Value;
use super::keys::{KeyDeclaration, MinimumDuration, TableDeclaration, ValueKind};

pub(super) static PROBE: TableDeclaration = TableDeclaration { keys: ProbeConfig::KEYS, ..TableDeclaration::EMPTY };

config_table! {
    /// `[probe]`: asking upstreams what moved, before anything is tracked.
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct ProbeConfig {
        /// Whether upstreams are asked. `"auto"`: wherever what they say may be believed, and everything else is
        /// tracked. `"off"`: everything is tracked.
        mode: ProbeMode = KeyDeclaration::new("mode", ValueKind::Word(ProbeMode::WORDS), Value("\"auto\""), "\"off\"");
        /// How many requests are under way at once.
        concurrency: usize = KeyDeclaration::new("concurrency", ValueKind::Number(1, 256), Value("32"), "8");
        /// How many of these to one host.
        per_host: usize = KeyDeclaration::new("per-host", ValueKind::Number(1, 64), Value("6"), "2");
        /// Within this time everything that was left out is really tracked once, a share in each run, so that an
        /// upstream whose answers mislead is found.
        full_track_after: Duration = KeyDeclaration::new("full-track-after", ValueKind::Time(MinimumDuration::Second), Value("\"7d\""), "\"1d\"");
        /// Source plugins of a project's own, each with the known kind that it tracks like.
        kinds: BTreeMap<String, String> = KeyDeclaration::new("kinds", ValueKind::Map(&ValueKind::Text), Value("{}"), "{ my_git = \"git_repo\" }");
    }
}

config_words! {
    /// Whether upstreams are asked what moved, so that the rest need not be tracked.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum ProbeMode {
        /// Wherever what they say may be believed.
        #[default]
        Auto = "auto",
        /// Never: everything is tracked.
        Off = "off",
    }
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            mode: ProbeMode::Auto,
            concurrency: 32,
            per_host: 6,
            full_track_after: Duration::from_secs(7 * 24 * 60 * 60),
            kinds: BTreeMap::new(),
        }
    }
}
