//! What is tracked, of all that could be.

use std::collections::{BTreeMap, BTreeSet};

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::holds::ProjectHolds;
use crate::bst::inventory::{Inventory, InventoryElement};
use crate::bst::project_files::ProjectFiles;
use crate::config::SelectConfig;
use crate::names::ElementName;
use crate::report::{HoldReport, LeftOutElement, LeftOutReason};

/// The elements to track, and those that could be tracked and are left out. Who knows of further ones that need not be
/// tracked leaves them out too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TrackSelection {
    to_track: BTreeSet<ElementName>,
    left_out: BTreeMap<ElementName, LeftOutElement>,
}

impl TrackSelection {
    /// All of the candidates.
    pub(super) fn all(candidates: impl IntoIterator<Item = ElementName>) -> Self {
        Self { to_track: candidates.into_iter().collect(), left_out: BTreeMap::new() }
    }

    /// Leaves out those of the elements still to track for which there is a reason.
    pub(super) fn leave_out(&mut self, mut reason: impl FnMut(&ElementName) -> Option<LeftOutElement>) {
        self.to_track.retain(|element| match reason(element) {
            Some(left_out) => {
                self.left_out.insert(element.clone(), left_out);
                false
            }
            None => true,
        });
    }

    /// The elements to track.
    pub(super) fn to_track(&self) -> &BTreeSet<ElementName> {
        &self.to_track
    }

    /// Those that are left out, by name, each with its reason.
    pub(super) fn into_left_out(self) -> Vec<LeftOutElement> {
        self.left_out.into_values().collect()
    }

    /// Whether nothing is left out.
    pub(super) fn is_everything(&self) -> bool {
        self.left_out.is_empty()
    }
}

/// An element that a hold means.
pub(super) fn held(element: &ElementName, hold: &HoldReport) -> LeftOutElement {
    LeftOutElement { note: hold.reason.clone(), ..LeftOutElement::new(element.clone(), LeftOutReason::Held) }
}

/// Of the candidates, those that `select` means and that no hold does.
pub(super) fn select(
    candidates: impl IntoIterator<Item = ElementName>,
    inventory: &Inventory,
    files: &ProjectFiles,
    config: &SelectConfig,
    holds: &ProjectHolds,
) -> Result<TrackSelection, globset::Error> {
    let mut selection = TrackSelection::all(candidates);
    selection.leave_out(|element| holds.of(element).map(|hold| held(element, hold)));
    if !config.is_everything() {
        let filter = SelectFilter::new(config)?;
        let known: BTreeMap<_, _> = inventory.elements.iter().map(|known| (&known.name, known)).collect();
        selection.leave_out(|element| {
            let selected = filter.means(element, known.get(element).copied(), files);
            (!selected).then(|| LeftOutElement::new(element.clone(), LeftOutReason::NotSelected))
        });
    }
    Ok(selection)
}

/// `select`, compiled; none where a key says nothing.
struct SelectFilter {
    urls: Option<GlobSet>,
    kinds: Option<GlobSet>,
    elements: Option<GlobSet>,
}

impl SelectFilter {
    fn new(config: &SelectConfig) -> Result<Self, globset::Error> {
        let set = |globs: &[String]| {
            let mut builder = GlobSetBuilder::new();
            for glob in globs {
                builder.add(Glob::new(glob)?);
            }
            (!globs.is_empty()).then(|| builder.build()).transpose()
        };
        Ok(Self { urls: set(&config.urls)?, kinds: set(&config.kinds)?, elements: set(&config.elements)? })
    }

    /// Whether an element is meant: its name is, and one of its sources is. What bst says of its sources and what the
    /// files say are both believed: an element too many is tracked for nothing, and one too few would be missed.
    fn means(&self, element: &ElementName, known: Option<&InventoryElement>, files: &ProjectFiles) -> bool {
        if self.elements.as_ref().is_some_and(|names| !names.is_match(element.as_str())) {
            return false;
        }
        if self.urls.is_none() && self.kinds.is_none() {
            return true;
        }
        let told = known.and_then(|known| known.sources.as_ref()).into_iter().flatten();
        told.map(|source| (Some(source.kind.as_str()), source.url.as_deref()))
            .any(|(kind, url)| self.means_source(kind, url, files))
            || files
                .written_sources(element)
                .iter()
                .any(|(kind, url)| self.means_source(kind.as_deref(), url.as_deref(), files))
    }

