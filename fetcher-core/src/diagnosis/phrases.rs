//! The words of git, ssh, curl, Python, the operating system and bst itself for what can go wrong.
//!
//! Those of bst and its plugins were read in the sources of BuildStream 2.8.1, buildstream-plugins 2.8.0 and
//! buildstream-plugins-community 2.4.0; many of the others were provoked, see `fixtures/bst-logs`.

use super::verdict::Verdict;
use super::{Actor, Kind};

/// Texts in lower case that all stand in a line, in any order; what that means; a hint of its own, if any.
type Phrase = (&'static [&'static str], Kind, Own);

/// Who must act and what to do, where that is not what the kind means as a rule.
type Own = Option<(Actor, &'static str)>;

const USUAL: Own = None;
const UNTRUSTED: Own = host(
    "this host does not know the server's authority: install ca-certificates (Debian and Fedora: ca-certificates), or \
     the authority's own certificate; see that the clock is right",
);
const HOST_KEY: Own = host(
    "check the server's ssh key with its operator, then add it to the known hosts of the user that runs this \
     (`ssh-keyscan HOST`)",
);
const GIT_LOCK: Own = host(
    "another git works in the same repository, or one that was killed left its lock: where none runs, remove the lock file",
);
const NO_ARCHIVE: Own =
    project("what the server sends is no archive, often a page of HTML: open the address by hand and correct it");
const NO_GITMODULES: Own =
    project("upstream has a submodule without an entry in .gitmodules: say `checkout-submodules: False`");

#[expect(clippy::unnecessary_wraps, reason = "what it gives stands in a table beside nothing")]
const fn host(hint: &'static str) -> Own {
    Some((Actor::Host, hint))
}

#[expect(clippy::unnecessary_wraps, reason = "what it gives stands in a table beside nothing")]
const fn project(hint: &'static str) -> Own {
    Some((Actor::Project, hint))
}

/// The first that fits counts, so that the special comes before the general.
const PHRASES: &[Phrase] = &[
    // The machine itself.
    (&["no space left on device"], Kind::DiskFull, USUAL),
    (&["errno 28]"], Kind::DiskFull, USUAL),
    (&["enospc"], Kind::DiskFull, USUAL),
    (
        &["disk quota exceeded"],
        Kind::DiskFull,
        host("the user's quota on that file system is used up: raise it or make space"),
    ),
    (&["failure writing output to destination"], Kind::DiskFull, USUAL),
    (&["out of disk space"], Kind::DiskFull, USUAL),
    (&["not enough free disk space"], Kind::DiskFull, USUAL),
    (&["insufficient disk space"], Kind::DiskFull, USUAL),
    (&["disk full"], Kind::DiskFull, USUAL),
    (
        &["too many open files"],
        Kind::HostResources,
        host("raise the limit of open files of the service (`LimitNOFILE=`, `ulimit -n`)"),
    ),
    (&["cannot allocate memory"], Kind::HostResources, USUAL),
    (&["memoryerror"], Kind::HostResources, USUAL),
    (&["out of memory"], Kind::HostResources, USUAL),
    (&["can't start new thread"], Kind::HostResources, USUAL),
    (&["resource temporarily unavailable"], Kind::HostResources, USUAL),
    (&["cannot fork"], Kind::HostResources, USUAL),
    (&["read-only file system"], Kind::Permission, USUAL),
    (&["errno 30]"], Kind::Permission, USUAL),
    (
        &["dubious ownership"],
        Kind::Permission,
        host("the repository belongs to another user: see `safe.directory` in git-config(1)"),
    ),
    (
        &["unable to find libfuse"],
        Kind::Sandbox,
        host("install libfuse 2 (Debian: libfuse2, Fedora: fuse-libs): BuildStream 1 does not start without"),
    ),
    (&["bubblewrap"], Kind::Sandbox, USUAL),
    (&["bwrap: "], Kind::Sandbox, USUAL),
    (&["buildbox-run exited"], Kind::Sandbox, USUAL),
    (
        &["fuse: device not found"],
        Kind::Sandbox,
        host("the machine has no /dev/fuse: load the module fuse, or give the container the device"),
    ),
    (&["error instantiating platform"], Kind::Sandbox, USUAL),
    // Credentials and keys, before the plain "permission denied".
    (&["host key verification failed"], Kind::Unauthorised, HOST_KEY),
    (&["remote host identification has changed"], Kind::Unauthorised, HOST_KEY),
    (&["host key is known", "verification"], Kind::Unauthorised, HOST_KEY),
    (
        &["permission denied (publickey"],
        Kind::Unauthorised,
        host("give the user that runs this an ssh key that the server knows"),
    ),
    (&["permission denied (password"], Kind::Unauthorised, USUAL),
    (&["permission denied (keyboard"], Kind::Unauthorised, USUAL),
    (&["permission denied (gssapi"], Kind::Unauthorised, USUAL),
    (&["permission denied, please try again"], Kind::Unauthorised, USUAL),
    (&["too many authentication failures"], Kind::Unauthorised, USUAL),
    (&["could not read username for"], Kind::Unauthorised, USUAL),
    (&["could not read password for"], Kind::Unauthorised, USUAL),
    (&["authentication failed"], Kind::Unauthorised, USUAL),
    (&["terminal prompts disabled"], Kind::Unauthorised, USUAL),
    (&["invalid username or "], Kind::Unauthorised, USUAL),
    (&["http basic: access denied"], Kind::Unauthorised, USUAL),
    (&["login incorrect"], Kind::Unauthorised, USUAL),
    (&["ftp error", "530"], Kind::Unauthorised, USUAL),
    (&["authentication required"], Kind::Unauthorised, USUAL),
    (&["remote: permission to", "denied"], Kind::Unauthorised, USUAL),
    (&["remote: write access to repository not granted"], Kind::Unauthorised, USUAL),
    (&["denied: requested access to the resource is denied"], Kind::Unauthorised, USUAL),
    // A copy of a repository that is damaged, and locks.
    (&["object file", "is empty"], Kind::MirrorCorrupt, USUAL),
    (&["loose object", "is corrupt"], Kind::MirrorCorrupt, USUAL),
    (&["unable to write sha1 filename"], Kind::MirrorCorrupt, USUAL),
    (&["packfile", "cannot be accessed"], Kind::MirrorCorrupt, USUAL),
    (&["packfile", "does not match index"], Kind::MirrorCorrupt, USUAL),
    (&["bad object head"], Kind::MirrorCorrupt, USUAL),
    (&["bad object refs/"], Kind::MirrorCorrupt, USUAL),
    (&["inflate: data stream error"], Kind::MirrorCorrupt, USUAL),
    (&["unable to unpack", "header"], Kind::MirrorCorrupt, USUAL),
    (&["object directory", "does not exist"], Kind::MirrorCorrupt, USUAL),
    (&["fatal: not a git repository"], Kind::MirrorCorrupt, USUAL),
    (&["broken link from"], Kind::MirrorCorrupt, USUAL),
    (&["bad tree object"], Kind::MirrorCorrupt, USUAL),
    (&["cannot lock ref"], Kind::Git, GIT_LOCK),
    (&["unable to create", ".lock", "file exists"], Kind::Git, GIT_LOCK),
    (&["another git process seems to be running"], Kind::Git, GIT_LOCK),
    // Names of hosts.
    (&["could not resolve host"], Kind::Dns, USUAL),
    (&["couldn't resolve host"], Kind::Dns, USUAL),
    (
        &["could not resolve proxy"],
        Kind::Dns,
        host("the name of the proxy is not known: see the proxy variables of the environment"),
    ),
    (&["name or service not known"], Kind::Dns, USUAL),
    (&["name does not resolve"], Kind::Dns, USUAL),
    (
        &["failure in name resolution"],
        Kind::Dns,
        host("this host's name server does not answer: see /etc/resolv.conf and the network"),
    ),
    (&["no address associated with hostname"], Kind::Dns, USUAL),
    (&["nodename nor servname"], Kind::Dns, USUAL),
    (&["getaddrinfo"], Kind::Dns, USUAL),
    (&["nameresolutionerror"], Kind::Dns, USUAL),
    (&["failed to resolve"], Kind::Dns, USUAL),
    (&["unable to look up"], Kind::Dns, USUAL),
    (&["unknown host"], Kind::Dns, USUAL),
    (&["no such host"], Kind::Dns, USUAL),
    (&["domain name not found"], Kind::Dns, USUAL),
    (&["server misbehaving"], Kind::Dns, USUAL),
    (&["unable to resolve host"], Kind::Dns, USUAL),
    // TLS connections that broke are the network's; all else of TLS is about trust and protocols.
    (&["eof occurred in violation of protocol"], Kind::Network, USUAL),
    (&["tls connection was non-properly terminated"], Kind::Network, USUAL),
    (&["ssl_error_syscall"], Kind::Network, USUAL),
    (&["ssl_read", "errno"], Kind::Network, USUAL),
    (&["unexpected_eof_while_reading"], Kind::Network, USUAL),
    (&["unexpected eof while reading"], Kind::Network, USUAL),
    (&["handshake operation timed out"], Kind::Network, USUAL),
    (&["tls handshake timeout"], Kind::Network, USUAL),
    (&["unable to get local issuer certificate"], Kind::Tls, UNTRUSTED),
    (&["unable to get issuer certificate"], Kind::Tls, UNTRUSTED),
    (&["certificate signed by unknown authority"], Kind::Tls, UNTRUSTED),
    (&["error setting certificate"], Kind::Tls, UNTRUSTED),
    (&["cafile:", "certificate"], Kind::Tls, UNTRUSTED),
    (&["self signed certificate"], Kind::Tls, UNTRUSTED),
    (&["self-signed certificate"], Kind::Tls, UNTRUSTED),
    (&["certificate is not yet valid"], Kind::Tls, UNTRUSTED),
    (&["certificate_verify_failed"], Kind::Tls, USUAL),
    (&["certificate verif"], Kind::Tls, USUAL),
    (&["verify the server certificate"], Kind::Tls, USUAL),
    (&["ssl certificate problem"], Kind::Tls, USUAL),
    (&["ssl peer certificate"], Kind::Tls, USUAL),
    (&["certificate has expired"], Kind::Tls, USUAL),
    (&["certificate subject name"], Kind::Tls, USUAL),
    (&["does not match target host name"], Kind::Tls, USUAL),
    (&["hostname mismatch"], Kind::Tls, USUAL),
    (&["gnutls_handshake"], Kind::Tls, USUAL),
    (&["tlsv1 alert"], Kind::Tls, USUAL),
    (&["ssl handshake"], Kind::Tls, USUAL),
    (&["tls handshake"], Kind::Tls, USUAL),
    (
        &["wrong version number"],
        Kind::Tls,
        project("the server does not speak TLS at that address: is it http, or another port?"),
    ),
    (&["ssl routines"], Kind::Tls, USUAL),
    (&["ssl: "], Kind::Tls, USUAL),
    (&["sslerror"], Kind::Tls, USUAL),
    (&["x509: "], Kind::Tls, USUAL),
    // Limits.
    (&["rate limit"], Kind::RateLimited, USUAL),
    (&["too many requests"], Kind::RateLimited, USUAL),
    (&["toomanyrequests"], Kind::RateLimited, USUAL),
    // Branches, tags and commits.
    (&["unable to find revision"], Kind::RefMissing, USUAL),
    (&["expected ref", "was not found"], Kind::RefMissing, USUAL),
    (&["couldn't find remote ref"], Kind::RefMissing, USUAL),
    (&["could not find remote branch"], Kind::RefMissing, USUAL),
    (&["remote branch", "not found in upstream"], Kind::RefMissing, USUAL),
    (&["unknown revision or path not in the working tree"], Kind::RefMissing, USUAL),
    (&["not our ref"], Kind::RefMissing, USUAL),
    (&["does not allow request for unadvertised object"], Kind::RefMissing, USUAL),
    (&["reference is not a tree"], Kind::RefMissing, USUAL),
    (&["no matching refs"], Kind::RefMissing, USUAL),
    (&["unable to resolve tag"], Kind::RefMissing, USUAL),
    (&["failed to resolve tag"], Kind::RefMissing, USUAL),
    (&["unable to find commit for specified branch"], Kind::RefMissing, USUAL),
    (&["failed to get ref for tracking"], Kind::RefMissing, USUAL),
    (&["not found in remote"], Kind::RefMissing, USUAL),
    (&["did not match any file(s) known to git"], Kind::RefMissing, USUAL),
    (&["requested revision", "does not exist"], Kind::RefMissing, USUAL),
    (&["requested revision", "is not valid"], Kind::RefMissing, USUAL),
    (&["manifest unknown"], Kind::RefMissing, USUAL),
    (&["refspec", "not found"], Kind::RefMissing, USUAL),
    (&["unable to find current revision for submodule"], Kind::RefMissing, USUAL),
    (&["no such ref"], Kind::RefMissing, USUAL),
    (&["no submodule mapping found"], Kind::ProjectInvalid, NO_GITMODULES),
    (&["no url found for submodule path"], Kind::ProjectInvalid, NO_GITMODULES),
    // Content.
    (&["has sha256sum"], Kind::Checksum, USUAL),
    (&["is corrupt; got content hash"], Kind::Checksum, USUAL),
    (&["do not match the hashes"], Kind::Checksum, USUAL),
    (&["hash mismatch"], Kind::Checksum, USUAL),
    (&["checksum mismatch"], Kind::Checksum, USUAL),
    (&["checksum", "does not match"], Kind::Checksum, USUAL),
    (&["checksum", "did not match"], Kind::Checksum, USUAL),
    (&["corrupted", "expected checksum"], Kind::Checksum, USUAL),
    (&["not a gzip file"], Kind::Checksum, NO_ARCHIVE),
    (&["file could not be opened successfully"], Kind::Checksum, NO_ARCHIVE),
    (&["file is not a zip file"], Kind::Checksum, NO_ARCHIVE),
    // Nothing there.
    (&["fatal: repository", "not found"], Kind::NotFound, USUAL),
    (&["error: repository not found"], Kind::NotFound, USUAL),
    (&["repository", "does not exist"], Kind::NotFound, USUAL),
    (&["does not appear to be a git repository"], Kind::NotFound, USUAL),
    (&["access denied or repository not exported"], Kind::NotFound, USUAL),
    (&["could not be found or you don't have permission"], Kind::NotFound, USUAL),
    (&["did you run git update-server-info"], Kind::NotFound, USUAL),
    (&["no such device or address", "git"], Kind::NotFound, USUAL),
    (&["urlopen error", "no such file or directory"], Kind::NotFound, USUAL),
    (
        &["unknown url type"],
        Kind::ProjectInvalid,
        project("the element's address has no scheme that can be downloaded: correct it, or its alias"),
    ),
    (
        &["unsupported url protocol"],
        Kind::ProjectInvalid,
        project("git does not know the scheme of the address: correct it, or its alias"),
    ),
    (
        &["no host given"],
        Kind::ProjectInvalid,
        project("the element's address names no host: correct it, or its alias"),
    ),
    (&["not a branch:"], Kind::NotFound, USUAL),
    (&["no matching distribution found"], Kind::NotFound, USUAL),
    (&["could not find a version that satisfies"], Kind::NotFound, USUAL),
    (&["no such metadata object"], Kind::NotFound, USUAL),
    (&["ftp error", "550"], Kind::NotFound, USUAL),
    // The network, most general last.
    (&["connection refused"], Kind::Network, USUAL),
    (&["connection reset"], Kind::Network, USUAL),
    (&["connection timed out"], Kind::Network, USUAL),
    (&["connection aborted"], Kind::Network, USUAL),
    (&["connection closed"], Kind::Network, USUAL),
    (&["connection was reset"], Kind::Network, USUAL),
    (&["closed by remote host"], Kind::Network, USUAL),
    (&["network is unreachable"], Kind::Network, USUAL),
    (&["no route to host"], Kind::Network, USUAL),
    (&["host is down"], Kind::Network, USUAL),
    (&["unable to connect to"], Kind::Network, USUAL),
    (&["failed to connect to"], Kind::Network, USUAL),
    (&["failed to establish a new connection"], Kind::Network, USUAL),
    (&["couldn't connect to"], Kind::Network, USUAL),
    (&["could not connect to"], Kind::Network, USUAL),
    (
        &["cannot connect to proxy"],
        Kind::Network,
        host("the proxy does not answer: see the proxy variables of the environment"),
    ),
    (
        &["tunnel connection failed"],
        Kind::Network,
        host("the proxy does not let it through: see the proxy variables of the environment"),
    ),
    (&["remote end closed connection"], Kind::Network, USUAL),
    (&["remote end hung up"], Kind::Network, USUAL),
    (&["unexpected disconnect"], Kind::Network, USUAL),
    (&["unexpected eof"], Kind::Network, USUAL),
    (&["early eof"], Kind::Network, USUAL),
    (&["incompleteread"], Kind::Network, USUAL),
    (&["partial file "], Kind::Network, USUAL),
    (&["retrieval incomplete"], Kind::Network, USUAL),
    (&["transfer closed with"], Kind::Network, USUAL),
    (&["bytes remaining to read"], Kind::Network, USUAL),
    (&["bytes of body are still expected"], Kind::Network, USUAL),
    (&["bytes missing"], Kind::Network, USUAL),
    (&["bytes left to transfer"], Kind::Network, USUAL),
    (&["empty reply from server"], Kind::Network, USUAL),
    (&["recv failure"], Kind::Network, USUAL),
    (&["send failure"], Kind::Network, USUAL),
    (&["rpc failed"], Kind::Network, USUAL),
    (&["not closed cleanly"], Kind::Network, USUAL),
    (&["http2 framing layer"], Kind::Network, USUAL),
    (&["operation too slow"], Kind::Network, USUAL),
    (&["badstatusline"], Kind::Network, USUAL),
    (&["bad line received"], Kind::Network, USUAL),
    (&["newconnectionerror"], Kind::Network, USUAL),
    (&["max retries exceeded"], Kind::Network, USUAL),
    (&["kex_exchange_identification"], Kind::Network, USUAL),
    (&["ssh_exchange_identification"], Kind::Network, USUAL),
    (&["software caused connection abort"], Kind::Network, USUAL),
    (&["broken pipe"], Kind::Network, USUAL),
    (&["deadline exceeded"], Kind::Network, USUAL),
    (&["timed out"], Kind::Network, USUAL),
    (&["timeout"], Kind::Network, USUAL),
    (&["did not properly close the connection"], Kind::Network, USUAL),
    // Files, once it is clear that no server said it.
    (&["permission denied"], Kind::Permission, USUAL),
    (&["operation not permitted"], Kind::Permission, USUAL),
    (&["insufficient permission"], Kind::Permission, USUAL),
    (&["error saving source reference"], Kind::Permission, USUAL),
];

/// What the line, in lower case and without addresses, says.
pub(super) fn of_line(low: &str) -> Option<Verdict> {
    let fits = |(words, _, _): &&Phrase| words.iter().all(|word| low.contains(word));
    PHRASES.iter().find(fits).map(|(_, kind, own)| match *own {
        None => Verdict::of(*kind),
        Some((actor, hint)) => Verdict::of(*kind).actor(actor).hint(hint),
    })
}
