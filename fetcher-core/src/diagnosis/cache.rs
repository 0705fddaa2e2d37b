//! What goes wrong with source caches and with buildbox-casd: statuses of gRPC, in bst's and casd's words.

use super::verdict::Verdict;
use super::{Actor, Kind, Retry};

/// What the line says of a cache, or of casd; `low` is the line in lower case.
pub(super) fn of_line(line: &str, low: &str) -> Option<Verdict> {
    if low.contains("buildbox-casd") {
        let sick =
            ["died", "timed out", "could not be established", "failed to connect", "checking buildbox-casd version"];
        return sick.iter().any(|word| low.contains(word)).then(|| Verdict::of(Kind::CasdDied));
    }
    if line.starts_with("No source caches available for pushing sources") {
        return Some(Verdict::of(Kind::NoPushRemote));
    }
    if low.contains("cache too full")
        || low.contains("cache-too-full")
        || low.contains("already has all data of source")
    {
        return Some(Verdict::of(Kind::CacheFull));
    }
    status(line).map(|status| of_status(status, low))
}

/// The gRPC status in `FetchBlob failed with status UNAVAILABLE: …`, `Failed to upload blob …: 7` and the like.
fn status(line: &str) -> Option<&str> {
    const BEFORE: [&str; 4] = ["failed with status ", "failed with response status ", "StatusCode.", "status = "];
    if let Some(at) = BEFORE.iter().find_map(|word| line.find(word).map(|at| at + word.len())) {
        return line[at..].split([':', ',', ' ', ')']).next().filter(|word| is_status(word));
    }
    let blob = ["upload blob ", "download blob ", "push source", "pull source", "capture blob ", "capture tree "];
    if !blob.iter().any(|word| line.contains(word)) {
        return None;
    }
    line.rsplit(": ").find(|word| is_status(word))
}

fn is_status(word: &str) -> bool {
    let name = word.len() > 4 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    name || word.parse::<u8>().is_ok_and(|code| (1..=16).contains(&code))
}

/// Codes of <https://grpc.io/docs/guides/status-codes/>, by name or number.
fn of_status(status: &str, low: &str) -> Verdict {
    match status {
        "UNAUTHENTICATED" | "16" => Verdict::of(Kind::CacheDenied)
            .actor(Actor::Host)
            .hint("the source cache wants credentials: give `auth` in `source-caches` a valid token or client certificate"),
        "PERMISSION_DENIED" | "7" => Verdict::of(Kind::CacheDenied),
        "UNIMPLEMENTED" | "12" | "NOT_FOUND" | "5" | "INVALID_ARGUMENT" | "3" => Verdict::of(Kind::CacheDenied)
            .actor(Actor::Host)
            .hint("what answers there does not offer this: see `url`, `instance-name` and `type` (index, storage) in `source-caches`"),
        "RESOURCE_EXHAUSTED" | "8" => Verdict::of(Kind::CacheFull),
        _ => unreachable(low),
    }
}

fn unreachable(low: &str) -> Verdict {
    let verdict = Verdict::of(Kind::CacheUnreachable);
    if ["ssl", "tls", "certificate", "handshake"].iter().any(|word| low.contains(word)) {
        return verdict.retry(Retry::No).actor(Actor::Host).hint(
            "no TLS with the source cache: its `url` says https and it does not speak it (or the other way round), or \
             `server-cert` under `auth` is not its authority's",
        );
    }
    if low.contains("resolv") || low.contains("lookup") || low.contains("dns") {
        return verdict
            .actor(Actor::Host)
            .hint("the source cache's name is not known: correct `url` in `source-caches`, or this host's DNS");
    }
    verdict
}
