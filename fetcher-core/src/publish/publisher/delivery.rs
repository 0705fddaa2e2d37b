//! One request: what is there, whose that is, and what is pushed and asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::Publisher;
use crate::config::{HumanCommitPolicy, PublishMode};
use crate::git::{PushLease, PushRefusal, PushUpdate, ScratchRepository};
use crate::names::{BranchName, CommitId};
use crate::publish::branches::numbered;
use crate::publish::commits::{CommitMaker, MadeCommits};
use crate::publish::forge::is_merge_bot;
use crate::publish::memory::RequestMemory;
use crate::publish::ownership::{conflicts, foreign_commit, is_contained, own_contents, same_paths};
use crate::publish::request::{BodyFacts, PlannedRequest, lasting, marked_digest};
use crate::publish::{ForgeError, ForgeErrorKind, ForgeRequest, PublishError, RequestDraft, RequestState};
use crate::report::{RequestReport, RequestStatus};

/// As many branches are made beside one on which somebody else works.
const MAX_BESIDE: usize = 9;

/// What all requests of a branch share.
#[derive(Clone, Copy)]
pub(super) struct Situation<'s, 'a> {
    pub(super) publisher: &'s Publisher<'a>,
    pub(super) scratch: &'s ScratchRepository<'a>,
    pub(super) maker: &'s CommitMaker<'s>,
    pub(super) base: &'s BranchName,
    /// The base's tip.
    pub(super) tip: &'s CommitId,
}

/// What became of one request.
pub(super) struct Delivered {
    pub(super) report: Option<RequestReport>,
    pub(super) memory: Option<RequestMemory>,
    /// The components that could not be written.
    pub(super) refused: BTreeMap<usize, String>,
    /// What went wrong although the branch was pushed.
    pub(super) failure: Option<PublishError>,
}

