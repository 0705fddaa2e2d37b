//! The keys of `[project.publish]` and `[[project.group]]`.

use super::super::keys::{ExclusiveKeys, KeyDefault, MinimumDuration, TableDeclaration, ValueKind};
use super::key;

use KeyDefault::{Required as Must, Value, Words};

pub(super) static PUBLISH: TableDeclaration = TableDeclaration {
    keys: &[
        key(
            "mode",
            ValueKind::Word(&["none", "branch", "merge-request", "commit"]),
            Value("\"none\""),
            "\"merge-request\"",
            "What becomes of tracked refs once their sources are cached: nothing, a branch, requests to merge, or \
             commits on the base branch itself.",
        ),
        key(
            "per",
            ValueKind::Word(&["bundle", "element", "group"]),
            Value("\"bundle\""),
            "\"element\"",
            "What makes one request: all that a branch has, an element, or a group. A commit is always one set of \
             elements that share files, or one group.",
        ),
        key(
            "forge",
            ValueKind::Word(&["auto", "gitlab", "github", "gitea", "gerrit", "git"]),
            Value("\"auto\""),
            "\"gitlab\"",
            "What runs where requests go. `\"auto\"`: by the host's name; Forgejo is `gitea`; `git` knows of branches \
             alone.",
        ),
        key(
            "api-url",
            ValueKind::Url(&["https", "http"]),
            Words("from `url`"),
            "\"https://gitlab.example.org\"",
            "Where the forge's interface is: its address without `/api/…`.",
        ),
        key(
            "ca-file",
            ValueKind::File,
            Words("the usual ones"),
            "\"ca.crt\"",
            "Further authorities to trust there, PEM.",
        ),
        key(
            "push-url",
            ValueKind::Repository,
            Words("`url`"),
            "\"git@git.example.org:other.git\"",
            "Where branches are pushed, if the same repository takes pushes under another address.",
        ),
        key(
            "token-file",
            ValueKind::SecretFile,
            Words("push options, AGit, or `git` alone"),
            "\"forge.token\"",
            "A file with a token for the forge's interface; for pushes over https too where `git` has none.",
        ),
        key(
            "app",
            ValueKind::Table(&APP),
            Words("none"),
            "{ id = 1, installation = 2, private-key = \"app.pem\" }",
            "An App of GitHub's, instead of a token: its requests start workflows.",
        ),
        key(
            "base",
            ValueKind::Branch,
            Words("the branch that is tracked"),
            "\"testing\"",
            "The branch to which requests go.",
        ),
        key(
            "branch",
            ValueKind::Text,
            Words("`bst-fetcher/{base}`, with `/{element}` or `/{group}` behind it where `per` says so"),
            "\"update/{base}\"",
            "What the branches that are pushed are called: `{base}`, `{element}`, `{group}`. No run ever follows \
             branches of that form.",
        ),
        key(
            "title",
            ValueKind::Text,
            Words("`Update {element}`, or `Update {count} elements` of several"),
            "\"Update {count} elements\"",
            "A request's title: `{count}`, `{element}`, `{file}`, `{group}`, `{base}`, `{old}`, `{new}`.",
        ),
        key(
            "commit-subject",
            ValueKind::Text,
            Value("\"{element}: update to {new}\""),
            "\"Update {element}\"",
            "A commit's first line: the same as in `title`, and `{compare}`.",
        ),
        key(
            "author",
            ValueKind::Text,
            Words("`bst-fetcher <bst-fetcher@HOST>`"),
            "\"Fetcher <fetcher@example.org>\"",
            "Author and committer. Hosts that publish the same project have to have the same, else they make \
             different commits of the same refs.",
        ),
        key(
            "signing-key",
            ValueKind::SecretFile,
            Words("commits are not signed"),
            "\"id_ed25519\"",
            "A private key of ssh's, or an armored secret key of OpenPGP's, without a passphrase.",
        ),
        key(
            "format",
            ValueKind::Word(&["minimal", "bst"]),
            Value("\"minimal\""),
            "\"bst\"",
            "What of a file changes: the refs alone, or all that bst rewrote.",
        ),
        key(
            "assignees",
            ValueKind::List(&ValueKind::Text, 0),
            Value("[]"),
            "[\"marge-bot\"]",
            "Who is assigned. A request that is assigned to a merge bot (a name that ends in `bot` or `[bot]`) is \
             merging: nothing is pushed to it unless it conflicts.",
        ),
        key(
            "labels",
            ValueKind::List(&ValueKind::Text, 0),
            Value("[]"),
            "[\"update\"]",
            "The labels that a request gets.",
        ),
        key("draft", ValueKind::Bool, Value("false"), "true", "Whether requests are drafts."),
        key(
            "auto-merge",
            ValueKind::Bool,
            Value("false"),
            "true",
            "Whether the forge is to merge a request once its checks pass.",
        ),
        key(
            "max-open",
            ValueKind::Number(1, 1000),
            Words("no limit"),
            "4",
            "How many requests of a branch are open at once. Those that wait have their turn, the oldest first.",
        ),
        key(
            "min-age",
            ValueKind::Time(MinimumDuration::Zero),
            Value("\"0s\""),
            "\"1d\"",
            "For how long a ref has to be known before it is published.",
        ),
        key(
            "schedule",
            ValueKind::Text,
            Words("every run"),
            "\"Mon 06:00\"",
            "When there is anything published: by the first run after this time of day, of these days of the week; in \
             UTC.",
        ),
        key("squash", ValueKind::Bool, Value("false"), "true", "Whether a bundle is one commit."),
        key(
            "select",
            ValueKind::Table(&SELECT),
            Value("{}"),
            "{ urls = [\"gnome:*\"] }",
            "What of that which was tracked is published.",
        ),
        key(
            "on-human-commits",
            ValueKind::Word(&["pause", "stack", "new"]),
            Value("\"pause\""),
            "\"stack\"",
            "Where somebody else has committed to a branch of ours: leave it alone, put what is new on top, or make \
             another branch.",
        ),
        key(
            "renamed",
            ValueKind::Word(&["publish", "ignore"]),
            Value("\"publish\""),
            "\"ignore\"",
            "The same commit under a newer tag.",
        ),
        key(
            "moved",
            ValueKind::Word(&["hold", "publish"]),
            Value("\"hold\""),
            "\"publish\"",
            "A tag that names another commit than before, or an address with other content: held back, or published \
             as a commit that says so. It is told either way.",
        ),
    ],
    choices: &[ExclusiveKeys::at_most_one(&["token-file", "app"])],
    ..TableDeclaration::EMPTY
};

