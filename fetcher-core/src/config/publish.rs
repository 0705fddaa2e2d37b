//! What is configured for publishing tracked refs: `[project.publish]` and `[[project.group]]`.

use std::path::PathBuf;
use std::time::Duration;

use super::declare::{FromConfigTable as _, config_table, config_words};
use super::keys::KeyDefault::{Required as Must, Value, Words};
use super::keys::{ExclusiveKeys, KeyDeclaration, MinimumDuration, TableDeclaration, ValueKind};
use super::weekly::WeeklySchedule;
use crate::names::BranchName;

pub(super) static PUBLISH: TableDeclaration = TableDeclaration {
    keys: PublishConfig::KEYS,
    choices: &[ExclusiveKeys::at_most_one(&["token-file", "app"])],
    ..TableDeclaration::EMPTY
};

pub(super) static GROUP: TableDeclaration = TableDeclaration { keys: ElementGroup::KEYS, ..TableDeclaration::EMPTY };

static APP: TableDeclaration = TableDeclaration { keys: GitHubApp::KEYS, ..TableDeclaration::EMPTY };

static SELECT: TableDeclaration = TableDeclaration { keys: PublishSelection::KEYS, ..TableDeclaration::EMPTY };

config_table! {
    /// `[project.publish]`: what becomes of the refs that tracking found.
    #[derive(Debug, Clone, PartialEq)]
    #[non_exhaustive]
    pub struct PublishConfig {
        /// What becomes of tracked refs once their sources are cached: nothing, a branch, requests to merge, or
        /// commits on the base branch itself.
        mode: PublishMode = KeyDeclaration::new("mode", ValueKind::Word(PublishMode::WORDS), Value("\"none\""), "\"merge-request\"");
        /// What makes one request: all that a branch has, an element, or a group. A commit is always one set of
        /// elements that share files, or one group.
        per: RequestScope = KeyDeclaration::new("per", ValueKind::Word(RequestScope::WORDS), Value("\"bundle\""), "\"element\"");
        /// What runs where requests go. `"auto"`: by the host's name; Forgejo is `gitea`; `git` knows of branches
        /// alone.
        forge: ForgeKind = KeyDeclaration::new("forge", ValueKind::Word(ForgeKind::WORDS), Value("\"auto\""), "\"gitlab\"");
        /// Where the forge's interface is: its address without `/api/…`.
        api_url: Option<String> = KeyDeclaration::new("api-url", ValueKind::Url(&["https", "http"]), Words("from `url`"), "\"https://gitlab.example.org\"");
        /// Further authorities to trust there, PEM.
        ca_file: Option<PathBuf> = KeyDeclaration::new("ca-file", ValueKind::File, Words("the usual ones"), "\"ca.crt\"");
        /// Where branches are pushed, if the same repository takes pushes under another address.
        push_url: Option<String> = KeyDeclaration::new("push-url", ValueKind::Repository, Words("`url`"), "\"git@git.example.org:other.git\"");
        /// A file with a token for the forge's interface; for pushes over https too where `git` has none.
        token_file: Option<PathBuf> = KeyDeclaration::new("token-file", ValueKind::SecretFile, Words("push options, AGit, or `git` alone"), "\"forge.token\"");
        /// An App of GitHub's, instead of a token: its requests start workflows.
        app: Option<GitHubApp> = KeyDeclaration::new("app", ValueKind::Table(&APP), Words("none"), "{ id = 1, installation = 2, private-key = \"app.pem\" }");
        /// The branch to which requests go.
        base: Option<BranchName> = KeyDeclaration::new("base", ValueKind::Branch, Words("the branch that is tracked"), "\"testing\"");
        /// What the branches that are pushed are called: `{base}`, `{element}`, `{group}`. No run ever follows
        /// branches of that form.
        branch: Option<String> = KeyDeclaration::new("branch", ValueKind::Text, Words("`bst-fetcher/{base}`, with `/{element}` or `/{group}` behind it where `per` says so"), "\"update/{base}\"");
        /// A request's title: `{count}`, `{element}`, `{file}`, `{group}`, `{base}`, `{old}`, `{new}`.
        title: Option<String> = KeyDeclaration::new("title", ValueKind::Text, Words("`Update {element}`, or `Update {count} elements` of several"), "\"Update {count} elements\"");
        /// A commit's first line: the same as in `title`, and `{compare}`.
        commit_subject: String = KeyDeclaration::new("commit-subject", ValueKind::Text, Value("\"{element}: update to {new}\""), "\"Update {element}\"");
        /// Author and committer. Hosts that publish the same project have to have the same, else they make different
        /// commits of the same refs.
        author: Option<String> = KeyDeclaration::new("author", ValueKind::Text, Words("`bst-fetcher <bst-fetcher@HOST>`"), "\"Fetcher <fetcher@example.org>\"");
        /// A private key of ssh's, or an armored secret key of OpenPGP's, without a passphrase.
        signing_key: Option<PathBuf> = KeyDeclaration::new("signing-key", ValueKind::SecretFile, Words("commits are not signed"), "\"id_ed25519\"");
        /// What of a file changes: the refs alone, or all that bst rewrote.
        format: CommitFormat = KeyDeclaration::new("format", ValueKind::Word(CommitFormat::WORDS), Value("\"minimal\""), "\"bst\"");
        /// Who is assigned. A request that is assigned to a merge bot (a name that ends in `bot` or `[bot]`) is
        /// merging: nothing is pushed to it unless it conflicts.
        assignees: Vec<String> = KeyDeclaration::new("assignees", ValueKind::List(&ValueKind::Text, 0), Value("[]"), "[\"marge-bot\"]");
        /// The labels that a request gets.
        labels: Vec<String> = KeyDeclaration::new("labels", ValueKind::List(&ValueKind::Text, 0), Value("[]"), "[\"update\"]");
        /// Whether requests are drafts.
        draft: bool = KeyDeclaration::new("draft", ValueKind::Bool, Value("false"), "true");
        /// Whether the forge is to merge a request once its checks pass.
        auto_merge: bool = KeyDeclaration::new("auto-merge", ValueKind::Bool, Value("false"), "true");
        /// How many requests of a branch are open at once. Those that wait have their turn, the oldest first.
        max_open: Option<usize> = KeyDeclaration::new("max-open", ValueKind::Number(1, 1000), Words("no limit"), "4");
        /// For how long a ref has to be known before it is published.
        min_age: Duration = KeyDeclaration::new("min-age", ValueKind::Time(MinimumDuration::Zero), Value("\"0s\""), "\"1d\"");
        /// When there is anything published: by the first run after this time of day, of these days of the week; in
        /// UTC.
        schedule: Option<WeeklySchedule> = KeyDeclaration::new("schedule", ValueKind::Text, Words("every run"), "\"Mon 06:00\"");
        /// Whether a bundle is one commit.
        squash: bool = KeyDeclaration::new("squash", ValueKind::Bool, Value("false"), "true");
        /// What of that which was tracked is published.
        select: PublishSelection = KeyDeclaration::new("select", ValueKind::Table(&SELECT), Value("{}"), "{ urls = [\"gnome:*\"] }");
        /// Where somebody else has committed to a branch of ours: leave it alone, put what is new on top, or make
        /// another branch.
        on_human_commits: HumanCommitPolicy = KeyDeclaration::new("on-human-commits", ValueKind::Word(HumanCommitPolicy::WORDS), Value("\"pause\""), "\"stack\"");
        /// The same commit under a newer tag.
        renamed: RenamedTagPolicy = KeyDeclaration::new("renamed", ValueKind::Word(RenamedTagPolicy::WORDS), Value("\"publish\""), "\"ignore\"");
        /// A tag that names another commit than before, or an address with other content: held back, or published as
        /// a commit that says so. It is told either way.
        moved: MovedTagPolicy = KeyDeclaration::new("moved", ValueKind::Word(MovedTagPolicy::WORDS), Value("\"hold\""), "\"publish\"");
    }
}

