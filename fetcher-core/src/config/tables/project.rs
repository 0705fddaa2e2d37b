//! The keys of `[[project]]`, `[defaults]` and `[buildstream]`.

use super::super::keys::{ExclusiveKeys, KeyDeclaration, KeyDefault, MinimumDuration, TableDeclaration, ValueKind};
use super::key;
use super::source_caches::SOURCE_CACHE;

use KeyDefault::{Required as Must, Value, Words};

pub(super) static PROJECT: TableDeclaration =
    TableDeclaration { keys: PROJECT_KEYS, layered: true, ..TableDeclaration::EMPTY };

pub(super) static DEFAULTS: TableDeclaration =
    TableDeclaration { keys: PROJECT_KEYS, layered: true, ..TableDeclaration::EMPTY };

const PROJECT_KEYS: &[KeyDeclaration] = &[
    key(
        "name",
        ValueKind::Name,
        Words("the last part of `url` without `.git`"),
        "\"other\"",
        "What the project is called in reports, on pages and on the command line.",
    ),
    key(
        "trust",
        ValueKind::Name,
        Words("the project's own `name`"),
        "\"gnome\"",
        "Whose caches the project uses. What one project's plugins write there, the others believe; so only projects that \
         name the same share BuildStream's cache and its mirrors of upstreams. A project that is renamed keeps its caches by \
         naming here what it was called.",
    ),
    key(
        "url",
        ValueKind::Repository,
        Must,
        "\"https://git.example.org/other.git\"",
        "The project's git repository: https, http, ssh, git, file, `user@host:path`, or a path.",
    ),
    key(
        "branches",
        ValueKind::List(&ValueKind::Branches, 0),
        Words("the remote's HEAD"),
        "[\"master\", \"release/*\"]",
        "The branches to fetch: names or globs.",
    ),
    key(
        "exclude-branches",
        ValueKind::List(&ValueKind::Branches, 0),
        Value("[]"),
        "[\"release/1*\"]",
        "Branches that are left out although `branches` names them.",
    ),
    key(
        "directory",
        ValueKind::InnerPath,
        Value("\".\""),
        "\"sdk\"",
        "Where `project.conf` is, inside the repository.",
    ),
    key(
        "targets",
        ValueKind::List(&ValueKind::Element, 0),
        Words("the project's own default targets"),
        "[\"components.bst\"]",
        "The elements to track, fetch and push.",
    ),
    key(
        "deps",
        ValueKind::Word(&["none", "build", "run", "all"]),
        Value("\"all\""),
        "\"build\"",
        "Which dependencies of the targets too, in bst's words.",
    ),
    key(
        "except",
        ValueKind::List(&ValueKind::Element, 0),
        Value("[]"),
        "[\"broken.bst\"]",
        "Elements that are left out, with what only they depend on.",
    ),
    key(
        "cross-junctions",
        ValueKind::Bool,
        Value("false"),
        "true",
        "Whether elements of subprojects are tracked too; they need `ref-storage: project.refs`.",
    ),
    key(
        "options",
        ValueKind::Map(&ValueKind::OptionValue),
        Value("{}"),
        "{ target_arch = \"x86_64\" }",
        "The project's options. Booleans and numbers are written as BuildStream expects them, a list is for an \
         option of type flags.",
    ),
    key(
        "variants",
        ValueKind::Tables(&VARIANT),
        Value("[]"),
        "[{ name = \"arm\", options = { target_arch = \"aarch64\" } }]",
        "Option sets: the stages run once for each, because what a project fetches may depend on its options.",
    ),
    key(
        "submodules",
        ValueKind::Bool,
        Value("true"),
        "false",
        "Whether the repository's submodules are checked out, recursively.",
    ),
    key(
        "prepare",
        ValueKind::CheckoutCommand,
        Value("[]"),
        "[\"make\", \"-C\", \"files/boot-keys\", \"generate-keys\", \"IMPORT_MODE=snakeoil\"]",
        "What a clean checkout needs before bst can load the project. It is run in the directory of `project.conf`, with \
         bst's environment and within `timeout`, once for each tip and command; what it adds or changes in the checkout \
         is kept, and put back without running it again. `run --force` runs it anew.",
    ),
    key(
        "select",
        ValueKind::Table(&SELECT),
        Value("{}"),
        "{ urls = [\"gnome:*\"], kinds = [\"git_repo\"] }",
        "What is tracked, of the targets and their dependencies; all of it where nothing is said. What is left out is \
         fetched and pushed with the ref that it has.",
    ),
    key(
        "hold",
        ValueKind::Tables(&HOLD),
        Value("[]"),
        "[{ element = \"components/qemu.bst\", reason = \"needs qemu.qmp\", until = 2027-01-31 }]",
        "What is not tracked, and why. Lines of `.bstignore` beside `project.conf` are holds too: the name of an \
         element, or of a file that elements include, and after `#` the reason.",
    ),
    key(
        "refs",
        ValueKind::List(&ValueKind::Word(&["committed", "tracked"]), 1),
        Value("[\"committed\", \"tracked\"]"),
        "[\"committed\"]",
        "Which refs are fetched and pushed: those that the branch's tip has, which people build; and those that tracking \
         finds. The committed ones come first.",
    ),
    key(
        "track",
        ValueKind::Bool,
        Value("true"),
        "false",
        "Whether new refs are looked for upstream. `false` leaves the committed ones alone.",
    ),
    key("fetch", ValueKind::Bool, Value("true"), "false", "Whether sources are fetched."),
    key(
        "push",
        ValueKind::BoolOr(&["auto"]),
        Value("\"auto\""),
        "true",
        "Whether sources are pushed. `\"auto\"`: where a source cache has `push = true`; `true`: also where only \
         the project's own configuration names such a cache.",
    ),
    key(
        "verify",
        ValueKind::Bool,
        Value("true"),
        "false",
        "Whether the source caches are asked for every blob of what was pushed; where nothing is pushed, whether the local \
         cache is looked through for what was fetched.",
    ),
    key(
        "timeout",
        ValueKind::Time(MinimumDuration::Second),
        Value("\"2h\""),
        "\"90m\"",
        "How long one stage may take.",
    ),
    key(
        "retries",
        ValueKind::Number(0, 100),
        Value("2"),
        "5",
        "How many more times a stage is tried that failed of something a retry can mend.",
    ),
    key(
        "retry-delay",
        ValueKind::Time(MinimumDuration::Zero),
        Value("\"30s\""),
        "\"1m\"",
        "The wait before the first retry; it doubles with each.",
    ),
    key(
        "on-error",
        ValueKind::Word(&["continue", "quit", "terminate"]),
        Value("\"continue\""),
        "\"quit\"",
        "What bst does when an element fails, in bst's words.",
    ),
    key(
        "allow-failure",
        ValueKind::BoolOrTable(&ALLOW_FAILURE),
        Value("false"),
        "{ elements = [\"experimental/*\"] }",
        "What may fail: `true` for all of the project, or a table. Such failures are told and shown as allowed, and \
         count neither in the branch's result nor in the exit status. What is the matter with this host or with a \
         source cache counts all the same.",
    ),
    key(
        "config",
        ValueKind::Free,
        Value("{}"),
        "{ scheduler = { fetchers = 4 } }",
        "Merged into this project's `buildstream.conf`, over `[buildstream] config`.",
    ),
    key(
        "probe",
        ValueKind::Word(&["auto", "off"]),
        Words("`probe.mode`"),
        "\"off\"",
        "Whether upstreams are asked what moved, so that the rest need not be tracked.",
    ),
    key(
        "git",
        ValueKind::Table(&GIT),
        Value("{}"),
        "{ username = \"me\" }",
        "How the repository and its submodules are reached.",
    ),
    key(
        "source-caches",
        ValueKind::Tables(&SOURCE_CACHE),
        Value("[]"),
        "[{ url = \"https://cache.example.org:11001\" }]",
        "Remote source caches, with BuildStream's own keys.",
    ),
    key(
        "buildstream",
        ValueKind::Table(&BUILDSTREAM),
        Words("as `[buildstream]`"),
        "{ command = [\"/opt/bst-1.6/bin/bst\"] }",
        "The keys of `[buildstream]` for this project alone, as for an old branch that needs BuildStream 1.",
    ),
    key(
        "publish",
        ValueKind::Table(&super::publish::PUBLISH),
        Value("{}"),
        "{ mode = \"branch\" }",
        "What becomes of tracked refs once their sources are cached.",
    ),
    key(
        "group",
        ValueKind::Tables(&super::publish::GROUP),
        Value("[]"),
        "[{ name = \"core\", elements = [\"sdk.bst\"] }]",
        "Elements that are published all at once, in one commit, or not at all.",
    ),
    key(
        "sandbox",
        ValueKind::Table(&super::sandbox::SANDBOX),
        Words("as `[sandbox]`"),
        "{ mode = \"off\" }",
        "The keys of `[sandbox]` for this project alone.",
    ),
    key(
        "credentials",
        ValueKind::Table(&super::sandbox::CREDENTIALS),
        Value("{}"),
        "{ netrc = \"upstreams.netrc\" }",
        "What the project's upstreams ask for: files that are shown to this project's `bst` alone, since the sandbox hides \
         those in the home of the user.",
    ),
];

