//! What says more than a status of HTTP that may stand beside it: proxies, forges' own words, git's settings.

use super::super::{Actor, Kind};
use super::{OwnRemedy, Phrase, USUAL, host, lasting, upstream};

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
    (&["407 proxy authentication"], Kind::Unauthorised, PROXY_LOGIN),
    (&["proxy authentication required"], Kind::Unauthorised, PROXY_LOGIN),
    (&["http code 407"], Kind::Unauthorised, PROXY_LOGIN),
    (&["connect tunnel failed, response 407"], Kind::Unauthorised, PROXY_LOGIN),
    (&["connect tunnel failed"], Kind::Network, PROXY),
    (&["from proxy after connect"], Kind::Network, PROXY),
    (&["tunnel connection failed"], Kind::Network, PROXY),
    (&["proxy connect aborted"], Kind::Network, PROXY),
    (
        &["could not resolve proxy"],
        Kind::Dns,
        host("the name of the proxy is not known: see `https_proxy` and `http_proxy` of this host"),
    ),
    (&["connect to proxy"], Kind::Network, PROXY),
    (&["connect to the proxy"], Kind::Network, PROXY),
    (&["proxyconnect tcp"], Kind::Network, PROXY),
    (&["proxyerror"], Kind::Network, PROXY),
    (&["proxy handshake error"], Kind::Network, PROXY),
    (&["invalid proxy"], Kind::Network, PROXY),
    (&["unsupported proxy"], Kind::Network, PROXY),
    (&["unable to parse proxy"], Kind::Network, PROXY),
    (&["socks5"], Kind::Network, PROXY),
    (&["socks4"], Kind::Network, PROXY),
    (&["socks connection"], Kind::Network, PROXY),
    (
        &["missing dependencies for socks support"],
        Kind::PythonModuleMissing,
        host(
            "the proxy is a SOCKS one, for which Python's requests wants a package: add the line `requests[socks]` to `requirements` \
         of `[buildstream]`",
        ),
    ),
    // Quotas and loads.
    (&["over its data quota"], Kind::RateLimited, QUOTA),
    (&["exceeded its lfs budget"], Kind::RateLimited, QUOTA),
    (&["lfs", "quota"], Kind::RateLimited, QUOTA),
    (&["lfs", "bandwidth"], Kind::RateLimited, QUOTA),
    (&["rate limit"], Kind::RateLimited, USUAL),
    (&["rate-limit"], Kind::RateLimited, USUAL),
    (&["ratelimit"], Kind::RateLimited, USUAL),
    (&["too many requests"], Kind::RateLimited, USUAL),
    (&["toomanyrequests"], Kind::RateLimited, USUAL),
    (&["retry later"], Kind::RateLimited, USUAL),
    (&["slow down"], Kind::RateLimited, USUAL),
    (&["pull rate"], Kind::RateLimited, USUAL),
    (&["due to load"], Kind::ServerError, BUSY),
    (&["high load"], Kind::ServerError, BUSY),
    (&["too busy"], Kind::ServerError, BUSY),
    (&["overloaded"], Kind::ServerError, BUSY),
    (&["currently unavailable"], Kind::ServerError, BUSY),
    (&["temporarily unavailable", "remote:"], Kind::ServerError, BUSY),
    (&["not available at this time"], Kind::ServerError, BUSY),
    (&["try again later"], Kind::ServerError, BUSY),
    (&["try again in a few"], Kind::ServerError, BUSY),
    (&["under maintenance"], Kind::ServerError, BUSY),
    (&["maintenance mode"], Kind::ServerError, BUSY),
    (&["too many concurrent"], Kind::RateLimited, BUSY),
    (
        &["corruption on the remote side"],
        Kind::ServerError,
        upstream("the repository is damaged on its server: tell its operators, and use a mirror"),
    ),
    (&["remote: internal server error"], Kind::ServerError, USUAL),
    (&["internal api unreachable"], Kind::ServerError, USUAL),
    (&["internal server connection error"], Kind::ServerError, USUAL),
    (&["fatal: the remote end", "error: 5"], Kind::ServerError, USUAL),
    (&["challenge", "anubis"], Kind::Unauthorised, REFUSED),
    (&["captcha"], Kind::Unauthorised, REFUSED),
    // Taken down, blocked, refused.
    (&["dmca"], Kind::NotFound, TAKEN_DOWN),
    (&["legal reasons"], Kind::NotFound, TAKEN_DOWN),
    (&["repository access blocked"], Kind::NotFound, TAKEN_DOWN),
    (&["access to this repository has been disabled"], Kind::NotFound, TAKEN_DOWN),
    (&["repository has been disabled"], Kind::NotFound, TAKEN_DOWN),
    (&["repository", "has been archived", "deleted"], Kind::NotFound, TAKEN_DOWN),
    (&["account", "suspended"], Kind::NotFound, TAKEN_DOWN),
    (&["account has been blocked"], Kind::NotFound, TAKEN_DOWN),
    (&["accountproblem"], Kind::NotFound, TAKEN_DOWN),
    (&["repository is unavailable"], Kind::NotFound, TAKEN_DOWN),
    (&["has been banned"], Kind::Unauthorised, REFUSED),
    (&["ip", "is blocked"], Kind::Unauthorised, REFUSED),
    (&["ip has been blocked"], Kind::Unauthorised, REFUSED),
    (&["your country"], Kind::Unauthorised, REFUSED),
    (&["cloudflare"], Kind::Unauthorised, REFUSED),
    (&["user-agent"], Kind::Unauthorised, REFUSED),
    (&["user agent"], Kind::Unauthorised, REFUSED),
    (&["bot detected"], Kind::Unauthorised, REFUSED),
    (
        &["request has expired"],
        Kind::Unauthorised,
        lasting(Actor::Project, "the address was signed for a time that is over: have the project give a lasting one"),
    ),
    (&["expiredtoken"], Kind::Unauthorised, USUAL),
    // git's own settings and limits.
    (&["cannot use bare repository"], Kind::Permission, BARE),
    (&["safe.barerepository"], Kind::Permission, BARE),
    (&["transport '", "not allowed"], Kind::Configuration, TRANSPORT),
    (&["protocol.file.allow"], Kind::Configuration, TRANSPORT),
    (
        &["bad config"],
        Kind::Configuration,
        host("git's configuration of the user that runs this is broken: correct the file that is named"),
    ),
    (
        &["bad numeric config value"],
        Kind::Configuration,
        host("git's configuration of the user that runs this is broken: correct the value"),
    ),
    (&["unauthenticated git protocol"], Kind::ProjectInvalid, GIT_PROTOCOL),
    (&["git protocol", "no longer supported"], Kind::ProjectInvalid, GIT_PROTOCOL),
    (&["git:// protocol", "not"], Kind::ProjectInvalid, GIT_PROTOCOL),
    (&["mismatched algorithms"], Kind::ProjectInvalid, SHA256),
    (&["object format", "sha256"], Kind::ProjectInvalid, SHA256),
    (&["unknown object format"], Kind::ProjectInvalid, SHA256),
    (&["unsupported object format"], Kind::ProjectInvalid, SHA256),
    (&["unknown hash algorithm"], Kind::ProjectInvalid, SHA256),
    (&["does not support this repository's object format"], Kind::ProjectInvalid, SHA256),
    (&["the repository uses", "sha-256"], Kind::ProjectInvalid, SHA256),
    (&["extensions.objectformat"], Kind::ProjectInvalid, SHA256),
    (&["sha256 repositories"], Kind::ProjectInvalid, SHA256),
    (&["from a shallow repository"], Kind::ProjectInvalid, SHALLOW),
    (&["repository is shallow"], Kind::ProjectInvalid, SHALLOW),
    (&["shallow update not allowed"], Kind::ProjectInvalid, SHALLOW),
    (&["not support shallow"], Kind::ProjectInvalid, SHALLOW),
    (&["shallow file has changed"], Kind::Git, USUAL),
    (&["not support --shallow"], Kind::ProjectInvalid, SHALLOW),
    (&["dumb repository"], Kind::ProjectInvalid, SHALLOW),
    (&["dumb http"], Kind::ProjectInvalid, SHALLOW),
    (
        &["unable to update url base from redirection"],
        Kind::ProjectInvalid,
        lasting(
            Actor::Project,
            "the server sends on to another address, as a rule to a page for people: have the project write the repository's address",
        ),
    ),
    (
        &["file name too long"],
        Kind::Permission,
        lasting(
            Actor::Host,
            "a name in the source is longer than this host's file system takes: use another file system for the cache directory",
        ),
    ),
    (&["low on resource: ephemeral-storage"], Kind::DiskFull, USUAL),
    (
        &["o_nonblock"],
        Kind::Configuration,
        host(
            "bst refuses a standard output or error that does not block (O_NONBLOCK), as some runners and `ssh -tt` leave it: run it \
         with its output to a file or a pipe (`bst … 2>&1 | cat`)",
        ),
    ),
    (
        &["write could not complete without blocking"],
        Kind::Configuration,
        host(
            "bst's standard output or error does not block (O_NONBLOCK): run it with its output to a file or a pipe \
         (`bst … 2>&1 | cat`)",
        ),
    ),
];
