//! What says more than a status of HTTP that may stand beside it: proxies, forges' own words, git's settings.

use super::super::line_diagnosis::{BLOCKING_HINT, PROXY_HINT};
use super::super::{Actor, FailureKind};
use super::{DEFAULT_REMEDY, FailureDetail, OwnRemedy, Phrase, host, lasting, told_apart, upstream};

const PROXY: OwnRemedy = host(PROXY_HINT);
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
/// What to do where a server gave up git's own protocol.
macro_rules! no_git_protocol {
    ($server:literal) => {
        concat!(
            $server,
            " does not speak git:// any more: have the project write https:// in the element's address, or its alias"
        )
    };
}
const GIT_PROTOCOL: OwnRemedy = lasting(Actor::Project, no_git_protocol!("the server"));
pub(super) const NO_GIT_PROTOCOL_THERE: &str = no_git_protocol!("that server");
const SHA256: OwnRemedy = told_apart(
    lasting(
        Actor::Project,
        "the repository names its commits by SHA-256, which this git and the plugins do not fetch: have the project use a mirror that \
     names them by SHA-1, or a tarball",
    ),
    FailureDetail::ObjectFormat,
);
const BARE: OwnRemedy = lasting(
    Actor::Host,
    "this host's git forbids bare repositories, which bst keeps: `git config --global --unset safe.bareRepository`, or set it to \
     `all`, for the user that runs this",
);
const TRANSPORT: OwnRemedy = told_apart(
    lasting(
        Actor::Host,
        "this host's git forbids that transport: see `protocol.allow` and `protocol.file.allow` in git-config(1); where a submodule \
     names a local path, the project has to give it an address",
    ),
    FailureDetail::Transport,
);