pub(super) static GROUP: TableDeclaration = TableDeclaration {
    keys: &[
        key("name", ValueKind::Name, Must, "\"core\"", "What the group is called."),
        key(
            "elements",
            ValueKind::List(&ValueKind::Glob, 1),
            Must,
            "[\"sdk.bst\", \"core/*.bst\"]",
            "Its elements: names or globs.",
        ),
    ],
    ..TableDeclaration::EMPTY
};

static APP: TableDeclaration = TableDeclaration {
    keys: &[
        key("id", ValueKind::Number(1, u64::MAX >> 1), Must, "1", "The App's number."),
        key("installation", ValueKind::Number(1, u64::MAX >> 1), Must, "2", "The number of its installation."),
        key("private-key", ValueKind::SecretFile, Must, "\"app.pem\"", "Its private key, PEM."),
    ],
    ..TableDeclaration::EMPTY
};

static SELECT: TableDeclaration = TableDeclaration {
    keys: &[
        key(
            "urls",
            ValueKind::List(&ValueKind::Glob, 0),
            Value("[]"),
            "[\"gnome:*\"]",
            "Globs over the sources' urls, as the element has them or with their aliases resolved.",
        ),
        key("kinds", ValueKind::List(&ValueKind::Name, 0), Value("[]"), "[\"git_repo\"]", "Kinds of sources."),
        key(
            "elements",
            ValueKind::List(&ValueKind::Glob, 0),
            Value("[]"),
            "[\"core/*\"]",
            "Names of elements, or globs over them.",
        ),
    ],
    ..TableDeclaration::EMPTY
};
