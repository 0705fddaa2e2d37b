//! Requests that a push made and that this host does not remember: another host's, or from before a kill.

use std::cmp::Reverse;

use super::{RequestDelivery, Situation};
use crate::names::{BranchName, CommitId};
use crate::publish::PublicationError;
use crate::publish::memory::RequestMemory;
use crate::publish::ownership::names_branch;
use crate::report::RequestStatus;

/// As many requests are looked through, the newest first.
const MAX_REQUESTS: usize = 200;

impl RequestDelivery<'_, '_> {
    /// The newest request of a branch among all that there are, by what the commits in it say; none where there is none, or
    /// where the forge does not show them.
    pub(super) fn lost_request(&self, branch: &BranchName) -> Result<Option<RequestMemory>, PublicationError> {
        let Situation { publisher, scratch, maker, tip, .. } = self.now;
        let Some(pattern) = publisher.forge.head_pattern() else { return Ok(None) };
        let numbered = |(reference, head): (String, CommitId)| {
            let number = reference.split('/').find_map(|part| part.parse::<u64>().ok())?;
            Some((number, reference, head))
        };
        let mut found: Vec<_> = scratch.references(&[&pattern])?.into_iter().filter_map(numbered).collect();
        found.sort_by_key(|(number, ..)| Reverse(*number));
        found.truncate(MAX_REQUESTS);
        let missing: Vec<_> = found.iter().filter(|(_, _, head)| !scratch.has(head)).collect();
        if !missing.is_empty() {
            scratch.fetch(&missing.into_iter().map(|(_, reference, _)| reference.as_str()).collect::<Vec<_>>())?;
        }
        for (number, _, head) in found {
            if names_branch(maker.repository, tip, &head, branch)? {
                return Ok(Some(RequestMemory {
                    branch: branch.clone(),
                    commit: Some(head),
                    digest: String::new(),
                    request: Some(number.to_string()),
                    url: None,
                    status: RequestStatus::Open,
                    waits_since: None,
                    unrequested: false,
                }));
            }
        }
        Ok(None)
    }
}
