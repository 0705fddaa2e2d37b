//! Which failures of a stage may be, by the project's `allow-failure`.

use crate::config::{AllowFailure, OnError, ProjectConfig};
use crate::diagnosis::FailureKind;
use crate::names::ElementName;
use crate::report::{Outcome, StageReport};

/// Makes findings of the failures of a stage that may be, and says whether what is wrong with it counts. `is_own` tells
/// whether an element's failure was its own task's: one that kept bst from loading the project is everybody's, whichever
/// element it names. `unfetched` are the elements that a push could not reach.
pub(super) fn allow_elements(
    project: &ProjectConfig,
    report: &mut StageReport,
    is_own: impl Fn(&ElementName) -> bool,
    unfetched: &[&ElementName],
) {
    let allowed = &project.allow_failure;
    if allowed.includes_variant(report.variant.as_ref()) {
        return allow_all(allowed, report);
    }
    if allowed.elements.is_empty() {
        return;
    }
    make_findings(report, |element| element.is_some_and(|name| is_own(name) && allowed.includes_element(name)));
    let has_reason = report.allowed_failures().next().is_some() || !unfetched.is_empty();
    let all_may = report.failures.is_empty() && unfetched.iter().all(|name| allowed.includes_element(name));
    report.allowed = may_count_as_good(report) && has_reason && all_may && is_whole(project, report, unfetched.len());
}

/// The same where no element is meant: what is not done for an option set may fail where the whole project may.
pub(crate) fn allow_all(allowed: &AllowFailure, report: &mut StageReport) {
    if allowed.includes_variant(report.variant.as_ref()) {
        make_findings(report, |_| true);
        report.allowed = may_count_as_good(report) && report.failures.is_empty();
    }
}

fn make_findings(report: &mut StageReport, may_fail: impl Fn(Option<&ElementName>) -> bool) {
    let failures = std::mem::take(&mut report.failures);
    for mut failure in failures {
        if !always_counts(failure.kind) && may_fail(failure.element.as_ref()) {
            failure.allowed = true;
            report.findings.push(failure);
        } else {
            report.failures.push(failure);
        }
    }
}

fn may_count_as_good(report: &StageReport) -> bool {
    match report.outcome {
        Outcome::Partial | Outcome::Failed => true,
        Outcome::Skipped | Outcome::Ok | Outcome::Interrupted => false,
    }
}

/// Whether bst came to all other elements: one that ends at the first failure leaves out some that may not fail.
fn is_whole(project: &ProjectConfig, report: &StageReport, unfetched: usize) -> bool {
    let elements = report.elements;
    project.on_error == OnError::Continue
        || elements.processed + elements.skipped + elements.failed + unfetched as u64 >= elements.total
}

/// What is no failure of a project, of its elements or of their upstreams, but of this host, of the run, or of a source
/// cache.
fn always_counts(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::Usage
            | FailureKind::Configuration
            | FailureKind::BstMissing
            | FailureKind::Environment
            | FailureKind::RunnerFailed
            | FailureKind::Sandbox
            | FailureKind::DiskFull
            | FailureKind::Permission
            | FailureKind::HostResources
            | FailureKind::CacheUnreachable
            | FailureKind::CacheDenied
            | FailureKind::CacheFull
            | FailureKind::PushIncomplete
            | FailureKind::NoPushRemote
            | FailureKind::CasdDied
            | FailureKind::Interrupted
            | FailureKind::Killed
            | FailureKind::LockHeld
            | FailureKind::SelfUpdate
            | FailureKind::Upload
            | FailureKind::State
            | FailureKind::Notifier
    )
}
