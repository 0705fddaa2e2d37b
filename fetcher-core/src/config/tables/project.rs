//! The keys of `[[project]]`, `[defaults]` and `[buildstream]`.

use super::super::keys::{Choice, Fallback, Key, Kind, Least, Table};
use super::key;

use Fallback::{Required as Must, Value, Words};

pub(super) static PROJECT: Table = Table { keys: PROJECT_KEYS, layered: true, ..Table::EMPTY };

pub(super) static DEFAULTS: Table = Table { keys: PROJECT_KEYS, layered: true, ..Table::EMPTY };

const PROJECT_KEYS: &[Key] = &[
    key(
        "name",
        Kind::Name,
        Words("the last part of `url` without `.git`"),
        "\"other\"",
        "What the project is called in reports, on pages and on the command line.",
    ),
    key(
        "url",
        Kind::Repository,
        Must,
        "\"https://git.example.org/other.git\"",
        "The project's git repository: https, http, ssh, git, file, `user@host:path`, or a path.",
    ),
    key(
        "branches",
        Kind::List(&Kind::Branches, 0),
        Words("the remote's HEAD"),
        "[\"master\", \"release/*\"]",
        "The branches to fetch: names or globs.",
    ),
    key(
        "exclude-branches",
        Kind::List(&Kind::Branches, 0),
        Value("[]"),
        "[\"release/1*\"]",
        "Branches that are left out although `branches` names them.",
    ),
    key("directory", Kind::InnerPath, Value("\".\""), "\"sdk\"", "Where `project.conf` is, inside the repository."),
    key(
        "targets",
        Kind::List(&Kind::Element, 0),
        Words("the project's own default targets"),
        "[\"components.bst\"]",
        "The elements to track, fetch and push.",
    ),
    key(
        "deps",
        Kind::Word(&["none", "build", "run", "all"]),
        Value("\"all\""),
        "\"build\"",
        "Which dependencies of the targets too, in bst's words.",
    ),
    key(
        "except",
        Kind::List(&Kind::Element, 0),
        Value("[]"),
        "[\"broken.bst\"]",
        "Elements that are left out, with what only they depend on.",
    ),
    key(
        "cross-junctions",
        Kind::Bool,
        Value("false"),
        "true",
        "Whether elements of subprojects are tracked too; they need `ref-storage: project.refs`.",
    ),
    key(
        "options",
        Kind::Map(&Kind::OptionValue),
        Value("{}"),
        "{ target_arch = \"x86_64\" }",
        "The project's options. Booleans and numbers are written as BuildStream expects them, a list is for an \
         option of type flags.",
    ),
    key(
        "variants",
        Kind::Tables(&VARIANT),
        Value("[]"),
        "[{ name = \"arm\", options = { target_arch = \"aarch64\" } }]",
        "Option sets: the stages run once for each, because what a project fetches may depend on its options.",
    ),
    key(
        "submodules",
        Kind::Bool,
        Value("true"),
        "false",
        "Whether the repository's submodules are checked out, recursively.",
    ),
    key(
        "prepare",
        Kind::CheckoutCommand,
        Value("[]"),
        "[\"make\", \"-C\", \"files/boot-keys\", \"generate-keys\", \"IMPORT_MODE=snakeoil\"]",
        "What a clean checkout needs before bst can load the project. It is run in the directory of `project.conf`, with \
         bst's environment and within `timeout`, once for each tip and command; what it adds or changes in the checkout \
         is kept, and put back without running it again. `run --force` runs it anew.",
    ),
    key(
        "select",
        Kind::Table(&SELECT),
        Value("{}"),
        "{ urls = [\"gnome:*\"], kinds = [\"git_repo\"] }",
        "What is tracked, of the targets and their dependencies; all of it where nothing is said. What is left out is \
         fetched and pushed with the ref that it has.",
    ),
    key(
        "hold",
        Kind::Tables(&HOLD),
        Value("[]"),
        "[{ element = \"components/qemu.bst\", reason = \"needs qemu.qmp\", until = 2027-01-31 }]",
        "What is not tracked, and why. Lines of `.bstignore` beside `project.conf` are holds too: the name of an \
         element, or of a file that elements include, and after `#` the reason.",
    ),
    key(
        "refs",
        Kind::List(&Kind::Word(&["committed", "tracked"]), 1),
        Value("[\"committed\", \"tracked\"]"),
        "[\"committed\"]",
        "Which refs are fetched and pushed: those that the branch's tip has, which people build; and those that tracking \
         finds. The committed ones come first.",
    ),
    key(
        "track",
        Kind::Bool,
        Value("true"),
        "false",
        "Whether new refs are looked for upstream. `false` leaves the committed ones alone.",
    ),
    key("fetch", Kind::Bool, Value("true"), "false", "Whether sources are fetched."),
    key(
        "push",
        Kind::BoolOr(&["auto"]),
        Value("\"auto\""),
        "true",
        "Whether sources are pushed. `\"auto\"`: where a source cache has `push = true`; `true`: also where only \
         the project's own configuration names such a cache.",
    ),
    key("timeout", Kind::Time(Least::Second), Value("\"2h\""), "\"90m\"", "How long one stage may take."),
    key(
        "retries",
        Kind::Number(0, 100),
        Value("2"),
        "5",
        "How many more times a stage is tried that failed of something a retry can mend.",
    ),
    key(
        "retry-delay",
        Kind::Time(Least::Zero),
        Value("\"30s\""),
        "\"1m\"",
        "The wait before the first retry; it doubles with each.",
    ),
    key(
        "on-error",
        Kind::Word(&["continue", "quit", "terminate"]),
        Value("\"continue\""),
        "\"quit\"",
        "What bst does when an element fails, in bst's words.",
    ),
    key(
        "config",
        Kind::Free,
        Value("{}"),
        "{ scheduler = { fetchers = 4 } }",
        "Merged into this project's `buildstream.conf`, over `[buildstream] config`.",
    ),
    key(
        "git",
        Kind::Table(&GIT),
        Value("{}"),
        "{ username = \"me\" }",
        "How the repository and its submodules are reached.",
    ),
    key(
        "source-caches",
        Kind::Tables(&SOURCE_CACHE),
        Value("[]"),
        "[{ url = \"https://cache.example.org:11001\" }]",
        "Remote source caches, with BuildStream's own keys.",
    ),
    key(
        "buildstream",
        Kind::Table(&BUILDSTREAM),
        Words("as `[buildstream]`"),
        "{ command = [\"/opt/bst-1.6/bin/bst\"] }",
        "The keys of `[buildstream]` for this project alone, as for an old branch that needs BuildStream 1.",
    ),
    key(
        "publish",
        Kind::Table(&super::publish::PUBLISH),
        Value("{}"),
        "{ mode = \"branch\" }",
        "What becomes of tracked refs once their sources are cached.",
    ),
    key(
        "group",
        Kind::Tables(&super::publish::GROUP),
        Value("[]"),
        "[{ name = \"core\", elements = [\"sdk.bst\"] }]",
        "Elements that are published all at once, in one commit, or not at all.",
    ),
    key(
        "sandbox",
        Kind::Table(&super::sandbox::SANDBOX),
        Words("as `[sandbox]`"),
        "{ mode = \"off\" }",
        "The keys of `[sandbox]` for this project alone.",
    ),
    key(
        "credentials",
        Kind::Table(&super::sandbox::CREDENTIALS),
        Value("{}"),
        "{ netrc = \"upstreams.netrc\" }",
        "What the project's upstreams ask for: files that are shown to this project's `bst` alone, since the sandbox hides \
         those in the home of the user.",
    ),
];

