//! Reports and events on their way out. Every field is taken apart by name, so that one which is added later cannot be
//! forgotten.

use std::collections::BTreeSet;

use super::{
    BranchReport, CacheCoverage, Event, HeldRef, HoldReport, IssueGroup, LeftOutElement, ProofReport,
    PublicationReport, RefChange, RequestReport, RunReport, StageReport, TrackProbes, TrackedRef, UpstreamCount,
};
use crate::diagnosis::redacted_element;
use crate::names::ElementName;
use crate::secret::{Redact, Redactor};

impl Redact for RunReport {
    fn redacted(self, redactor: &Redactor) -> Self {
        let Self {
            version,
            run,
            fetcher_version,
            host,
            started,
            finished,
            outcome,
            configuration,
            failures,
            network,
            probes,
            rot,
            branches,
        } = self;
        Self {
            version,
            run,
            fetcher_version: fetcher_version.redacted(redactor),
            host: host.redacted(redactor),
            started,
            finished,
            outcome,
            configuration: configuration.redacted(redactor),
            failures: failures.redacted(redactor),
            network: network.redacted(redactor),
            probes: probes.redacted(redactor),
            rot: rot.redacted(redactor),
            branches: branches.redacted(redactor),
        }
    }
}

impl Redact for BranchReport {
    fn redacted(self, redactor: &Redactor) -> Self {
        let Self {
            project,
            branch,
            commit,
            started,
            seconds,
            outcome,
            bst_version,
            stages,
            changes,
            publication,
            holds,
            coverage,
        } = self;
        let (bst_version, stages) = (bst_version.redacted(redactor), stages.redacted(redactor));
        let changes = changes.into_iter().filter_map(|found| found.redacted(redactor)).collect();
        let holds = holds.redacted(redactor);
        let coverage = coverage.into_iter().map(|known| known.redacted(redactor)).collect();
        let publication = publication.map(|publication| Box::new(publication.redacted(redactor)));
        Self {
            project,
            branch,
            commit,
            started,
            seconds,
            outcome,
            bst_version,
            stages,
            changes,
            publication,
            holds,
            coverage,
        }
    }
}

impl Redact for CacheCoverage {
    fn redacted(self, redactor: &Redactor) -> Self {
        let Self { commit, variant, refs, sources, cached, without_ref, missing, at } = self;
        let missing = missing.iter().filter_map(|name| redacted_element(name, redactor)).collect();
        Self { commit, variant, refs, sources, cached, without_ref, missing, at }
    }
}

impl Redact for PublicationReport {
    fn redacted(self, redactor: &Redactor) -> Self {
        let Self { base, base_commit, dry_run, requests, held } = self;
        let requests = requests.into_iter().map(|request| request.redacted(redactor)).collect();
        let held = held.into_iter().filter_map(|held| redacted_hold(held, redactor)).collect();
        Self { base, base_commit, dry_run, requests, held }
    }
}

impl Redact for RequestReport {
    fn redacted(self, redactor: &Redactor) -> Self {
        let Self { unit, branch, status, url, commit, elements, reason, title, commits, body } = self;
        Self {
            unit: unit.redacted(redactor),
            branch,
            status,
            url: url.redacted(redactor),
            commit,
            elements: elements.iter().filter_map(|name| redacted_element(name, redactor)).collect(),
            reason: reason.redacted(redactor),
            title: title.redacted(redactor),
            commits: commits.redacted(redactor),
            body: body.redacted(redactor),
        }
    }
}

/// None in the case that what is left of the element's name is no name.
fn redacted_hold(held: HeldRef, redactor: &Redactor) -> Option<HeldRef> {
    let HeldRef { element, old, new, cause, reason } = held;
    let element = redacted_element(&element, redactor)?;
    let (old, new, reason) = (old.redacted(redactor), new.redacted(redactor), reason.redacted(redactor));
    Some(HeldRef { element, old, new, cause, reason })
}

impl Redact for StageReport {
    fn redacted(self, redactor: &Redactor) -> Self {
        let Self {
            stage,
            variant,
            refs,
            outcome,
            allowed,
            skipped,
            attempts,
            started,
            seconds,
            bst_seconds,
            elements,
            results,
            changes,
            probes,
            failures,
            findings,
            reached,
            left_out,
            held,
            notes,
            proof,
            log,
        } = self;
        Self {
            stage,
            variant,
            refs,
            outcome,
            allowed,
            skipped: skipped.redacted(redactor),
            attempts,
            started,
            seconds,
            bst_seconds,
            elements,
            results: results.redacted(redactor),
            changes: changes.into_iter().filter_map(|moved| redacted_change(moved, redactor)).collect(),
            probes: probes.map(|probes| redacted_probes(probes, redactor)),
            failures: failures.redacted(redactor),
            findings: findings.redacted(redactor),
            reached: reached.into_iter().map(|host| host.redacted(redactor)).collect(),
            left_out: left_out.into_iter().filter_map(|left_out| redacted_left_out(left_out, redactor)).collect(),
            held: held.into_iter().filter_map(|held| redacted_hold(held, redactor)).collect(),
            notes: notes.redacted(redactor),
            proof: proof.redacted(redactor),
            log,
        }
    }
}

