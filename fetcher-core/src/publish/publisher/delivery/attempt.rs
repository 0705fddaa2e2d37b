//! One request on its way: what is known of it, and the words for what becomes of it.

use super::{Delivered, RequestDelivery};
use crate::names::{BranchName, CommitId};
use crate::publish::commits::MadeCommits;
use crate::publish::memory::RequestMemory;
use crate::publish::request::{BodyFacts, PlannedRequest};
use crate::publish::{ForgeRequest, PublicationError, RequestDraft};
use crate::report::{HoldCause, RequestReport, RequestStatus};

/// One request on its way.
pub(super) struct Attempt<'r> {
    pub(super) request: &'r PlannedRequest,
    pub(super) facts: &'r BodyFacts<'r>,
    pub(super) branch: BranchName,
    pub(super) made: MadeCommits,
    pub(super) known: Option<RequestMemory>,
}

impl Attempt<'_> {
    pub(super) fn was_pushed(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.commit.is_some())
    }

    /// Whether the last time the branch was pushed, and the request was not made as it is to be.
    pub(super) fn is_unrequested(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.unrequested)
    }

    pub(super) fn report(&self, delivery: &RequestDelivery<'_, '_>, status: RequestStatus) -> RequestReport {
        let publish = &delivery.now.publisher.project.publish;
        RequestReport {
            branch: Some(self.branch.clone()),
            url: self.known.as_ref().and_then(|known| known.url.clone()),
            elements: self.request.elements(),
            title: self.request.title(publish, delivery.now.base),
            commits: self.made.subjects.clone(),
            ..RequestReport::new(&self.request.unit, status)
        }
    }

    pub(super) fn draft(&self, delivery: &RequestDelivery<'_, '_>, again: bool) -> RequestDraft {
        let publish = &delivery.now.publisher.project.publish;
        RequestDraft {
            branch: self.branch.to_string(),
            base: delivery.now.base.to_string(),
            title: self.request.title(publish, delivery.now.base),
            body: self.request.body(self.facts),
            labels: publish.labels.clone(),
            assignees: publish.assignees.clone(),
            draft: publish.draft,
            auto_merge: publish.auto_merge,
            again,
        }
    }

    /// What would be pushed.
    pub(super) fn planned(&self, delivery: &RequestDelivery<'_, '_>, open: Option<&ForgeRequest>) -> Delivered {
        let report = RequestReport {
            commit: Some(self.made.tip.clone()),
            body: Some(self.request.body(self.facts)),
            ..self.report(delivery, RequestStatus::Planned)
        };
        self.delivered(report, open, None)
    }

    /// The branch is there, and the request is not.
    pub(super) fn unrequested(
        &self,
        delivery: &RequestDelivery<'_, '_>,
        head: CommitId,
        error: PublicationError,
    ) -> Delivered {
        let reason = Some(error.to_string());
        let report =
            RequestReport { commit: Some(head.clone()), reason, ..self.report(delivery, RequestStatus::Failed) };
        let mut delivered = self.delivered(report, None, Some(head));
        if let Some(memory) = &mut delivered.memory {
            memory.unrequested = true;
        }
        Delivered { failure: Some(error), ..delivered }
    }

    pub(super) fn delivered(
        &self,
        report: RequestReport,
        request: Option<&ForgeRequest>,
        commit: Option<CommitId>,
    ) -> Delivered {
        let known = self.known.as_ref();
        let url = request.and_then(|request| request.url.clone()).or_else(|| report.url.clone());
        let memory = RequestMemory {
            branch: self.branch.clone(),
            commit,
            digest: self.request.digest(),
            request: request.map(|found| found.id.clone()).or_else(|| known.and_then(|known| known.request.clone())),
            url: url.clone(),
            status: report.status,
            waits_since: None,
            unrequested: false,
        };
        let report = RequestReport { url, ..report };
        let held = self.request.held(&self.made.refused, HoldCause::File);
        Delivered { report: Some(report), memory: Some(memory), held, failure: None }
    }
}
