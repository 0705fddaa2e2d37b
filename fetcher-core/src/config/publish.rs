//! What is configured for publishing tracked refs: `[project.publish]` and `[[project.group]]`.

use std::path::PathBuf;
use std::time::Duration;

use super::weekly::WeeklySchedule;
use crate::names::BranchName;

/// `[project.publish]`: what becomes of the refs that tracking found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own in the file")]
pub struct PublishConfig {
    /// `mode`.
    pub mode: PublishMode,
    /// `per`: what makes one request.
    pub per: RequestScope,
    /// `forge`.
    pub forge: ForgeKind,
    /// `api-url`: where the forge's interface is; none where it follows from the project's url.
    pub api_url: Option<String>,
    /// `ca-file`: authorities to trust beside the usual ones, for the interface.
    pub ca_file: Option<PathBuf>,
    /// `push-url`: where branches are pushed; none for the project's url.
    pub push_url: Option<String>,
    /// `token-file`.
    pub token_file: Option<PathBuf>,
    /// `app`: instead of a token, on GitHub.
    pub app: Option<GitHubApp>,
    /// `base`: where requests go; none for the branch that is tracked.
    pub base: Option<BranchName>,
    /// `branch`: the template of the branches that are pushed.
    pub branch: String,
    /// `title`: the template of a request's title.
    pub title: String,
    /// `commit-subject`: the template of a commit's first line.
    pub commit_subject: String,
    /// `author`, as `NAME <ADDRESS>`; none for `bst-fetcher <bst-fetcher@HOST>`.
    pub author: Option<String>,
    /// `signing-key`: a private key of ssh, or a secret key of OpenPGP.
    pub signing_key: Option<PathBuf>,
    /// `format`.
    pub format: CommitFormat,
    /// `assignees`.
    pub assignees: Vec<String>,
    /// `labels`.
    pub labels: Vec<String>,
    /// `draft`.
    pub draft: bool,
    /// `auto-merge`.
    pub auto_merge: bool,
    /// `max-open`: how many requests are open at most; none for no limit.
    pub max_open: Option<usize>,
    /// `min-age`: how long a ref has to be known before it is published.
    pub min_age: Duration,
    /// `schedule`: when there is anything published; none for every run.
    pub schedule: Option<WeeklySchedule>,
    /// `squash`: a bundle as one commit.
    pub squash: bool,
    /// `select`: what of that which was tracked is published.
    pub select: PublishSelection,
    /// `on-human-commits`.
    pub on_human_commits: HumanCommitPolicy,
    /// `renamed`: the same commit under a newer tag is published.
    pub publish_renamed: bool,
    /// `moved`: a tag that names another commit, or an address with other content, is published too.
    pub publish_moved: bool,
}

/// `mode`: how refs are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PublishMode {
    /// Not at all.
    #[default]
    None,
    /// As a branch, for whoever looks at it.
    Branch,
    /// As requests to merge.
    MergeRequest,
    /// As commits on the base branch itself.
    Commit,
}

/// `per`: what makes one request. A commit is always one connected component, or one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequestScope {
    /// All that a branch has.
    #[default]
    Bundle,
    /// An element, with those that share a file with it.
    Element,
    /// A group; what is in none is by element.
    Group,
}

/// `forge`: what runs where requests go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForgeKind {
    /// By the host's name.
    #[default]
    Auto,
    /// GitLab.
    GitLab,
    /// GitHub.
    GitHub,
    /// Gitea, or Forgejo.
    Gitea,
    /// Gerrit.
    Gerrit,
    /// Nothing that knows of requests.
    Git,
}

/// `format`: what of a file changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CommitFormat {
    /// The refs alone.
    #[default]
    Minimal,
    /// What bst wrote.
    Bst,
}

/// `on-human-commits`: what is done where somebody else has committed to a branch of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HumanCommitPolicy {
    /// The branch is left alone, which is told.
    #[default]
    Pause,
    /// What is new is put on top.
    Stack,
    /// Another branch is made.
    New,
}

