//! `project.refs` and `junction.refs` with the blocks of some elements taken over from what bst wrote.

use std::collections::BTreeSet;
use std::ops::Range;

use super::ref_writer::RefWriteError;
use super::refs::{StoredKey, StoredRefs, stored_refs};
use super::spanned_yaml::{SpannedNode, SpannedPair, line_end, line_start, moved};

/// The text `base` (none where there is no such file) with the blocks that `new` has for these elements.
///
/// # Errors
/// When that cannot be done without changing anything else.
pub(crate) fn with_blocks(
    base: Option<&str>,
    new: &str,
    elements: &BTreeSet<StoredKey>,
) -> Result<String, RefWriteError> {
    let mut written = base.unwrap_or_default().to_owned();
    let wanted = SpannedNode::parse(new).ok_or(RefWriteError::Unreadable)?;
    for (project, element) in elements {
        let block = block_of(&wanted, project, element).ok_or(RefWriteError::Form)?;
        written = with_block(&written, new, project, &block)?;
    }
    verify(base, &written, new, elements)?;
    Ok(written)
}

/// The text `new` without what it changed of these elements: the text `old` with the blocks of all others that differ.
/// None where there was no such file, and nothing is left that it is for.
///
/// # Errors
/// When that cannot be done without changing anything else.
pub(crate) fn without_blocks(
    old: Option<&str>,
    new: &str,
    elements: &BTreeSet<StoredKey>,
) -> Result<Option<String>, RefWriteError> {
    let (before, after) = (stored_refs(old), stored_refs(Some(new)));
    let differs = |key: &&StoredKey| before.get(*key) != after.get(*key) && !elements.contains(*key);
    let kept: BTreeSet<_> = before.keys().chain(after.keys()).filter(differs).cloned().collect();
    if kept.is_empty() { Ok(old.map(str::to_owned)) } else { with_blocks(old, new, &kept).map(Some) }
}

/// An element's key with its value, and the column of the key.
struct StoredBlock<'n> {
    pair: &'n SpannedPair,
    column: usize,
}

fn block_of<'n>(node: &'n SpannedNode, project: &str, element: &str) -> Option<StoredBlock<'n>> {
    let elements = &node.pair("projects")?.value.pair(project)?.value;
    Some(StoredBlock { pair: elements.pair(element)?, column: elements.column })
}

fn with_block(text: &str, new: &str, project: &str, block: &StoredBlock<'_>) -> Result<String, RefWriteError> {
    let lines = |column: usize| {
        let from = line_start(new, block.pair.key.start);
        let columns = isize::try_from(column).ok()?.checked_sub(isize::try_from(block.column).ok()?)?;
        // The first line is moved like the others.
        let moved = moved(&format!("\n{}", &new[from..block.pair.value.range.end]), columns)?;
        Some(moved[1..].to_owned())
    };
    let lines = |column| lines(column).ok_or(RefWriteError::Form);
    let put = |range: Range<usize>, lines: String| {
        let mut text = text.to_owned();
        text.replace_range(range, &lines);
        Ok(text)
    };
    if text.trim().is_empty() {
        return Ok(format!("projects:\n  {project}:\n{}\n", lines(4)?));
    }
    let node = SpannedNode::parse(text).ok_or(RefWriteError::Unreadable)?;
    let projects = &node.pair("projects").ok_or(RefWriteError::Form)?.value;
    if projects.is_flow(text) {
        return Err(RefWriteError::Form);
    }
    let Some(own) = projects.pair(project) else {
        let (end, column) = (line_end(text, projects.range.end), projects.column);
        return put(end..end, format!("\n{}{project}:\n{}", " ".repeat(column), lines(column + 2)?));
    };
    if own.value.is_flow(text) || own.value.is_scalar() {
        return Err(RefWriteError::Form);
    }
    if let Some(old) = own.value.pair(&block.pair.name) {
        return put(line_start(text, old.key.start)..old.value.range.end, lines(own.value.column)?);
    }
    let end = line_end(text, own.value.range.end);
    put(end..end, format!("\n{}", lines(own.value.column)?))
}