/// Brings requests where they are to be.
pub(super) struct Delivery<'s, 'a> {
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

impl<'s, 'a> Delivery<'s, 'a> {
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
        &mut self,
        request: &PlannedRequest,
        facts: &BodyFacts<'_>,
        heads: &mut BTreeMap<BranchName, CommitId>,
        known: Option<RequestMemory>,
    ) -> Result<Delivered, PublishError> {
        let Some(branch) = request.branch.clone() else { return self.commit_to_base(request, facts) };
        let made = self.make(request, self.now.tip, Some(&branch))?;
        let refused = made.refused.clone();
        if made.subjects.is_empty() {
            let known = known.as_ref();
            let report = self.settle(&request.unit, known.map_or(&branch, |known| &known.branch), heads, known)?;
            return Ok(Delivered { report, memory: None, refused, failure: None });
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
    ) -> Result<Delivered, PublishError> {
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
        let unrequested = by_push && attempt.known.as_ref().is_some_and(|known| known.unrequested);
        match fate {
            BranchFate::Same(head) if !unrequested => self.requested(attempt, open, head, RequestStatus::Open),
            fate => {
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
    ) -> Result<Delivered, PublishError> {
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
                    return self.requested(attempt, open, head, RequestStatus::Open);
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
    ) -> Result<Delivered, PublishError> {
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
    ) -> Result<MadeCommits, PublishError> {
        let components: Vec<_> = request.components.iter().collect();
        let Situation { maker, tip, publisher, .. } = self.now;
        let before =
            if parent == tip { BTreeSet::new() } else { own_contents(maker.repository, tip, parent, &maker.author.1)? };
        maker.make(parent, &components, branch, publisher.project.publish.squash, &before)
    }

    /// The newest request of a branch; none where there is none, or nobody can be asked.
    fn newest(&self, branch: &BranchName) -> Result<Option<ForgeRequest>, PublishError> {
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
    fn fate(&self, attempt: &Attempt<'_>, heads: &BTreeMap<BranchName, CommitId>) -> Result<BranchFate, PublishError> {
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
    ) -> Result<Option<CommitId>, PublishError> {
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

    /// Whether something is about to merge the request. Where nobody can be asked, one with a merge bot always is.
    fn is_merging(&self, open: Option<&ForgeRequest>) -> bool {
        let publish = &self.now.publisher.project.publish;
        let by_bot = publish.assignees.iter().any(|name| is_merge_bot(name)) || publish.auto_merge;
        match open {
            Some(open) => open.merging,
            None => by_bot && self.now.publisher.forge.route(&RequestDraft::default()).by_push_alone,
        }
    }

    fn conflicts(&self, head: &CommitId, open: Option<&ForgeRequest>) -> Result<bool, PublishError> {
        if open.is_some_and(|open| open.conflicts) {
            return Ok(true);
        }
        if !self.now.scratch.has(head) {
            return Ok(false);
        }
        conflicts(self.now.maker.repository, self.now.tip, head)
    }

    fn push(
        &self,
        attempt: &Attempt<'_>,
        heads: &mut BTreeMap<BranchName, CommitId>,
        open: Option<ForgeRequest>,
        lease: PushLease,
    ) -> Result<Delivered, PublishError> {
        let forge = &self.now.publisher.forge;
        let draft = attempt.draft(self, matches!(lease, PushLease::At(_)) || attempt.was_pushed());
        let mut route = forge.route(&draft);
        if self.mode() != PublishMode::MergeRequest || open.is_some() {
            route.options.clear();
            route.reference = route.reference.filter(|_| self.mode() == PublishMode::MergeRequest);
        }
        let to = attempt.made.tip.clone();
        let (reference, lease) = match route.reference {
            Some(reference) => (reference, PushLease::Forward),
            None => (format!("refs/heads/{}", attempt.branch), lease),
        };
        let update = PushUpdate { reference, to: Some(to.clone()), lease };
        let pushed = match self.now.scratch.push(&[update], &route.options) {
            Ok(pushed) => pushed,
            Err(crate::git::PushFailure::Refused { refusal: PushRefusal::NothingNew, .. }) => {
                return self.requested(attempt, open, to, RequestStatus::Open);
            }
            Err(failure) => return Err(PublishError::of_push(attempt.branch.as_str(), failure)),
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
            memory.request = memory.request.take().or(answer.request);
        }
        Ok(delivered)
    }

    /// Sees that there is a request of the branch, and that its words are those of today.
    fn requested(
        &self,
        attempt: &Attempt<'_>,
        open: Option<ForgeRequest>,
        head: CommitId,
        status: RequestStatus,
    ) -> Result<Delivered, PublishError> {
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
                if ours && lasting(&open.body) != lasting(&draft.body) {
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
    fn commit_to_base(&self, request: &PlannedRequest, facts: &BodyFacts<'_>) -> Result<Delivered, PublishError> {
        let made = self.make(request, self.now.tip, None)?;
        let refused = made.refused.clone();
        if made.subjects.is_empty() {
            return Ok(Delivered { report: None, memory: None, refused, failure: None });
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
            pushed.map_err(|failure| PublishError::of_push(self.now.base.as_str(), failure))?;
        }
        Ok(Delivered { report: Some(report), memory: None, refused, failure: None })
    }

    /// What becomes of a branch of ours of a request that has nothing to change any more.
    pub(super) fn settle(
        &self,
        unit: &str,
        branch: &BranchName,
        heads: &mut BTreeMap<BranchName, CommitId>,
        known: Option<&RequestMemory>,
    ) -> Result<Option<RequestReport>, PublishError> {
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
                ..report(known.map_or(RequestStatus::Open, |known| known.status))
            }));
        }
        // Where nobody ever pushed with this memory, an empty branch is still ours by what it holds: nothing.
        if !self.now.publisher.dry_run && (known.is_some() || head != *tip) {
            self.remove(branch, &head)?;
            heads.remove(branch);
        }
        Ok(Some(report(RequestStatus::Merged)))
    }

    fn remove(&self, branch: &BranchName, head: &CommitId) -> Result<(), PublishError> {
        let reference = format!("refs/heads/{branch}");
        let update = PushUpdate { reference, to: None, lease: PushLease::At(head.clone()) };
        let removed = self.now.scratch.push(&[update], &[]);
        removed.map(drop).map_err(|failure| PublishError::of_push(branch.as_str(), failure))
    }
}

/// One request on its way.
struct Attempt<'r> {
    request: &'r PlannedRequest,
    facts: &'r BodyFacts<'r>,
    branch: BranchName,
    made: MadeCommits,
    known: Option<RequestMemory>,
}

impl Attempt<'_> {
    fn was_pushed(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.commit.is_some())
    }

    fn report(&self, delivery: &Delivery<'_, '_>, status: RequestStatus) -> RequestReport {
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

    fn draft(&self, delivery: &Delivery<'_, '_>, again: bool) -> RequestDraft {
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
    fn planned(&self, delivery: &Delivery<'_, '_>, open: Option<&ForgeRequest>) -> Delivered {
        let report = RequestReport {
            commit: Some(self.made.tip.clone()),
            body: Some(self.request.body(self.facts)),
            ..self.report(delivery, RequestStatus::Planned)
        };
        self.delivered(report, open, None)
    }

    /// The branch is there, and the request is not.
    fn unrequested(&self, delivery: &Delivery<'_, '_>, head: CommitId, error: PublishError) -> Delivered {
        let reason = Some(error.to_string());
        let report =
            RequestReport { commit: Some(head.clone()), reason, ..self.report(delivery, RequestStatus::Failed) };
        let mut delivered = self.delivered(report, None, Some(head));
        if let Some(memory) = &mut delivered.memory {
            memory.unrequested = true;
        }
        Delivered { failure: Some(error), ..delivered }
    }

    fn delivered(&self, report: RequestReport, request: Option<&ForgeRequest>, commit: Option<CommitId>) -> Delivered {
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
        Delivered { report: Some(report), memory: Some(memory), refused: self.made.refused.clone(), failure: None }
    }
}
