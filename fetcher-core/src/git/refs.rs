//! What branches a remote repository has, and which of them somebody means.

use std::collections::{BTreeMap, BTreeSet};

use globset::{GlobBuilder, GlobMatcher};

use super::GitNote;
use super::error::GitError;
use crate::names::{BranchName, CommitId};

/// The most branches of a repository that are followed: each costs a working tree.
const MAX_BRANCHES: usize = 10_000;
/// How many branches that are passed over are told of, and how much of a name.
const MAX_NOTES: usize = 20;
const MAX_NAME: usize = 300;

/// A branch and the commit at its tip.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct BranchTip {
    /// The branch.
    pub branch: BranchName,
    /// The commit.
    pub commit: CommitId,
}

/// The branches of a remote repository at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteRefs {
    /// The repository's address, without credentials.
    pub url: String,
    /// The branch that HEAD names, or why there is none.
    pub head: Result<BranchName, &'static str>,
    /// Every branch with the commit at its tip.
    pub branches: BTreeMap<BranchName, CommitId>,
    /// Branches whose names cannot be used here.
    pub notes: Vec<GitNote>,
}

/// What patterns choose of a remote repository's branches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BranchMatches {
    /// The branches that are there, in the patterns' order, each once.
    pub tips: Vec<BranchTip>,
    /// The names, without a glob, of which the repository has no branch.
    pub missing: Vec<MissingBranch>,
    /// The branches that are there and not chosen.
    pub others: Vec<BranchName>,
    /// What else is worth saying: a glob that matches nothing.
    pub notes: Vec<GitNote>,
}

/// A configured branch that the repository does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingBranch {
    /// The name as configured.
    pub name: String,
    /// The branch of the most similar name, if one is similar at all.
    pub nearest: Option<BranchName>,
}

impl RemoteRefs {
    /// Reads what `git ls-remote --symref URL HEAD refs/heads/*` writes.
    pub(super) fn parse(url: &str, listing: &str) -> Self {
        let (mut target, mut detached, mut branches, mut notes) = (None, false, BTreeMap::new(), Vec::new());
        let mut refuse = |name: String, reason| {
            // A repository may have any number of them.
            if notes.len() < MAX_NOTES {
                notes.push(GitNote::BranchRefused { name, reason });
            }
        };
        for (left, name) in listing.lines().filter_map(|line| line.split_once('\t')) {
            if name == "HEAD" {
                match left.strip_prefix("ref: ") {
                    Some(name) => target = name.strip_prefix("refs/heads/").map(str::to_owned),
                    None => detached = true,
                }
            } else if let (Some(name), Ok(commit)) = (name.strip_prefix("refs/heads/"), left.parse::<CommitId>()) {
                match name.parse::<BranchName>() {
                    // What was no UTF-8 was replaced on reading: there is no branch of this name.
                    Ok(name) if name.as_str().contains(char::REPLACEMENT_CHARACTER) => {
                        refuse(name.into(), "it is not UTF-8");
                    }
                    Ok(name) => drop(branches.insert(name, commit)),
                    Err(error) => refuse(error.name.chars().take(MAX_NAME).collect(), error.reason),
                }
            }
        }
        let target = target.and_then(|name| name.parse::<BranchName>().ok());
        let head = match target {
            Some(branch) if branches.contains_key(&branch) => Ok(branch),
            None if branches.is_empty() => Err("it has no branches"),
            None if detached => Err("its HEAD is detached"),
            Some(_) | None => Err("its HEAD names a branch that is not there"),
        };
        Self { url: url.to_owned(), head, branches, notes }
    }

    fn tip(&self, branch: &BranchName) -> Option<BranchTip> {
        self.branches.get(branch).map(|commit| BranchTip { branch: branch.clone(), commit: commit.clone() })
    }
}

/// Chooses branches: those that `patterns` name or match, without those that `excludes` name or match; the remote's
/// default branch where there are no patterns.
///
/// What holds `*`, `?`, `[` or `{` is a glob: `*` stands for any text, slashes too, as in git's own refspecs and in
/// `git branch --list` (`release/*` matches `release/24.08` and `release/old/1.0`), `{a,b}` for either. All else is a
/// name.
///
/// # Errors
/// When a glob is malformed, more branches match than anybody has, or there are no patterns and the remote has no default branch. A branch that is not there
/// stops nothing: it is in [`BranchMatches::missing`].
pub fn select(patterns: &[String], excludes: &[String], refs: &RemoteRefs) -> Result<BranchMatches, GitError> {
    let excludes = excludes.iter().map(|text| BranchPattern::new(text)).collect::<Result<Vec<_>, _>>()?;
    let mut selection = BranchMatches::default();
    let mut chosen = BTreeSet::new();
    let mut choose = |selection: &mut BranchMatches, branch: &BranchName| {
        let unwanted = excludes.iter().any(|pattern| pattern.matches(branch));
        if !unwanted && chosen.insert(branch.clone()) {
            selection.tips.extend(refs.tip(branch));
        }
    };
    if patterns.is_empty() {
        let head = refs.head.as_ref();
        let head = head.map_err(|reason| GitError::NoDefaultBranch { url: refs.url.clone(), reason })?;
        choose(&mut selection, head);
    }
    for text in patterns {
        let pattern = BranchPattern::new(text)?;
        let mut matched = refs.branches.keys().filter(|branch| pattern.matches(branch)).peekable();
        match (matched.peek(), &pattern) {
            (Some(_), _) => matched.for_each(|branch| choose(&mut selection, branch)),
            (None, BranchPattern::Glob(_)) => selection.notes.push(GitNote::NothingMatches { pattern: text.clone() }),
            (None, BranchPattern::Name(name)) => {
                selection.missing.push(MissingBranch { name: name.clone(), nearest: nearest(name, refs) });
            }
        }
    }
    if selection.tips.len() > MAX_BRANCHES {
        let pattern = patterns.join(", ");
        let reason = format!("{} branches match, more than {MAX_BRANCHES}", selection.tips.len());
        return Err(GitError::Pattern { pattern, reason });
    }
    selection.others = refs.branches.keys().filter(|branch| !chosen.contains(*branch)).cloned().collect();
    Ok(selection)
}