pub(super) static BUILDSTREAM: Table = Table {
    keys: &[
        key(
            "command",
            Kind::Command,
            Words("`bst` from PATH where it works, else a managed environment"),
            "[\"podman\", \"run\", \"--rm\", \"bst-image\", \"bst\"]",
            "The program, or any wrapper of it. Instead of `requirements`.",
        ),
        key(
            "requirements",
            Kind::Requirements,
            Words(
                "`buildstream` with its own and the community's plugins and what those import, where there is no `bst`",
            ),
            "[\"buildstream==2.8.1\", \"buildstream-plugins==2.8.0\"]",
            "What pip installs into an environment that is made and kept for this: the whole list, with BuildStream in \
             it, or the name of a requirements file. Instead of `command`.",
        ),
        key("python", Kind::Text, Value("\"python3\""), "\"python3.12\"", "The Python that makes the environment."),
        key(
            "pass-environment",
            Kind::List(&Kind::Variable, 0),
            Value("[]"),
            "[\"HTTPS_PROXY\", \"SSH_AUTH_SOCK\"]",
            "Environment variables that bst gets beside the usual few.",
        ),
        key(
            "config",
            Kind::Free,
            Value("{}"),
            "{ scheduler = { fetchers = 32 } }",
            "Merged into the generated `buildstream.conf`.",
        ),
    ],
    choices: &[Choice::at_most_one(&["command", "requirements"])],
    ..Table::EMPTY
};

static VARIANT: Table = Table {
    keys: &[
        key("name", Kind::Name, Must, "\"arm\"", "What the option set is called in reports."),
        key(
            "options",
            Kind::Map(&Kind::OptionValue),
            Value("{}"),
            "{ target_arch = \"aarch64\" }",
            "Its options, over the project's.",
        ),
    ],
    ..Table::EMPTY
};