fn verify(base: Option<&str>, written: &str, new: &str, elements: &BTreeSet<StoredKey>) -> Result<(), RefWriteError> {
    let (before, after, wanted) = (stored_refs(base), stored_refs(Some(written)), stored_refs(Some(new)));
    let of = |refs: &StoredRefs, key: &StoredKey| refs.get(key).cloned();
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).chain(elements).collect();
    let right =
        |key: &StoredKey| of(&after, key) == if elements.contains(key) { of(&wanted, key) } else { of(&before, key) };
    if keys.into_iter().all(right) { Ok(()) } else { Err(RefWriteError::Form) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[(&str, &str)]) -> BTreeSet<StoredKey> {
        names.iter().map(|(project, element)| ((*project).to_owned(), (*element).to_owned())).collect()
    }

    const NEW: &str = "projects:\n  p:\n    a.bst:\n    - ref: a2\n    b.bst:\n    - {}\n    - ref: b2\n    c.bst:\n    \
                       - ref:\n      - name: x\n  sub:\n    z.bst:\n    - ref: z2\n";

    #[test]
    fn blocks_of_elements_are_taken_over_one_by_one() {
        let base = "projects:\n  p:\n    a.bst:\n    - ref: a1\n    b.bst:\n    - {}\n    - ref: b1\n";
        let written = with_blocks(Some(base), NEW, &keys(&[("p", "b.bst")])).unwrap();
        assert_eq!(written, base.replace("b1", "b2"));
        let written = with_blocks(Some(base), NEW, &keys(&[("p", "a.bst"), ("p", "c.bst"), ("sub", "z.bst")])).unwrap();
        let more = "    c.bst:\n    - ref:\n      - name: x\n  sub:\n    z.bst:\n    - ref: z2\n";
        assert_eq!(written, base.replace("a1", "a2") + more);
    }

    #[test]
    fn blocks_are_taken_back_to_what_they_were_byte_for_byte() {
        let old = "# Ours\nprojects:\n    p:\n        a.bst:\n        -   ref:   'a1' # by hand\n        b.bst:\n        - {}\n        \
                   - ref: b1\n";
        let without = |names: &[(&str, &str)]| without_blocks(Some(old), NEW, &keys(names)).unwrap().unwrap();
        // What differs and is not taken back is as it would be published.
        let more = "        c.bst:\n        - ref:\n          - name: x\n    sub:\n      z.bst:\n      - ref: z2\n";
        assert_eq!(without(&[("p", "a.bst")]), old.replace("b1", "b2") + more);
        let new = ["c.bst", "a.bst"].map(|name| ("p", name));
        assert_eq!(without(&[new[0], new[1], ("sub", "z.bst")]), old.replace("b1", "b2"), "nor what is new there");
        assert_eq!(without(&[("p", "a.bst"), ("p", "b.bst"), ("p", "c.bst"), ("sub", "z.bst")]), old);
        let all = [("p", "a.bst"), ("p", "b.bst"), ("p", "c.bst"), ("sub", "z.bst")];
        assert_eq!(without_blocks(None, NEW, &keys(&all)), Ok(None), "the file goes where nothing is left in it");
        let left = without_blocks(None, NEW, &keys(&all[1..])).unwrap().unwrap();
        assert_eq!(left, "projects:\n  p:\n    a.bst:\n    - ref: a2\n");
        // Of a form in which one block cannot be told from another, nothing is known.
        for bad in
            ["projects: {p: {a.bst: [{ref: a1}]}}\n", "a link\n", "projects:\n  p:\n    gone.bst:\n    - ref: 1\n"]
        {
            assert!(without_blocks(Some(bad), NEW, &keys(&[("p", "b.bst")])).is_err(), "{bad}");
        }
        assert!(without_blocks(Some(old), "{", &keys(&[("p", "b.bst")])).is_err());
    }

    #[test]
    fn a_file_is_made_where_there_is_none() {
        let written = with_blocks(None, NEW, &keys(&[("p", "a.bst")])).unwrap();
        assert_eq!(written, "projects:\n  p:\n    a.bst:\n    - ref: a2\n");
        let wide = "projects:\n    p:\n        a.bst:\n        -   ref: a1\n";
        let written = with_blocks(Some(wide), NEW, &keys(&[("p", "a.bst"), ("p", "b.bst")])).unwrap();
        assert_eq!(
            written,
            "projects:\n    p:\n        a.bst:\n        - ref: a2\n        b.bst:\n        - {}\n        - ref: b2\n"
        );
        for bad in ["projects: {p: {a.bst: [{ref: a1}]}}\n", "x: y\n", "{", "projects:\n  p: 3\n"] {
            assert!(with_blocks(Some(bad), NEW, &keys(&[("p", "a.bst")])).is_err(), "{bad}");
        }
    }
}
