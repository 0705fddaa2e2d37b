//! Refs changed in a file as it is, where bst would write the whole file anew.
//!
//! What bst wrote is where the new refs are taken from, character by character, so that nothing needs to know how a
//! value of YAML is quoted. What comes out is read again: only the refs that were meant may differ.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use thiserror::Error;

use super::refs::{joined, place_of, placed_refs};
use super::spanned_yaml::{SpannedNode, SpannedPair, line_end, moved};
use super::yaml::YamlNode;

/// Why refs could not be changed in a file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum RefWriteError {
    /// The file is not there, is not YAML, or not as such files are.
    #[error("it cannot be read")]
    Unreadable,
    /// A source is not where it was, or has another ref by now.
    #[error("it has another ref, or another source, in that place by now")]
    Moved,
    /// A change that is not made in this way: a ref that goes, for example.
    #[error("its form is not one in which refs can be changed alone")]
    Form,
}

/// A source in a text: the table that it is, and the ref in it.
struct SourcePlace<'n> {
    node: &'n SpannedNode,
    reference: Option<&'n SpannedPair>,
}

/// The text `base` with the refs of `new` in these places, and all else as it is.
///
/// # Errors
/// When that cannot be done without changing anything else.
pub(crate) fn with_refs(base: &str, new: &str, places: &BTreeSet<String>) -> Result<String, RefWriteError> {
    let (base_node, new_node) = (parsed(base)?, parsed(new)?);
    let (base_places, new_places) = (source_places(&base_node), source_places(&new_node));
    let mut edits = Vec::new();
    for place in places {
        let (Some(target), Some(source)) = (base_places.get(place), new_places.get(place)) else {
            return Err(RefWriteError::Moved);
        };
        let value = source.reference.ok_or(RefWriteError::Form)?;
        edits.push(edit(base, target, new, source.node, value)?);
    }
    let written = applied(base, edits);
    verify(base, &written, new, places)?;
    Ok(written)
}

fn parsed(text: &str) -> Result<SpannedNode, RefWriteError> {
    SpannedNode::parse(text).ok_or(RefWriteError::Unreadable)
}

/// What is to stand in the place of a part of the base.
fn edit(
    base: &str,
    target: &SourcePlace<'_>,
    new: &str,
    source: &SpannedNode,
    value: &SpannedPair,
) -> Result<(Range<usize>, String), RefWriteError> {
    let text = &new[value.value.range.clone()];
    let columns = isize::try_from(target.node.column).ok().zip(isize::try_from(source.column).ok());
    let columns = columns.map(|(to, from)| to - from).ok_or(RefWriteError::Form)?;
    let in_block = || moved(&new[value.key.end..value.value.range.end], columns).ok_or(RefWriteError::Form);
    let flat = !text.contains('\n');
    match target.reference {
        Some(old) if flat && !base[old.value.range.clone()].contains('\n') && on_key_line(base, old) => {
            Ok((old.value.range.clone(), text.to_owned()))
        }
        Some(old) if !target.node.is_flow(base) => Ok((old.key.end..old.value.range.end, in_block()?)),
        None if target.node.is_flow(base) && flat => {
            let last = target.node.pairs().last().map_or(target.node.range.start + 1, |pair| pair.value.range.end);
            Ok((last..last, format!(", ref: {text}")))
        }
        None if !target.node.is_flow(base) => {
            let end = line_end(base, target.node.range.end);
            let indent = " ".repeat(target.node.column);
            Ok((end..end, format!("\n{indent}ref{}", in_block()?)))
        }
        _ => Err(RefWriteError::Form),
    }
}

fn on_key_line(text: &str, pair: &SpannedPair) -> bool {
    pair.value.is_scalar() && !text[pair.key.end..pair.value.range.start].contains('\n')
}

fn applied(base: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    edits.sort_by_key(|(range, _)| std::cmp::Reverse((range.start, range.end)));
    let mut written = base.to_owned();
    for (range, text) in edits {
        written.replace_range(range, &text);
    }
    written
}