static SELECT: Table = Table {
    keys: &[
        key(
            "urls",
            Kind::List(&Kind::Glob, 0),
            Value("[]"),
            "[\"gnome:*\"]",
            "Elements with a source from such an address, as it is written or with its alias resolved. A source has to fit \
             `kinds` too where both are given.",
        ),
        key(
            "kinds",
            Kind::List(&Kind::Glob, 0),
            Value("[]"),
            "[\"git_repo\"]",
            "Elements with a source of such a kind.",
        ),
        key(
            "elements",
            Kind::List(&Kind::Glob, 0),
            Value("[]"),
            "[\"core/*\"]",
            "Elements of such a name. `*` is any text, slashes included.",
        ),
    ],
    ..Table::EMPTY
};

static HOLD: Table = Table {
    keys: &[
        key("element", Kind::Glob, Must, "\"components/qemu.bst\"", "Which elements: a name, or a glob."),
        key("reason", Kind::Text, Must, "\"needs qemu.qmp\"", "Why, for those who wonder."),
        key(
            "until",
            Kind::Date,
            Words("until it is removed"),
            "2027-01-31",
            "The last day on which it holds, by UTC. After it the elements are tracked again, which is told once.",
        ),
    ],
    ..Table::EMPTY
};

static GIT: Table = Table {
    keys: &[
        key(
            "ssh-key",
            Kind::SecretFile,
            Words("ssh's agent and configuration"),
            "\"id_ed25519\"",
            "A private key for ssh.",
        ),
        key(
            "known-hosts",
            Kind::File,
            Words("ssh's own"),
            "\"known_hosts\"",
            "The keys of the hosts that are reached over ssh.",
        ),
        key(
            "token-file",
            Kind::SecretFile,
            Words("no password"),
            "\"gitlab.token\"",
            "A file with the password or token for https.",
        ),
        key(
            "credentials-for",
            Kind::List(&Kind::Text, 0),
            Words("the project's own url alone"),
            "[\"https://gitlab.example.org/group/\"]",
            "How the addresses of submodules begin that the token and the key are for too. Whoever can push a branch can name \
             any repository as a submodule, and read what these credentials give.",
        ),
        key("username", Kind::Text, Words("`oauth2` where there is a token"), "\"me\"", "The user name for https."),
    ],
    ..Table::EMPTY
};

static SOURCE_CACHE: Table = Table {
    keys: &[
        key(
            "url",
            Kind::Url(&["https", "http", "grpcs", "grpc", "unix"]),
            Must,
            "\"https://cache.example.org:11002\"",
            "The cache's address.",
        ),
        key("push", Kind::Bool, Value("false"), "true", "Whether sources are pushed to it."),
        key(
            "type",
            Kind::Word(&["all", "index", "storage"]),
            Words("`all`"),
            "\"index\"",
            "What the server is: the index, the storage, or both.",
        ),
        key(
            "instance-name",
            Kind::Text,
            Words("the empty name"),
            "\"main\"",
            "The name of the instance on the server.",
        ),
        key(
            "auth",
            Kind::Table(&AUTH),
            Value("{}"),
            "{ access-token = \"cache.token\" }",
            "How the server knows who asks, and how it is known itself.",
        ),
        key(
            "connection-config",
            Kind::Table(&CONNECTION),
            Value("{}"),
            "{ retry-limit = 5 }",
            "How the connection behaves.",
        ),
    ],
    ..Table::EMPTY
};

static AUTH: Table = Table {
    keys: &[
        key(
            "server-cert",
            Kind::File,
            Words("the system's authorities"),
            "\"ca.crt\"",
            "The certificate that signs the server's, PEM.",
        ),
        key(
            "client-cert",
            Kind::File,
            Words("none"),
            "\"client.crt\"",
            "The client's certificate, PEM. It needs `client-key`.",
        ),
        key(
            "client-key",
            Kind::SecretFile,
            Words("none"),
            "\"client.key\"",
            "The private key to it, PEM. It needs `client-cert`.",
        ),
        key("access-token", Kind::SecretFile, Words("none"), "\"cache.token\"", "A file with a bearer token."),
        key(
            "access-token-reload-interval",
            Kind::Number(1, 1_000_000),
            Words("it is read once"),
            "60",
            "After how many minutes the token is read again.",
        ),
    ],
    needs: &[
        ("client-cert", "client-key"),
        ("client-key", "client-cert"),
        ("access-token-reload-interval", "access-token"),
    ],
    ..Table::EMPTY
};

static CONNECTION: Table = Table {
    keys: &[
        key(
            "keepalive-time",
            Kind::Number(0, 1_000_000),
            Words("BuildStream's"),
            "180",
            "Seconds between signs of life.",
        ),
        key(
            "retry-limit",
            Kind::Number(0, 1000),
            Words("BuildStream's"),
            "5",
            "How many times a request is tried again; 0 is BuildStream's default too.",
        ),
        key(
            "retry-delay",
            Kind::Number(0, 1_000_000),
            Words("BuildStream's"),
            "500",
            "Milliseconds before the first retry.",
        ),
        key(
            "request-timeout",
            Kind::Number(0, 1_000_000),
            Words("BuildStream's"),
            "180",
            "Seconds that a request may take.",
        ),
    ],
    ..Table::EMPTY
};
