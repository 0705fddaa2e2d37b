//! Whose turn it is, where only so many requests may be open at once.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::names::{BranchName, CommitId};
use crate::publish::memory::PublishMemory;
use crate::publish::request::PlannedRequest;
use crate::report::RequestStatus;

/// What a request is to those that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    /// It is open, as far as branches and memory say, and takes a place.
    There,
    /// Somebody closed it: it is not proposed again, and takes no place.
    Refused,
    /// It is to be made.
    New,
}

/// What a request is to those that wait.
pub(super) fn turn(request: &PlannedRequest, heads: &BTreeMap<BranchName, CommitId>, memory: &PublishMemory) -> Turn {
    let known = memory.requests.get(&request.unit);
    if known.is_some_and(|known| known.status == RequestStatus::Closed && known.digest == request.digest()) {
        return Turn::Refused;
    }
    let is_pushed = request.branch.as_ref().is_some_and(|branch| heads.contains_key(branch));
    let is_open = known.is_some_and(|known| known.commit.is_some() && known.status != RequestStatus::Closed);
    if is_pushed || is_open { Turn::There } else { Turn::New }
}

/// Those that are there first, then those that wait, the oldest first.
pub(super) fn ordered(
    mut plan: Vec<PlannedRequest>,
    heads: &BTreeMap<BranchName, CommitId>,
    memory: &PublishMemory,
) -> Vec<PlannedRequest> {
    plan.sort_by_cached_key(|request| {
        let waits = memory.requests.get(&request.unit).and_then(|known| known.waits_since);
        let found = request.updates().filter_map(|update| update.since).min();
        let since = waits.or(found).unwrap_or(Timestamp::MAX);
        (turn(request, heads, memory), since, request.unit.clone())
    });
    plan
}
