//! Where the refs stand in a project's files, to the byte, and writing others there as bst writes them.
//!
//! bst rewrites a file with ruamel.yaml, which brings it into a form of its own the first time. What is in that form
//! already changes in nothing but the scalars that are refs, and those keep the quotes that they have. So a ref can be
//! written here, without bst, into a text that bst has written before.

use std::collections::BTreeMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::yaml::{LARGEST, YamlNode};

/// How deep a ref may stand.
const DEEPEST: usize = 50;
/// The longest ref that is written here, in bytes.
const LONGEST: usize = 256;

/// A ref in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefSlot {
    /// The ref, a list or a table on one line.
    pub(crate) value: String,
    /// Of a table of nothing but scalars these, by key, in their order; nothing of any other ref.
    parts: RefParts,
    /// Where its text is, without quotes; none where it is no scalar on one line that stands for itself.
    text: Option<Range<usize>>,
    /// Whether a comment follows on its line, which would move with its end.
    has_comment: bool,
}

/// The scalars of a table, by key.
type RefParts = Vec<(String, RefSlot)>;

/// The refs of a file, by the way that leads to each (`/sources/0/ref`, in the form of a JSON pointer).
pub(crate) type RefSlots = BTreeMap<String, RefSlot>;

/// A step of the way to a value.
#[derive(Debug, Clone)]
enum Step {
    Key(String),
    Index(usize),
}

/// A list or a table that the parser is in.
enum Level {
    List(usize),
    Table(Option<String>),
}

/// The refs of an element, of what elements include, or of a `project.refs`; none where the text is not YAML as
/// projects have it.
pub(crate) fn ref_slots(text: &str) -> Option<RefSlots> {
    if text.len() > LARGEST {
        return None;
    }
    let bytes = byte_offsets(text);
    let mut slots = RefSlots::new();
    let mut levels: Vec<Level> = Vec::new();
    // The depth at which a ref is a list or a table, whose own keys are none.
    let mut inside: Option<usize> = None;
    let mut composite: Vec<(Vec<Step>, Option<RefParts>)> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.ok()?;
        match event {
            Event::Alias(_) => return None,
            Event::Scalar(value, style, ..) => {
                if let Some(Level::Table(key @ None)) = levels.last_mut() {
                    *key = Some(value.into_owned());
                    continue;
                }
                let slot = || {
                    let span = offset(bytes.as_ref(), span.start.index())?..offset(bytes.as_ref(), span.end.index())?;
                    Some(scalar_slot(text, &value, style, span))
                };
                if let Some(depth) = inside {
                    let parts = composite.last_mut().and_then(|(_, parts)| parts.as_mut());
                    if let (Some(parts), Some(Level::Table(Some(key)))) = (parts, levels.last())
                        && levels.len() == depth + 1
                    {
                        parts.push((key.clone(), slot()?));
                    }
                } else if leads_to_ref(&levels) {
                    slots.insert(pointer(&steps(&levels)), slot()?).is_none().then_some(())?;
                }
                next(&mut levels);
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if levels.len() >= DEEPEST || matches!(levels.last(), Some(Level::Table(None))) {
                    return None;
                }
                let is_list = matches!(event, Event::SequenceStart(..));
                if inside.is_some() {
                    // It is more than a table of scalars.
                    composite.last_mut()?.1 = None;
                } else if leads_to_ref(&levels) {
                    inside = Some(levels.len());
                    composite.push((steps(&levels), (!is_list).then(Vec::new)));
                }
                levels.push(if is_list { Level::List(0) } else { Level::Table(None) });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                levels.pop()?;
                inside = inside.filter(|depth| *depth != levels.len());
                next(&mut levels);
            }
            _ => {}
        }
    }
    if !composite.is_empty() {
        let node = YamlNode::parse(text)?;
        for (steps, parts) in composite {
            let value = at(&node, &steps)?.text();
            let slot = RefSlot { value, parts: parts.unwrap_or_default(), text: None, has_comment: false };
            slots.insert(pointer(&steps), slot).is_none().then_some(())?;
        }
    }
    Some(slots)
}