pub(super) const PHRASES: &[Phrase] = &[
    // Proxies.
    Phrase(&["407 proxy authentication"], FailureKind::Unauthorised, PROXY_LOGIN),
    Phrase(&["proxy authentication required"], FailureKind::Unauthorised, PROXY_LOGIN),
    Phrase(&["http code 407"], FailureKind::Unauthorised, PROXY_LOGIN),
    Phrase(&["connect tunnel failed, response 407"], FailureKind::Unauthorised, PROXY_LOGIN),
    Phrase(&["connect tunnel failed"], FailureKind::Network, PROXY),
    Phrase(&["from proxy after connect"], FailureKind::Network, PROXY),
    Phrase(&["tunnel connection failed"], FailureKind::Network, PROXY),
    Phrase(&["proxy connect aborted"], FailureKind::Network, PROXY),
    Phrase(
        &["could not resolve proxy"],
        FailureKind::Dns,
        host("the name of the proxy is not known: see `https_proxy` and `http_proxy` of this host"),
    ),
    Phrase(&["connect to proxy"], FailureKind::Network, PROXY),
    Phrase(&["connect to the proxy"], FailureKind::Network, PROXY),
    Phrase(&["proxyconnect tcp"], FailureKind::Network, PROXY),
    Phrase(&["proxyerror"], FailureKind::Network, PROXY),
    Phrase(&["proxy handshake error"], FailureKind::Network, PROXY),
    Phrase(&["invalid proxy"], FailureKind::Network, PROXY),
    Phrase(&["unsupported proxy"], FailureKind::Network, PROXY),
    Phrase(&["unable to parse proxy"], FailureKind::Network, PROXY),
    Phrase(&["socks5"], FailureKind::Network, PROXY),
    Phrase(&["socks4"], FailureKind::Network, PROXY),
    Phrase(&["socks connection"], FailureKind::Network, PROXY),
    Phrase(
        &["missing dependencies for socks support"],
        FailureKind::PythonModuleMissing,
        host(
            "the proxy is a SOCKS one, for which Python's requests wants a package: add the line `requests[socks]` to `requirements` \
         of `[buildstream]`",
        ),
    ),
    // Quotas and loads.
    Phrase(&["over its data quota"], FailureKind::RateLimited, QUOTA),
    Phrase(&["exceeded its lfs budget"], FailureKind::RateLimited, QUOTA),
    Phrase(&["lfs", "quota"], FailureKind::RateLimited, QUOTA),
    Phrase(&["lfs", "bandwidth"], FailureKind::RateLimited, QUOTA),
    Phrase(&["rate limit"], FailureKind::RateLimited, DEFAULT_REMEDY),
    Phrase(&["rate-limit"], FailureKind::RateLimited, DEFAULT_REMEDY),
    Phrase(&["ratelimit"], FailureKind::RateLimited, DEFAULT_REMEDY),
    Phrase(&["too many requests"], FailureKind::RateLimited, DEFAULT_REMEDY),
    Phrase(&["toomanyrequests"], FailureKind::RateLimited, DEFAULT_REMEDY),
    Phrase(&["retry later"], FailureKind::RateLimited, DEFAULT_REMEDY),
    Phrase(&["slow down"], FailureKind::RateLimited, DEFAULT_REMEDY),
    Phrase(&["pull rate"], FailureKind::RateLimited, DEFAULT_REMEDY),
    Phrase(&["due to load"], FailureKind::ServerError, BUSY),
    Phrase(&["high load"], FailureKind::ServerError, BUSY),
    Phrase(&["too busy"], FailureKind::ServerError, BUSY),
    Phrase(&["overloaded"], FailureKind::ServerError, BUSY),
    Phrase(&["currently unavailable"], FailureKind::ServerError, BUSY),
    Phrase(&["temporarily unavailable", "remote:"], FailureKind::ServerError, BUSY),
    Phrase(&["not available at this time"], FailureKind::ServerError, BUSY),
    Phrase(&["try again later"], FailureKind::ServerError, BUSY),
    Phrase(&["try again in a few"], FailureKind::ServerError, BUSY),
    Phrase(&["under maintenance"], FailureKind::ServerError, BUSY),
    Phrase(&["maintenance mode"], FailureKind::ServerError, BUSY),
    Phrase(&["too many concurrent"], FailureKind::RateLimited, BUSY),
    Phrase(
        &["corruption on the remote side"],
        FailureKind::ServerError,
        told_apart(
            upstream("the repository is damaged on its server: tell its operators, and use a mirror"),
            FailureDetail::RemoteCorrupt,
        ),
    ),
    Phrase(&["remote: internal server error"], FailureKind::ServerError, DEFAULT_REMEDY),
    Phrase(&["internal api unreachable"], FailureKind::ServerError, DEFAULT_REMEDY),
    Phrase(&["internal server connection error"], FailureKind::ServerError, DEFAULT_REMEDY),
    Phrase(&["fatal: the remote end", "error: 5"], FailureKind::ServerError, DEFAULT_REMEDY),
    Phrase(&["challenge", "anubis"], FailureKind::Unauthorised, REFUSED),
    Phrase(&["captcha"], FailureKind::Unauthorised, REFUSED),
    // Taken down, blocked, refused.
    Phrase(&["dmca"], FailureKind::NotFound, TAKEN_DOWN),
    Phrase(&["legal reasons"], FailureKind::NotFound, TAKEN_DOWN),
    Phrase(&["repository access blocked"], FailureKind::NotFound, TAKEN_DOWN),
    Phrase(&["access to this repository has been disabled"], FailureKind::NotFound, TAKEN_DOWN),
    Phrase(&["repository has been disabled"], FailureKind::NotFound, TAKEN_DOWN),
    Phrase(&["repository", "has been archived", "deleted"], FailureKind::NotFound, TAKEN_DOWN),
    Phrase(&["account", "suspended"], FailureKind::NotFound, TAKEN_DOWN),
    Phrase(&["account has been blocked"], FailureKind::NotFound, TAKEN_DOWN),
    Phrase(&["accountproblem"], FailureKind::NotFound, TAKEN_DOWN),
    Phrase(&["repository is unavailable"], FailureKind::NotFound, TAKEN_DOWN),
    Phrase(&["has been banned"], FailureKind::Unauthorised, REFUSED),
    Phrase(&["ip", "is blocked"], FailureKind::Unauthorised, REFUSED),
    Phrase(&["ip has been blocked"], FailureKind::Unauthorised, REFUSED),
    Phrase(&["your country"], FailureKind::Unauthorised, REFUSED),
    Phrase(&["cloudflare"], FailureKind::Unauthorised, REFUSED),
    Phrase(&["user-agent"], FailureKind::Unauthorised, REFUSED),
    Phrase(&["user agent"], FailureKind::Unauthorised, REFUSED),
    Phrase(&["bot detected"], FailureKind::Unauthorised, REFUSED),
    Phrase(
        &["request has expired"],
        FailureKind::Unauthorised,
        lasting(Actor::Project, "the address was signed for a time that is over: have the project give a lasting one"),
    ),
    Phrase(&["expiredtoken"], FailureKind::Unauthorised, DEFAULT_REMEDY),
    // git's own settings and limits.
    Phrase(&["cannot use bare repository"], FailureKind::Permission, BARE),
    Phrase(&["safe.barerepository"], FailureKind::Permission, BARE),
    Phrase(&["transport '", "not allowed"], FailureKind::Configuration, TRANSPORT),
    Phrase(&["protocol.file.allow"], FailureKind::Configuration, TRANSPORT),
    Phrase(
        &["bad config"],
        FailureKind::Configuration,
        host("git's configuration of the user that runs this is broken: correct the file that is named"),
    ),
    Phrase(
        &["bad numeric config value"],
        FailureKind::Configuration,
        host("git's configuration of the user that runs this is broken: correct the value"),
    ),
    Phrase(&["unauthenticated git protocol"], FailureKind::ProjectInvalid, GIT_PROTOCOL),
    Phrase(&["git protocol", "no longer supported"], FailureKind::ProjectInvalid, GIT_PROTOCOL),
    Phrase(&["git:// protocol", "not"], FailureKind::ProjectInvalid, GIT_PROTOCOL),
    Phrase(&["mismatched algorithms"], FailureKind::ProjectInvalid, SHA256),
    Phrase(&["object format", "sha256"], FailureKind::ProjectInvalid, SHA256),
    Phrase(&["unknown object format"], FailureKind::ProjectInvalid, SHA256),
    Phrase(&["unsupported object format"], FailureKind::ProjectInvalid, SHA256),
    Phrase(&["unknown hash algorithm"], FailureKind::ProjectInvalid, SHA256),
    Phrase(&["does not support this repository's object format"], FailureKind::ProjectInvalid, SHA256),
    Phrase(&["the repository uses", "sha-256"], FailureKind::ProjectInvalid, SHA256),
    Phrase(&["extensions.objectformat"], FailureKind::ProjectInvalid, SHA256),
    Phrase(&["sha256 repositories"], FailureKind::ProjectInvalid, SHA256),
    Phrase(&["from a shallow repository"], FailureKind::ProjectInvalid, SHALLOW),
    Phrase(&["repository is shallow"], FailureKind::ProjectInvalid, SHALLOW),
    Phrase(&["shallow update not allowed"], FailureKind::ProjectInvalid, SHALLOW),
    Phrase(&["not support shallow"], FailureKind::ProjectInvalid, SHALLOW),
    Phrase(&["shallow file has changed"], FailureKind::Git, DEFAULT_REMEDY),
    Phrase(&["not support --shallow"], FailureKind::ProjectInvalid, SHALLOW),
    Phrase(&["dumb repository"], FailureKind::ProjectInvalid, SHALLOW),
    Phrase(&["dumb http"], FailureKind::ProjectInvalid, SHALLOW),
    Phrase(
        &["unable to update url base from redirection"],
        FailureKind::ProjectInvalid,
        lasting(
            Actor::Project,
            "the server sends on to another address, as a rule to a page for people: have the project write the repository's address",
        ),
    ),
    Phrase(
        &["file name too long"],
        FailureKind::Permission,
        lasting(
            Actor::Host,
            "a name in the source is longer than this host's file system takes: use another file system for the cache directory",
        ),
    ),
    Phrase(&["low on resource: ephemeral-storage"], FailureKind::DiskFull, DEFAULT_REMEDY),
    Phrase(&["o_nonblock"], FailureKind::Configuration, host(BLOCKING_HINT)),
    Phrase(&["write could not complete without blocking"], FailureKind::Configuration, host(BLOCKING_HINT)),
];
