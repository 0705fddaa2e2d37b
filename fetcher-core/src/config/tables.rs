//! The keys themselves.

use super::keys::{KeyDeclaration, KeyDefault, MinimumDuration, TableDeclaration, ValueKind};
use super::notify::{NOTIFY, UPLOAD};
use super::self_update::SELF_UPDATE;
use super::serve::SERVE;

mod project;
mod publish;
mod sandbox;
mod source_caches;

use KeyDefault::{Required as Must, Value, Words};

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
            ValueKind::Table(&project::BUILDSTREAM),
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
            ValueKind::Table(&sandbox::SANDBOX),
            Value("{}"),
            "{ mode = \"required\" }",
            "What a project's code sees and may do: that of its plugins, which `bst` runs on this machine.",
        ),
        key(
            "defaults",
            ValueKind::Table(&project::DEFAULTS),
            Words("nothing"),
            "{ retries = 5 }",
            "Any key of `[[project]]`, for every project: tables are merged, anything else in a project replaces \
             what is here.",
        ),
        key(
            "project",
            ValueKind::Tables(&project::PROJECT),
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

static FETCHER: TableDeclaration = TableDeclaration {
    keys: &[
        key(
            "state-dir",
            ValueKind::Path,
            Words("`$STATE_DIRECTORY`, else `$XDG_STATE_HOME/bst-fetcher`, else `~/.local/state/bst-fetcher`"),
            "\"/var/lib/bst-fetcher\"",
            "The memory between runs, and the runs' directories.",
        ),
        key(
            "cache-dir",
            ValueKind::Path,
            Words("`$CACHE_DIRECTORY`, else `$XDG_CACHE_HOME/bst-fetcher`, else `~/.cache/bst-fetcher`"),
            "\"/var/cache/bst-fetcher\"",
            "Mirrors, checkouts, BuildStream's `cachedir` and `sourcedir`, managed environments.",
        ),
        key("jobs", ValueKind::Number(1, 256), Value("2"), "4", "How many branches are worked on at once."),
        key(
            "min-free-space",
            ValueKind::Size,
            Value("\"1G\""),
            "\"10G\"",
            "The free space that the file systems of `state-dir` and `cache-dir` have to have. Below it things \
             are removed until there is enough: what killed programs left, what is old, then checkouts and \
             mirrors, which are made anew (the run tells it). If that is not enough the run fails before anything \
             is half-fetched. `git` and `bst` are stopped before they use it up. Set it to what your projects' \
             sources need.",
        ),
        key(
            "keep-runs",
            ValueKind::Time(MinimumDuration::Zero),
            Value("\"30d\""),
            "\"7d\"",
            "How long the directories of past runs, with their logs, are kept; and how long what a configuration no \
             longer names: mirrors, checkouts, environments, the memory of branches.",
        ),
        key(
            "keep-logs",
            ValueKind::Size,
            Value("\"2G\""),
            "\"500M\"",
            "How much the logs of all runs may take in `state-dir`, and again in `publish-dir`. Beyond it those of the \
             oldest runs go first; the newest run keeps its own.",
        ),
        key(
            "lock-alarm-after",
            ValueKind::Time(MinimumDuration::Second),
            Value("\"24h\""),
            "\"6h\"",
            "For how long another run may hold the lock before those who are notified hear of it. A run that finds \
             the lock held by a younger one ends in silence.",
        ),
        key(
            "publish-dir",
            ValueKind::Path,
            Words("no pages"),
            "\"/var/www/fetcher\"",
            "Where status pages and logs are written, for any web server.",
        ),
        key(
            "base-url",
            ValueKind::Url(&["https", "http"]),
            Words("no links"),
            "\"https://fetcher.example.org/\"",
            "Where people find `publish-dir`: what links in notifications begin with.",
        ),
        key(
            "metrics-file",
            ValueKind::Path,
            Words("no metrics"),
            "\"/var/lib/prometheus/node-exporter/bst-fetcher.prom\"",
            "A textfile for Prometheus's node exporter; its name has to end in `.prom` there.",
        ),
        key(
            "refresh-after",
            ValueKind::Time(MinimumDuration::Zero),
            Value("\"24h\""),
            "\"12h\"",
            "How long \"nothing changed\" may skip fetch and push, and what was proved to be in the caches may go unasked. \
             Asking keeps it from expiring there: a cache that drops what nobody asks for needs less.",
        ),
        key(
            "clean-client-every",
            ValueKind::Time(MinimumDuration::Second),
            Words("never"),
            "\"7d\"",
            "Within which time a `bst` with empty caches, and with no way to any upstream, is to have fetched from the source \
             caches all that is pushed to them, or from the local cache all that is fetched where nothing is pushed: a share in \
             each run.",
        ),
    ],
    ..TableDeclaration::EMPTY
};

static PROBE: TableDeclaration = TableDeclaration {
    keys: &[
        key(
            "mode",
            ValueKind::Word(&["auto", "off"]),
            Value("\"auto\""),
            "\"off\"",
            "Whether upstreams are asked. `\"auto\"`: wherever what they say may be believed, and everything else is \
             tracked. `\"off\"`: everything is tracked.",
        ),
        key("concurrency", ValueKind::Number(1, 256), Value("32"), "8", "How many requests are under way at once."),
        key("per-host", ValueKind::Number(1, 64), Value("6"), "2", "How many of these to one host."),
        key(
            "full-track-after",
            ValueKind::Time(MinimumDuration::Second),
            Value("\"7d\""),
            "\"1d\"",
            "Within this time everything that was left out is really tracked once, a share in each run, so that an upstream \
             whose answers mislead is found.",
        ),
        key(
            "kinds",
            ValueKind::Map(&ValueKind::Text),
            Value("{}"),
            "{ my_git = \"git_repo\" }",
            "Source plugins of a project's own, each with the known kind that it tracks like.",
        ),
    ],
    ..TableDeclaration::EMPTY
};

const fn key(
    name: &'static str,
    kind: ValueKind,
    fallback: KeyDefault,
    example: &'static str,
    meaning: &'static str,
) -> KeyDeclaration {
    KeyDeclaration::new(name, kind, fallback, example).documented(meaning)
}
