//! What an element's sources are without their refs, from the project's files alone.
//!
//! Only bst composes a project for certain. What is read here is the plain case: a list of sources in the element, or in
//! what it includes at its top, without conditions. Whoever relies on it compares it with what bst says of the element.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::{ProjectFiles, normal, read_file};
use crate::bst::ref_slots::{escaped, remove_slots};
use crate::bst::yaml::YamlNode;
use crate::names::{ElementName, digest};

/// How deep includes may lie in one another where sources are looked for.
const DEEPEST_INCLUDE: usize = 10;

/// One of an element's sources, as the files have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceDefinition {
    /// The plugin's name.
    pub(crate) kind: String,
    /// What it says of itself.
    pub(crate) keys: YamlNode,
    /// Where its ref is, or will be.
    pub(crate) place: RefPlace,
}

/// Where a ref is: in which file, and where in it (see [`ref_slots`](crate::bst::ref_slots::ref_slots)).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RefPlace {
    /// The file, relative to the project's directory.
    pub(crate) file: PathBuf,
    /// The way to the ref.
    pub(crate) path: String,
}

/// Who provides a kind of sources, by `plugins` of `project.conf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PluginProvenance {
    /// A release of plugins, or BuildStream itself.
    Released,
    /// The project's own directory.
    Local,
}

impl ProjectFiles {
    /// Whether an element of the project itself is a junction, as far as its file says.
    pub(crate) fn is_junction(&self, element: &ElementName) -> bool {
        let node = self.element_file(element).and_then(|file| self.node(&file));
        node.is_some_and(|node| node.get("kind").and_then(YamlNode::scalar) == Some("junction"))
    }

    /// An element's sources; none where only bst can tell them.
    pub(crate) fn source_definitions(&self, element: &ElementName) -> Option<Vec<SourceDefinition>> {
        let file = self.element_file(element)?;
        let is_junction = self.is_junction(element);
        let mut definitions = self.composed(&file, 0)?;
        if self.ref_storage().is_some() {
            let file = PathBuf::from(if is_junction { "junction.refs" } else { "project.refs" });
            for (index, definition) in definitions.iter_mut().enumerate() {
                let path = format!("/projects/{}/{}/{index}/ref", escaped(&self.name), escaped(element.as_str()));
                definition.place = RefPlace { file: file.clone(), path };
            }
        }
        Some(definitions)
    }

    /// A digest of everything in the checkout that shapes an element's sources, but for the refs in these places; none
    /// where something of it cannot be read. The content of local sources is not in it.
    pub(crate) fn definition_digest(&self, element: &ElementName, places: &BTreeSet<RefPlace>) -> Option<String> {
        let mut parts = vec![self.common.get_or_init(|| self.common()).clone()?, element.to_string()];
        let mut files = BTreeSet::new();
        self.add_includes(&self.element_file(element)?, &mut files)?;
        let own: BTreeSet<_> = places.iter().map(|place| &place.file).collect();
        for file in &files {
            // A junction's element brings what is included from it, so that its refs count.
            if own.contains(file) {
                let mut node = YamlNode::clone(&*self.node(file)?);
                let paths: Vec<_> =
                    places.iter().filter(|place| place.file == *file).map(|place| &*place.path).collect();
                remove_slots(&mut node, &paths);
                parts.push(canonical(&node));
            } else {
                parts.push(self.file(file)?.digest.clone());
            }
            for junction in self.included_junctions(file)? {
                self.add_inputs(&junction, &mut parts)?;
            }
        }
        let stored = self.stored.iter().flatten().filter(|((_, name), _)| name == element.as_str());
        for ((project, name), refs) in stored {
            for (index, reference) in refs.iter().enumerate() {
                let path = format!("/projects/{}/{}/{index}/ref", escaped(project), escaped(name));
                if !places.iter().any(|place| place.path == path) {
                    parts.push(format!("{path} {reference:?}"));
                }
            }
        }
        let parts: Vec<_> = parts.iter().map(|part| digest(part.as_bytes())).collect();
        Some(digest(parts.concat().as_bytes()))
    }

