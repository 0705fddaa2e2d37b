//! What a repository says of its references, and how the `git` program lists them: by ssh, from servers of dumb HTTP, and
//! from all others that are not asked directly.

use std::collections::{BTreeMap, BTreeSet};

use super::answer::{GitRef, RefList};
use super::question::RefSelection;

/// No repository has more references than these that are worth asking for.
pub(super) const MAX_REFS: usize = 1_000_000;
/// What a listing may take, in bytes.
pub(super) const MAX_LISTING: u64 = 64 << 20;

/// What a repository said of its references, and the branch that its HEAD names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RefListing {
    pub(super) refs: RefList,
    pub(super) head: Option<String>,
}

/// References as they come in, whatever their order.
#[derive(Debug, Default)]
pub(super) struct RefCollector {
    refs: BTreeMap<String, (String, Option<String>)>,
    head: Option<String>,
}

impl RefCollector {
    /// Takes a reference. Says whether it can be one.
    pub(super) fn take(&mut self, name: &str, id: &str, peeled: Option<&str>) -> bool {
        let fine = is_id(id) && peeled.is_none_or(is_id) && is_ref_name(name);
        if fine {
            let known = self.refs.entry(name.to_owned()).or_default();
            id.clone_into(&mut known.0);
            known.1 = peeled.map(str::to_owned).or(known.1.take());
        }
        fine
    }

    /// Takes what is behind a tag. Says whether it can be that.
    fn peel(&mut self, name: &str, id: &str) -> bool {
        let tag = self.refs.get_mut(name).filter(|_| is_id(id));
        tag.map(|(_, peeled)| *peeled = Some(id.to_owned())).is_some()
    }

    /// Takes the branch that HEAD names.
    pub(super) fn point_head(&mut self, target: &str) {
        self.head = is_ref_name(target).then(|| target.to_owned());
    }

    pub(super) fn finish(self) -> RefListing {
        let refs = self.refs.iter().map(|(name, (id, peeled))| GitRef { name, id, peeled: peeled.as_deref() });
        RefListing { refs: refs.collect(), head: self.head }
    }
}

/// Reads what `git ls-remote --symref URL` writes; none where that is none of git's.
pub(super) fn parse(text: &str) -> Option<RefListing> {
    let mut collector = RefCollector::default();
    for line in text.lines() {
        let (left, name) = line.split_once('\t')?;
        let fine = match (left.strip_prefix("ref: "), name.strip_suffix("^{}")) {
            (Some(target), _) => {
                if name == "HEAD" {
                    collector.point_head(target);
                }
                true
            }
            // One whose tag was not asked for, or is no name, is passed over.
            (None, Some(tag)) => collector.peel(tag, left) || is_id(left),
            // A name that git would refuse here is none that can be tracked.
            (None, None) => collector.take(name, left, None) || is_id(left),
        };
        if !fine {
            return None;
        }
    }
    Some(collector.finish())
}

/// Whether it can be a reference's name: as git has it, no control character and no space is in it.
fn is_ref_name(name: &str) -> bool {
    (name == "HEAD" || name.starts_with("refs/")) && !name.contains(|c: char| c.is_control() || c.is_whitespace())
}

/// Whether it is an object's name in hex, by SHA-1 or SHA-256.
pub(super) fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The patterns for `git ls-remote` that give all of a selection, and little more: it matches from the end of a name,
/// and by globs.
pub(super) fn patterns(wanted: &RefSelection) -> Vec<String> {
    let mut patterns: BTreeSet<String> = wanted.names.iter().map(|name| escaped(name)).collect();
    // A tag that is peeled is listed under a name of its own.
    patterns.extend(wanted.names.iter().filter(|name| *name != "HEAD").map(|name| format!("{}^{{}}", escaped(name))));
    patterns.extend(wanted.prefixes.iter().map(|prefix| format!("{}*", escaped(prefix))));
    patterns.insert("HEAD".to_owned());
    patterns.into_iter().collect()
}

/// A text as a glob for itself.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "1111111111111111111111111111111111111111";
    const B: &str = "2222222222222222222222222222222222222222";

    #[test]
    fn a_listing_is_read() {
        let text = format!(
            "ref: refs/heads/main\tHEAD\n{A}\tHEAD\n{A}\trefs/heads/main\n{A}\trefs/tags/v1\n{B}\trefs/tags/v1^{{}}\n"
        );
        let listing = parse(&text).unwrap();
        let shown: Vec<_> = listing.refs.iter().map(|found| (found.name, found.commit())).collect();
        assert_eq!(shown, [("HEAD", A), ("refs/heads/main", A), ("refs/tags/v1", B)]);
        assert_eq!(listing.head.as_deref(), Some("refs/heads/main"));
        let only = listing.refs.only(&RefSelection::beginning(["refs/tags/v"]));
        assert_eq!(only.iter().map(|found| found.name).collect::<Vec<_>>(), ["refs/tags/v1"]);
    }

    #[test]
    fn what_git_does_not_write_is_no_listing() {
        assert_eq!(parse("no id\trefs/heads/main\n"), None);
        assert_eq!(parse("\u{1b}[2J\n"), None);
        let odd = parse(&format!("{A}\trefs/heads/m\u{7}\n{A}\trefs/heads/a b\n")).unwrap();
        assert_eq!(odd.refs.iter().count(), 0);
    }

    #[test]
    fn patterns_are_literal() {
        assert_eq!(patterns(&RefSelection::named(["refs/tags/a*"])), ["HEAD", "refs/tags/a\\*", "refs/tags/a\\*^{}"]);
    }
}
