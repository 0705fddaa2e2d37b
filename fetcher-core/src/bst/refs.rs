//! The refs in a project's files, before and after tracking.
//!
//! BuildStream writes them where a source is written: into the element (`ref-storage: inline`), into the file that it
//! includes with `(@)`, under the condition that holds (`(?)`), or else into `project.refs` and `junction.refs`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use super::yaml::LARGEST;
use super::yaml::YamlNode;
use crate::names::ElementName;

/// A ref that tracking changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RefChange {
    /// The element whose source it is; the first by name, where several share a file.
    pub element: ElementName,
    /// The source's place in its list, from 0.
    pub source: usize,
    /// The ref before; none where there was none.
    pub old: Option<String>,
    /// The ref after; none where tracking took it away.
    pub new: Option<String>,
    /// The conditions (`(?)`) under which the source or its ref is there, as the file has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// The file that holds the ref, relative to the project's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The source's kind, where the file says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The source's url, as the file has it or with its alias resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Other elements that include the same file, and so get the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared_with: Vec<ElementName>,
}

impl RefChange {
    /// A change of which no more is known.
    pub fn new(element: ElementName, source: usize, old: Option<String>, new: Option<String>) -> Self {
        Self { element, source, old, new, condition: None, file: None, kind: None, url: None, shared_with: Vec::new() }
    }

    /// Whether both refs are the same commit, once bare and once described (`v1.2-0-g…`): some plugins rewrite the one
    /// as the other where nothing moved upstream.
    pub fn is_format_only(&self) -> bool {
        let (Some(old), Some(new)) = (self.old.as_deref(), self.new.as_deref()) else { return false };
        let same = commit(old).is_some_and(|id| commit(new) == Some(id));
        same && (commit(old) == Some(old)) != (commit(new) == Some(new))
    }
}

/// The commit that a ref of a git source is: a bare id, or the one at the end of what `git describe` says.
pub(crate) fn commit(text: &str) -> Option<&str> {
    let id = text.rsplit_once("-g").map_or(text, |(_, id)| id);
    let hex = id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (hex && matches!(id.len(), 40 | 64)).then_some(id)
}

/// A source as a file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SourceRef {
    index: usize,
    condition: Option<String>,
    kind: Option<String>,
    url: Option<String>,
    reference: Option<String>,
}

/// The sources of a file, by where they stand in it.
type SourceRefs = BTreeMap<String, SourceRef>;

/// The refs that differ between two versions of an element's file, or of a file that elements include; a version that
/// is not there, or not readable, has none.
pub fn element_changes(element: &ElementName, old: Option<&str>, new: Option<&str>) -> Vec<RefChange> {
    placed_changes(element, old, new).into_iter().map(|(_, change)| change).collect()
}

/// The same, each with where its source stands in the file.
pub(crate) fn placed_changes(element: &ElementName, old: Option<&str>, new: Option<&str>) -> Vec<(String, RefChange)> {
    let (old, new) = (source_refs(old), source_refs(new));
    let places: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let change = |place: &String| {
        let (old, new) = (old.get(place), new.get(place));
        let source = new.or(old)?;
        let reference = |source: Option<&SourceRef>| source.and_then(|source| source.reference.clone());
        let (old, new) = (reference(old), reference(new));
        let change = (old != new).then(|| RefChange {
            condition: source.condition.clone(),
            kind: source.kind.clone(),
            url: source.url.clone(),
            ..RefChange::new(element.clone(), source.index, old, new)
        });
        Some((place.clone(), change?))
    };
    places.into_iter().filter_map(change).collect()
}

/// The refs that differ between two versions of `project.refs` or `junction.refs`.
pub fn stored_changes(project: &str, old: Option<&str>, new: Option<&str>) -> Vec<RefChange> {
    keyed_changes(project, old, new).into_iter().map(|(_, change)| change).collect()
}

/// The same, each with the element as the file has it.
pub(crate) fn keyed_changes(project: &str, old: Option<&str>, new: Option<&str>) -> Vec<(StoredKey, RefChange)> {
    let (old, new) = (stored_refs(old), stored_refs(new));
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let mut changes = Vec::new();
    for name in names {
        let (owner, element) = name;
        // A junction's name is not written there, just its project's.
        let full = if owner == project { element.clone() } else { format!("{owner}:{element}") };
        let Ok(full) = ElementName::try_from(full) else { continue };
        let at = |refs: Option<&Vec<Option<String>>>, source: usize| refs?.get(source).cloned().flatten();
        let (old, new) = (old.get(name), new.get(name));
        for source in 0..old.map_or(0, Vec::len).max(new.map_or(0, Vec::len)) {
            let (old, new) = (at(old, source), at(new, source));
            if old != new {
                changes.push((name.clone(), RefChange::new(full.clone(), source, old, new)));
            }
        }
    }
    changes
}