config_words! {
    /// `renamed`: what is done with the same commit under a newer tag.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[non_exhaustive]
    pub enum RenamedTagPolicy {
        /// It is published.
        #[default]
        Publish = "publish",
        /// It is left out.
        Ignore = "ignore",
    }
}

config_words! {
    /// `moved`: what is done with a tag that names another commit than before, and an address with other content.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[non_exhaustive]
    pub enum MovedTagPolicy {
        /// It is held back.
        #[default]
        Hold = "hold",
        /// It is published, as a commit that says so.
        Publish = "publish",
    }
}

config_words! {
    /// `mode`: how refs are published.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[non_exhaustive]
    pub enum PublishMode {
        /// Not at all.
        #[default]
        None = "none",
        /// As a branch, for whoever looks at it.
        Branch = "branch",
        /// As requests to merge.
        MergeRequest = "merge-request",
        /// As commits on the base branch itself.
        Commit = "commit",
    }
}

config_words! {
    /// `per`: what makes one request. A commit is always one connected component, or one group.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[non_exhaustive]
    pub enum RequestScope {
        /// All that a branch has.
        #[default]
        Bundle = "bundle",
        /// An element, with those that share a file with it.
        Element = "element",
        /// A group; what is in none is by element.
        Group = "group",
    }
}

