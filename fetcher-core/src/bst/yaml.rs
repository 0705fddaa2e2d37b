//! YAML of strangers, as far as this library reads it: the files of a project, and what `bst show` prints.
//!
//! Aliases, which make YAML explode, are not followed (BuildStream has none), and size and depth are bounded.

use saphyr_parser::{Event, Parser};

/// Texts larger than this, in bytes, are not looked into.
pub const LARGEST: usize = 8 << 20;
const DEEPEST: usize = 50;

/// A YAML value with every scalar as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum YamlNode {
    Scalar(String),
    Sequence(Vec<YamlNode>),
    Mapping(Vec<(String, YamlNode)>),
}

/// A node under construction: what it is, and for a mapping the key that waits for its value.
enum OpenNode {
    Sequence(Vec<YamlNode>),
    Mapping(Vec<(String, YamlNode)>, Option<String>),
}

impl YamlNode {
    /// The first document of a text; none where it is not YAML, or larger or deeper than a project's files are.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > LARGEST {
            return None;
        }
        let mut open: Vec<OpenNode> = Vec::new();
        for event in Parser::new_from_str(text) {
            let node = match event.ok()?.0 {
                Event::Scalar(value, ..) => YamlNode::Scalar(value.into_owned()),
                Event::Alias(_) => YamlNode::Scalar(String::new()),
                Event::SequenceStart(..) if open.len() < DEEPEST => {
                    open.push(OpenNode::Sequence(Vec::new()));
                    continue;
                }
                Event::MappingStart(..) if open.len() < DEEPEST => {
                    open.push(OpenNode::Mapping(Vec::new(), None));
                    continue;
                }
                Event::SequenceStart(..) | Event::MappingStart(..) => return None,
                Event::SequenceEnd | Event::MappingEnd => match open.pop()? {
                    OpenNode::Sequence(nodes) => YamlNode::Sequence(nodes),
                    OpenNode::Mapping(pairs, _) => YamlNode::Mapping(pairs),
                },
                _ => continue,
            };
            match open.last_mut() {
                None => return Some(node),
                Some(OpenNode::Sequence(nodes)) => nodes.push(node),
                Some(OpenNode::Mapping(pairs, key)) => match key.take() {
                    Some(key) => pairs.push((key, node)),
                    None => *key = Some(node.text()),
                },
            }
        }
        None
    }

    /// The value of a key of a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&YamlNode> {
        self.pairs().iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The keys of a mapping with their values; nothing of any other node.
    pub(crate) fn pairs(&self) -> &[(String, YamlNode)] {
        match self {
            YamlNode::Mapping(pairs) => pairs,
            YamlNode::Scalar(_) | YamlNode::Sequence(_) => &[],
        }
    }

    /// The members of a sequence; nothing of any other node.
    pub(crate) fn items(&self) -> &[YamlNode] {
        match self {
            YamlNode::Sequence(nodes) => nodes,
            YamlNode::Scalar(_) | YamlNode::Mapping(_) => &[],
        }
    }

    /// A scalar's text.
    pub(crate) fn scalar(&self) -> Option<&str> {
        match self {
            YamlNode::Scalar(text) => Some(text),
            YamlNode::Sequence(_) | YamlNode::Mapping(_) => None,
        }
    }

    /// The scalars that a key has: one, or a list of them.
    pub(crate) fn strings(&self, key: &str) -> Vec<&str> {
        match self.get(key) {
            Some(YamlNode::Scalar(text)) => vec![text],
            Some(YamlNode::Sequence(nodes)) => nodes.iter().filter_map(YamlNode::scalar).collect(),
            Some(YamlNode::Mapping(_)) | None => Vec::new(),
        }
    }

    /// The whole value on one line: a scalar as it is, lists and tables in flow style.
    pub(crate) fn text(&self) -> String {
        match self {
            YamlNode::Scalar(text) => text.clone(),
            YamlNode::Sequence(nodes) => {
                format!("[{}]", nodes.iter().map(YamlNode::text).collect::<Vec<_>>().join(", "))
            }
            YamlNode::Mapping(pairs) => {
                let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}: {}", value.text())).collect();
                format!("{{{}}}", pairs.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_yaml_is_passed_over_or_bounded() {
        let deep = "[".repeat(100_000);
        for text in [deep.as_str(), "a: {", "\u{0}", "- - -\n]", ""] {
            let _ = YamlNode::parse(text);
        }
        let bomb = YamlNode::parse("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n").unwrap();
        assert_eq!(bomb.text(), "{a: [x, x], b: [, ], c: [, ]}");
        assert_eq!(YamlNode::parse(&"x".repeat(LARGEST + 1)), None);
    }
}
