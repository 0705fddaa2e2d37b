//! One request: what is there, whose that is, and what is to be done about it.

mod attempt;
mod loading;
mod lost_request;
mod sending;
mod settling;

use std::collections::{BTreeMap, BTreeSet};

use super::Publisher;
use crate::config::{HumanCommitPolicy, PublishMode};
use crate::git::{PushLease, ScratchRepository};
use crate::names::{BranchName, CommitId};
use crate::publish::branches::numbered;
use crate::publish::candidate::CandidateJudge;
use crate::publish::commits::{CommitMaker, MadeCommits};
use crate::publish::component::Component;
use crate::publish::forge::is_merge_bot;
use crate::publish::memory::RequestMemory;
use crate::publish::ownership::{conflicts, foreign_commit, own_contents, same_paths};
use crate::publish::request::{BodyFacts, PlannedRequest, marked_digest};
use crate::publish::{ForgeRequest, PublicationError, RequestDraft, RequestState};
use crate::report::{HeldRef, HoldCause, RequestReport, RequestStatus};
use attempt::Attempt;

/// As many branches are made beside one on which somebody else works.
const MAX_BESIDE: usize = 9;

/// What all requests of a branch share.
#[derive(Clone, Copy)]
pub(super) struct Situation<'s, 'a> {
    pub(super) publisher: &'s Publisher<'a>,
    pub(super) scratch: &'s ScratchRepository<'a>,
    pub(super) maker: &'s CommitMaker<'s>,
    pub(super) judge: &'s CandidateJudge<'s>,
    pub(super) base: &'s BranchName,
    /// The base's tip.
    pub(super) tip: &'s CommitId,
}

/// What became of one request.
pub(super) struct Delivered {
    pub(super) report: Option<RequestReport>,
    pub(super) memory: Option<RequestMemory>,
    /// What of it is held back: it cannot be written, or nothing loads with it.
    pub(super) held: Vec<HeldRef>,
    /// What went wrong although the branch was pushed.
    pub(super) failure: Option<PublicationError>,
}

impl Delivered {
    /// How the request is.
    pub(super) fn status(&self) -> Option<RequestStatus> {
        self.report.as_ref().map(|report| report.status)
    }
}

/// Brings requests where they are to be.
pub(super) struct RequestDelivery<'s, 'a> {
    now: Situation<'s, 'a>,
}

/// What is done with a branch that is there.
enum BranchFate {
    /// There is none: it is made.
    New,
    /// It is ours and holds something else: it is replaced, as long as it is at this commit.
    Replace(CommitId),
    /// It holds what it is to hold.
    Same(CommitId),
    /// Somebody else's commits are on it.
    Foreign(CommitId, git2::Oid),
}

impl<'s, 'a> RequestDelivery<'s, 'a> {
    pub(super) fn new(now: Situation<'s, 'a>) -> Self {
        Self { now }
    }

    pub(super) fn base(&self) -> &BranchName {
        self.now.base
    }

    fn mode(&self) -> PublishMode {
        self.now.publisher.project.publish.mode
    }

    /// Brings one request about, or up to date.
    pub(super) fn deliver(
        &self,
        request: &PlannedRequest,
        facts: &BodyFacts<'_>,
        heads: &mut BTreeMap<BranchName, CommitId>,
        known: Option<RequestMemory>,
    ) -> Result<Delivered, PublicationError> {
        let Some(branch) = request.branch.clone() else { return self.commit_to_base(request, facts) };
        let made = self.make(request, self.now.tip, Some(&branch))?;
        if made.subjects.is_empty() {
            let there = known.as_ref().map_or(&branch, |known| &known.branch);
            let report = self.settle(&request.unit, there, heads, known.as_ref())?;
            let lasts = report.as_ref().is_some_and(|report| report.status != RequestStatus::Merged);
            let held = request.held(&made.refused, HoldCause::File);
            return Ok(Delivered { report, memory: known.filter(|_| lasts), held, failure: None });
        }
        let mut attempt = Attempt { request, facts, branch, made, known };
        let found = self.newest(&attempt.branch)?;
        if let Some(delivered) = self.closed(&attempt, heads, found.as_ref()) {
            return Ok(delivered);
        }
        let open = found.filter(|found| found.state == RequestState::Open);
        match self.fate(&attempt, heads)? {
            BranchFate::Foreign(head, commit) => self.shared(&mut attempt, heads, open, head, commit),
            fate => self.own(&attempt, heads, open, fate),
        }
    }