/// The branch of the most similar name, if it is similar enough to be meant.
fn nearest(name: &str, refs: &RemoteRefs) -> Option<BranchName> {
    const SIMILAR: f64 = 0.75;
    let scored = refs.branches.keys().map(|branch| (strsim::jaro_winkler(name, branch.as_str()), branch));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(score, _)| *score >= SIMILAR).map(|(_, branch)| branch.clone())
}

enum BranchPattern {
    Name(String),
    Glob(GlobMatcher),
}

impl BranchPattern {
    fn new(text: &str) -> Result<Self, GitError> {
        if !text.contains(['*', '?', '[', '{']) {
            return Ok(Self::Name(text.to_owned()));
        }
        let glob = GlobBuilder::new(text).literal_separator(false).backslash_escape(true).build();
        let glob =
            glob.map_err(|error| GitError::Pattern { pattern: text.to_owned(), reason: error.kind().to_string() })?;
        Ok(Self::Glob(glob.compile_matcher()))
    }

    fn matches(&self, branch: &BranchName) -> bool {
        match self {
            Self::Name(name) => name == branch.as_str(),
            Self::Glob(glob) => glob.is_match(branch.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refs(listing: &[&str]) -> RemoteRefs {
        let head = format!("ref: refs/heads/main\tHEAD\n{}\tHEAD\n", "0".repeat(40));
        let lines = listing.iter().map(|name| format!("{}\trefs/heads/{name}\n", "1".repeat(40)));
        let text = std::iter::once(head).chain(lines).collect::<String>();
        RemoteRefs::parse("https://h/x", &text)
    }

    fn selected(patterns: &[&str], excludes: &[&str], refs: &RemoteRefs) -> BranchMatches {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        select(&owned(patterns), &owned(excludes), refs).unwrap()
    }

    fn names(selection: &BranchMatches) -> Vec<&str> {
        selection.tips.iter().map(|tip| tip.branch.as_str()).collect()
    }

    #[test]
    fn globs_cross_slashes_and_excludes_win() {
        let refs = refs(&["main", "release/1", "release/2", "release/old/3", "wip"]);
        let selection = selected(&["release/*"], &["release/1*"], &refs);
        assert_eq!(names(&selection), ["release/2", "release/old/3"]);
        assert_eq!(selection.others.iter().map(BranchName::as_str).collect::<Vec<_>>(), ["main", "release/1", "wip"]);
        assert_eq!(names(&selected(&["wip", "*", "main"], &[], &refs))[..2], ["wip", "main"]);
        assert_eq!(names(&selected(&["{wip,main}"], &["main"], &refs)), ["wip"]);
        assert_eq!(names(&selected(&[], &[], &refs)), ["main"]);
    }

    #[test]
    fn a_branch_that_is_not_there_stops_no_other() {
        let refs = refs(&["main", "release/24.08"]);
        let selection = selected(&["relaese/24.08", "zzz", "x/*", "main"], &[], &refs);
        assert_eq!(names(&selection), ["main"]);
        let nearest: Vec<_> = selection.missing.iter().map(|m| m.nearest.as_ref().map(BranchName::as_str)).collect();
        assert_eq!(nearest, [Some("release/24.08"), None]);
        assert_eq!(selection.notes, [GitNote::NothingMatches { pattern: "x/*".to_owned() }]);
        assert!(select(&["[".to_owned()], &[], &refs).is_err());
    }

    #[test]
    fn a_repository_without_a_default_branch_says_why() {
        let sha = "1".repeat(40);
        for (listing, reason) in [
            (String::new(), "it has no branches"),
            (format!("{sha}\tHEAD\n{sha}\trefs/heads/a\n"), "its HEAD is detached"),
            (format!("{sha}\trefs/heads/a\n"), "its HEAD names a branch that is not there"),
        ] {
            let refs = RemoteRefs::parse("u", &listing);
            assert!(select(&[], &[], &refs).unwrap_err().to_string().contains(reason), "{listing}");
        }
    }

    #[test]
    fn names_that_cannot_be_used_are_passed_over() {
        let refs = refs(&["main", "-x", "a\u{fffd}"]);
        assert_eq!(refs.branches.len(), 1);
        let refused = refs.notes.iter().map(ToString::to_string).collect::<String>();
        assert!(refs.notes.len() == 2 && refused.contains("\"-x\"") && refused.contains("UTF-8"), "{refused}");
    }
}
