//! YAML with where each part stands in its text, for those who change a little of it and leave the rest as it is.

use std::ops::Range;

use saphyr_parser::{Event, Parser, Span};

use super::yaml::LARGEST;

const DEEPEST: usize = 50;

/// A value and where it stands, in bytes. A block collection ends with the last scalar in it.
#[derive(Debug, Clone)]
pub(super) struct SpannedNode {
    pub(super) value: SpannedValue,
    pub(super) range: Range<usize>,
    /// The column at which it begins, in characters.
    pub(super) column: usize,
}

#[derive(Debug, Clone)]
pub(super) enum SpannedValue {
    Scalar(String),
    Sequence(Vec<SpannedNode>),
    Mapping(Vec<SpannedPair>),
}

/// A key of a mapping with its value.
#[derive(Debug, Clone)]
pub(super) struct SpannedPair {
    pub(super) name: String,
    pub(super) key: Range<usize>,
    pub(super) value: SpannedNode,
}

struct OpenSpannedNode {
    value: OpenValue,
    start: usize,
    column: usize,
}

enum OpenValue {
    Sequence(Vec<SpannedNode>),
    Mapping(Vec<SpannedPair>, Option<(String, Range<usize>)>),
}

impl SpannedNode {
    /// The first document of a text; none where it is not YAML, has aliases or anchors, or is larger or deeper than a
    /// project's files are.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > LARGEST {
            return None;
        }
        let bytes: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let byte = |index: usize| bytes.get(index).copied().unwrap_or(text.len());
        let mut open: Vec<OpenSpannedNode> = Vec::new();
        for event in Parser::new_from_str(text) {
            let (event, span) = event.ok()?;
            let at = |span: Span| byte(span.start.index())..byte(span.end.index());
            let node = match event {
                Event::Scalar(value, ..) => {
                    let range = trimmed(text, at(span));
                    Self { value: SpannedValue::Scalar(value.into_owned()), range, column: span.start.col() }
                }
                Event::Alias(_) => return None,
                Event::SequenceStart(..) | Event::MappingStart(..) if open.len() >= DEEPEST => return None,
                Event::SequenceStart(..) => {
                    open.push(OpenSpannedNode::new(OpenValue::Sequence(Vec::new()), at(span), span));
                    continue;
                }
                Event::MappingStart(..) => {
                    open.push(OpenSpannedNode::new(OpenValue::Mapping(Vec::new(), None), at(span), span));
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => open.pop()?.closed(text, at(span)),
                _ => continue,
            };
            match open.last_mut().map(|open| &mut open.value) {
                None => return Some(node),
                Some(OpenValue::Sequence(nodes)) => nodes.push(node),
                Some(OpenValue::Mapping(pairs, key)) => match key.take() {
                    Some((name, key)) => pairs.push(SpannedPair { name, key, value: node }),
                    None => match node.value {
                        SpannedValue::Scalar(name) => *key = Some((name, node.range)),
                        SpannedValue::Sequence(_) | SpannedValue::Mapping(_) => return None,
                    },
                },
            }
        }
        None
    }

    pub(super) fn pairs(&self) -> &[SpannedPair] {
        match &self.value {
            SpannedValue::Mapping(pairs) => pairs,
            SpannedValue::Scalar(_) | SpannedValue::Sequence(_) => &[],
        }
    }

    pub(super) fn items(&self) -> &[SpannedNode] {
        match &self.value {
            SpannedValue::Sequence(nodes) => nodes,
            SpannedValue::Scalar(_) | SpannedValue::Mapping(_) => &[],
        }
    }

    pub(super) fn pair(&self, name: &str) -> Option<&SpannedPair> {
        self.pairs().iter().find(|pair| pair.name == name)
    }

    /// Whether it is a collection in brackets or braces.
    pub(super) fn is_flow(&self, text: &str) -> bool {
        !matches!(self.value, SpannedValue::Scalar(_)) && text[self.range.clone()].starts_with(['[', '{'])
    }

    pub(super) fn is_scalar(&self) -> bool {
        matches!(self.value, SpannedValue::Scalar(_))
    }
}

impl OpenSpannedNode {
    fn new(value: OpenValue, at: Range<usize>, span: Span) -> Self {
        Self { value, start: at.start, column: span.start.col() }
    }

    fn closed(self, text: &str, end: Range<usize>) -> SpannedNode {
        let flow = text[self.start..].starts_with(['[', '{']);
        let (value, first, last) = match self.value {
            OpenValue::Sequence(nodes) => {
                let (first, last) = (nodes.first().map(|node| node.range.start), nodes.last().map(|n| n.range.end));
                (SpannedValue::Sequence(nodes), first, last)
            }
            OpenValue::Mapping(pairs, _) => {
                let first = pairs.first().map(|pair| pair.key.start);
                let last = pairs.last().map(|pair| pair.value.range.end.max(pair.key.end));
                (SpannedValue::Mapping(pairs), first, last)
            }
        };
        let start = if flow { self.start } else { first.unwrap_or(self.start).min(self.start) };
        // The end of a block is told where the next thing begins.
        let end = if flow { closing(text, end) } else { last.unwrap_or(self.start) };
        SpannedNode { value, range: start..end.max(start), column: self.column }
    }
}

/// Where a collection in brackets or braces ends: behind the one that closes it.
fn closing(text: &str, end: Range<usize>) -> usize {
    let from = end.start;
    if text[from..].starts_with([']', '}']) { from + 1 } else { text[..end.end].trim_end().len() }
}

/// A scalar's place without white space behind it, which block scalars have.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let end = range.start + text[range.clone()].trim_end().len();
    range.start..end
}

/// The beginning of the line in which an offset lies.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |line| line + 1)
}

/// The end of the line in which an offset lies, its line end not included.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |line| at + line)
}

/// Lines moved by so many columns to the right, or to the left; the first one is left as it is.
pub(super) fn moved(text: &str, columns: isize) -> Option<String> {
    let mut lines = text.split('\n');
    let mut moved = lines.next()?.to_owned();
    for line in lines {
        moved.push('\n');
        let rest = line.trim_start_matches(' ');
        if rest.is_empty() {
            continue;
        }
        let spaces = (line.len() - rest.len()).checked_add_signed(columns)?;
        moved.push_str(&" ".repeat(spaces));
        moved.push_str(rest);
    }
    Some(moved)
}
