//! What was left out of tracking because nothing moved upstream, as data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::names::ElementName;

/// What upstreams were asked before tracking, and what that spared.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TrackProbes {
    /// How many things were to be known of upstreams; what another branch had asked already is among them.
    pub asked: u64,
    /// To how many of them there is an answer that can be believed.
    pub answered: u64,
    /// Seconds of wall time until all answers were there.
    pub seconds: f64,
    /// The elements that were not tracked, for it was known what that would find, and it is in the checkout.
    pub left_out: u64,
    /// The files that were written to that end.
    pub written: u64,
    /// The elements that were tracked, by the reason for it.
    pub tracked: BTreeMap<String, u64>,
    /// Of these, those of which it was known what would be found.
    pub proved: u64,
    /// Those of them of which that was wrong.
    pub missed: Vec<ElementName>,
}

impl TrackProbes {
    /// What there is to remark of it.
    pub(crate) fn note(&self) -> Option<String> {
        if self.left_out == 0 {
            return None;
        }
        let tracked: Vec<_> = self.tracked.iter().map(|(reason, count)| format!("{count} ({reason})")).collect();
        let tracked = if tracked.is_empty() { String::new() } else { format!("; tracked: {}", tracked.join(", ")) };
        Some(format!("left out: {} (nothing moved){tracked}", self.left_out))
    }
}
