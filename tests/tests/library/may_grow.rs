//! The library can grow without breaking those who use it: what of its public types has public fields or variants is
//! `#[non_exhaustive]`, but for a few that are named here.
//!
//! What is public is in the listing that rustdoc's output is compared with, by `.ci/public-api`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Types that are as they are, and why.
const CLOSED: &[(&str, &str)] = &[
    ("fetcher_core::Refs", "a branch's refs are its own or newer ones; no third sort can be"),
    ("fetcher_core::diagnosis::Retry", "not, once, or as often as it takes"),
    ("fetcher_core::diagnosis::Specificity", "an order with a least and a greatest"),
    ("fetcher_core::runner::OutputMode", "two streams are together or apart"),
    ("fetcher_core::runner::OutputStream", "a process has two"),
    ("fetcher_core::fetcher::LogForm", "a log is text or a page"),
    ("fetcher_core::bst::environment::EnvironmentSpec", "arguments: whoever calls says each of them"),
    ("fetcher_core::fetcher::MetricsWriter", "arguments: whoever calls says each of them"),
    ("fetcher_core::fetcher::SitePublisher", "arguments: whoever calls says each of them"),
    ("fetcher_core::fetcher::SiteUpload", "arguments: whoever calls says each of them"),
];

/// The listing's types with public fields or variants, and whether each may grow.
fn open_types(listing: &str) -> BTreeMap<&str, bool> {
    let owners: BTreeSet<&str> = listing
        .lines()
        .filter_map(|line| line.strip_prefix("field ")?.split(": ").next()?.rsplit_once('.'))
        .map(|(owner, _)| owner)
        .collect();
    let mut types = BTreeMap::new();
    for line in listing.lines() {
        let may_grow = line.ends_with(" (may grow)");
        let line = line.trim_end_matches(" (may grow)");
        if let Some(name) = line.strip_prefix("enum ") {
            types.insert(name, may_grow);
        } else if let Some(name) = line.strip_prefix("struct ").filter(|name| owners.contains(name)) {
            types.insert(name, may_grow);
        }
    }
    types
}

#[test]
fn public_types_may_grow() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fetcher-core/public-api.txt");
    let listing = fs::read_to_string(path).expect("the listing of what is public");
    let types = open_types(&listing);
    assert!(types.len() > 150, "{} types are few: is the listing read rightly?", types.len());
    let closed: BTreeSet<&str> = types.iter().filter(|(_, may_grow)| !**may_grow).map(|(name, _)| *name).collect();
    let named: BTreeSet<&str> = CLOSED.iter().map(|(name, _)| *name).collect();
    let unnamed: Vec<_> = closed.difference(&named).collect();
    assert!(unnamed.is_empty(), "add #[non_exhaustive], or name them with the reason: {unnamed:#?}");
    let needless: Vec<_> = named.difference(&closed).collect();
    assert!(needless.is_empty(), "these may grow, or are gone: {needless:#?}");
}

#[test]
fn what_is_closed_is_seen() {
    let listing = "enum a::E\nvariant a::E::V\nenum a::F (may grow)\nfield a::S.x: u8\nstruct a::S\nstruct a::T\n";
    assert_eq!(open_types(listing), BTreeMap::from([("a::E", false), ("a::F", true), ("a::S", false)]));
}