    /// A branch that is ours alone.
    fn own(
        &self,
        attempt: &Attempt<'_>,
        heads: &mut BTreeMap<BranchName, CommitId>,
        open: Option<ForgeRequest>,
        fate: BranchFate,
    ) -> Result<Delivered, PublicationError> {
        let there = match &fate {
            BranchFate::Replace(head) | BranchFate::Same(head) => Some(head.clone()),
            BranchFate::New | BranchFate::Foreign(..) => None,
        };
        if let Some(head) = &there
            && self.is_merging(open.as_ref())
            && !self.conflicts(head, open.as_ref())?
        {
            let report = RequestReport { commit: Some(head.clone()), ..attempt.report(self, RequestStatus::Merging) };
            return Ok(attempt.delivered(report, open.as_ref(), Some(head.clone())));
        }
        let by_push = self.now.publisher.forge.route(&RequestDraft::default()).by_push_alone;
        let unrequested = by_push && attempt.is_unrequested();
        match fate {
            BranchFate::Same(head) if !unrequested => self.requested(attempt, open, head, self.standing()),
            fate => {
                if let Some(delivered) = self.without_broken(attempt, self.now.tip, heads)? {
                    return Ok(delivered);
                }
                if self.now.publisher.dry_run {
                    return Ok(attempt.planned(self, open.as_ref()));
                }
                let lease = match fate {
                    BranchFate::Same(head) => {
                        // GitLab makes a request of a push, and there is none where nothing changes.
                        self.remove(&attempt.branch, &head)?;
                        PushLease::Absent
                    }
                    BranchFate::Replace(head) => PushLease::At(head),
                    BranchFate::New | BranchFate::Foreign(..) => PushLease::Absent,
                };
                self.push(attempt, heads, open, lease)
            }
        }
    }

    /// A branch with somebody else's commits.
    fn shared(
        &self,
        attempt: &mut Attempt<'_>,
        heads: &mut BTreeMap<BranchName, CommitId>,
        open: Option<ForgeRequest>,
        head: CommitId,
        foreign: git2::Oid,
    ) -> Result<Delivered, PublicationError> {
        let policy = self.now.publisher.project.publish.on_human_commits;
        let short = foreign.to_string()[..12].to_owned();
        match policy {
            HumanCommitPolicy::Pause => {
                let reason = format!("{short} on {} is not of this program: the branch is left alone", attempt.branch);
                let report = RequestReport {
                    commit: Some(head.clone()),
                    reason: Some(reason),
                    ..attempt.report(self, RequestStatus::Paused)
                };
                Ok(attempt.delivered(report, open.as_ref(), Some(head)))
            }
            HumanCommitPolicy::Stack => {
                if self.is_merging(open.as_ref()) {
                    let report = attempt.report(self, RequestStatus::Merging);
                    return Ok(attempt.delivered(report, open.as_ref(), Some(head)));
                }
                attempt.made = self.make(attempt.request, &head, Some(&attempt.branch))?;
                if attempt.made.subjects.is_empty() {
                    return self.requested(attempt, open, head, self.standing());
                }
                if let Some(delivered) = self.without_broken(attempt, &head, heads)? {
                    return Ok(delivered);
                }
                if self.now.publisher.dry_run {
                    return Ok(attempt.planned(self, open.as_ref()));
                }
                self.push(attempt, heads, open, PushLease::At(head))
            }
            HumanCommitPolicy::New => self.beside(attempt, heads),
        }
    }

    /// Makes another branch, the first that is free or ours.
    fn beside(
        &self,
        attempt: &mut Attempt<'_>,
        heads: &mut BTreeMap<BranchName, CommitId>,
    ) -> Result<Delivered, PublicationError> {
        let first = attempt.branch.clone();
        for number in 2..=MAX_BESIDE {
            attempt.branch = numbered(&first, number)?;
            attempt.made = self.make(attempt.request, self.now.tip, Some(&attempt.branch))?;
            let found = self.newest(&attempt.branch)?;
            if let Some(delivered) = self.closed(attempt, heads, found.as_ref()) {
                return Ok(delivered);
            }
            let open = found.filter(|found| found.state == RequestState::Open);
            match self.fate(attempt, heads)? {
                BranchFate::Foreign(..) => {}
                fate => return self.own(attempt, heads, open, fate),
            }
        }
        attempt.branch = first;
        let reason = "somebody works on each of its branches".to_owned();
        let report = RequestReport { reason: Some(reason), ..attempt.report(self, RequestStatus::Paused) };
        Ok(attempt.delivered(report, None, None))
    }

    fn make(
        &self,
        request: &PlannedRequest,
        parent: &CommitId,
        branch: Option<&BranchName>,
    ) -> Result<MadeCommits, PublicationError> {
        self.make_of(&request.components.iter().collect::<Vec<_>>(), parent, branch)
    }

    fn make_of(
        &self,
        components: &[&Component],
        parent: &CommitId,
        branch: Option<&BranchName>,
    ) -> Result<MadeCommits, PublicationError> {
        let Situation { maker, tip, publisher, .. } = self.now;
        let before =
            if parent == tip { BTreeSet::new() } else { own_contents(maker.repository, tip, parent, &maker.author.1)? };
        maker.make(parent, components, branch, publisher.project.publish.squash, &before)
    }