/// `app`: an App of GitHub's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitHubApp {
    /// `id`.
    pub id: u64,
    /// `installation`.
    pub installation: u64,
    /// `private-key`: a file in PEM.
    pub private_key: PathBuf,
}

/// `select`: what is published. What is empty excludes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishSelection {
    /// `urls`: globs over the sources' urls, with alias or resolved.
    pub urls: Vec<String>,
    /// `kinds`: kinds of sources.
    pub kinds: Vec<String>,
    /// `elements`: names of elements, or globs.
    pub elements: Vec<String>,
}

/// One `[[project.group]]`: elements that are published all at once or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementGroup {
    /// `name`.
    pub name: String,
    /// `elements`: names, or globs.
    pub elements: Vec<String>,
}

/// The form of the names of branches that are pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchTemplate(String);

/// The template of branches: what is given, else the default.
pub(super) fn branch_template(given: Option<&str>, per: &str) -> BranchTemplate {
    let per = match per {
        "element" => RequestScope::Element,
        "group" => RequestScope::Group,
        _ => RequestScope::Bundle,
    };
    BranchTemplate(given.map_or_else(|| RequestScope::default_branch(per).to_owned(), str::to_owned))
}

impl RequestScope {
    /// The template of branches where none is given.
    pub fn default_branch(self) -> &'static str {
        match self {
            RequestScope::Bundle => "bst-fetcher/{base}",
            RequestScope::Element => "bst-fetcher/{base}/{element}",
            RequestScope::Group => "bst-fetcher/{base}/{group}",
        }
    }
}

impl PublishConfig {
    /// The form of the names of branches that are pushed.
    pub fn branch_template(&self) -> BranchTemplate {
        BranchTemplate(self.branch.clone())
    }
}

impl BranchTemplate {
    /// Whether a branch's name is of this form. A branch that is pushed beside one of that name, for a human works on
    /// that, has a number behind it.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = Vec::new();
        let mut rest = self.0.as_str();
        while let Some((before, word)) = rest.split_once('{') {
            parts.push(before);
            rest = word.split_once('}').map_or("", |(_, after)| after);
        }
        parts.push(rest);
        fits(&parts, name) || unnumbered(name).is_some_and(|name| fits(&parts, name))
    }
}

/// Whether a name consists of these parts with something between each two of them.
fn fits(parts: &[&str], name: &str) -> bool {
    let (Some((first, others)), Some(last)) = (parts.split_first(), parts.last()) else { return false };
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some((_, middle)) = others.split_last() else { return rest.is_empty() };
    for part in middle {
        // At least one character stands for each word.
        let Some(at) = rest.char_indices().nth(1).and_then(|(from, _)| Some(from + rest[from..].find(part)?)) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.len() > last.len() && rest.ends_with(last)
}

/// A name without the number behind it.
fn unnumbered(name: &str) -> Option<&str> {
    let (name, number) = name.rsplit_once('+')?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_of_our_own_are_known_by_their_form() {
        let matches = |template: &str, name: &str| BranchTemplate(template.to_owned()).matches(name);
        assert!(matches("bst-fetcher/{base}", "bst-fetcher/release/24.08"));
        assert!(matches("bst-fetcher/{base}", "bst-fetcher/main+2"));
        assert!(!matches("bst-fetcher/{base}", "bst-fetcher/") && !matches("bst-fetcher/{base}", "main"));
        assert!(matches("u/{element}-for-{base}", "u/a.bst-for-main"));
        assert!(!matches("u/{element}-for-{base}", "u/-for-main") && !matches("u/{element}-for-{base}", "u/a.bst"));
        assert!(matches("u/{base}/x", "u/main/x") && !matches("u/{base}/x", "u/main/y"));
        assert!(matches("fixed", "fixed") && !matches("fixed", "fixed2"));
    }
}
