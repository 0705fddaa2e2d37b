//! `[probe]`: asking upstreams what moved.

use std::collections::BTreeMap;
use std::time::Duration;

/// `[probe]`: asking upstreams what moved, before anything is tracked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeConfig {
    /// `mode`: whether upstreams are asked; a project's own `probe` goes before it.
    pub mode: ProbeMode,
    /// `concurrency`: how many requests are under way at once.
    pub concurrency: usize,
    /// `per-host`: how many of these to one host.
    pub per_host: usize,
    /// `full-track-after`: within which time everything that was left out is really tracked once.
    pub full_track_after: Duration,
    /// `kinds`: a project's own kinds of sources, with the known kind that each tracks like.
    pub kinds: BTreeMap<String, String>,
}

/// Whether upstreams are asked what moved, so that the rest need not be tracked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProbeMode {
    /// Wherever what they say may be believed.
    #[default]
    Auto,
    /// Never: everything is tracked.
    Off,
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