    /// The newest request of a branch; none where there is none, or nobody can be asked.
    fn newest(&self, branch: &BranchName) -> Result<Option<ForgeRequest>, PublicationError> {
        if self.mode() != PublishMode::MergeRequest {
            return Ok(None);
        }
        let found = self.now.publisher.forge.requests(branch, self.now.base)?.unwrap_or_default();
        let open = found.iter().find(|request| request.state == RequestState::Open).cloned();
        Ok(open.or_else(|| found.into_iter().next()))
    }

    /// What was closed without being merged is refused, until there is something else to propose.
    fn closed(
        &self,
        attempt: &Attempt<'_>,
        heads: &BTreeMap<BranchName, CommitId>,
        found: Option<&ForgeRequest>,
    ) -> Option<Delivered> {
        let digest = attempt.request.digest();
        let known = attempt.known.as_ref().filter(|known| known.digest == digest);
        let closed = if let Some(found) = found {
            let same = marked_digest(&found.body).is_some_and(|marked| marked == digest)
                || known.is_some_and(|known| known.request.as_ref() == Some(&found.id));
            found.state == RequestState::Closed && same
        } else {
            // Nobody can be asked. A branch that was pushed and is gone, without its content being in the base, was
            // removed by somebody who did not want it.
            let was_there = known
                .is_some_and(|known| known.commit.is_some() && known.branch == attempt.branch && !known.unrequested);
            let route = self.now.publisher.forge.route(&RequestDraft::default());
            was_there && route.reference.is_none() && !heads.contains_key(&attempt.branch)
        };
        closed.then(|| {
            let reason = "it was closed without being merged: the same is not proposed again".to_owned();
            let report = RequestReport {
                reason: Some(reason),
                url: found.and_then(|found| found.url.clone()).or_else(|| known.and_then(|known| known.url.clone())),
                ..attempt.report(self, RequestStatus::Closed)
            };
            let commit = known.and_then(|known| known.commit.clone());
            attempt.delivered(report, found, commit.or_else(|| found.and_then(|found| found.head.clone())))
        })
    }

    /// What is to be done with the branch as it is there.
    fn fate(
        &self,
        attempt: &Attempt<'_>,
        heads: &BTreeMap<BranchName, CommitId>,
    ) -> Result<BranchFate, PublicationError> {
        let Some(head) = self.head(attempt, heads)? else { return Ok(BranchFate::New) };
        if head == attempt.made.tip {
            return Ok(BranchFate::Same(head));
        }
        let Situation { scratch, maker, tip, .. } = self.now;
        if !scratch.has(&head) {
            let reference = self.reference(attempt).unwrap_or_else(|| format!("refs/heads/{}", attempt.branch));
            scratch.fetch(&[&reference])?;
        }
        if let Some(foreign) = foreign_commit(maker.repository, tip, &head, &maker.author.1)? {
            return Ok(BranchFate::Foreign(head, foreign));
        }
        let same = same_paths(maker.repository, tip, &head, &attempt.made.tip, &attempt.made.paths)?;
        Ok(if same { BranchFate::Same(head) } else { BranchFate::Replace(head) })
    }

    /// The reference that holds a request's commits, where that is no branch.
    fn reference(&self, attempt: &Attempt<'_>) -> Option<String> {
        let request = attempt.known.as_ref().and_then(|known| known.request.as_deref())?;
        self.now.publisher.forge.head_reference(request)
    }

    /// The commit at the tip of what is there.
    fn head(
        &self,
        attempt: &Attempt<'_>,
        heads: &BTreeMap<BranchName, CommitId>,
    ) -> Result<Option<CommitId>, PublicationError> {
        let route = self.now.publisher.forge.route(&RequestDraft::default());
        if route.reference.is_none() || self.mode() != PublishMode::MergeRequest {
            return Ok(heads.get(&attempt.branch).cloned());
        }
        if let Some(reference) = self.reference(attempt) {
            return Ok(self.now.scratch.references(&[&reference])?.remove(&reference));
        }
        // What was pushed there cannot be seen: only memory says what it is.
        Ok(attempt.known.as_ref().and_then(|known| known.commit.clone()).filter(|commit| *commit == attempt.made.tip))
    }

    fn standing(&self) -> RequestStatus {
        self.now.publisher.standing()
    }

    /// Whether something is about to merge the request. Where nobody can be asked, one with a merge bot always is.
    fn is_merging(&self, open: Option<&ForgeRequest>) -> bool {
        let publish = &self.now.publisher.project.publish;
        let by_bot = publish.assignees.iter().any(|name| is_merge_bot(name)) || publish.auto_merge;
        match open {
            Some(open) => open.merging,
            None => by_bot && self.now.publisher.forge.route(&RequestDraft::default()).by_push_alone,
        }
    }

    fn conflicts(&self, head: &CommitId, open: Option<&ForgeRequest>) -> Result<bool, PublicationError> {
        if open.is_some_and(|open| open.conflicts) {
            return Ok(true);
        }
        if !self.now.scratch.has(head) {
            return Ok(false);
        }
        conflicts(self.now.maker.repository, self.now.tip, head)
    }
}
