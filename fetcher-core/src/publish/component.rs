//! Connected components: elements that share a file which changed are published together.

use std::collections::{BTreeMap, BTreeSet};

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::update::{RefSpot, RefUpdate};
use crate::config::ElementGroup;
use crate::names::{ElementName, digest};

/// Updates that make one commit.
#[derive(Debug, Clone)]
pub(super) struct Component {
    /// The updates, by file and place.
    pub(super) updates: Vec<RefUpdate>,
    /// The group that it is, where it is one.
    pub(super) group: Option<String>,
}

impl Component {
    /// All elements that get a ref.
    pub(super) fn elements(&self) -> BTreeSet<&ElementName> {
        self.updates.iter().flat_map(|update| &update.elements).collect()
    }

    /// The element that it is named after.
    pub(super) fn name(&self) -> &str {
        self.elements().first().map_or("", |element| element.as_str())
    }

    /// A digest of all that it changes, whatever it changes that from.
    pub(super) fn digest(&self) -> String {
        content_digest(self.updates.iter().map(RefUpdate::content))
    }
}

/// A digest of some updates, whatever their order.
pub(super) fn content_digest(contents: impl Iterator<Item = String>) -> String {
    let contents: BTreeSet<String> = contents.collect();
    digest(contents.into_iter().collect::<String>().as_bytes())
}

/// Splits updates into components, by the name of the first element. The members of a group are one.
pub(super) fn components(updates: Vec<RefUpdate>, groups: &[ElementGroup]) -> Vec<Component> {
    let matchers: Vec<_> = groups.iter().map(|group| (group.name.clone(), globs(&group.elements))).collect();
    let mut roots: Roots = Roots::default();
    for (number, update) in updates.iter().enumerate() {
        let own = roots.node(format!("update {number}"));
        for key in keys(update, &matchers) {
            let key = roots.node(key);
            roots.join(own, key);
        }
    }
    let mut parts: BTreeMap<usize, Component> = BTreeMap::new();
    for (number, update) in updates.into_iter().enumerate() {
        let node = roots.node(format!("update {number}"));
        let root = roots.root(node);
        let part = parts.entry(root).or_insert_with(|| Component { updates: Vec::new(), group: None });
        let of_update =
            |(_, globs): &&(String, GlobSet)| update.elements.iter().any(|name| globs.is_match(name.as_str()));
        part.group = part.group.take().or_else(|| matchers.iter().find(of_update).map(|(name, _)| name.clone()));
        part.updates.push(update);
    }
    let mut components: Vec<_> = parts.into_values().collect();
    for component in &mut components {
        component.updates.sort_by(|a, b| (&a.file, &a.spot).cmp(&(&b.file, &b.spot)));
    }
    components.sort_by(|a, b| a.name().cmp(b.name()));
    components
}

/// A set of globs over names; what is no glob was refused when the configuration was read.
pub(super) fn globs(patterns: &[String]) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for glob in patterns.iter().filter_map(|pattern| Glob::new(pattern).ok()) {
        set.add(glob);
    }
    set.build().unwrap_or_else(|_| GlobSet::empty())
}

/// What an update shares with others.
fn keys(update: &RefUpdate, groups: &[(String, GlobSet)]) -> Vec<String> {
    let mut keys: Vec<String> = update.elements.iter().map(|element| format!("element {element}")).collect();
    keys.push(match &update.spot {
        RefSpot::Source(_) => format!("file {}", update.file.display()),
        // Such a file is split by its blocks.
        RefSpot::Stored((project, element), _) => format!("stored {} {project} {element}", update.file.display()),
    });
    let of_update = |(_, globs): &&(String, GlobSet)| update.elements.iter().any(|name| globs.is_match(name.as_str()));
    keys.extend(groups.iter().filter(of_update).map(|(name, _)| format!("group {name}")));
    keys
}

/// Union and find.
#[derive(Default)]
struct Roots {
    numbers: BTreeMap<String, usize>,
    parents: Vec<usize>,
}

impl Roots {
    fn node(&mut self, name: String) -> usize {
        let next = self.parents.len();
        let number = *self.numbers.entry(name).or_insert(next);
        if number == next {
            self.parents.push(next);
        }
        number
    }

    fn root(&mut self, mut node: usize) -> usize {
        while self.parents[node] != node {
            self.parents[node] = self.parents[self.parents[node]];
            node = self.parents[node];
        }
        node
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        self.parents[one.max(other)] = one.min(other);
    }
}

#[cfg(test)]
mod tests {
    use super::super::update::tests::update;
    use super::*;

    fn names(components: &[Component]) -> Vec<Vec<String>> {
        components.iter().map(|part| part.elements().iter().map(ToString::to_string).collect()).collect()
    }

    #[test]
    fn elements_that_share_a_file_are_one() {
        let shared = |elements: &[&str], file: &str| RefUpdate {
            elements: elements.iter().map(|name| name.parse().unwrap()).collect(),
            file: file.into(),
            ..update(elements[0], "git", None, "1")
        };
        let updates = vec![
            update("z.bst", "git", None, "1"),
            shared(&["a.bst", "b.bst"], "inc.yml"),
            update("b.bst", "git", None, "1"),
            update("c.bst", "git", None, "1"),
        ];
        let parts = components(updates.clone(), &[]);
        assert_eq!(names(&parts), [vec!["a.bst", "b.bst"], vec!["c.bst"], vec!["z.bst"]]);
        let group = ElementGroup { name: "g".to_owned(), elements: vec!["[cz].bst".to_owned()] };
        let parts = components(updates, &[group]);
        assert_eq!(names(&parts), [vec!["a.bst", "b.bst"], vec!["c.bst", "z.bst"]]);
        assert_eq!(parts[1].group.as_deref(), Some("g"));
    }

    #[test]
    fn stored_refs_are_split_by_their_elements() {
        let stored = |element: &str, source| RefUpdate {
            file: "project.refs".into(),
            spot: RefSpot::Stored(("p".to_owned(), element.to_owned()), source),
            ..update(element, "git", None, "1")
        };
        let parts = components(vec![stored("a.bst", 0), stored("b.bst", 0), stored("a.bst", 1)], &[]);
        assert_eq!(parts.iter().map(|part| part.updates.len()).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn content_is_known_by_what_it_is_and_not_by_its_order_or_what_was_before() {
        let one = update("a.bst", "git", Some("1"), "2");
        let other = update("b.bst", "git", Some("1"), "2");
        let digest = |updates: &[&RefUpdate]| content_digest(updates.iter().map(|update| update.content()));
        assert_eq!(digest(&[&one, &other]), digest(&[&other, &one]));
        assert_eq!(digest(&[&one]), digest(&[&update("a.bst", "git", Some("0"), "2")]));
        assert_ne!(digest(&[&one]), digest(&[&update("a.bst", "git", Some("1"), "3")]));
    }
}
