//! What a project consists of: its elements and their sources, as `bst show` lists them.
//!
//! `%{source-info}` is there from BuildStream 2.5 on. It prints YAML for each source of an element, nothing for those
//! whose plugin has no such method and several for those with submodules or crates, so that a listing says what an
//! element gets and from where, not which entry of its file gets it. What a plugin prints is a stranger's: it is read
//! within bounds, and nothing of it becomes a path or a command.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::version::BstVersion;
use super::yaml::YamlNode;
use crate::names::ElementName;
use crate::secret::{Redact, Redactor};

/// No project has more elements; what follows is not read.
const MOST_ELEMENTS: usize = 200_000;
/// What one element's sources may take, in bytes.
const LARGEST_ELEMENT: usize = 4 << 20;
/// What one word of a source may take, in bytes.
const LONGEST_WORD: usize = 8 << 10;

/// The elements of a project with one option set, and their sources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Inventory {
    /// The elements, in the order in which bst lists them.
    pub elements: Vec<InventoryElement>,
}

/// One element of an [`Inventory`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct InventoryElement {
    /// Its name, behind those of its junctions.
    pub name: ElementName,
    /// Whether every one of its sources has a ref, so that it can be fetched.
    pub has_refs: bool,
    /// Its sources; none where bst could not tell them: a source without a ref, a release without `%{source-info}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<InventorySource>>,
}

/// Something that an element gets from somewhere: what `%{source-info}` says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct InventorySource {
    /// The kind of the source: the plugin's name.
    pub kind: String,
    /// Where it comes from. Most plugins resolve aliases, `git` of buildstream-plugins 2.8 does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What is found there: `git`, `remote-file`, `local`, `oci-image`, and others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medium: Option<String>,
    /// What `version` is: `commit`, `sha256`, and others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_type: Option<String>,
    /// What exactly is fetched, as the ref says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// A version for people, guessed from a tag or a file's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_guess: Option<String>,
    /// Whatever else the plugin says, each value on one line.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra_data: BTreeMap<String, String>,
}

impl Inventory {
    /// The element of a name.
    pub fn element(&self, name: &ElementName) -> Option<&InventoryElement> {
        self.elements.iter().find(|element| element.name == *name)
    }
}

/// Fit to be kept: what a source says of itself may hold credentials.
impl Redact for Inventory {
    fn redacted(self, redactor: &Redactor) -> Self {
        let source = |source: InventorySource| InventorySource {
            url: source.url.redacted(redactor),
            version: source.version.redacted(redactor),
            version_guess: source.version_guess.redacted(redactor),
            extra_data: source.extra_data.into_iter().map(|(key, value)| (key, value.redacted(redactor))).collect(),
            ..source
        };
        let element = |element: InventoryElement| InventoryElement {
            sources: element.sources.map(|sources| sources.into_iter().map(source).collect()),
            ..element
        };
        Self { elements: self.elements.into_iter().map(element).collect() }
    }
}

/// Whether a release of bst knows `%{source-info}`.
pub(crate) fn is_told_sources(version: &BstVersion) -> bool {
    (version.major, version.minor) >= (2, 5)
}

/// Reads what `bst show` prints for [`InventoryReader::format`], piece by piece, within bounds.
pub(crate) struct InventoryReader {
    marker: String,
    sources: bool,
    line: Vec<u8>,
    /// The element that is being read, and the YAML of its sources so far; none where that is too large.
    current: Option<(ElementName, bool, Option<String>)>,
    inventory: Inventory,
}

impl InventoryReader {
    /// A reader of one listing. `marker` begins the line of an element; no project could foresee it, or its plugins
    /// could print elements that are not there.
    pub(crate) fn new(marker: String, sources: bool) -> Self {
        Self { marker, sources, line: Vec::new(), current: None, inventory: Inventory::default() }
    }

    /// The value of `--format`.
    pub(crate) fn format(&self) -> String {
        let sources = if self.sources { "\n%{source-info}" } else { "" };
        // The marker alone ends an element, so that nothing that follows is taken for a part of it.
        format!("{0}\t%{{state}}\t%{{name}}{sources}\n{0}", self.marker)
    }

    /// Takes the next piece of standard output.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.take_line(&String::from_utf8_lossy(&line));
            } else if self.line.len() <= LARGEST_ELEMENT {
                self.line.push(byte);
            }
        }
    }

    /// The listing, when standard output has ended.
    pub(crate) fn finish(mut self) -> Inventory {
        if !self.line.is_empty() {
            self.push(b"\n");
        }
        self.end_element();
        self.inventory
    }

    fn take_line(&mut self, line: &str) {
        if line == self.marker {
            return self.end_element();
        }
        let head = line.strip_prefix(self.marker.as_str()).and_then(|rest| rest.strip_prefix('\t'));
        if let Some((state, name)) = head.and_then(|rest| rest.split_once('\t')) {
            self.end_element();
            if let (Ok(name), true) = (name.trim_end().parse(), self.inventory.elements.len() < MOST_ELEMENTS) {
                let has_refs = state.trim() != "no reference";
                self.current = Some((name, has_refs, self.sources.then(String::new)));
            }
        } else if let Some((_, _, text)) = &mut self.current {
            if text.as_ref().is_some_and(|text| text.len() + line.len() > LARGEST_ELEMENT) {
                *text = None;
            }
            if let Some(text) = text {
                text.push_str(line);
                text.push('\n');
            }
        }
    }

    fn end_element(&mut self) {
        let Some((name, has_refs, text)) = self.current.take() else { return };
        let sources = text.filter(|_| has_refs).and_then(|text| sources(&text));
        self.inventory.elements.push(InventoryElement { name, has_refs, sources });
    }
}

