//! The whole file: which tables there are. The keys of each stand with its struct.

use super::Config;
use super::buildstream::BUILDSTREAM;
use super::keys::KeyDefault::{self, Required as Must, Value, Words};
use super::keys::{KeyDeclaration, TableDeclaration, ValueKind};
use super::notify::{NOTIFY, UPLOAD};
use super::probe::PROBE;
use super::project::{DEFAULTS, PROJECT};
use super::project_sandbox::SANDBOX;
use super::self_update::SELF_UPDATE;
use super::serve::SERVE;

/// The whole file.
pub(crate) static TOP: TableDeclaration = TableDeclaration {
    keys: &[
        key(
            "fetcher",
            ValueKind::Table(&FETCHER),
            Value("{}"),
            "{ jobs = 4 }",
            "The program itself: directories, how much at once, what is written where.",
        ),
        key(
            "self-update",
            ValueKind::Table(&SELF_UPDATE),
            Value("{}"),
            "{ enabled = false }",
            "The configuration's own git checkout, followed before every run; and the program itself.",
        ),
        key(
            "buildstream",
            ValueKind::Table(&BUILDSTREAM),
            Value("{}"),
            "{ command = [\"bst\", \"--debug\"] }",
            "Where `bst` comes from and how it is configured, for every project that does not say otherwise.",
        ),
        key(
            "probe",
            ValueKind::Table(&PROBE),
            Value("{}"),
            "{ mode = \"off\" }",
            "Asking upstreams what moved, so that the rest need not be tracked.",
        ),
        key(
            "sandbox",
            ValueKind::Table(&SANDBOX),
            Value("{}"),
            "{ mode = \"required\" }",
            "What a project's code sees and may do: that of its plugins, which `bst` runs on this machine.",
        ),
        key(
            "defaults",
            ValueKind::Table(&DEFAULTS),
            Words("nothing"),
            "{ retries = 5 }",
            "Any key of `[[project]]`, for every project: tables are merged, anything else in a project replaces \
             what is here.",
        ),
        key(
            "project",
            ValueKind::Tables(&PROJECT),
            Must,
            "[{ url = \"https://git.example.org/other.git\" }]",
            "A project to fetch: one table each.",
        ),
        key(
            "notify",
            ValueKind::Tables(&NOTIFY),
            Value("[]"),
            "[{ kind = \"healthcheck\", url = \"https://hc.example.org/ping/uuid\" }]",
            "Somebody or something to tell: one table each.",
        ),
        key(
            "upload",
            ValueKind::Table(&UPLOAD),
            Words("logs stay on this host"),
            "{ url = \"https://logs.example.org/fetcher/\" }",
            "Where status pages and logs are sent to, for hosts that serve nothing themselves.",
        ),
        key(
            "serve",
            ValueKind::Table(&SERVE),
            Value("{}"),
            "{ listen = \"127.0.0.1:11002\" }",
            "The server of the local cache (`bst-fetcher serve`).",
        ),
    ],
    ..TableDeclaration::EMPTY
};

static FETCHER: TableDeclaration = TableDeclaration { keys: Config::FETCHER_KEYS, ..TableDeclaration::EMPTY };

const fn key(
    name: &'static str,
    kind: ValueKind,
    fallback: KeyDefault,
    example: &'static str,
    meaning: &'static str,
) -> KeyDeclaration {
    KeyDeclaration::new(name, kind, fallback, example).documented(meaning)
}