/// An element in `project.refs` or `junction.refs`: its project's name, and its own.
pub(crate) type StoredKey = (String, String);

/// What `project.refs` and `junction.refs` hold.
pub(crate) type StoredRefs = BTreeMap<StoredKey, Vec<Option<String>>>;

/// The refs in a `project.refs` or `junction.refs`.
pub(crate) fn stored_refs(text: Option<&str>) -> StoredRefs {
    let mut stored = StoredRefs::new();
    let node = text.and_then(YamlNode::parse);
    let projects = node.as_ref().and_then(|node| node.get("projects")).map(YamlNode::pairs).unwrap_or_default();
    for (project, elements) in projects {
        for (element, sources) in elements.pairs() {
            let refs = sources.items().iter().map(|source| source.get("ref").map(YamlNode::text)).collect();
            stored.insert((project.clone(), element.clone()), refs);
        }
    }
    stored
}

/// Whether an element's file has sources, and a url for each of them.
pub(crate) fn have_urls(text: &str) -> bool {
    let sources = source_refs(Some(text));
    !sources.is_empty() && sources.values().all(|source| source.url.is_some())
}

/// The refs of a file by where their sources stand in it.
pub(crate) fn placed_refs(text: &str) -> BTreeMap<String, Option<String>> {
    source_refs(Some(text)).into_iter().map(|(place, source)| (place, source.reference)).collect()
}

/// The kind and url of each source that a file has, under whichever conditions.
pub(crate) fn written_sources(text: &str) -> Vec<(Option<String>, Option<String>)> {
    source_refs(Some(text)).into_values().map(|source| (source.kind, source.url)).collect()
}

/// The value of a key at the top of a YAML file, as `name` and `element-path` of `project.conf`.
pub fn top_level(text: &str, key: &str) -> Option<String> {
    YamlNode::parse(text)?.get(key)?.scalar().map(str::to_owned)
}

fn source_refs(text: Option<&str>) -> SourceRefs {
    let mut refs = SourceRefs::new();
    if let Some(node) = text.and_then(YamlNode::parse) {
        below_top(&node, None, &mut refs);
    }
    refs
}

/// The sources of an element or of what is included at its top, under whichever conditions.
fn below_top(node: &YamlNode, condition: Option<&str>, refs: &mut SourceRefs) {
    if let Some(sources) = node.get("sources") {
        below_sources(sources, condition, "", refs);
    }
    for (inner, value) in conditionals(node) {
        below_top(value, Some(&joined(condition, inner)), refs);
    }
}

/// A list of sources, or what is done to one with `(>)`, `(<)`, `(=)` and `(?)`.
fn below_sources(node: &YamlNode, condition: Option<&str>, list: &str, refs: &mut SourceRefs) {
    for (index, item) in node.items().iter().enumerate() {
        add_source(item, index, condition, list, refs);
    }
    for (key, value) in node.pairs() {
        if matches!(key.as_str(), "(>)" | "(<)" | "(=)") {
            below_sources(value, condition, key, refs);
        }
    }
    for (inner, value) in conditionals(node) {
        below_sources(value, Some(&joined(condition, inner)), list, refs);
    }
}

fn add_source(item: &YamlNode, index: usize, condition: Option<&str>, list: &str, refs: &mut SourceRefs) {
    let word = |key| item.get(key).and_then(YamlNode::scalar).map(str::to_owned);
    let mut add = |node: &YamlNode, condition: Option<&str>| {
        let place = place_of(condition, list, index);
        let reference = node.get("ref").map(YamlNode::text);
        let condition = condition.map(str::to_owned);
        refs.insert(place, SourceRef { index, condition, kind: word("kind"), url: word("url"), reference });
    };
    add(item, condition);
    for (inner, value) in conditionals(item) {
        if value.get("ref").is_some() {
            add(value, Some(&joined(condition, inner)));
        }
    }
}

/// Where a source stands in a file.
pub(super) fn place_of(condition: Option<&str>, list: &str, index: usize) -> String {
    format!("{}\0{list}\0{index:06}", condition.unwrap_or_default())
}

