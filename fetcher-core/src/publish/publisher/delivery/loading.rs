//! What is about to be pushed is looked at first: with what the project does not load any more, that is held back, and the
//! rest goes its way.

use std::collections::BTreeMap;

use super::attempt::Attempt;
use super::{Delivered, RequestDelivery};
use crate::names::{BranchName, CommitId};
use crate::publish::PublicationError;
use crate::publish::request::{BodyFacts, PlannedRequest};
use crate::report::{HeldRef, HoldCause};

impl RequestDelivery<'_, '_> {
    /// Delivers a request without what the project does not load with on `parent`; none where it loads with all of it.
    pub(super) fn without_broken(
        &self,
        attempt: &Attempt<'_>,
        parent: &CommitId,
        heads: &mut BTreeMap<BranchName, CommitId>,
    ) -> Result<Option<Delivered>, PublicationError> {
        let Some((rest, held)) = self.loadable(attempt.request, parent, Some(&attempt.branch))? else {
            return Ok(None);
        };
        let known: Vec<_> = attempt.facts.held.iter().chain(&held).cloned().collect();
        let facts = attempt.facts.with_held(&known);
        let mut delivered = self.deliver(&rest, &facts, heads, attempt.known.clone())?;
        if let (true, Some(report)) = (rest.components.is_empty(), &mut delivered.report) {
            report.reason = Some("what there is to change is held back".to_owned());
        }
        delivered.held.extend(held);
        Ok(Some(delivered))
    }

    /// A request without what the project does not load with on `parent`, and what that is; none where it loads.
    pub(super) fn loadable(
        &self,
        request: &PlannedRequest,
        parent: &CommitId,
        branch: Option<&BranchName>,
    ) -> Result<Option<(PlannedRequest, Vec<HeldRef>)>, PublicationError> {
        let components: Vec<_> = request.components.iter().collect();
        let make = |chosen: &[&_]| self.make_of(chosen, parent, branch);
        let broken = self.now.judge.broken(self.now.scratch, parent, &components, &make)?;
        let held = request.held(&broken, HoldCause::Broken);
        Ok((!broken.is_empty()).then(|| (request.without(&broken), held)))
    }
}

impl<'b> BodyFacts<'b> {
    fn with_held<'h>(&self, held: &'h [HeldRef]) -> BodyFacts<'h>
    where
        'b: 'h,
    {
        let BodyFacts { cached_in, untracked, holds, .. } = *self;
        BodyFacts { cached_in, seen: self.seen.clone(), held, untracked, holds }
    }
}