/// A text without its refs: of two texts that are the same then, bst writes what differs in the refs alone.
pub(crate) fn without_refs(text: &str, slots: &RefSlots) -> String {
    let all = slots.values().flat_map(|slot| slot.parts.iter().map(|(_, part)| part).chain([slot]));
    replaced(text, all.filter_map(|slot| Some((slot.text.clone()?, ""))).collect())
}

/// The text with other refs in the same places, as bst writes it whose own form the text has; none where that cannot be
/// foreseen: a place that is not there, a ref that would need other quotes, a comment that would move.
pub(crate) fn with_refs(text: &str, slots: &RefSlots, wanted: &BTreeMap<String, String>) -> Option<String> {
    let mut changes = Vec::new();
    for (place, value) in wanted {
        let slot = slots.get(place)?;
        if slot.value == *value {
            continue;
        }
        if slot.parts.is_empty() {
            slot.change(value, &mut changes)?;
        } else {
            for ((_, part), value) in slot.parts.iter().zip(slot.values_of_parts(value)?) {
                part.change(&value, &mut changes)?;
            }
        }
    }
    Some(replaced(text, changes))
}

impl RefSlot {
    /// Adds what has to be written where, so that a scalar is another one; none where it cannot be foreseen.
    fn change(&self, value: &str, changes: &mut Vec<(Range<usize>, String)>) -> Option<()> {
        if self.value == value {
            return Some(());
        }
        if (self.has_comment && self.value.len() != value.len()) || !is_simple(value) {
            return None;
        }
        changes.push((self.text.clone()?, value.to_owned()));
        Some(())
    }

    /// The scalars of a table on one line that has the same keys; none of any other.
    fn values_of_parts(&self, value: &str) -> Option<Vec<String>> {
        let node = YamlNode::parse(value)?;
        let keys = self.parts.iter().map(|(key, _)| key);
        if !node.pairs().iter().map(|(key, _)| key).eq(keys) || node.text() != value {
            return None;
        }
        node.pairs().iter().map(|(_, value)| value.scalar().map(str::to_owned)).collect()
    }
}

/// A value of a node without what stands in these places.
pub(crate) fn remove_slots(node: &mut YamlNode, places: &[&str]) {
    for place in places {
        let mut steps: Vec<_> =
            place.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
        let Some(last) = steps.pop() else { continue };
        let holder = steps.iter().try_fold(&mut *node, |node, step| match node {
            YamlNode::Mapping(pairs) => pairs.iter_mut().find(|(key, _)| key == step).map(|(_, value)| value),
            YamlNode::Sequence(items) => items.get_mut(step.parse::<usize>().ok()?),
            YamlNode::Scalar(_) => None,
        });
        if let Some(YamlNode::Mapping(pairs)) = holder {
            pairs.retain(|(key, _)| *key != last);
        }
    }
}

fn scalar_slot(text: &str, value: &str, style: ScalarStyle, span: Range<usize>) -> RefSlot {
    let inner = match style {
        ScalarStyle::Plain => Some(span.start..span.start + value.len()),
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Some(span.start + 1..span.start + 1 + value.len()),
        ScalarStyle::Literal | ScalarStyle::Folded => None,
    };
    // What is escaped or broken does not stand there as it is meant.
    let inner = inner.filter(|inner| text.get(inner.clone()) == Some(value) && is_simple(value));
    let rest = inner.as_ref().and_then(|inner| text[inner.end..].lines().next());
    let has_comment = rest.is_some_and(|rest| rest.contains('#'));
    RefSlot { value: value.to_owned(), parts: Vec::new(), text: inner, has_comment }
}

/// Whether ruamel.yaml writes a text as it is, in whichever quotes.
fn is_simple(value: &str) -> bool {
    let first = value.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b'+' | b'-' | b'~');
    first && value.len() <= LONGEST && value.bytes().all(plain)
}

