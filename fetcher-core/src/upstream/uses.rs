//! Who uses an upstream, and what they have pinned of it: what an answer's signs are told with.

use std::path::{Path, PathBuf};

use super::question::{RefSelection, UpstreamQuestion};
use crate::names::{BranchName, ElementName, ProjectName};

/// How many pinned tags of a file are looked at.
const MAX_TAGS: usize = 200;
/// How long a tag's name is at most.
const LONGEST_TAG: usize = 200;

/// An element that gets its sources from upstreams.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpstreamUse {
    /// The project.
    pub project: ProjectName,
    /// The branch.
    pub branch: BranchName,
    /// The element.
    pub element: ElementName,
    /// The file that names the upstream, relative to the project's directory.
    pub file: Option<PathBuf>,
    /// The line of each question's address in the file, in the questions' order.
    pub lines: Vec<Option<u32>>,
    /// What is asked of upstreams for it.
    pub questions: Vec<UpstreamQuestion>,
    /// The tags that its refs name.
    pub tags: Vec<PinnedTag>,
}

/// A ref that says of a commit that it is a tag's: `v1.2-0-gID`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PinnedTag {
    /// The tag's name.
    pub tag: String,
    /// The commit.
    pub commit: String,
    /// The line in the file.
    pub line: u32,
}

impl UpstreamUse {
    /// What an element asks, with where its file says so.
    pub fn new(
        (project, branch, element): (&ProjectName, &BranchName, &ElementName),
        file: Option<&Path>,
        text: &str,
        questions: Vec<UpstreamQuestion>,
    ) -> Self {
        let lines = questions.iter().map(|question| line_of(text, question.url())).collect();
        let (project, branch, element) = (project.clone(), branch.clone(), element.clone());
        Self { project, branch, element, file: file.map(Path::to_owned), lines, questions, tags: pinned_tags(text) }
    }

    /// What has to be asked beside, so that it is seen whether the pinned tags are still the same: of the repositories that
    /// are asked in any case.
    pub fn tag_questions(&self) -> Vec<UpstreamQuestion> {
        if self.tags.is_empty() {
            return Vec::new();
        }
        let names = RefSelection::named(self.tags.iter().map(|pinned| format!("refs/tags/{}", pinned.tag)));
        let of_git = self.questions.iter().filter_map(|question| match question {
            UpstreamQuestion::GitRefs { url, .. } => Some(url.clone()),
            _ => None,
        });
        of_git.map(|url| UpstreamQuestion::GitRefs { url, refs: names.clone() }).collect()
    }
}

/// The line that an address is in, by its end: before it there may be an alias.
fn line_of(text: &str, url: &str) -> Option<u32> {
    let end = url.trim_end_matches('/').rsplit(['/', ':']).next().filter(|end| end.len() > 2)?;
    let line = text.lines().position(|line| line.contains("url") && line.contains(end))?;
    u32::try_from(line + 1).ok()
}

/// The tags that the refs of a file name.
fn pinned_tags(text: &str) -> Vec<PinnedTag> {
    let mut tags = Vec::new();
    for (line, at) in text.lines().zip(1..) {
        let words = line.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
        tags.extend(words.filter_map(|word| pinned_tag(word, at)));
        if tags.len() >= MAX_TAGS {
            break;
        }
    }
    tags
}

fn pinned_tag(word: &str, line: u32) -> Option<PinnedTag> {
    let (tag, commit) = word.rsplit_once("-0-g")?;
    let is_id = commit.len() == 40 && commit.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_tag = !tag.is_empty() && tag.len() <= LONGEST_TAG && !tag.contains(|c: char| c.is_control());
    (is_id && is_tag).then(|| PinnedTag { tag: tag.to_owned(), commit: commit.to_owned(), line })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_tags_and_the_lines_of_addresses_are_found() {
        let commit = "a".repeat(40);
        let text = format!(
            "kind: manual\nsources:\n- kind: git_repo\n  url: gnome:glib.git\n  track: '2.*'\n  ref: 2.80.0-0-g{commit}\n\
             - kind: git_repo\n  url: gnome:other.git\n  ref: v1-3-g{commit}\n"
        );
        let questions = vec![UpstreamQuestion::GitRefs {
            url: "https://h/GNOME/glib.git".to_owned(),
            refs: RefSelection::default(),
        }];
        let (project, branch, element) = ("p".parse().unwrap(), "main".parse().unwrap(), "a.bst".parse().unwrap());
        let found =
            UpstreamUse::new((&project, &branch, &element), Some(Path::new("elements/a.bst")), &text, questions);
        assert_eq!(found.lines, [Some(4)]);
        assert_eq!(found.tags, [PinnedTag { tag: "2.80.0".to_owned(), commit, line: 6 }]);
        let UpstreamQuestion::GitRefs { refs, .. } = &found.tag_questions()[0] else { panic!() };
        assert!(refs.holds("refs/tags/2.80.0"));
    }
}
