//! What says more than a status of HTTP that may stand beside it: proxies, forges' own words, git's settings.

use super::super::{Actor, FailureKind};
use super::{DEFAULT_REMEDY, OwnRemedy, Phrase, host, lasting, upstream};

const PROXY: OwnRemedy = host(
    "the proxy does not answer, or does not let it through: see `https_proxy`, `http_proxy` and `no_proxy` of this host, and the \
     proxy's own rules",
);
const PROXY_LOGIN: OwnRemedy = lasting(
    Actor::Host,
    "the proxy wants credentials: put them into `https_proxy` and `http_proxy` of this host, or have the proxy let it through",
);
const QUOTA: OwnRemedy = lasting(
    Actor::Upstream,
    "upstream's quota for large files is used up: its owner has to buy or await more; a mirror helps meanwhile",
);
const TAKEN_DOWN: OwnRemedy =
    lasting(Actor::Upstream, "upstream was taken down or closed: ask its owner, and give the element another source");
const BUSY: OwnRemedy =
    upstream("the server has too much to do: wait, run less often, lower `scheduler: fetchers`, or use a mirror");
const REFUSED: OwnRemedy = lasting(
    Actor::Upstream,
    "the server refuses this client, its address or its country, whoever asks: ask its operators, go another way (a proxy), or \
     use a mirror",
);
const SHALLOW: OwnRemedy = lasting(
    Actor::Project,
    "the repository cannot be fetched as bst does (it is a shallow or a dumb one): have the project name a full mirror of it on a \
     smart server",
);
const GIT_PROTOCOL: OwnRemedy = lasting(
    Actor::Project,
    "the server does not speak git:// any more: have the project write https:// in the element's address, or its alias",
);
const SHA256: OwnRemedy = lasting(
    Actor::Project,
    "the repository names its commits by SHA-256, which this git and the plugins do not fetch: have the project use a mirror that \
     names them by SHA-1, or a tarball",
);
const BARE: OwnRemedy = lasting(
    Actor::Host,
    "this host's git forbids bare repositories, which bst keeps: `git config --global --unset safe.bareRepository`, or set it to \
     `all`, for the user that runs this",
);
const TRANSPORT: OwnRemedy = lasting(
    Actor::Host,
    "this host's git forbids that transport: see `protocol.allow` and `protocol.file.allow` in git-config(1); where a submodule \
     names a local path, the project has to give it an address",
);