config_words! {
    /// `forge`: what runs where requests go.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[non_exhaustive]
    pub enum ForgeKind {
        /// By the host's name.
        #[default]
        Auto = "auto",
        /// GitLab.
        GitLab = "gitlab",
        /// GitHub.
        GitHub = "github",
        /// Gitea, or Forgejo.
        Gitea = "gitea",
        /// Gerrit.
        Gerrit = "gerrit",
        /// Nothing that knows of requests.
        Git = "git",
    }
}

config_words! {
    /// `format`: what of a file changes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[non_exhaustive]
    pub enum CommitFormat {
        /// The refs alone.
        #[default]
        Minimal = "minimal",
        /// What bst wrote.
        Bst = "bst",
    }
}

config_words! {
    /// `on-human-commits`: what is done where somebody else has committed to a branch of ours.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[non_exhaustive]
    pub enum HumanCommitPolicy {
        /// The branch is left alone, which is told.
        #[default]
        Pause = "pause",
        /// What is new is put on top.
        Stack = "stack",
        /// Another branch is made.
        New = "new",
    }
}

config_table! {
    /// `app`: an App of GitHub's.
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct GitHubApp {
        /// The App's number.
        id: u64 = KeyDeclaration::new("id", ValueKind::Number(1, u64::MAX >> 1), Must, "1");
        /// The number of its installation.
        installation: u64 = KeyDeclaration::new("installation", ValueKind::Number(1, u64::MAX >> 1), Must, "2");
        /// Its private key, PEM.
        private_key: PathBuf = KeyDeclaration::new("private-key", ValueKind::SecretFile, Must, "\"app.pem\"");
    }
}

config_table! {
    /// `select`: what is published. What is empty excludes nothing.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct PublishSelection {
        /// Globs over the sources' urls, as the element has them or with their aliases resolved.
        urls: Vec<String> = KeyDeclaration::new("urls", ValueKind::List(&ValueKind::Glob, 0), Value("[]"), "[\"gnome:*\"]");
        /// Kinds of sources.
        kinds: Vec<String> = KeyDeclaration::new("kinds", ValueKind::List(&ValueKind::Name, 0), Value("[]"), "[\"git_repo\"]");
        /// Names of elements, or globs over them.
        elements: Vec<String> = KeyDeclaration::new("elements", ValueKind::List(&ValueKind::Glob, 0), Value("[]"), "[\"core/*\"]");
    }
}

config_table! {
    /// One `[[project.group]]`: elements that are published all at once or not at all.
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct ElementGroup {
        /// What the group is called.
        name: String = KeyDeclaration::new("name", ValueKind::Name, Must, "\"core\"");
        /// Its elements: names or globs.
        elements: Vec<String> = KeyDeclaration::new("elements", ValueKind::List(&ValueKind::Glob, 1), Must, "[\"sdk.bst\", \"core/*.bst\"]");
    }
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
        BranchTemplate(self.branch_form().to_owned())
    }

    /// What the branches that are pushed are called, with words in braces: what is given, else the default of `per`.
    pub(crate) fn branch_form(&self) -> &str {
        self.branch.as_deref().unwrap_or_else(|| self.per.default_branch())
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