/// The text with other words in some ranges, which do not overlap.
fn replaced<W: AsRef<str>>(text: &str, mut changes: Vec<(Range<usize>, W)>) -> String {
    changes.sort_by_key(|(range, _)| range.start);
    let (mut result, mut end) = (String::with_capacity(text.len()), 0);
    for (range, word) in changes {
        result.push_str(&text[end..range.start]);
        result.push_str(word.as_ref());
        end = range.end;
    }
    result.push_str(&text[end..]);
    result
}

/// Whether the value that comes next is a source's ref.
fn leads_to_ref(levels: &[Level]) -> bool {
    let key = |level: &Level, name: &str| matches!(level, Level::Table(Some(key)) if key == name);
    let of_source =
        levels.iter().any(|level| key(level, "sources")) || levels.first().is_some_and(|level| key(level, "projects"));
    // CPAN's modules have two keys of their own in its place.
    of_source && levels.last().is_some_and(|level| ["ref", "suffix", "sha256sum"].iter().any(|name| key(level, name)))
}

/// Goes on behind a value.
fn next(levels: &mut [Level]) {
    match levels.last_mut() {
        Some(Level::List(index)) => *index += 1,
        Some(Level::Table(key)) => *key = None,
        None => {}
    }
}

fn steps(levels: &[Level]) -> Vec<Step> {
    let step = |level: &Level| match level {
        Level::List(index) => Step::Index(*index),
        Level::Table(key) => Step::Key(key.clone().unwrap_or_default()),
    };
    levels.iter().map(step).collect()
}

fn pointer(steps: &[Step]) -> String {
    let step = |step: &Step| match step {
        Step::Key(key) => format!("/{}", escaped(key)),
        Step::Index(index) => format!("/{index}"),
    };
    steps.iter().map(step).collect()
}

/// A key as a step of a JSON pointer.
pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn at<'n>(node: &'n YamlNode, steps: &[Step]) -> Option<&'n YamlNode> {
    steps.iter().try_fold(node, |node, step| match step {
        Step::Key(key) => node.get(key),
        Step::Index(index) => node.items().get(*index),
    })
}

/// The bytes at which characters begin; nothing where each is one byte.
fn byte_offsets(text: &str) -> Option<Vec<usize>> {
    (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).chain([text.len()]).collect())
}