pub(super) const PHRASES: &[Phrase] = &[
    // Proxies.
    (&["407 proxy authentication"], FailureKind::Unauthorised, PROXY_LOGIN),
    (&["proxy authentication required"], FailureKind::Unauthorised, PROXY_LOGIN),
    (&["http code 407"], FailureKind::Unauthorised, PROXY_LOGIN),
    (&["connect tunnel failed, response 407"], FailureKind::Unauthorised, PROXY_LOGIN),
    (&["connect tunnel failed"], FailureKind::Network, PROXY),
    (&["from proxy after connect"], FailureKind::Network, PROXY),
    (&["tunnel connection failed"], FailureKind::Network, PROXY),
    (&["proxy connect aborted"], FailureKind::Network, PROXY),
    (
        &["could not resolve proxy"],
        FailureKind::Dns,
        host("the name of the proxy is not known: see `https_proxy` and `http_proxy` of this host"),
    ),
    (&["connect to proxy"], FailureKind::Network, PROXY),
    (&["connect to the proxy"], FailureKind::Network, PROXY),
    (&["proxyconnect tcp"], FailureKind::Network, PROXY),
    (&["proxyerror"], FailureKind::Network, PROXY),
    (&["proxy handshake error"], FailureKind::Network, PROXY),
    (&["invalid proxy"], FailureKind::Network, PROXY),
    (&["unsupported proxy"], FailureKind::Network, PROXY),
    (&["unable to parse proxy"], FailureKind::Network, PROXY),
    (&["socks5"], FailureKind::Network, PROXY),
    (&["socks4"], FailureKind::Network, PROXY),
    (&["socks connection"], FailureKind::Network, PROXY),
    (
        &["missing dependencies for socks support"],
        FailureKind::PythonModuleMissing,
        host(
            "the proxy is a SOCKS one, for which Python's requests wants a package: add the line `requests[socks]` to `requirements` \
         of `[buildstream]`",
        ),
    ),
    // Quotas and loads.
    (&["over its data quota"], FailureKind::RateLimited, QUOTA),
    (&["exceeded its lfs budget"], FailureKind::RateLimited, QUOTA),
    (&["lfs", "quota"], FailureKind::RateLimited, QUOTA),
    (&["lfs", "bandwidth"], FailureKind::RateLimited, QUOTA),
    (&["rate limit"], FailureKind::RateLimited, DEFAULT_REMEDY),
    (&["rate-limit"], FailureKind::RateLimited, DEFAULT_REMEDY),
    (&["ratelimit"], FailureKind::RateLimited, DEFAULT_REMEDY),
    (&["too many requests"], FailureKind::RateLimited, DEFAULT_REMEDY),
    (&["toomanyrequests"], FailureKind::RateLimited, DEFAULT_REMEDY),
    (&["retry later"], FailureKind::RateLimited, DEFAULT_REMEDY),
    (&["slow down"], FailureKind::RateLimited, DEFAULT_REMEDY),
    (&["pull rate"], FailureKind::RateLimited, DEFAULT_REMEDY),
    (&["due to load"], FailureKind::ServerError, BUSY),
    (&["high load"], FailureKind::ServerError, BUSY),
    (&["too busy"], FailureKind::ServerError, BUSY),
    (&["overloaded"], FailureKind::ServerError, BUSY),
    (&["currently unavailable"], FailureKind::ServerError, BUSY),
    (&["temporarily unavailable", "remote:"], FailureKind::ServerError, BUSY),
    (&["not available at this time"], FailureKind::ServerError, BUSY),
    (&["try again later"], FailureKind::ServerError, BUSY),
    (&["try again in a few"], FailureKind::ServerError, BUSY),
    (&["under maintenance"], FailureKind::ServerError, BUSY),
    (&["maintenance mode"], FailureKind::ServerError, BUSY),
    (&["too many concurrent"], FailureKind::RateLimited, BUSY),
    (
        &["corruption on the remote side"],
        FailureKind::ServerError,
        upstream("the repository is damaged on its server: tell its operators, and use a mirror"),
    ),
    (&["remote: internal server error"], FailureKind::ServerError, DEFAULT_REMEDY),
    (&["internal api unreachable"], FailureKind::ServerError, DEFAULT_REMEDY),
    (&["internal server connection error"], FailureKind::ServerError, DEFAULT_REMEDY),
    (&["fatal: the remote end", "error: 5"], FailureKind::ServerError, DEFAULT_REMEDY),
    (&["challenge", "anubis"], FailureKind::Unauthorised, REFUSED),
    (&["captcha"], FailureKind::Unauthorised, REFUSED),
    // Taken down, blocked, refused.
    (&["dmca"], FailureKind::NotFound, TAKEN_DOWN),
    (&["legal reasons"], FailureKind::NotFound, TAKEN_DOWN),
    (&["repository access blocked"], FailureKind::NotFound, TAKEN_DOWN),
    (&["access to this repository has been disabled"], FailureKind::NotFound, TAKEN_DOWN),
    (&["repository has been disabled"], FailureKind::NotFound, TAKEN_DOWN),
    (&["repository", "has been archived", "deleted"], FailureKind::NotFound, TAKEN_DOWN),
    (&["account", "suspended"], FailureKind::NotFound, TAKEN_DOWN),
    (&["account has been blocked"], FailureKind::NotFound, TAKEN_DOWN),
    (&["accountproblem"], FailureKind::NotFound, TAKEN_DOWN),
    (&["repository is unavailable"], FailureKind::NotFound, TAKEN_DOWN),
    (&["has been banned"], FailureKind::Unauthorised, REFUSED),
    (&["ip", "is blocked"], FailureKind::Unauthorised, REFUSED),
    (&["ip has been blocked"], FailureKind::Unauthorised, REFUSED),
    (&["your country"], FailureKind::Unauthorised, REFUSED),
    (&["cloudflare"], FailureKind::Unauthorised, REFUSED),
    (&["user-agent"], FailureKind::Unauthorised, REFUSED),
    (&["user agent"], FailureKind::Unauthorised, REFUSED),
    (&["bot detected"], FailureKind::Unauthorised, REFUSED),
    (
        &["request has expired"],
        FailureKind::Unauthorised,
        lasting(Actor::Project, "the address was signed for a time that is over: have the project give a lasting one"),
    ),
    (&["expiredtoken"], FailureKind::Unauthorised, DEFAULT_REMEDY),
    // git's own settings and limits.
    (&["cannot use bare repository"], FailureKind::Permission, BARE),
    (&["safe.barerepository"], FailureKind::Permission, BARE),
    (&["transport '", "not allowed"], FailureKind::Configuration, TRANSPORT),
    (&["protocol.file.allow"], FailureKind::Configuration, TRANSPORT),
    (
        &["bad config"],
        FailureKind::Configuration,
        host("git's configuration of the user that runs this is broken: correct the file that is named"),
    ),
    (
        &["bad numeric config value"],
        FailureKind::Configuration,
        host("git's configuration of the user that runs this is broken: correct the value"),
    ),
    (&["unauthenticated git protocol"], FailureKind::ProjectInvalid, GIT_PROTOCOL),
    (&["git protocol", "no longer supported"], FailureKind::ProjectInvalid, GIT_PROTOCOL),
    (&["git:// protocol", "not"], FailureKind::ProjectInvalid, GIT_PROTOCOL),
    (&["mismatched algorithms"], FailureKind::ProjectInvalid, SHA256),
    (&["object format", "sha256"], FailureKind::ProjectInvalid, SHA256),
    (&["unknown object format"], FailureKind::ProjectInvalid, SHA256),
    (&["unsupported object format"], FailureKind::ProjectInvalid, SHA256),
    (&["unknown hash algorithm"], FailureKind::ProjectInvalid, SHA256),
    (&["does not support this repository's object format"], FailureKind::ProjectInvalid, SHA256),
    (&["the repository uses", "sha-256"], FailureKind::ProjectInvalid, SHA256),
    (&["extensions.objectformat"], FailureKind::ProjectInvalid, SHA256),
    (&["sha256 repositories"], FailureKind::ProjectInvalid, SHA256),
    (&["from a shallow repository"], FailureKind::ProjectInvalid, SHALLOW),
    (&["repository is shallow"], FailureKind::ProjectInvalid, SHALLOW),
    (&["shallow update not allowed"], FailureKind::ProjectInvalid, SHALLOW),
    (&["not support shallow"], FailureKind::ProjectInvalid, SHALLOW),
    (&["shallow file has changed"], FailureKind::Git, DEFAULT_REMEDY),
    (&["not support --shallow"], FailureKind::ProjectInvalid, SHALLOW),
    (&["dumb repository"], FailureKind::ProjectInvalid, SHALLOW),
    (&["dumb http"], FailureKind::ProjectInvalid, SHALLOW),
    (
        &["unable to update url base from redirection"],
        FailureKind::ProjectInvalid,
        lasting(
            Actor::Project,
            "the server sends on to another address, as a rule to a page for people: have the project write the repository's address",
        ),
    ),
    (
        &["file name too long"],
        FailureKind::Permission,
        lasting(
            Actor::Host,
            "a name in the source is longer than this host's file system takes: use another file system for the cache directory",
        ),
    ),
    (&["low on resource: ephemeral-storage"], FailureKind::DiskFull, DEFAULT_REMEDY),
    (
        &["o_nonblock"],
        FailureKind::Configuration,
        host(
            "bst refuses a standard output or error that does not block (O_NONBLOCK), as some runners and `ssh -tt` leave it: run it \
         with its output to a file or a pipe (`bst … 2>&1 | cat`)",
        ),
    ),
    (
        &["write could not complete without blocking"],
        FailureKind::Configuration,
        host(
            "bst's standard output or error does not block (O_NONBLOCK): run it with its output to a file or a pipe \
         (`bst … 2>&1 | cat`)",
        ),
    ),
];