pub(super) static BUILDSTREAM: TableDeclaration = TableDeclaration {
    keys: &[
        key(
            "command",
            ValueKind::Command,
            Words("`bst` from PATH where it works, else a managed environment"),
            "[\"podman\", \"run\", \"--rm\", \"bst-image\", \"bst\"]",
            "The program, or any wrapper of it. Instead of `requirements`.",
        ),
        key(
            "requirements",
            ValueKind::Requirements,
            Words(
                "`buildstream` with its own and the community's plugins and what those import, where there is no `bst`",
            ),
            "[\"buildstream==2.8.1\", \"buildstream-plugins==2.8.0\"]",
            "What pip installs into an environment that is made and kept for this: the whole list, with BuildStream in \
             it, or the name of a requirements file. Instead of `command`.",
        ),
        key(
            "python",
            ValueKind::Text,
            Value("\"python3\""),
            "\"python3.12\"",
            "The Python that makes the environment.",
        ),
        key(
            "pass-environment",
            ValueKind::List(&ValueKind::Variable, 0),
            Value("[]"),
            "[\"HTTPS_PROXY\", \"SSH_AUTH_SOCK\"]",
            "Environment variables that bst gets beside the usual few.",
        ),
        key(
            "config",
            ValueKind::Free,
            Value("{}"),
            "{ scheduler = { fetchers = 32 } }",
            "Merged into the generated `buildstream.conf`.",
        ),
    ],
    choices: &[ExclusiveKeys::at_most_one(&["command", "requirements"])],
    ..TableDeclaration::EMPTY
};

