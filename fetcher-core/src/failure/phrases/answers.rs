//! What the statuses of gRPC mean, by who answered and by the words beside them, which are in lower case.

use super::super::line_diagnosis::LineDiagnosis;
use super::super::{Actor, FailureKind};
use super::cache::{FULL_HERE, WRONG_ENDPOINT};
use super::{DEFAULT_REMEDY, OwnRemedy, hint, host, lasting, with_remedy};

/// A status, any where it is empty; the texts that all stand beside it; what that means.
pub(super) struct CallAnswer {
    pub(super) status: &'static str,
    pub(super) has: &'static [&'static str],
    kind: FailureKind,
    remedy: OwnRemedy,
}

const fn answer(
    status: &'static str,
    has: &'static [&'static str],
    kind: FailureKind,
    remedy: OwnRemedy,
) -> CallAnswer {
    CallAnswer { status, has, kind, remedy }
}

const NO_FUSE: OwnRemedy = hint(
    "buildbox-casd cannot mount: see that /dev/fuse is there and fusermount3 is installed (Debian and Fedora: fuse3), \
     or give the container the device",
);
const CREDENTIALS: OwnRemedy =
    host("the source cache wants credentials: give `auth` in `source-caches` a valid token or client certificate");
const LOST_PART: OwnRemedy = hint(
    "the source cache has lost a part of what it lists: push again from a host that has it, and see the cache's own log",
);
const SMALL_MESSAGES: OwnRemedy = hint(
    "the source cache, or a proxy before it, takes smaller messages than were sent: raise its limit of a message's size",
);
const PATIENCE: OwnRemedy =
    hint("the source cache asks for patience: lower `jobs` and `scheduler: pushers`, or raise its limits");
const NO_TLS: OwnRemedy = lasting(
    Actor::Host,
    "no TLS with the source cache: its `url` says https and it does not speak it (or the other way round), or \
     `server-cert` under `auth` is not its authority's",
);
const NO_NAME: OwnRemedy =
    host("the source cache's name is not known: correct `url` in `source-caches`, or this host's DNS");

/// This host's casd answered: its cache, its disk, or it is gone.
pub(super) const CASD: &[CallAnswer] = &[
    answer("RESOURCE_EXHAUSTED", &[], FailureKind::DiskFull, FULL_HERE),
    answer("", &["space"], FailureKind::DiskFull, FULL_HERE),
    answer("", &["quota"], FailureKind::DiskFull, FULL_HERE),
    answer("", &["too full"], FailureKind::DiskFull, FULL_HERE),
    answer("", &["no room"], FailureKind::DiskFull, FULL_HERE),
    answer("", &["fuse"], FailureKind::Sandbox, NO_FUSE),
    answer("", &[], FailureKind::CasdDied, DEFAULT_REMEDY),
];

/// A source cache answered, or nobody where it should be.
pub(super) const CACHE: &[CallAnswer] = &[
    answer("UNAUTHENTICATED", &[], FailureKind::CacheDenied, CREDENTIALS),
    answer("PERMISSION_DENIED", &["director", "not supported"], FailureKind::CacheDenied, WRONG_ENDPOINT),
    answer("PERMISSION_DENIED", &[], FailureKind::CacheDenied, DEFAULT_REMEDY),
    answer("NOT_FOUND", &["download blob"], FailureKind::PushIncomplete, LOST_PART),
    answer("UNIMPLEMENTED", &[], FailureKind::CacheDenied, WRONG_ENDPOINT),
    answer("NOT_FOUND", &[], FailureKind::CacheDenied, WRONG_ENDPOINT),
    answer("INVALID_ARGUMENT", &[], FailureKind::CacheDenied, WRONG_ENDPOINT),
    answer("RESOURCE_EXHAUSTED", &["larger than max"], FailureKind::CacheDenied, SMALL_MESSAGES),
    answer("RESOURCE_EXHAUSTED", &["rate"], FailureKind::CacheUnreachable, PATIENCE),
    answer("RESOURCE_EXHAUSTED", &["too many"], FailureKind::CacheUnreachable, PATIENCE),
    answer("RESOURCE_EXHAUSTED", &[], FailureKind::CacheFull, DEFAULT_REMEDY),
    answer("", &["ssl"], FailureKind::CacheUnreachable, NO_TLS),
    answer("", &["tls"], FailureKind::CacheUnreachable, NO_TLS),
    answer("", &["certificate"], FailureKind::CacheUnreachable, NO_TLS),
    answer("", &["handshake"], FailureKind::CacheUnreachable, NO_TLS),
    answer("", &["resolv"], FailureKind::CacheUnreachable, NO_NAME),
    answer("", &["lookup"], FailureKind::CacheUnreachable, NO_NAME),
    answer("", &["dns"], FailureKind::CacheUnreachable, NO_NAME),
    answer("", &[], FailureKind::CacheUnreachable, DEFAULT_REMEDY),
];

/// The words of casd's socket, or of its code.
const OF_CASD: [&str; 8] = [
    "unix:",
    "capture tree",
    "capture blob",
    "casserver",
    "buildboxcasd_",
    "buildbox-casd",
    "buildboxcommon_",
    "casd.sock",
];

/// How gRPC names a peer that is no socket of this host.
const OF_REMOTE: [&str; 6] =
    ["peer ipv4:", "peer ipv6:", "peer dns:", "ipv4:", "ipv6:", "failed to connect to all addresses"];

/// Whether the words are of this host's casd.
pub(crate) fn is_of_casd(low: &str) -> bool {
    OF_CASD.iter().any(|words| low.contains(words))
}

/// Whether the words are of a peer on another host.
pub(crate) fn is_of_remote(low: &str) -> bool {
    OF_REMOTE.iter().any(|words| low.contains(words))
}

/// What it means that this host's casd answers so.
pub(crate) fn of_casd(status: &str, low: &str) -> LineDiagnosis {
    find(CASD, status, low)
}

/// What it means that a source cache answers so.
pub(crate) fn of_cache(status: &str, low: &str) -> LineDiagnosis {
    find(CACHE, status, low)
}

/// The last of a table fits all.
fn find(table: &[CallAnswer], status: &str, low: &str) -> LineDiagnosis {
    let fits = |answer: &&CallAnswer| {
        (answer.status.is_empty() || answer.status == status) && answer.has.iter().all(|text| low.contains(text))
    };
    let found = table.iter().find(fits).unwrap_or(&table[table.len() - 1]);
    with_remedy(found.kind, found.remedy)
}