fn offset(offsets: Option<&Vec<usize>>, index: usize) -> Option<usize> {
    offsets.map_or(Some(index), |offsets| offsets.get(index).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# ä\nkind: import\nvariables: {ref: none}\nsources:\n- kind: tar\n  ref: \"abc\"\n- {kind: git, ref: v1-0-g12}\n\
        - kind: x\n  ref:\n  - name: a\n    ref: no\n- kind: y\n  ref: 'x''y'\n- kind: z\n  ref: aaa  # here\n(?):\n- arch == \"a/b\":\n    sources:\n      (>):\n      - ref: c1\n";

    fn values(slots: &RefSlots) -> Vec<(&str, &str)> {
        slots.iter().map(|(place, slot)| (place.as_str(), slot.value.as_str())).collect()
    }

    #[test]
    fn refs_are_found_wherever_sources_have_them() {
        let slots = ref_slots(TEXT).unwrap();
        assert_eq!(
            values(&slots),
            [
                ("/(?)/0/arch == \"a~1b\"/sources/(>)/0/ref", "c1"),
                ("/sources/0/ref", "abc"),
                ("/sources/1/ref", "v1-0-g12"),
                ("/sources/2/ref", "[{name: a, ref: no}]"),
                ("/sources/3/ref", "x'y"),
                ("/sources/4/ref", "aaa"),
            ]
        );
        let refs = "projects:\n  p:\n    sub/a.bst:\n    - {}\n    - ref: one\n";
        assert_eq!(values(&ref_slots(refs).unwrap()), [("/projects/p/sub~1a.bst/1/ref", "one")]);
    }

    #[test]
    fn refs_are_replaced_where_that_changes_nothing_else() {
        let slots = ref_slots(TEXT).unwrap();
        let with = |place: &str, value: &str| with_refs(TEXT, &slots, &[(place.to_owned(), value.to_owned())].into());
        assert_eq!(with("/sources/0/ref", "defgh").unwrap(), TEXT.replace("\"abc\"", "\"defgh\""));
        assert_eq!(with("/sources/1/ref", "v20-0-g34").unwrap(), TEXT.replace("v1-0-g12", "v20-0-g34"));
        assert_eq!(with("/sources/4/ref", "bbb").unwrap(), TEXT.replace("aaa", "bbb"));
        assert_eq!(with("/sources/0/ref", "abc").unwrap(), TEXT);
        for (place, value) in [
            ("/sources/4/ref", "bbbb"),
            ("/sources/2/ref", "x"),
            ("/sources/3/ref", "x"),
            ("/sources/9/ref", "x"),
            ("/sources/0/ref", "a: b"),
            ("/sources/0/ref", ""),
        ] {
            assert_eq!(with(place, value), None, "{place} {value}");
        }
        let blank = without_refs(TEXT, &slots);
        let other = with("/sources/0/ref", "defgh").unwrap();
        assert_eq!(without_refs(&other, &ref_slots(&other).unwrap()), blank);
        assert!(blank.contains("ref: \"\"\n") && blank.contains("ref: 'x''y'"), "{blank}");
    }

    #[test]
    fn the_scalars_of_a_table_are_replaced_one_by_one() {
        let text = "sources:\n- kind: pypi\n  name: a\n  ref:\n    sha256sum: aa\n    suffix: '1/a-1.tar.gz'  # the file\n- kind: b\n  \
            ref: {x: {y: z}}\n";
        let slots = ref_slots(text).unwrap();
        let with = |place: &str, value: &str| with_refs(text, &slots, &[(place.to_owned(), value.to_owned())].into());
        assert_eq!(slots["/sources/0/ref"].value, "{sha256sum: aa, suffix: 1/a-1.tar.gz}");
        assert_eq!(
            with("/sources/0/ref", "{sha256sum: bbb, suffix: 1/a-1.tar.gz}").unwrap(),
            text.replace(": aa", ": bbb")
        );
        let other = with("/sources/0/ref", "{sha256sum: bb, suffix: 2/a-2.tar.gz}").unwrap();
        assert_eq!(other, text.replace(": aa", ": bb").replace("1/a-1", "2/a-2"));
        assert_eq!(ref_slots(&other).unwrap()["/sources/0/ref"].value, "{sha256sum: bb, suffix: 2/a-2.tar.gz}");
        assert_eq!(without_refs(text, &slots), without_refs(&other, &ref_slots(&other).unwrap()));
        for (place, value) in [
            // A comment would move, there are other keys or others in their order, or it is no table.
            ("/sources/0/ref", "{sha256sum: bb, suffix: 2/a-2.0.tar.gz}"),
            ("/sources/0/ref", "{suffix: 1/a-1.tar.gz, sha256sum: bb}"),
            ("/sources/0/ref", "{sha256sum: bb}"),
            ("/sources/0/ref", "{sha256sum: [b], suffix: 1/a-1.tar.gz}"),
            ("/sources/0/ref", "{sha256sum: 'b b', suffix: 1/a-1.tar.gz}"),
            ("/sources/0/ref", "bb"),
            ("/sources/1/ref", "{x: {y: w}}"),
        ] {
            assert_eq!(with(place, value), None, "{place} {value}");
        }
    }

    #[test]
    fn a_definition_is_what_is_left_without_a_ref() {
        let mut node = YamlNode::parse(TEXT).unwrap();
        remove_slots(&mut node, &["/sources/0/ref", "/sources/9/ref", "/(?)/0/arch == \"a~1b\"/sources/(>)/0/ref"]);
        assert!(!node.text().contains("ref: abc") && !node.text().contains("c1") && node.text().contains("v1-0-g12"));
    }

    #[test]
    fn hostile_yaml_has_no_refs() {
        let deep = "[".repeat(100_000);
        for text in [deep.as_str(), "a: &a [x]\nb: *a\n", "sources: {", "sources:\n- ref: a\n  ref: b\n"] {
            assert_eq!(ref_slots(text), None, "{}", &text[..text.len().min(20)]);
        }
        assert_eq!(ref_slots("- - ref: 3\n").unwrap().len(), 0);
    }
}