    fn means_source(&self, kind: Option<&str>, url: Option<&str>, files: &ProjectFiles) -> bool {
        let is_kind = |kinds: &GlobSet| kind.is_some_and(|kind| kinds.is_match(kind));
        let is_url = |urls: &GlobSet| url.is_some_and(|url| urls.is_match(url) || urls.is_match(files.resolved(url)));
        self.kinds.as_ref().is_none_or(is_kind) && self.urls.as_ref().is_none_or(is_url)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// A project as people write it: `tracked` by option, an include, a junction.
    fn project() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let files = [
            (
                "project.conf",
                "name: p\naliases:\n  gnome: https://gitlab.gnome.org/GNOME/\n  up: https://up.example/\n",
            ),
            ("a.bst", "kind: meson\nsources:\n- kind: git_repo\n  url: gnome:a.git\n"),
            ("tar.bst", "kind: meson\nsources:\n- kind: tar\n  url: gnome:t.tar.gz\n"),
            (
                "arch.bst",
                "kind: meson\n(?):\n- arch == 'x':\n    sources:\n    - kind: git_repo\n      url: gnome:x.git\n",
            ),
            ("inc.bst", "kind: meson\n(@): inc.yml\n"),
            ("inc.yml", "sources:\n- kind: git_repo\n  url: up:inc.git\n"),
            ("mixed.bst", "kind: m\nsources:\n- kind: tar\n  url: gnome:m\n- kind: git_repo\n  url: up:m.git\n"),
            ("all.bst", "kind: stack\n"),
        ];
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    const ELEMENTS: [&str; 6] = ["a.bst", "tar.bst", "arch.bst", "inc.bst", "mixed.bst", "all.bst"];

    fn tracked(directory: &Path, config: &SelectConfig, inventory: &Inventory) -> Vec<String> {
        let candidates = ELEMENTS.map(|name| name.parse().unwrap());
        let files = ProjectFiles::new(directory);
        let selection = select(candidates, inventory, &files, config, &ProjectHolds::default()).unwrap();
        assert_eq!(selection.to_track().len() + selection.clone().into_left_out().len(), ELEMENTS.len());
        let names: Vec<_> = ELEMENTS.into_iter().map(str::to_owned).collect();
        names.into_iter().filter(|name| selection.to_track().iter().any(|one| one.as_str() == name)).collect()
    }

    fn config(urls: &[&str], kinds: &[&str], elements: &[&str]) -> SelectConfig {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        SelectConfig { urls: list(urls), kinds: list(kinds), elements: list(elements) }
    }

    #[test]
    fn urls_kinds_and_names_select() {
        let directory = project();
        let tracked = |config| tracked(directory.path(), &config, &Inventory::default());
        assert_eq!(tracked(config(&[], &[], &[])), ELEMENTS);
        assert_eq!(tracked(config(&["gnome:*"], &[], &[])), ["a.bst", "tar.bst", "arch.bst", "mixed.bst"]);
        assert_eq!(tracked(config(&["https://up.example/*"], &[], &[])), ["inc.bst", "mixed.bst"]);
        assert_eq!(
            tracked(config(&["gnome:*"], &["git_repo"], &[])),
            ["a.bst", "arch.bst"],
            "of one and the same source"
        );
        assert_eq!(tracked(config(&[], &["tar", "docker"], &["t*", "m*"])), ["tar.bst", "mixed.bst"]);
        assert_eq!(tracked(config(&["nowhere:*"], &[], &[])), Vec::<String>::new());
    }

    #[test]
    fn what_bst_says_of_a_source_counts_too() {
        let directory = project();
        // Its url comes from a variable.
        fs::write(directory.path().join("all.bst"), "kind: meson\nsources:\n- kind: tar\n  url: '%{u}'\n").unwrap();
        let text = r#"{"elements": [{"name": "all.bst", "has-refs": true,
            "sources": [{"kind": "tar", "url": "https://var.example/x.tar"}]}]}"#;
        let inventory = serde_json::from_str(text).unwrap();
        assert_eq!(tracked(directory.path(), &config(&["*var.example*"], &[], &[]), &inventory), ["all.bst"]);
    }

    #[test]
    fn what_is_left_out_first_keeps_its_reason() {
        let mut selection = TrackSelection::all(["a.bst", "b.bst"].map(|name| name.parse().unwrap()));
        let reason = |why| move |name: &ElementName| Some(LeftOutElement::new(name.clone(), why));
        selection.leave_out(|name| (name.as_str() == "a.bst").then(|| reason(LeftOutReason::Held)(name)).flatten());
        selection.leave_out(reason(LeftOutReason::NotSelected));
        assert!(selection.to_track().is_empty() && !selection.is_everything());
        let why: Vec<_> = selection.into_left_out().into_iter().map(|left_out| left_out.why).collect();
        assert_eq!(why, [LeftOutReason::Held, LeftOutReason::NotSelected]);
    }
}
