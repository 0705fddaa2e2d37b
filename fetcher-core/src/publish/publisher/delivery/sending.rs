//! What is pushed, and asked for, once it is decided that it shall be.

use std::collections::BTreeMap;

use super::attempt::Attempt;
use super::{Delivered, RequestDelivery};
use crate::config::PublishMode;
use crate::git::{PushFailure, PushLease, PushRefusal, PushUpdate};
use crate::names::{BranchName, CommitId};
use crate::publish::request::{BodyFacts, PlannedRequest, lasting, marked_digest};
use crate::publish::{ForgeError, ForgeErrorKind, ForgeRequest, PublicationError, RequestState};
use crate::report::{HoldCause, RequestReport, RequestStatus};

impl RequestDelivery<'_, '_> {
    pub(super) fn push(
        &self,
        attempt: &Attempt<'_>,
        heads: &mut BTreeMap<BranchName, CommitId>,
        open: Option<ForgeRequest>,
        lease: PushLease,
    ) -> Result<Delivered, PublicationError> {
        let forge = &self.now.publisher.forge;
        let draft = attempt.draft(self, matches!(lease, PushLease::At(_)) || attempt.was_pushed());
        let mut route = forge.route(&draft);
        if self.mode() != PublishMode::MergeRequest || open.is_some() {
            route.options.clear();
            route.reference = route.reference.filter(|_| self.mode() == PublishMode::MergeRequest);
        }
        let to = attempt.made.tip.clone();
        let by_reference = route.reference.is_some();
        let (reference, lease) = match route.reference {
            Some(reference) => (reference, PushLease::Forward),
            None => (format!("refs/heads/{}", attempt.branch), lease),
        };
        let update = PushUpdate { reference, to: Some(to.clone()), lease };
        let pushed = match self.now.scratch.push(&[update], &route.options) {
            Ok(pushed) => pushed,
            Err(PushFailure::Refused { refusal: PushRefusal::NothingNew, .. }) => {
                return self.requested(attempt, open, to, self.standing());
            }
            Err(PushFailure::Refused { refusal: PushRefusal::Stale, message }) if !draft.again && by_reference => {
                // It is there, and this host does not remember it.
                let Some(lost) = self.lost_request(&attempt.branch)? else {
                    let branch = attempt.branch.to_string();
                    return Err(PublicationError::Refused { branch, refusal: PushRefusal::Stale, message });
                };
                return self.deliver(attempt.request, attempt.facts, heads, Some(lost));
            }
            Err(failure) => return Err(PublicationError::of_push(attempt.branch.as_str(), failure)),
        };
        heads.insert(attempt.branch.clone(), to.clone());
        if self.mode() != PublishMode::MergeRequest {
            let report = RequestReport { commit: Some(to.clone()), ..attempt.report(self, RequestStatus::Pushed) };
            return Ok(attempt.delivered(report, None, Some(to)));
        }
        let answer = forge.answer(&pushed.remote);
        if let Some(warning) = answer.warning.filter(|_| open.is_none()) {
            let error = ForgeError { forge: forge.name().to_owned(), kind: ForgeErrorKind::Refused, message: warning };
            return Ok(attempt.unrequested(self, to, error.into()));
        }
        let mut delivered = match self.requested(attempt, open, to.clone(), RequestStatus::Pushed) {
            Ok(delivered) => delivered,
            Err(error) => return Ok(attempt.unrequested(self, to, error)),
        };
        if let Some(report) = &mut delivered.report {
            report.url = report.url.take().or(answer.url);
        }
        if let (Some(memory), Some(report)) = (&mut delivered.memory, &delivered.report) {
            memory.url.clone_from(&report.url);
            memory.request = answer.request.or(memory.request.take());
        }
        Ok(delivered)
    }

    /// Sees that there is a request of the branch, and that its words are those of today.
    pub(super) fn requested(
        &self,
        attempt: &Attempt<'_>,
        open: Option<ForgeRequest>,
        head: CommitId,
        status: RequestStatus,
    ) -> Result<Delivered, PublicationError> {
        let report = RequestReport { commit: Some(head.clone()), ..attempt.report(self, status) };
        if self.mode() != PublishMode::MergeRequest {
            return Ok(attempt.delivered(report, None, Some(head)));
        }
        let forge = &self.now.publisher.forge;
        let draft = attempt.draft(self, true);
        if self.now.publisher.dry_run {
            let report = if open.is_some() || forge.route(&draft).by_push_alone {
                report
            } else {
                RequestReport { body: Some(draft.body), ..attempt.report(self, RequestStatus::Planned) }
            };
            return Ok(attempt.delivered(report, open.as_ref(), Some(head)));
        }
        let request = match open {
            Some(open) => {
                let ours = marked_digest(&open.body).is_some();
                // Where it could not be set to merge by itself when it was made, that is tried again.
                let unset = draft.auto_merge && !open.merging && attempt.is_unrequested();
                if unset || (ours && lasting(&open.body) != lasting(&draft.body)) {
                    forge.update(&open, &draft)?;
                }
                Some(open)
            }
            None => match forge.open(&draft) {
                Ok(request) => request,
                // Somebody was faster, or an answer was lost.
                Err(error) if error.kind == ForgeErrorKind::Exists => {
                    let found = self.newest(&attempt.branch)?;
                    match found.filter(|found| found.state == RequestState::Open) {
                        Some(found) => Some(found),
                        None => return Err(error.into()),
                    }
                }
                Err(error) => return Err(error.into()),
            },
        };
        Ok(attempt.delivered(report, request.as_ref(), Some(head)))
    }

    /// Commits on the base itself: no force, and once more where somebody was faster is for the next run.
    pub(super) fn commit_to_base(
        &self,
        request: &PlannedRequest,
        facts: &BodyFacts<'_>,
    ) -> Result<Delivered, PublicationError> {
        let made = self.make(request, self.now.tip, None)?;
        let held = request.held(&made.refused, HoldCause::File);
        if made.subjects.is_empty() {
            return Ok(Delivered { report: None, memory: None, held, failure: None });
        }
        if let Some((rest, broken)) = self.loadable(request, self.now.tip, None)? {
            let mut delivered = self.commit_to_base(&rest, facts)?;
            delivered.held.extend(broken);
            return Ok(delivered);
        }
        let publisher = self.now.publisher;
        let status = if publisher.dry_run { RequestStatus::Planned } else { RequestStatus::Pushed };
        let report = RequestReport {
            commit: Some(made.tip.clone()),
            elements: request.elements(),
            title: request.title(&publisher.project.publish, self.now.base),
            commits: made.subjects,
            body: publisher.dry_run.then(|| request.body(facts)),
            ..RequestReport::new(&request.unit, status)
        };
        if !publisher.dry_run {
            let reference = format!("refs/heads/{}", self.now.base);
            let update = PushUpdate { reference, to: Some(made.tip), lease: PushLease::Forward };
            let pushed = self.now.scratch.push(&[update], &[]);
            pushed.map_err(|failure| PublicationError::of_push(self.now.base.as_str(), failure))?;
        }
        Ok(Delivered { report: Some(report), memory: None, held, failure: None })
    }

    pub(super) fn remove(&self, branch: &BranchName, head: &CommitId) -> Result<(), PublicationError> {
        let reference = format!("refs/heads/{branch}");
        let update = PushUpdate { reference, to: None, lease: PushLease::At(head.clone()) };
        let removed = self.now.scratch.push(&[update], &[]);
        removed.map(drop).map_err(|failure| PublicationError::of_push(branch.as_str(), failure))
    }
}
