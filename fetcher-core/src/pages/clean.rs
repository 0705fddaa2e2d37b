//! The door for everything that pages show: secrets are masked here, once, before anything is rendered.
//!
//! Every field is taken apart by name, so that one which is added later cannot be forgotten. Names that the
//! configuration gives (projects, variants) and branches' names pass as they are; control characters are taken out of
//! the finished page, and escaping is the template's.

use std::path::PathBuf;

use crate::diagnosis::{Diagnosis, Place};
use crate::names::ElementName;
use crate::report::{BranchReport, RefChange, RunReport, StageReport, TrackedRef};
use crate::secret::Redactor;

/// A report as it may be shown.
pub(super) fn run(report: RunReport, redactor: &Redactor) -> RunReport {
    let RunReport {
        version,
        run,
        fetcher_version,
        host,
        started,
        finished,
        outcome,
        configuration,
        failures,
        branches,
    } = report;
    RunReport {
        version,
        run,
        fetcher_version: text(&fetcher_version, redactor),
        host: text(&host, redactor),
        started,
        finished,
        outcome,
        configuration: configuration.map(|commit| text(&commit, redactor)),
        failures: failures.into_iter().map(|failure| diagnosis(failure, redactor)).collect(),
        branches: branches.into_iter().map(|report| branch(report, redactor)).collect(),
    }
}

fn branch(report: BranchReport, redactor: &Redactor) -> BranchReport {
    let BranchReport { project, branch, commit, started, seconds, outcome, bst_version, stages, changes } = report;
    BranchReport {
        project,
        branch,
        commit,
        started,
        seconds,
        outcome,
        bst_version: bst_version.map(|version| text(&version, redactor)),
        stages: stages.into_iter().map(|report| stage(report, redactor)).collect(),
        changes: changes.into_iter().filter_map(|found| tracked(found, redactor)).collect(),
    }
}

fn stage(report: StageReport, redactor: &Redactor) -> StageReport {
    let StageReport {
        stage,
        variant,
        refs,
        outcome,
        skipped,
        attempts,
        started,
        seconds,
        bst_seconds,
        elements,
        changes,
        failures,
        notes,
        log,
    } = report;
    StageReport {
        stage,
        variant,
        refs,
        outcome,
        skipped: skipped.map(|why| text(&why, redactor)),
        attempts,
        started,
        seconds,
        bst_seconds,
        elements,
        changes: changes.into_iter().filter_map(|moved| change(moved, redactor)).collect(),
        failures: failures.into_iter().map(|failure| diagnosis(failure, redactor)).collect(),
        notes: notes.iter().map(|note| text(note, redactor)).collect(),
        log,
    }
}

fn change(change: RefChange, redactor: &Redactor) -> Option<RefChange> {
    let cleaned = |value: Option<String>| value.map(|value| text(&value, redactor));
    Some(RefChange {
        condition: cleaned(change.condition),
        file: cleaned(change.file),
        kind: cleaned(change.kind),
        url: cleaned(change.url),
        shared_with: change.shared_with.iter().filter_map(|name| element(name, redactor)).collect(),
        ..RefChange::new(element(&change.element, redactor)?, change.source, cleaned(change.old), cleaned(change.new))
    })
}

fn tracked(found: TrackedRef, redactor: &Redactor) -> Option<TrackedRef> {
    let cleaned = |value: Option<String>| value.map(|value| text(&value, redactor));
    let (before, compare) = (cleaned(found.before.clone()), cleaned(found.compare.clone()));
    Some(TrackedRef { change: change(found.change.clone(), redactor)?, before, compare, ..found })
}

fn diagnosis(diagnosis: Diagnosis, redactor: &Redactor) -> Diagnosis {
    let Diagnosis { kind, element: name, stage, message, retry, actor, hint, place } = diagnosis;
    let Place { file, line, column, url } = place;
    let file = file.map(|file| PathBuf::from(text(&file.to_string_lossy(), redactor)));
    Diagnosis {
        kind,
        element: name.and_then(|name| element(&name, redactor)),
        stage,
        message: text(&message, redactor),
        retry,
        actor,
        hint: text(&hint, redactor),
        place: Place { file, line, column, url: url.map(|url| text(&url, redactor)) },
    }
}

/// A masked element's name; none in the case that what is left is no name.
fn element(name: &ElementName, redactor: &Redactor) -> Option<ElementName> {
    text(name.as_str(), redactor).parse().ok()
}

/// Escape sequences go first: one in the middle of a secret would hide it from the redactor.
fn text(text: &str, redactor: &Redactor) -> String {
    redactor.redact(&crate::plain::plain(text)).into_owned()
}
