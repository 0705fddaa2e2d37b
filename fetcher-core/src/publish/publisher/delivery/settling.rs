//! Branches of requests that have nothing left to change.

use std::collections::BTreeMap;

use super::{RequestDelivery, Situation};
use crate::names::{BranchName, CommitId};
use crate::publish::PublicationError;
use crate::publish::memory::RequestMemory;
use crate::publish::ownership::{foreign_commit, is_contained};
use crate::report::{RequestReport, RequestStatus};

impl RequestDelivery<'_, '_> {
    /// What becomes of a branch of ours of a request that has nothing to change any more.
    pub(in super::super) fn settle(
        &self,
        unit: &str,
        branch: &BranchName,
        heads: &mut BTreeMap<BranchName, CommitId>,
        known: Option<&RequestMemory>,
    ) -> Result<Option<RequestReport>, PublicationError> {
        let Situation { scratch, maker, tip, .. } = self.now;
        let report = |status| RequestReport {
            branch: Some(branch.clone()),
            url: known.and_then(|known| known.url.clone()),
            ..RequestReport::new(unit, status)
        };
        let Some(head) = heads.get(branch).cloned() else {
            let merged = known.is_some_and(|known| {
                known.commit.is_some() && !matches!(known.status, RequestStatus::Closed | RequestStatus::Waiting)
            });
            return Ok(merged.then(|| report(RequestStatus::Merged)));
        };
        if !scratch.has(&head) {
            scratch.fetch(&[&format!("refs/heads/{branch}")])?;
        }
        if foreign_commit(maker.repository, tip, &head, &maker.author.1)?.is_some() {
            return Ok(known.map(|_| RequestReport { commit: Some(head), ..report(RequestStatus::Paused) }));
        }
        if !is_contained(maker.repository, tip, &head)? {
            // Upstream went back, or it is held now: people decide.
            let reason = "there is nothing to change in this way any more".to_owned();
            return Ok(Some(RequestReport {
                commit: Some(head),
                reason: Some(reason),
                ..report(known.map_or_else(|| self.standing(), |known| known.status))
            }));
        }
        // Where nobody ever pushed with this memory, an empty branch is still ours by what it holds: nothing.
        if !self.now.publisher.dry_run && (known.is_some() || head != *tip) {
            self.remove(branch, &head)?;
            heads.remove(branch);
        }
        Ok(Some(report(RequestStatus::Merged)))
    }
}
