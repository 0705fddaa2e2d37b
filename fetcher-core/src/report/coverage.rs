//! What share of a tip's sources is known to be in the cache.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{CommitId, ElementName, Refs, VariantName};

/// What of a tip's sources, with one option set and of one sort of refs, is known to be in the cache: pushed there, or
/// fetched where nothing is pushed.
///
/// What is known is what runs did, and not what a cache says now: `fetcher.refresh-after` bounds its age.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CacheCoverage {
    /// The tip.
    pub commit: CommitId,
    /// The option set; none where the project has no `variants`.
    #[serde(default)]
    pub variant: Option<VariantName>,
    /// Whether it is about the refs that the tip has, or those that tracking found.
    pub refs: Refs,
    /// The sources that could be in the cache: those with a ref, and after tracking all. An element whose sources bst
    /// could not tell counts as one.
    pub sources: u64,
    /// Those of them that are known to be there.
    pub cached: u64,
    /// The elements that have no committed ref, so that nobody can build them from the tip; they are not counted.
    #[serde(default)]
    pub without_ref: u64,
    /// The elements whose sources are not known to be there: the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<ElementName>,
    /// When it was counted.
    pub at: Timestamp,
}

impl CacheCoverage {
    /// How many of the missing elements are named.
    pub(crate) const NAMED: usize = 20;

    /// The share that is known to be in the cache, from 0 to 1; 1 where there is nothing.
    #[expect(clippy::cast_precision_loss, reason = "nobody has so many sources")]
    pub fn ratio(&self) -> f64 {
        if self.sources == 0 { 1.0 } else { self.cached as f64 / self.sources as f64 }
    }

    /// The share in percent with one digit, as in `98.9%`: rounded down, for only what is whole is 100.
    pub fn percent(&self) -> String {
        let tenths = (self.cached * 1000).checked_div(self.sources).unwrap_or(1000);
        match tenths % 10 {
            0 => format!("{}%", tenths / 10),
            rest => format!("{}.{rest}%", tenths / 10),
        }
    }

    /// For each sort of refs that is counted, the option set that lacks most.
    pub fn least<'c>(all: &'c [CacheCoverage]) -> impl Iterator<Item = &'c CacheCoverage> {
        let of = |refs| move |known: &&'c CacheCoverage| known.refs == refs;
        let least = move |refs| all.iter().filter(of(refs)).min_by(|a, b| a.ratio().total_cmp(&b.ratio()));
        [Refs::Committed, Refs::Tracked].into_iter().filter_map(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coverage(refs: Refs, cached: u64, sources: u64) -> CacheCoverage {
        let (commit, at) = ("1".repeat(40).try_into().unwrap(), Timestamp::UNIX_EPOCH);
        CacheCoverage { commit, variant: None, refs, sources, cached, without_ref: 0, missing: Vec::new(), at }
    }

    #[test]
    fn only_what_is_whole_is_a_hundred_percent() {
        let percent = |cached, sources| coverage(Refs::Committed, cached, sources).percent();
        assert_eq!(percent(9999, 10_000), "99.9%");
        assert_eq!([percent(3, 3), percent(0, 0), percent(1, 2), percent(0, 7)], ["100%", "100%", "50%", "0%"]);
    }

    #[test]
    fn of_each_sort_of_refs_the_worst_option_set_counts() {
        let all = [(Refs::Tracked, 1), (Refs::Committed, 4), (Refs::Committed, 3), (Refs::Tracked, 4)];
        let all = all.map(|(refs, cached)| coverage(refs, cached, 4));
        let least: Vec<_> = CacheCoverage::least(&all).map(|known| (known.refs, known.cached)).collect();
        assert_eq!(least, [(Refs::Committed, 3), (Refs::Tracked, 1)]);
    }
}