fn redacted_probes(probes: TrackProbes, redactor: &Redactor) -> TrackProbes {
    // The reasons are this library's own words.
    let missed = probes.missed.iter().filter_map(|element| redacted_element(element, redactor)).collect();
    TrackProbes { missed, ..probes }
}

impl Redact for ProofReport {
    fn redacted(self, redactor: &Redactor) -> Self {
        let Self { caches, proved, remembered, missing, repaired, fetched_by_client, blobs, requests } = self;
        let elements =
            |names: BTreeSet<ElementName>| names.iter().filter_map(|name| redacted_element(name, redactor)).collect();
        Self {
            caches: caches.redacted(redactor),
            proved: elements(proved),
            remembered,
            missing: elements(missing),
            repaired,
            fetched_by_client: elements(fetched_by_client),
            blobs,
            requests,
        }
    }
}

/// None in the case that what is left of the element's name is no name.
fn redacted_left_out(left_out: LeftOutElement, redactor: &Redactor) -> Option<LeftOutElement> {
    let LeftOutElement { element, why, note } = left_out;
    Some(LeftOutElement { element: redacted_element(&element, redactor)?, why, note: note.redacted(redactor) })
}

impl Redact for HoldReport {
    fn redacted(self, redactor: &Redactor) -> Self {
        let Self { element, reason, until, origin, expired, elements } = self;
        Self {
            element: element.redacted(redactor),
            reason: reason.redacted(redactor),
            until,
            origin,
            expired,
            elements: elements.iter().filter_map(|name| redacted_element(name, redactor)).collect(),
        }
    }
}

/// None in the case that what is left of the element's name is no name.
fn redacted_change(change: RefChange, redactor: &Redactor) -> Option<RefChange> {
    let RefChange { element, source, old, new, condition, file, kind, url, shared_with } = change;
    let element = redacted_element(&element, redactor)?;
    Some(RefChange {
        element,
        source,
        old: old.redacted(redactor),
        new: new.redacted(redactor),
        condition: condition.redacted(redactor),
        file: file.redacted(redactor),
        kind: kind.redacted(redactor),
        url: url.redacted(redactor),
        shared_with: shared_with.iter().filter_map(|name| redacted_element(name, redactor)).collect(),
    })
}

impl TrackedRef {
    /// The same without secrets; none in the case that what is left of the element's name is no name.
    pub(crate) fn redacted(self, redactor: &Redactor) -> Option<Self> {
        let Self { change, moved, before, since, format_only, compare, failed_with } = self;
        let (before, compare) = (before.redacted(redactor), compare.redacted(redactor));
        redacted_change(change, redactor).map(|change| Self {
            change,
            moved,
            before,
            since,
            format_only,
            compare,
            failed_with,
        })
    }
}

impl Redact for IssueGroup {
    fn redacted(self, redactor: &Redactor) -> Self {
        let Self {
            title,
            kind,
            actor,
            retry,
            hint,
            message,
            is_finding,
            is_allowed,
            is_of_this_host,
            occurrences,
            element_count,
            elements,
            stages,
            branches,
            upstreams,
        } = self;
        let upstream =
            |UpstreamCount { host, occurrences }| UpstreamCount { host: host.redacted(redactor), occurrences };
        Self {
            title: title.redacted(redactor),
            kind,
            actor,
            retry,
            hint: hint.redacted(redactor),
            message: message.redacted(redactor),
            is_finding,
            is_allowed,
            is_of_this_host,
            occurrences,
            element_count,
            elements: elements.iter().filter_map(|name| redacted_element(name, redactor)).collect(),
            stages,
            branches,
            upstreams: upstreams.into_iter().map(upstream).collect(),
        }
    }
}

impl Redact for Event {
    fn redacted(self, redactor: &Redactor) -> Self {
        match self {
            Event::Note(note) => Event::Note(note.redacted(redactor)),
            Event::Progress { project, branch, stage, done, total, element } => Event::Progress {
                project,
                branch,
                stage,
                done,
                total,
                element: element.and_then(|name| redacted_element(&name, redactor)),
            },
            Event::StageFinished { project, branch, report } => {
                Event::StageFinished { project, branch, report: report.redacted(redactor) }
            }
            Event::BranchFinished(report) => Event::BranchFinished(report.redacted(redactor)),
            Event::RunFinished(report) => Event::RunFinished(report.redacted(redactor)),
            Event::RunStarted { .. }
            | Event::Activity { .. }
            | Event::Branches { .. }
            | Event::BranchStarted { .. }
            | Event::StageStarted { .. } => self,
        }
    }
}