/// Sees that nothing but these refs differs, and that they are what they are to be.
fn verify(base: &str, written: &str, new: &str, places: &BTreeSet<String>) -> Result<(), RefWriteError> {
    if !differ_in_refs_alone(base, written) {
        return Err(RefWriteError::Form);
    }
    let (before, after, wanted) = (placed_refs(base), placed_refs(written), placed_refs(new));
    let all: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let right = |place: &String| {
        let expected = if places.contains(place) { wanted.get(place) } else { before.get(place) };
        after.get(place) == expected
    };
    if all.into_iter().all(right) { Ok(()) } else { Err(RefWriteError::Form) }
}

/// Whether two texts of an element, or of what elements include, are the same but for refs and form.
pub(crate) fn differ_in_refs_alone(one: &str, other: &str) -> bool {
    match (YamlNode::parse(one), YamlNode::parse(other)) {
        (Some(one), Some(other)) => without_refs(one, false) == without_refs(other, false),
        _ => false,
    }
}

/// A value without the refs of the sources in it. `in_sources`: it is what `sources` has.
fn without_refs(node: YamlNode, in_sources: bool) -> YamlNode {
    match node {
        YamlNode::Mapping(pairs) => {
            let kept = pairs.into_iter().filter(|(name, _)| !(in_sources && name == "ref"));
            let inner = |(name, value): (String, YamlNode)| {
                let deeper = in_sources || name == "sources";
                let value = without_refs(value, deeper);
                (name, value)
            };
            YamlNode::Mapping(kept.map(inner).collect())
        }
        YamlNode::Sequence(nodes) => {
            YamlNode::Sequence(nodes.into_iter().map(|node| without_refs(node, in_sources)).collect())
        }
        YamlNode::Scalar(text) => YamlNode::Scalar(text),
    }
}

/// The sources of a text by their places, as [`refs`](super::refs) names them.
fn source_places(node: &SpannedNode) -> BTreeMap<String, SourcePlace<'_>> {
    let mut places = BTreeMap::new();
    below_top(node, None, &mut places);
    places
}

fn below_top<'n>(node: &'n SpannedNode, condition: Option<&str>, places: &mut BTreeMap<String, SourcePlace<'n>>) {
    if let Some(sources) = node.pair("sources") {
        below_sources(&sources.value, condition, "", places);
    }
    for inner in conditionals(node) {
        below_top(&inner.value, Some(&joined(condition, &inner.name)), places);
    }
}

fn below_sources<'n>(
    node: &'n SpannedNode,
    condition: Option<&str>,
    list: &str,
    places: &mut BTreeMap<String, SourcePlace<'n>>,
) {
    for (index, item) in node.items().iter().enumerate() {
        add_source(item, index, condition, list, places);
    }
    for pair in node.pairs() {
        if matches!(pair.name.as_str(), "(>)" | "(<)" | "(=)") {
            below_sources(&pair.value, condition, &pair.name, places);
        }
    }
    for inner in conditionals(node) {
        below_sources(&inner.value, Some(&joined(condition, &inner.name)), list, places);
    }
}

fn add_source<'n>(
    item: &'n SpannedNode,
    index: usize,
    condition: Option<&str>,
    list: &str,
    places: &mut BTreeMap<String, SourcePlace<'n>>,
) {
    let mut add = |node: &'n SpannedNode, condition: Option<&str>| {
        let place = SourcePlace { node, reference: node.pair("ref") };
        places.insert(place_of(condition, list, index), place);
    };
    add(item, condition);
    for inner in conditionals(item) {
        if inner.value.pair("ref").is_some() {
            add(&inner.value, Some(&joined(condition, &inner.name)));
        }
    }
}

fn conditionals(node: &SpannedNode) -> impl Iterator<Item = &SpannedPair> {
    let list = node.pair("(?)").map(|pair| pair.value.items()).unwrap_or_default();
    list.iter().flat_map(SpannedNode::pairs)
}

#[cfg(test)]
mod tests;
