//! What runners of CI, build tools, the system and whoever runs containers say of a command as a whole: of one that ended,
//! in lower case, or of one that never began.

use super::super::FailureKind;
use super::super::line_diagnosis::LineDiagnosis;
use super::sentence::{self, Sentence, begins};
use super::{OwnRemedy, lasting};
use crate::failure::Actor;

/// What is said of a run that was cancelled, in lower case.
pub(crate) const CANCELLED: [&str; 19] = [
    "the operation was canceled",
    "the operation was cancelled",
    "operation was canceled by",
    "job was cancelled",
    "job was canceled",
    "job failed: canceled",
    "job failed (canceled)",
    "script canceled externally",
    "canceling since a higher priority waiting request",
    "strategy configuration was canceled",
    "the run was canceled by",
    "the build was canceled",
    "build was aborted",
    "finished: aborted",
    "received cancellation signal",
    "sending interrupt signal to process",
    "runner has received a shutdown signal",
    "workflow shutdown",
    "stopped with strategy",
];

/// What is said of a run whose time was over.
pub(crate) const TIMED_OUT: [&str; 19] = [
    "has exceeded the maximum execution time",
    "execution took longer than",
    "ran longer than the maximum time",
    "has timed out after",
    "timeout has been exceeded",
    "nested steps due to timeout",
    "too long with no output",
    "no output has been received in the last",
    "exceeded the maximum time limit",
    "failed with result 'timeout'",
    "start operation timed out. terminating",
    "timed out. killing",
    "timed out. terminating",
    "pod was active on the node longer than the specified deadline",
    "reason: deadlineexceeded",
    "due to time limit",
    "job execution timeout",
    "build timed out",
    "step exceeded its timeout",
];

/// What is said of a command for which there was no memory.
pub(crate) const OUT_OF_MEMORY: [&str; 8] = [
    "oomkilled",
    "oom-kill",
    "oom_kill",
    "oom_reaper",
    "oom killer",
    "oom-killer",
    "out of memory: killed process",
    "memory cgroup out of memory",
];

/// What is said of a command that a signal ended.
pub(crate) const KILLED: [&str; 14] = [
    "signal: killed",
    "signal: terminated",
    "status=9/kill",
    "status=15/term",
    "code=killed",
    "code=dumped",
    "failed with result 'signal'",
    "terminated by signal",
    "killed by signal",
    "exited on signal",
    "lost communication with the server",
    "died with <signals.sig",
    "was evicted",
    "segmentation fault (core dumped)",
];

/// What is said of a command that failed.
pub(crate) const FAILED: [&str; 30] = [
    "process completed with exit code",
    "job failed: exit",
    "job failed: command terminated",
    "job failed (system failure)",
    "error: job failed",
    "script returned exit code",
    "finished: failure",
    "exited with code",
    "exited with status",
    "returned non-zero exit status",
    "returned a non-zero code",
    "did not complete successfully: exit code",
    "command exited with status",
    "command terminated with exit code",
    "sub-process exited",
    "failed with exit code",
    "failed with exit status",
    "failed to run task",
    "build stopped: subcommand failed",
    "failed with result 'exit-code'",
    "failed with result 'resources'",
    "main process exited, code=exited",
    "control process exited, code=exited",
    "container exited with",
    "error: exit status",
    "error (exit code",
    "error: exit code",
    "command failed with exit code",
    "command failed with exit status",
    "task failed with exit code",
];

/// What runners do after a command.
pub(crate) const AFTERWARDS: [&str; 12] = [
    "cleaning up project directory",
    "uploading artifacts",
    "running after_script",
    "running after script",
    "post job cleanup",
    "cleaning up orphan processes",
    "saving cache for",
    "terminate orphan process",
    "[pipeline]",
    "evaluate and set job outputs",
    "print service container logs",
    "stop and remove container",
];

const NO_CONTAINER: OwnRemedy = lasting(
    Actor::Host,
    "the container in which bst was to run could not be started: see its image's name, its registry and its engine",
);

/// What is said of the image in which bst was to run, as it is written.
pub(super) const CONTAINERS: &[Sentence] = &[
    begins("docker: ", FailureKind::Environment, NO_CONTAINER),
    begins("Error response from daemon", FailureKind::Environment, NO_CONTAINER),
    begins("Error: initializing source docker://", FailureKind::Environment, NO_CONTAINER),
    begins("Error: unable to copy from source docker://", FailureKind::Environment, NO_CONTAINER),
    begins("Error: parsing image configuration", FailureKind::Environment, NO_CONTAINER),
    begins("Error: short-name ", FailureKind::Environment, NO_CONTAINER),
];

/// What a line says of the image in which bst was to run.
pub(crate) fn of_containers(line: &str) -> Option<LineDiagnosis> {
    sentence::meaning(CONTAINERS, line.trim_start())
}
