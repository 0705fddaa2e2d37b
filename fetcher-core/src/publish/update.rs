//! The refs that tracking found, one by one: where each stands, whose it is, and what sort of change it is.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::bst::project_files::ProjectFiles;
use crate::bst::refs::{self, StoredKey, commit};
use crate::names::ElementName;
use crate::pipeline::ChangedFile;
use crate::report::{RefChange, TrackedRef};

/// One ref that tracking changed.
#[derive(Debug, Clone)]
pub(super) struct RefUpdate {
    /// What changed. Its url is as the file has it.
    pub(super) change: RefChange,
    /// The url with its alias resolved.
    pub(super) resolved_url: Option<String>,
    /// The file, relative to the repository's top.
    pub(super) file: PathBuf,
    /// Where in the file.
    pub(super) spot: RefSpot,
    /// The elements that get the ref.
    pub(super) elements: Vec<ElementName>,
    /// When it was first found.
    pub(super) since: Option<Timestamp>,
    /// A page that compares the two.
    pub(super) compare: Option<String>,
    /// Whether one of the elements is a junction, or may be one: what lies behind it is loaded from elsewhere.
    pub(super) is_junction: bool,
}

/// Where in a file a ref stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RefSpot {
    /// In a source of an element, or of what elements include.
    Source(String),
    /// In `project.refs` or `junction.refs`: of which element, and of which of its sources.
    Stored(StoredKey, usize),
}

/// What sort of change it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UpdateKind {
    /// Another commit, or another checksum of another address.
    Ordinary,
    /// The same commit in another form.
    FormatOnly,
    /// The same commit under another tag.
    Renamed,
    /// The same tag on another commit.
    MovedTag,
    /// Other content under the same address.
    ChangedContent,
}

/// Sources whose ref is the checksum of what is at their url.
const FIXED_KINDS: [&str; 5] = ["tar", "zip", "remote", "deb", "gem"];

impl RefUpdate {
    /// What sort of change it is.
    pub(super) fn kind(&self) -> UpdateKind {
        let (Some(old), Some(new)) = (self.change.old.as_deref(), self.change.new.as_deref()) else {
            return UpdateKind::Ordinary;
        };
        let checksum = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if self.change.kind.as_deref().is_some_and(|kind| FIXED_KINDS.contains(&kind)) {
            return if checksum(old) && checksum(new) { UpdateKind::ChangedContent } else { UpdateKind::Ordinary };
        }
        let (Some(from), Some(to)) = (commit(old), commit(new)) else { return UpdateKind::Ordinary };
        match (from == to, described(old), described(new)) {
            (true, Some((tag, _)), Some((other, _))) if tag != other => UpdateKind::Renamed,
            (true, _, _) => UpdateKind::FormatOnly,
            (false, Some((tag, 0)), Some((other, 0))) if tag == other => UpdateKind::MovedTag,
            (false, _, _) => UpdateKind::Ordinary,
        }
    }

    /// One line that says all that the update is but for the ref before it: what the same content is known by.
    pub(super) fn content(&self) -> String {
        self.content_with(self.change.new.as_deref())
    }

    /// The same line with another ref.
    pub(super) fn content_with(&self, reference: Option<&str>) -> String {
        let new = reference.unwrap_or_default();
        let spot = match &self.spot {
            RefSpot::Source(place) => place.clone(),
            RefSpot::Stored((project, element), source) => format!("{project}\0{element}\0{source}"),
        };
        format!("{}\0{spot}\0{new}\n", self.file.display())
    }
}

/// The tag of a described commit, and how many commits it is ahead of that.
pub(super) fn described(text: &str) -> Option<(&str, u64)> {
    let (front, _) = text.rsplit_once("-g")?;
    let (tag, ahead) = front.rsplit_once('-')?;
    Some((tag, ahead.parse().ok()?))
}

/// The updates in the changed files of a checkout. `inside` is where the project lies in the repository.
///
/// # Errors
/// When the elements that include a file cannot be found out.
pub(super) fn updates_of(
    project: &Path,
    inside: &Path,
    files: &[ChangedFile],
    tracked: &[TrackedRef],
) -> io::Result<Vec<RefUpdate>> {
    let known = ProjectFiles::new(project);
    let mut updates = Vec::new();
    for file in files {
        let of_file = updates_in(&known, file)?;
        updates.extend(of_file.into_iter().map(|update| RefUpdate { file: inside.join(&file.path), ..update }));
    }
    let tracked: BTreeMap<_, _> = tracked.iter().map(|found| (key(&found.change), found)).collect();
    for update in &mut updates {
        let found = tracked.get(&key(&update.change)).copied();
        update.since = found.and_then(|found| found.since);
        update.change.kind = update.change.kind.clone().or_else(|| found?.change.kind.clone());
        let url = update.change.url.as_deref().map(|url| known.resolved(url));
        update.resolved_url = url.or_else(|| found?.change.url.clone());
        // Of what lies behind a junction nobody here knows the kind.
        let is_junction = |element: &ElementName| element.as_str().contains(':') || known.is_junction(element);
        update.is_junction = update.elements.iter().any(is_junction);
        update.compare = RefChange { url: update.resolved_url.clone(), ..update.change.clone() }.compare_url();
    }
    Ok(updates)
}

