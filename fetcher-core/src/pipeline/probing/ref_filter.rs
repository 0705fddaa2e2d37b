//! Which references of a repository decide on what tracking finds, by the rules of the plugins that track them.

use serde::{Deserialize, Serialize};

use crate::names::digest;
use crate::upstream::{GitRef, RefSelection, UpstreamState};

/// What `git_repo` looks at: the references that match `track` and not `exclude`, the greatest of which by version it
/// takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RefFilter {
    pub(super) track: String,
    pub(super) exclude: Vec<String>,
    /// `ref-format: git-describe`: a branch is described by whatever tag its history has.
    pub(super) describe: bool,
}

impl RefFilter {
    /// The references to ask for; none where they are not among branches and tags.
    pub(super) fn selection(&self) -> Option<RefSelection> {
        if self.track.starts_with("refs/") || self.track.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return None;
        }
        let literal = self.track.split(['*', '?', '[']).next().unwrap_or_default();
        let both = ["refs/heads/", "refs/tags/"].map(|folder| format!("{folder}{literal}"));
        let matching = if literal == self.track { RefSelection::named(both) } else { RefSelection::beginning(both) };
        Some(if self.describe { matching.and(RefSelection::beginning(["refs/tags/"])) } else { matching })
    }

    /// What of a state decides; none where nothing matches.
    pub(super) fn digest(&self, state: &UpstreamState) -> Option<String> {
        let UpstreamState::Git { refs } = state else { return None };
        let matching: Vec<_> = refs.iter().filter(|found| self.matches(found.name)).collect();
        let branches = matching.iter().any(|found| found.name.starts_with("refs/heads/"));
        let line = |found: &GitRef<'_>| format!("{} {} {}\n", found.name, found.id, found.commit());
        let mut lines: String = matching.iter().map(line).collect();
        if self.describe && branches {
            lines.push('\n');
            lines.extend(refs.iter().filter(|found| found.name.starts_with("refs/tags/")).map(|found| line(&found)));
        }
        (!matching.is_empty()).then(|| digest(lines.as_bytes()))
    }

    /// Whether the greatest reference is not the only one that is so: which of them is taken is chance.
    pub(super) fn is_tied(&self, state: &UpstreamState) -> bool {
        let UpstreamState::Git { refs } = state else { return false };
        let mut keys: Vec<_> =
            refs.iter().filter(|found| self.matches(found.name)).map(|found| version_key(found.name)).collect();
        keys.sort();
        matches!(&keys[..], [.., second, first] if first == second)
    }

    fn matches(&self, name: &str) -> bool {
        let matches = |pattern: &str, name: &str| match pattern.strip_prefix("refs/") {
            Some(_) => is_match(pattern.as_bytes(), name.as_bytes()),
            None => ["refs/heads/", "refs/tags/"]
                .iter()
                .filter_map(|folder| name.strip_prefix(folder))
                .any(|short| is_match(pattern.as_bytes(), short.as_bytes())),
        };
        matches(&self.track, name) && !self.exclude.iter().any(|pattern| matches(pattern, name))
    }
}

/// A part of a reference's name as `git_repo` compares it: letters before numbers, everything else parts them.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum VersionPart {
    Letters(Vec<u8>),
    /// Without leading zeros; the longer is the greater.
    Number(usize, Vec<u8>),
}

fn version_key(name: &str) -> Vec<VersionPart> {
    let class = |byte: u8| if byte.is_ascii_alphabetic() { 1 } else { i32::from(byte.is_ascii_digit()) * 2 };
    let runs = name.as_bytes().chunk_by(|a, b| class(*a) == class(*b));
    let part = |run: &[u8]| match class(run[0]) {
        1 => Some(VersionPart::Letters(run.to_vec())),
        2 => {
            let digits: Vec<u8> = run.iter().copied().skip_while(|digit| *digit == b'0').collect();
            Some(VersionPart::Number(digits.len(), digits))
        }
        _ => None,
    };
    runs.filter_map(part).collect()
}