    /// The file in which the project stores refs; none where each is with its source.
    fn ref_storage(&self) -> Option<&str> {
        self.conf.as_ref()?.get("ref-storage").and_then(YamlNode::scalar).filter(|storage| *storage != "inline")
    }

    /// A file as it is now; none where it is not there.
    ///
    /// # Errors
    /// When it cannot be read, or where its path leads through a link.
    pub(crate) fn plain_text(&self, file: &Path) -> io::Result<Option<String>> {
        let path = self.root.join(file);
        match path.canonicalize() {
            Ok(real) if real == path => read_file(&self.root, file).map(Some),
            Ok(_) => Err(io::Error::other("it is behind a link")),
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the project gives sources of a kind defaults of its own, or may.
    pub(crate) fn has_source_defaults(&self) -> bool {
        let mut files = BTreeSet::new();
        let whole = self.add_includes(Path::new("project.conf"), &mut files).is_some();
        // What a junction brings into `project.conf` is not seen here.
        let foreign = |node: &YamlNode| node.strings("(@)").iter().any(|name| name.contains(':'));
        let sets = |file: &PathBuf| self.node(file).is_none_or(|node| sets_sources(&node) || foreign(&node));
        !whole || files.iter().any(sets)
    }

    /// Who provides each kind of sources of which `project.conf` says so.
    pub(crate) fn plugin_origins(&self) -> BTreeMap<String, PluginProvenance> {
        let mut origins = BTreeMap::new();
        for plugins in self.conf.as_ref().and_then(|conf| conf.get("plugins")).map(YamlNode::items).unwrap_or_default()
        {
            let is_local = plugins.get("origin").and_then(YamlNode::scalar) == Some("local");
            let origin = if is_local { PluginProvenance::Local } else { PluginProvenance::Released };
            let Some(sources) = plugins.get("sources") else { continue };
            let listed = sources.items().iter().filter_map(YamlNode::scalar);
            let kinds = listed.chain(sources.pairs().iter().map(|(kind, _)| kind.as_str()));
            for kind in kinds {
                let known = origins.entry(kind.to_owned()).or_insert(origin);
                if origin == PluginProvenance::Local {
                    *known = origin;
                }
            }
        }
        origins
    }

    /// The sources of an element's file or of one that it includes, the included ones first replaced or added to.
    fn composed(&self, file: &Path, depth: usize) -> Option<Vec<SourceDefinition>> {
        let node = self.node(file).filter(|_| depth < DEEPEST_INCLUDE)?;
        if node.get("(?)").is_some_and(may_bring_sources) {
            return None;
        }
        let mut sources = Vec::new();
        for include in node.strings("(@)") {
            // A junction's sources cannot be tracked from here.
            if include.contains(':') {
                continue;
            }
            let included = self.composed(&normal(Path::new(include))?, depth + 1)?;
            if !included.is_empty() {
                sources = included;
            }
        }
        match node.get("sources") {
            None => {}
            Some(YamlNode::Sequence(items)) => sources = definitions(file, "", items)?,
            Some(YamlNode::Mapping(pairs)) => {
                for (key, value) in pairs {
                    let YamlNode::Sequence(items) = value else { return None };
                    let own = definitions(file, &format!("/{}", escaped(key)), items)?;
                    match key.as_str() {
                        "(>)" => sources.extend(own),
                        "(<)" => drop(sources.splice(..0, own)),
                        "(=)" => sources = own,
                        _ => return None,
                    }
                }
            }
            Some(YamlNode::Scalar(_)) => return None,
        }
        Some(sources)
    }

    /// The junctions from which a file includes something.
    fn included_junctions(&self, file: &Path) -> Option<Vec<ElementName>> {
        let file = self.file(file)?;
        let junctions = file.includes.iter().filter_map(|include| include.split_once(':'));
        junctions.map(|(junction, _)| junction.parse().ok()).collect()
    }

    fn node(&self, file: &Path) -> Option<Rc<YamlNode>> {
        let known = self.file(file)?;
        let parse = || YamlNode::parse(&read_file(&self.root, file).ok()?).map(Rc::new);
        known.node.clone().or_else(parse)
    }
}

/// The items of a list of sources; none where one of them is not plain.
fn definitions(file: &Path, list: &str, items: &[YamlNode]) -> Option<Vec<SourceDefinition>> {
    let definition = |(index, item): (usize, &YamlNode)| {
        let directive = |(key, _): &(String, YamlNode)| key.starts_with('(') && key.ends_with(')');
        if item.pairs().iter().any(directive) {
            return None;
        }
        let kind = item.get("kind")?.scalar()?.to_owned();
        let place = RefPlace { file: file.to_owned(), path: format!("/sources{list}/{index}/ref") };
        Some(SourceDefinition { kind, keys: item.clone(), place })
    };
    items.iter().enumerate().map(definition).collect()
}

/// Whether a condition decides on sources, or on a file that may have some.
fn may_bring_sources(node: &YamlNode) -> bool {
    let pairs = node.pairs().iter().any(|(key, value)| key == "sources" || key == "(@)" || may_bring_sources(value));
    pairs || node.items().iter().any(may_bring_sources)
}

/// Whether a `project.conf`, or a part of it, has defaults of sources.
fn sets_sources(node: &YamlNode) -> bool {
    let conditional = node.get("(?)").is_some_and(may_bring_sources);
    conditional || node.get("sources").is_some_and(|sources| !sources.pairs().is_empty())
}

/// A node's content as text that no other node has.
fn canonical(node: &YamlNode) -> String {
    match node {
        YamlNode::Scalar(text) => format!("s{}:{text}", text.len()),
        YamlNode::Sequence(items) => format!("l{}:{}", items.len(), items.iter().map(canonical).collect::<String>()),
        YamlNode::Mapping(pairs) => {
            let pair = |(key, value): &(String, YamlNode)| format!("{}:{key}{}", key.len(), canonical(value));
            format!("m{}:{}", pairs.len(), pairs.iter().map(pair).collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            tree.write("project.conf", "name: p\n");
            tree.write("a.bst", "kind: import\nsources:\n- kind: git\n  url: u\n  ref: one\n- kind: tar\n  ref: two\n");
            tree.write("inc.yml", "sources:\n- kind: git\n  ref: three\n");
            tree.write("inc.bst", "kind: import\n(@): inc.yml\n");
            tree.write("more.bst", "kind: import\n(@): [inc.yml]\nsources:\n  (>):\n  - kind: tar\n    ref: four\n");
            tree.write("own.bst", "kind: import\n(@): inc.yml\nsources:\n- kind: tar\n");
            tree
        }

        fn write(&self, path: &str, text: &str) {
            std::fs::write(self.0.path().join(path), text).unwrap();
        }

        fn files(&self) -> ProjectFiles {
            ProjectFiles::new(self.0.path())
        }

        fn places(&self, element: &str) -> Option<Vec<String>> {
            let sources = self.files().source_definitions(&element.parse().unwrap())?;
            let place = |source: &SourceDefinition| {
                format!("{} {}{}", source.kind, source.place.file.display(), source.place.path)
            };
            Some(sources.iter().map(place).collect())
        }

        fn digest(&self, element: &str) -> Option<String> {
            let (files, element) = (self.files(), element.parse().unwrap());
            let places = files.source_definitions(&element)?.into_iter().map(|source| source.place).collect();
            files.definition_digest(&element, &places)
        }
    }

    #[test]
    fn sources_are_found_where_bst_writes_their_refs() {
        let tree = Tree::new();
        assert_eq!(tree.places("a.bst").unwrap(), ["git a.bst/sources/0/ref", "tar a.bst/sources/1/ref"]);
        assert_eq!(tree.places("inc.bst").unwrap(), ["git inc.yml/sources/0/ref"]);
        assert_eq!(tree.places("more.bst").unwrap(), ["git inc.yml/sources/0/ref", "tar more.bst/sources/(>)/0/ref"]);
        assert_eq!(tree.places("own.bst").unwrap(), ["tar own.bst/sources/0/ref"]);
        tree.write("project.conf", "name: p\nref-storage: project.refs\n");
        assert_eq!(tree.places("inc.bst").unwrap(), ["git project.refs/projects/p/inc.bst/0/ref"]);
    }

    #[test]
    fn what_only_bst_can_tell_is_not_told() {
        let tree = Tree::new();
        for text in [
            "sources:\n- kind: git\n(?):\n- x:\n    sources: []\n",
            "(?):\n- x:\n    (@): inc.yml\n",
            "sources:\n- kind: git\n  (?):\n  - x: {ref: a}\n",
            "sources:\n- (@): one.yml\n",
            "sources:\n  (+):\n  - kind: git\n",
            "sources:\n- url: x\n",
            "(@): gone.yml\n",
            "(@): ../out.yml\n",
            "sources: 3\n",
        ] {
            tree.write("x.bst", text);
            assert_eq!(tree.places("x.bst"), None, "{text}");
        }
        assert_eq!(tree.places("gone.bst"), None);
    }

    #[test]
    fn a_definition_is_everything_but_the_refs_that_are_tracked() {
        let tree = Tree::new();
        let (element, include) = (tree.digest("a.bst").unwrap(), tree.digest("inc.bst").unwrap());
        tree.write("a.bst", "kind: import\n\nsources:\n-   kind: git\n    url: u # x\n-   kind: tar\n    ref: other\n");
        tree.write("inc.yml", "sources: [{kind: git, ref: other}]\n");
        assert_eq!(
            (tree.digest("a.bst").unwrap(), tree.digest("inc.bst").unwrap()),
            (element.clone(), include.clone())
        );
        tree.write("inc.yml", "sources: [{kind: git, ref: other, track: x}]\n");
        assert_ne!(tree.digest("inc.bst").unwrap(), include);
        tree.write("a.bst", "kind: import\nsources:\n- kind: git\n  url: v\n  ref: one\n- kind: tar\n  ref: two\n");
        assert_ne!(tree.digest("a.bst").unwrap(), element);
        tree.write("inc.bst", "kind: import\n(@): [inc.yml, 'j.bst:x.yml']\n");
        tree.write("j.bst", "kind: junction\nsources: [{kind: git, ref: one}]\n");
        let before = tree.digest("inc.bst").unwrap();
        tree.write("j.bst", "kind: junction\nsources: [{kind: git, ref: two}]\n");
        assert_ne!(tree.digest("inc.bst").unwrap(), before, "what a junction brings follows from its ref");
    }

    #[test]
    fn stored_refs_count_but_for_those_that_are_tracked() {
        let tree = Tree::new();
        tree.write("project.conf", "name: p\nref-storage: project.refs\n");
        tree.write("project.refs", "projects:\n  p:\n    a.bst:\n    - ref: one\n    - ref: two\n");
        let before = tree.digest("a.bst").unwrap();
        tree.write("project.refs", "projects:\n  p:\n    a.bst:\n    - ref: other\n    - ref: two\n");
        assert_eq!(tree.digest("a.bst").unwrap(), before);
        let (files, element) = (tree.files(), "a.bst".parse().unwrap());
        let first = files.source_definitions(&element).unwrap().remove(0).place;
        let pinned = files.definition_digest(&element, &[first.clone()].into()).unwrap();
        tree.write("project.refs", "projects:\n  p:\n    a.bst:\n    - ref: other\n    - ref: three\n");
        assert_ne!(tree.files().definition_digest(&element, &[first].into()).unwrap(), pinned);
    }

    #[test]
    fn defaults_and_own_plugins_are_noticed() {
        let tree = Tree::new();
        assert!(!tree.files().has_source_defaults());
        for text in ["sources: {git: {config: {}}}", "(@): j.bst:x.yml", "(@): gone.yml", "(?): [{x: {sources: {}}}]"] {
            tree.write("project.conf", &format!("name: p\n{text}\n"));
            assert!(tree.files().has_source_defaults(), "{text}");
        }
        tree.write(
            "project.conf",
            "name: p\nplugins:\n- origin: pip\n  sources: [git]\n- origin: local\n  sources: {x: 0}\n",
        );
        let origins = tree.files().plugin_origins();
        assert_eq!((origins["git"], origins["x"]), (PluginProvenance::Released, PluginProvenance::Local));
    }
}