/// What a change is found again by.
fn key(change: &RefChange) -> (&ElementName, usize, Option<&str>, Option<&str>) {
    (&change.element, change.source, change.condition.as_deref(), change.file.as_deref())
}

fn updates_in(known: &ProjectFiles, file: &ChangedFile) -> io::Result<Vec<RefUpdate>> {
    let (old, new) = (file.old.as_deref(), file.new.as_deref());
    let path = file.path.to_string_lossy().into_owned();
    let update = |change: RefChange, spot, elements| RefUpdate {
        change: RefChange { file: Some(path.clone()), ..change },
        resolved_url: None,
        file: file.path.clone(),
        spot,
        elements,
        since: None,
        compare: None,
        is_junction: false,
    };
    if is_stored(&file.path) {
        let changes = refs::keyed_changes(known.name(), old, new).into_iter();
        let of = |(key, change): (StoredKey, RefChange)| {
            let (elements, spot) = (vec![change.element.clone()], RefSpot::Stored(key, change.source));
            update(change, spot, elements)
        };
        return Ok(changes.map(of).collect());
    }
    let own = known.element_of(&file.path);
    let Some(name) = own.clone().or_else(|| path.parse().ok()) else { return Ok(Vec::new()) };
    let changes = refs::placed_changes(&name, old, new);
    let elements = match own {
        Some(element) => vec![element],
        None if changes.is_empty() => Vec::new(),
        None => known.elements_that_include(&file.path)?,
    };
    let Some((first, rest)) = elements.split_first() else { return Ok(Vec::new()) };
    let of = |(place, change): (String, RefChange)| {
        let change = RefChange { element: first.clone(), shared_with: rest.to_vec(), ..change };
        update(change, RefSpot::Source(place), elements.clone())
    };
    Ok(changes.into_iter().map(of).collect())
}

/// Whether a file is one of those in which a project stores refs.
pub(super) fn is_stored(file: &Path) -> bool {
    file.extension().is_some_and(|end| end == "refs")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An update of one element's only source.
    pub(in crate::publish) fn update(element: &str, kind: &str, old: Option<&str>, new: &str) -> RefUpdate {
        let name: ElementName = element.parse().unwrap();
        let change = RefChange::new(name.clone(), 0, old.map(str::to_owned), Some(new.to_owned()));
        let file = Path::new("elements").join(element);
        RefUpdate {
            change: RefChange { kind: Some(kind.to_owned()), ..change },
            resolved_url: None,
            file,
            spot: RefSpot::Source(format!("\u{0}\u{0}{:06}", 0)),
            elements: vec![name],
            since: None,
            compare: None,
            is_junction: false,
        }
    }

    #[test]
    fn what_counts_as_a_change_is_told_apart() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let sums = ["1".repeat(64), "2".repeat(64)];
        let kind = |kind: &str, old: &str, new: &str| update("x.bst", kind, Some(old), new).kind();
        let git = |old: &str, new: &str| kind("git_repo", old, new);
        assert_eq!(git(&a, &b), UpdateKind::Ordinary);
        assert_eq!(git(&a, &format!("v1-0-g{a}")), UpdateKind::FormatOnly);
        assert_eq!(git(&format!("v1-0-g{a}"), &a), UpdateKind::FormatOnly);
        assert_eq!(git(&format!("v1-2-g{a}"), &format!("v1.1-0-g{a}")), UpdateKind::Renamed);
        assert_eq!(git(&format!("v-1-0-g{a}"), &format!("v-1-0-g{b}")), UpdateKind::MovedTag);
        assert_eq!(git(&format!("v1-0-g{a}"), &format!("v1-3-g{b}")), UpdateKind::Ordinary);
        assert_eq!(git(&format!("v1-0-g{a}"), &format!("v2-0-g{b}")), UpdateKind::Ordinary);
        assert_eq!(kind("tar", &sums[0], &sums[1]), UpdateKind::ChangedContent);
        assert_eq!(kind("git", &sums[0], &sums[1]), UpdateKind::Ordinary);
        assert_eq!(update("x.bst", "tar", None, &sums[0]).kind(), UpdateKind::Ordinary);
    }
}