/// The sources in the YAML that bst prints for an element; none where it is none, or says less than a kind.
fn sources(text: &str) -> Option<Vec<InventorySource>> {
    match YamlNode::parse(text)? {
        YamlNode::Sequence(nodes) => nodes.iter().map(source).collect(),
        YamlNode::Scalar(_) | YamlNode::Mapping(_) => None,
    }
}

fn source(node: &YamlNode) -> Option<InventorySource> {
    let bounded = |text: &str| text.len() <= LONGEST_WORD;
    let word = |key| node.get(key).map(YamlNode::text).filter(|text| bounded(text) && text != "None");
    let extra = node.get("extra-data").map(YamlNode::pairs).unwrap_or_default();
    let extra = extra.iter().map(|(key, value)| (key.clone(), value.text()));
    Some(InventorySource {
        kind: word("kind")?,
        url: word("url"),
        medium: word("medium"),
        version_type: word("version-type"),
        version: word("version"),
        version_guess: word("version-guess"),
        extra_data: extra.filter(|(key, value)| bounded(key) && bounded(value)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str) -> Inventory {
        let mut reader = InventoryReader::new("M".to_owned(), true);
        for piece in output.as_bytes().chunks(7) {
            reader.push(piece);
        }
        reader.finish()
    }

    /// As bst 2.8.1 prints it, with buildstream-plugins 2.8.0.
    const REAL: &str = "M\tbuildable\ta.bst\n- kind: git\n  url: up:up\n  medium: git\n  version-type: commit\n  \
        version: 533844ebc5cc485c3e4615ca664f8592bbe04512\n- kind: tar\n  url: https://example.org/t-1.2.tar.gz\n  \
        medium: remote-file\n  version-type: sha256\n  version: f988\n  version-guess: 1.2\n  extra-data:\n    x: 1\n\n\
        M\tno reference\tsub.bst:b.bst\n- kind: tar\n  version: None\n\nM\twaiting\tc.bst\n[]\n\n";

    #[test]
    fn what_bst_prints_is_read() {
        let inventory = read(REAL);
        let names: Vec<_> = inventory.elements.iter().map(|e| (e.name.as_str(), e.has_refs)).collect();
        assert_eq!(names, [("a.bst", true), ("sub.bst:b.bst", false), ("c.bst", true)]);
        let sources = inventory.elements[0].sources.as_ref().unwrap();
        assert_eq!(sources[0].version.as_deref(), Some("533844ebc5cc485c3e4615ca664f8592bbe04512"));
        assert_eq!((sources[1].kind.as_str(), sources[1].version_guess.as_deref()), ("tar", Some("1.2")));
        assert_eq!(sources[1].extra_data, [("x".to_owned(), "1".to_owned())].into());
        assert_eq!(inventory.elements[1].sources, None);
        assert_eq!(inventory.elements[2].sources, Some(Vec::new()));
        let json = serde_json::to_string(&inventory).unwrap();
        assert_eq!(serde_json::from_str::<Inventory>(&json).unwrap(), inventory);
    }

    #[test]
    fn what_no_bst_prints_is_not_believed() {
        let text = "X\tbuildable\tbefore.bst\nM\tbuildable\t--option.bst\nM\tbuildable\ta.bst\n- kind: [\n\
            M\tbuildable\tb.bst\n- url: no kind\nM\tbuildable\tc.bst\n- kind: tar\n\u{1b}]0;x\u{7}\nM buildable d.bst\n";
        let inventory = read(text);
        let names: Vec<_> = inventory.elements.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(names, ["a.bst", "b.bst", "c.bst"]);
        assert!(inventory.elements.iter().all(|element| element.sources.is_none()), "{inventory:?}");
    }

    #[test]
    fn an_endless_element_is_cut() {
        let mut reader = InventoryReader::new("M".to_owned(), true);
        reader.push(b"M\tbuildable\ta.bst\n");
        for _ in 0..200 {
            reader.push(&vec![b'x'; 64 << 10]);
        }
        reader.push(b"\nM\tbuildable\tb.bst\n[]\n");
        let inventory = reader.finish();
        assert_eq!((inventory.elements.len(), &inventory.elements[0].sources), (2, &None));
    }
}
