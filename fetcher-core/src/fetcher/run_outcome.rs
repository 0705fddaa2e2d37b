//! What a run came to as a whole.

use crate::diagnosis::FailureKind;
use crate::report::{Outcome, RunReport};

/// What a run came to, by its branches and by what failed outside of them.
pub(super) fn outcome(report: &RunReport, interrupted: bool) -> Outcome {
    let outcomes = || report.branches.iter().map(|branch| branch.outcome);
    let blamed = report.failures.iter().any(|failure| {
        !matches!(
            failure.kind,
            FailureKind::Killed | FailureKind::SpaceMade | FailureKind::Unconfined | FailureKind::CachesShared
        )
    });
    if interrupted || outcomes().any(|outcome| outcome == Outcome::Interrupted) {
        Outcome::Interrupted
    } else if outcomes().all(Outcome::is_good) {
        match (blamed, report.branches.is_empty()) {
            (false, _) => Outcome::Ok,
            (true, true) => Outcome::Failed,
            (true, false) => Outcome::Partial,
        }
    } else if outcomes().all(|outcome| outcome == Outcome::Failed) {
        Outcome::Failed
    } else {
        Outcome::Partial
    }
}
