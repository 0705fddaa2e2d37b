//! The refs in a project's files, before and after tracking.
//!
//! BuildStream writes them into the elements (`ref-storage: inline`) or into `project.refs` and `junction.refs`. The
//! files are hostile: aliases, which make YAML explode, are not followed (BuildStream has none), and depth is bounded.

use saphyr_parser::{Event, Parser};

use crate::names::ElementName;
use crate::report::RefChange;

/// Files larger than this are not looked into.
pub const LARGEST: usize = 8 << 20;
const DEEPEST: usize = 50;

/// A YAML value, as far as refs need it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Scalar(String),
    Sequence(Vec<Node>),
    Mapping(Vec<(String, Node)>),
}

/// The refs that differ between two versions of an element's file; a version that is not there, or not readable, has
/// none.
pub fn element_changes(element: &ElementName, old: Option<&str>, new: Option<&str>) -> Vec<RefChange> {
    let refs = |text: Option<&str>| -> Vec<Option<String>> {
        let Some(node) = text.and_then(parse) else { return Vec::new() };
        node.get("sources").map_or_else(Vec::new, Node::refs)
    };
    compare(element, &refs(old), &refs(new))
}

/// The refs that differ between two versions of `project.refs` or `junction.refs`.
pub fn stored_changes(project: &str, old: Option<&str>, new: Option<&str>) -> Vec<RefChange> {
    let (old, new) = (stored(old), stored(new));
    let names: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let none = Vec::new();
    let mut changes = Vec::new();
    for name in names {
        let (owner, element) = name;
        // A junction's name is not written there, just its project's.
        let full = if owner == project { element.clone() } else { format!("{owner}:{element}") };
        let Ok(full) = ElementName::try_from(full) else { continue };
        changes.extend(compare(&full, old.get(name).unwrap_or(&none), new.get(name).unwrap_or(&none)));
    }
    changes
}

/// The value of a key at the top of a YAML file, as `name` and `element-path` of `project.conf`.
pub fn top_level(text: &str, key: &str) -> Option<String> {
    match parse(text)?.get(key)? {
        Node::Scalar(value) => Some(value.clone()),
        Node::Sequence(_) | Node::Mapping(_) => None,
    }
}

type Stored = std::collections::BTreeMap<(String, String), Vec<Option<String>>>;

fn stored(text: Option<&str>) -> Stored {
    let mut stored = Stored::new();
    let node = text.and_then(parse);
    let Some(Node::Mapping(projects)) = node.as_ref().and_then(|node| node.get("projects")) else { return stored };
    for (project, elements) in projects {
        let Node::Mapping(elements) = elements else { continue };
        for (element, sources) in elements {
            stored.insert((project.clone(), element.clone()), sources.refs());
        }
    }
    stored
}

fn compare(element: &ElementName, old: &[Option<String>], new: &[Option<String>]) -> Vec<RefChange> {
    let at = |refs: &[Option<String>], source: usize| refs.get(source).cloned().flatten();
    (0..old.len().max(new.len()))
        .map(|source| RefChange { element: element.clone(), source, old: at(old, source), new: at(new, source) })
        .filter(|change| change.old != change.new)
        .collect()
}

impl Node {
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        match self {
            Node::Mapping(pairs) => pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            Node::Scalar(_) | Node::Sequence(_) => None,
        }
    }

    /// The text of a scalar.
    pub(super) fn scalar(&self) -> Option<&str> {
        match self {
            Node::Scalar(text) => Some(text),
            Node::Sequence(_) | Node::Mapping(_) => None,
        }
    }

    /// The entries of a sequence; none of anything else.
    pub(super) fn items(&self) -> &[Node] {
        match self {
            Node::Sequence(nodes) => nodes,
            Node::Scalar(_) | Node::Mapping(_) => &[],
        }
    }

    /// The ref of each source in a list of sources.
    fn refs(&self) -> Vec<Option<String>> {
        match self {
            Node::Sequence(sources) => sources.iter().map(|source| source.get("ref").map(Node::text)).collect(),
            Node::Scalar(_) | Node::Mapping(_) => Vec::new(),
        }
    }

    /// A ref as text: most are scalars, those of some plugins (cargo, say) are lists or tables.
    fn text(&self) -> String {
        match self {
            Node::Scalar(text) => text.clone(),
            Node::Sequence(nodes) => format!("[{}]", nodes.iter().map(Node::text).collect::<Vec<_>>().join(", ")),
            Node::Mapping(pairs) => {
                let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}: {}", value.text())).collect();
                format!("{{{}}}", pairs.join(", "))
            }
        }
    }
}

/// A node under construction: what it is, and for a mapping the key that waits for its value.
enum Open {
    Sequence(Vec<Node>),
    Mapping(Vec<(String, Node)>, Option<String>),
}

pub(super) fn parse(text: &str) -> Option<Node> {
    if text.len() > LARGEST {
        return None;
    }
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let node = match event.ok()?.0 {
            Event::Scalar(value, ..) => Node::Scalar(value.into_owned()),
            Event::Alias(_) => Node::Scalar(String::new()),
            Event::SequenceStart(..) if open.len() < DEEPEST => {
                open.push(Open::Sequence(Vec::new()));
                continue;
            }
            Event::MappingStart(..) if open.len() < DEEPEST => {
                open.push(Open::Mapping(Vec::new(), None));
                continue;
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => return None,
            Event::SequenceEnd | Event::MappingEnd => match open.pop()? {
                Open::Sequence(nodes) => Node::Sequence(nodes),
                Open::Mapping(pairs, _) => Node::Mapping(pairs),
            },
            _ => continue,
        };
        match open.last_mut() {
            None => return Some(node),
            Some(Open::Sequence(nodes)) => nodes.push(node),
            Some(Open::Mapping(pairs, key)) => match key.take() {
                Some(key) => pairs.push((key, node)),
                None => *key = Some(node.text()),
            },
        }
    }
    None
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

    #[test]
    fn only_refs_that_differ_count_and_not_the_files_form() {
        let changes = element_changes(&name("a.bst"), Some(OLD), Some(NEW));
        let expected = RefChange { element: name("a.bst"), source: 0, old: None, new: Some("v1-0-g1".to_owned()) };
        assert_eq!(changes, [expected]);
        assert!(element_changes(&name("a.bst"), Some(NEW), Some(&NEW.replace("\n\n", "\n"))).is_empty());
    }

    #[test]
    fn project_refs_are_read_by_project_and_element() {
        let new = "projects:\n  p:\n    a.bst:\n    - ref: one\n  sub:\n    b.bst:\n    - {}\n    - ref: [x, {y: z}]\n";
        let changes = stored_changes("p", None, Some(new));
        let told: Vec<_> = changes.iter().map(|c| (c.element.as_str(), c.source, c.new.as_deref())).collect();
        assert_eq!(told, [("a.bst", 0, Some("one")), ("sub:b.bst", 1, Some("[x, {y: z}]"))]);
    }

    #[test]
    fn hostile_yaml_is_passed_over() {
        let deep = "[".repeat(100_000);
        let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nsources: [{ref: *b}]\n";
        for text in [deep.as_str(), bomb, "sources: {", "\u{0}", "- - -", "sources: 3", ""] {
            let _ = element_changes(&name("a.bst"), None, Some(text));
        }
        assert_eq!(top_level("name: p\nelement-path: elements\n", "element-path").as_deref(), Some("elements"));
    }
}