/// Whether a name matches a glob as Python's `fnmatch` has it: `*` matches slashes too.
fn is_match(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where the last star was, and how much it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        let step = match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => match set(&pattern[p + 1..], name[n]) {
                Some((length, true)) => Some(length + 1),
                Some((_, false)) => None,
                None => (name[n] == b'[').then_some(1),
            },
            Some(byte) => (*byte == name[n]).then_some(1),
            None => None,
        };
        match (step, star) {
            (Some(length), _) => (p, n) = (p + length, n + 1),
            (None, Some((at, taken))) => {
                star = Some((at, taken + 1));
                (p, n) = (at + 1, taken + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Whether a byte is in the set that begins behind `[`, and how long that is with its `]`; none where it has no end.
fn set(pattern: &[u8], byte: u8) -> Option<(usize, bool)> {
    let negated = pattern.first() == Some(&b'!');
    let start = usize::from(negated);
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|byte| *byte == b']')?;
    let (mut at, mut found) = (start, false);
    while at < end {
        if at + 2 < end && pattern[at + 1] == b'-' {
            found |= (pattern[at]..=pattern[at + 2]).contains(&byte);
            at += 3;
        } else {
            found |= pattern[at] == byte;
            at += 1;
        }
    }
    Some((end + 1, found != negated))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(track: &str, exclude: &[&str], describe: bool) -> RefFilter {
        RefFilter { track: track.to_owned(), exclude: exclude.iter().map(ToString::to_string).collect(), describe }
    }

    fn state(refs: &[(&str, char)]) -> UpstreamState {
        let refs: Vec<_> = refs.iter().map(|(name, id)| (format!("refs/{name}"), id.to_string().repeat(40))).collect();
        UpstreamState::Git { refs: refs.iter().map(|(name, id)| GitRef { name, id, peeled: None }).collect() }
    }

    #[test]
    fn globs_match_as_fnmatch_has_them() {
        for (pattern, name, expected) in [
            ("v*", "v1/2", true),
            ("v*", "w1", false),
            ("v?.[0-9]*", "v1.2.3", true),
            ("v?.[!0-9]*", "v1.2", false),
            ("*.[13579].*", "1.2.3", false),
            ("*.[02468].*", "1.2.3", true),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false),
            ("[]]x", "]x", true),
            ("[x", "[x", true),
            ("", "", true),
            ("*", "", true),
        ] {
            assert_eq!(is_match(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
        let hostile = "*a".repeat(2_000);
        assert!(!is_match(hostile.as_bytes(), "a".repeat(3_000).replace("aaa", "aab").as_bytes()));
    }

    #[test]
    fn what_does_not_match_moves_nothing() {
        let some = filter("v*", &["v*rc*"], true);
        let known = some.digest(&state(&[("heads/main", 'a'), ("tags/v1", 'b')])).unwrap();
        for same in [&[("tags/v1", 'b'), ("tags/w", 'c')][..], &[("tags/v1", 'b'), ("tags/v2rc1", 'c')]] {
            assert_eq!(some.digest(&state(same)), Some(known.clone()));
        }
        for other in [&[("tags/v1", 'c')][..], &[("tags/v1", 'b'), ("tags/v2", 'c')], &[("heads/v1", 'b')]] {
            assert_ne!(some.digest(&state(other)), Some(known.clone()));
        }
        assert_eq!(some.digest(&state(&[("tags/w", 'a')])), None);
    }

    #[test]
    fn a_branch_that_is_described_moves_with_any_tag() {
        let branch = [("heads/main", 'a'), ("tags/v1", 'b')];
        let tagged = [("heads/main", 'a'), ("tags/v1", 'b'), ("tags/w", 'a')];
        assert_ne!(
            filter("main", &[], true).digest(&state(&branch)),
            filter("main", &[], true).digest(&state(&tagged))
        );
        assert_eq!(
            filter("main", &[], false).digest(&state(&branch)),
            filter("main", &[], false).digest(&state(&tagged))
        );
    }

    #[test]
    fn versions_that_compare_equal_are_a_tie() {
        let all = filter("v*", &[], false);
        for (refs, tied) in [
            (&[("tags/v1.2.0", 'a'), ("tags/v1_2_0", 'b')][..], true),
            (&[("tags/v1.2", 'a'), ("tags/v1.02", 'b')], true),
            (&[("tags/v1.2", 'a'), ("tags/v1_2", 'b'), ("tags/v1.10", 'c')], false),
            (&[("tags/v1.0", 'a'), ("tags/v1.0rc1", 'b')], false),
            (&[("heads/v1", 'a'), ("tags/v1", 'b')], false),
        ] {
            assert_eq!(all.is_tied(&state(refs)), tied, "{refs:?}");
        }
        assert!(version_key("refs/tags/1.0rc1") > version_key("refs/tags/1.0"));
        assert!(version_key("refs/tags/v1") > version_key("refs/heads/v1"));
    }

    #[test]
    fn as_little_is_asked_for_as_will_do() {
        let named = |folder: &str| RefSelection::named([format!("refs/{folder}/main")]);
        assert_eq!(filter("main", &[], false).selection(), Some(named("heads").and(named("tags"))));
        let glob = RefSelection::beginning(["refs/heads/v1.", "refs/tags/v1."]);
        assert_eq!(filter("v1.*", &[], false).selection(), Some(glob.clone()));
        assert_eq!(filter("v1.*", &[], true).selection(), Some(glob.and(RefSelection::beginning(["refs/tags/"]))));
        assert_eq!(filter("refs/merge/*", &[], false).selection(), None);
        assert_eq!(filter("a\n", &[], false).selection(), None);
    }
}