static VARIANT: TableDeclaration = TableDeclaration {
    keys: &[
        key("name", ValueKind::Name, Must, "\"arm\"", "What the option set is called in reports."),
        key(
            "options",
            ValueKind::Map(&ValueKind::OptionValue),
            Value("{}"),
            "{ target_arch = \"aarch64\" }",
            "Its options, over the project's.",
        ),
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
            "Elements with a source from such an address, as it is written or with its alias resolved. A source has to fit \
             `kinds` too where both are given.",
        ),
        key(
            "kinds",
            ValueKind::List(&ValueKind::Glob, 0),
            Value("[]"),
            "[\"git_repo\"]",
            "Elements with a source of such a kind.",
        ),
        key(
            "elements",
            ValueKind::List(&ValueKind::Glob, 0),
            Value("[]"),
            "[\"core/*\"]",
            "Elements of such a name. `*` is any text, slashes included.",
        ),
    ],
    ..TableDeclaration::EMPTY
};

static HOLD: TableDeclaration = TableDeclaration {
    keys: &[
        key("element", ValueKind::Glob, Must, "\"components/qemu.bst\"", "Which elements: a name, or a glob."),
        key("reason", ValueKind::Text, Must, "\"needs qemu.qmp\"", "Why, for those who wonder."),
        key(
            "until",
            ValueKind::Date,
            Words("until it is removed"),
            "2027-01-31",
            "The last day on which it holds, by UTC. After it the elements are tracked again, which is told once.",
        ),
    ],
    ..TableDeclaration::EMPTY
};

static ALLOW_FAILURE: TableDeclaration = TableDeclaration {
    keys: &[
        key(
            "variants",
            ValueKind::List(&ValueKind::Name, 0),
            Value("[]"),
            "[\"arm\"]",
            "Option sets, by the names of `variants`, of which everything may fail.",
        ),
        key(
            "elements",
            ValueKind::List(&ValueKind::Glob, 0),
            Value("[]"),
            "[\"experimental/*\"]",
            "Elements that may fail: names or globs, in which `*` matches `/` too. Those of a subproject are named with \
             their junction, as in `sub.bst:*`. A junction that keeps everything from being loaded counts all the same.",
        ),
    ],
    ..TableDeclaration::EMPTY
};

static GIT: TableDeclaration = TableDeclaration {
    keys: &[
        key(
            "ssh-key",
            ValueKind::SecretFile,
            Words("ssh's agent and configuration"),
            "\"id_ed25519\"",
            "A private key for ssh.",
        ),
        key(
            "known-hosts",
            ValueKind::File,
            Words("ssh's own"),
            "\"known_hosts\"",
            "The keys of the hosts that are reached over ssh.",
        ),
        key(
            "token-file",
            ValueKind::SecretFile,
            Words("no password"),
            "\"gitlab.token\"",
            "A file with the password or token for https.",
        ),
        key(
            "credentials-for",
            ValueKind::List(&ValueKind::Text, 0),
            Words("the project's own url alone"),
            "[\"https://gitlab.example.org/group/\"]",
            "How the addresses of submodules begin that the token and the key are for too. Whoever can push a branch can name \
             any repository as a submodule, and read what these credentials give.",
        ),
        key(
            "username",
            ValueKind::Text,
            Words("`oauth2` where there is a token"),
            "\"me\"",
            "The user name for https.",
        ),
    ],
    ..TableDeclaration::EMPTY
};