/// The conditions of a table with what holds under each.
fn conditionals(node: &YamlNode) -> impl Iterator<Item = (&str, &YamlNode)> {
    let list = node.get("(?)").map(YamlNode::items).unwrap_or_default();
    list.iter().flat_map(YamlNode::pairs).map(|(condition, value)| (condition.as_str(), value))
}

pub(super) fn joined(outer: Option<&str>, inner: &str) -> String {
    outer.map_or_else(|| inner.to_owned(), |outer| format!("{outer} and {inner}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "kind: import\nsources:\n- kind: git\n  url: a:b.git\n- kind: tar\n  ref: abc\n";
    const NEW: &str =
        "kind: import\n\nsources:\n- kind: git\n  url: a:b.git\n  ref: v1-0-g1\n- kind: tar\n  ref: abc\n";

    fn name(element: &str) -> ElementName {
        element.parse().unwrap()
    }

    fn told(changes: &[RefChange]) -> Vec<(&str, usize, Option<&str>, Option<&str>)> {
        changes.iter().map(|c| (c.element.as_str(), c.source, c.condition.as_deref(), c.new.as_deref())).collect()
    }

    #[test]
    fn only_refs_that_differ_count_and_not_the_files_form() {
        let changes = element_changes(&name("a.bst"), Some(OLD), Some(NEW));
        assert_eq!(told(&changes), [("a.bst", 0, None, Some("v1-0-g1"))]);
        assert_eq!((changes[0].kind.as_deref(), changes[0].url.as_deref()), (Some("git"), Some("a:b.git")));
        assert!(element_changes(&name("a.bst"), Some(NEW), Some(&NEW.replace("\n\n", "\n"))).is_empty());
    }

    #[test]
    fn refs_inside_conditions_and_lists_that_are_added_to_are_found() {
        let old = "sources:\n- kind: tar\n  url: x\n  (?):\n  - arch == \"a\":\n      ref: a1\n  - arch == \"b\":\n      ref: b1\n\
            (?):\n- arch == \"c\":\n    sources:\n      (>):\n      - kind: git\n        ref: c1\n    (?):\n    - debug:\n        sources:\n        - ref: d1\n";
        let new = old.replace("b1", "b2").replace("c1", "c2").replace("d1", "d2");
        let changes = element_changes(&name("a.bst"), Some(old), Some(&new));
        let mut told = told(&changes);
        told.sort_unstable();
        assert_eq!(
            told,
            [
                ("a.bst", 0, Some("arch == \"b\""), Some("b2")),
                ("a.bst", 0, Some("arch == \"c\""), Some("c2")),
                ("a.bst", 0, Some("arch == \"c\" and debug"), Some("d2")),
            ]
        );
    }

    #[test]
    fn a_bare_commit_and_its_description_are_the_same() {
        let id = "533844ebc5cc485c3e4615ca664f8592bbe04512";
        let change = |old: &str, new: &str| {
            let text = |reference| format!("sources:\n- kind: git_repo\n  ref: {reference}\n");
            element_changes(&name("a.bst"), Some(&text(old)), Some(&text(new))).remove(0)
        };
        let described = format!("v1.2-0-g{id}");
        assert!(change(id, &described).is_format_only() && change(&described, id).is_format_only());
        assert!(!change(&described, &format!("v1.3-0-g{id}")).is_format_only());
        assert!(!change(id, &"5".repeat(40)).is_format_only());
    }

    #[test]
    fn project_refs_are_read_by_project_and_element() {
        let new = "projects:\n  p:\n    a.bst:\n    - ref: one\n  sub:\n    b.bst:\n    - {}\n    - ref: [x, {y: z}]\n";
        let changes = stored_changes("p", None, Some(new));
        assert_eq!(told(&changes), [("a.bst", 0, None, Some("one")), ("sub:b.bst", 1, None, Some("[x, {y: z}]"))]);
    }

    #[test]
    fn hostile_yaml_is_passed_over() {
        let deep = "[".repeat(100_000);
        let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nsources: [{ref: *b}]\n";
        for text in [deep.as_str(), bomb, "sources: {", "\u{0}", "- - -", "sources: 3", "(?): [[{a: b}], 3]", ""] {
            let _ = element_changes(&name("a.bst"), None, Some(text));
        }
        assert_eq!(top_level("name: p\nelement-path: elements\n", "element-path").as_deref(), Some("elements"));
    }
}
