//! Publishing a branch's tracked refs: what there is, what of it may be published, and one request after another.

mod delivery;
mod turns;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::candidate::{CandidateCheck, CandidateJudge};
use super::commits::{CommitMaker, TrackedFile, commit_id};
use super::forge::Forge;
use super::memory::{PublishMemory, RequestMemory};
use super::readiness::Readiness;
use super::request::{BodyFacts, PlannedRequest, planned};
use super::reverted::reverted;
use super::selection::UpdatePolicy;
use super::sign::CommitSigner;
use super::update::updates_of;
use super::{PublicationError, RequestDraft};
use crate::config::{ProjectConfig, PublishMode};
use crate::git::{Git, GitAccess, RemoteRepository, ScratchRepository};
use crate::json_file::JsonFile;
use crate::names::{BranchName, CommitId, ElementName};
use crate::pipeline::{PreparedFiles, changed_files};
use crate::project::Branch;
use crate::report::{HeldRef, HoldCause, HoldReport, PublicationReport, RequestReport, RequestStatus, TrackedRef};
use crate::state::StateError;

use delivery::{Delivered, RequestDelivery, Situation};
use turns::{Turn, ordered, turn};

/// Publishes tracked refs of a project's branches.
#[derive(Debug)]
#[non_exhaustive]
pub struct Publisher<'a> {
    /// The project.
    pub project: &'a ProjectConfig,
    /// What runs git.
    pub git: Git<'a>,
    /// Where requests go.
    pub forge: Arc<dyn Forge>,
    /// This host's name, for the author where none is configured.
    pub host: &'a str,
    /// The moment.
    pub now: Timestamp,
    /// A directory of ours in which nothing else is, for what is needed only meanwhile.
    pub temporary: &'a Path,
    /// The file in which it is remembered what was published.
    pub memory: PathBuf,
    /// Where the sources are known to be, in words.
    pub cached_in: &'a str,
    /// What is asked whether the project still loads, before anything is pushed; nothing is asked without it.
    pub check: Option<&'a dyn CandidateCheck>,
    /// Push nothing, and say what would be.
    pub dry_run: bool,
    /// Publish whatever `schedule` says.
    pub at_once: bool,
}

/// A branch's checkout after tracking, and what is known of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct TrackedCheckout<'t> {
    /// The branch.
    pub branch: &'t Branch<'t>,
    /// The project's directory in the checkout.
    pub directory: &'t Path,
    /// What was prepared in the checkout, which is none of tracking's; none where nothing was.
    pub prepared: Option<&'t PreparedFiles>,
    /// The refs that tracking found, with since when they are known.
    pub tracked: &'t [TrackedRef],
    /// Of which elements the sources are known to be cached.
    pub readiness: &'t Readiness,
    /// What tracking found and the checkout does not have, for nothing loads with it.
    pub taken_back: &'t [HeldRef],
    /// Elements that could not be tracked, and why.
    pub untracked: &'t [(ElementName, String)],
    /// What is not tracked, for it is held.
    pub holds: &'t [HoldReport],
}

/// What publishing came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Publication {
    /// The report.
    pub report: PublicationReport,
    /// What went wrong, by the unit that it is about; none where that is not one.
    pub failures: Vec<(Option<String>, PublicationError)>,
    /// Remarks.
    pub notes: Vec<String>,
    /// Why nothing was done.
    pub skipped: Option<String>,
}

impl Publisher<'_> {
    /// Publishes what of a branch's tracked refs may be published.
    pub fn publish(&self, checkout: &TrackedCheckout<'_>) -> Publication {
        let (mut memory, unread) = self.memory(checkout);
        let base = self.base(checkout);
        let mut publication = self.attempt(checkout, &base, &mut memory);
        if publication.failures.iter().any(|(_, error)| error.is_stale()) {
            // Somebody was faster: what they did is looked at, once.
            publication = self.attempt(checkout, &base, &mut memory);
        }
        publication.failures.extend(unread.map(|error| (None, error.into())));
        self.save(&memory, &mut publication);
        publication
    }

    /// Only remembers what may be published, for whoever publishes it later.
    pub fn postpone(&self, checkout: &TrackedCheckout<'_>, reason: &str) -> Publication {
        let (memory, unread) = self.memory(checkout);
        let mut publication = self.nothing(&self.base(checkout));
        publication.skipped = Some(reason.to_owned());
        publication.report.requests = memory.requests.iter().map(|known| self.remembered(known)).collect();
        publication.failures.extend(unread.map(|error| (None, error.into())));
        self.save(&memory, &mut publication);
        publication
    }

    fn base(&self, checkout: &TrackedCheckout<'_>) -> BranchName {
        self.project.publish.base.clone().unwrap_or_else(|| checkout.branch.name().clone())
    }

    /// What is remembered, with what the checkout has; and why that could not be read.
    fn memory(&self, checkout: &TrackedCheckout<'_>) -> (PublishMemory, Option<StateError>) {
        let file = JsonFile::<PublishMemory>::at(&self.memory);
        let (known, unread) = if self.dry_run { (file.read().ok().flatten(), None) } else { file.load() };
        let known = known.unwrap_or_else(PublishMemory::new);
        let (commit, readiness) = (Some(checkout.branch.commit().clone()), checkout.readiness.clone());
        (PublishMemory { commit, readiness, ..known }, unread)
    }

    fn nothing(&self, base: &BranchName) -> Publication {
        Publication {
            report: PublicationReport { dry_run: self.dry_run, ..PublicationReport::new(base.clone()) },
            failures: Vec::new(),
            notes: Vec::new(),
            skipped: None,
        }
    }

    fn attempt(&self, checkout: &TrackedCheckout<'_>, base: &BranchName, memory: &mut PublishMemory) -> Publication {
        let mut publication = self.nothing(base);
        if let Err(error) = self.work(checkout, memory, &mut publication) {
            publication.failures.push((None, error));
        }
        publication
    }

    fn save(&self, memory: &PublishMemory, publication: &mut Publication) {
        if self.dry_run {
            return;
        }
        if let Err(error) = JsonFile::<PublishMemory>::at(&self.memory).save(memory) {
            publication.failures.push((None, error.into()));
        }
    }

    fn work(
        &self,
        checkout: &TrackedCheckout<'_>,
        memory: &mut PublishMemory,
        publication: &mut Publication,
    ) -> Result<(), PublicationError> {
        let config = &self.project.publish;
        let due = config.schedule.as_ref().map(|schedule| schedule.last_before(self.now));
        if let (Some(due), Some(last)) = (due, memory.published)
            && due <= last
            && !self.dry_run
            && !self.at_once
        {
            publication.skipped = Some(format!(
                "schedule = \"{}\": not yet",
                config.schedule.as_ref().map_or_else(String::new, ToString::to_string)
            ));
            publication.report.requests = memory.requests.iter().map(|known| self.remembered(known)).collect();
            return Ok(());
        }
        let inside = inside(checkout)?;
        let changed = changed_files(checkout.directory, checkout.prepared)?;
        let updates = updates_of(checkout.directory, &inside, &changed, checkout.tracked)?;
        let files: BTreeMap<PathBuf, TrackedFile> = changed
            .into_iter()
            .map(|file| (inside.join(&file.path), TrackedFile { old: file.old, new: file.new }))
            .collect();
        let has_variants = self.project.variants.len() > 1;
        let policy = UpdatePolicy { config, readiness: checkout.readiness, now: self.now, has_variants };
        let mut selected = policy.select(updates, &self.project.groups);
        publication.report.held.extend(checkout.taken_back.iter().cloned());
        publication.report.held.append(&mut selected.held);
        let plan = planned(selected.components, config, &publication.report.base)?;
        self.deliver(checkout, &files, plan, memory, publication)?;
        if publication.failures.is_empty() {
            memory.published = Some(self.now);
        }
        Ok(())
    }

    fn deliver(
        &self,
        checkout: &TrackedCheckout<'_>,
        files: &BTreeMap<PathBuf, TrackedFile>,
        plan: Vec<PlannedRequest>,
        memory: &mut PublishMemory,
        publication: &mut Publication,
    ) -> Result<(), PublicationError> {
        let scratch = self.scratch(checkout)?;
        let mut heads = scratch.remote_refs()?.branches;
        let base = publication.report.base.clone();
        let tip = heads.get(&base).cloned().ok_or_else(|| PublicationError::NoBase { base: base.to_string() })?;
        if !scratch.has(&tip) {
            scratch.fetch(&[&format!("refs/heads/{base}")])?;
        }
        publication.report.base_commit = Some(tip.clone());
        let repository = scratch.open()?;
        let date = repository.find_commit(git2::Oid::from_str(tip.as_str())?)?.time().seconds();
        let signer = self.signer(&scratch, date)?;
        let sign = |content: &str| signer.as_ref().map_or_else(|| Ok(String::new()), |signer| signer.sign(content));
        let config = &self.project.publish;
        let author = self.author();
        let maker = CommitMaker {
            repository: &repository,
            files,
            format: config.format,
            author: author.clone(),
            date,
            subject: &config.commit_subject,
            base: &base,
            change_ids: self.forge.route(&RequestDraft::default()).change_ids,
            sign: signer.is_some().then_some(&sign),
        };
        let plan = without_reverted(&repository, &tip, plan, publication)?;
        let judge = CandidateJudge::new(self.check, checkout.branch.commit());
        let situation =
            Situation { publisher: self, scratch: &scratch, maker: &maker, judge: &judge, base: &base, tip: &tip };
        let delivery = RequestDelivery::new(situation);
        self.tidy(&delivery, &plan, &mut heads, memory, publication);
        // Those that are there come first.
        let mut open = 0;
        for request in ordered(plan, &heads, memory) {
            if self.git.context.cancel.is_cancelled() {
                return Err(crate::git::GitError::Cancelled.into());
            }
            let is_new = turn(&request, &heads, memory) == Turn::New;
            if is_new && config.max_open.is_some_and(|most| open >= most) {
                publication.report.requests.push(self.waiting(&request, memory));
                continue;
            }
            let facts = BodyFacts {
                cached_in: self.cached_in,
                seen: self.now.strftime("%Y-%m-%d %H:%M UTC").to_string(),
                held: &publication.report.held,
                untracked: checkout.untracked,
                holds: checkout.holds,
            };
            let known = memory.requests.get(&request.unit).cloned();
            let delivered = delivery.deliver(&request, &facts, &mut heads, known);
            let status = delivered.as_ref().map_or(Some(RequestStatus::Failed), Delivered::status);
            open += usize::from(!matches!(status, None | Some(RequestStatus::Closed | RequestStatus::Merged)));
            match delivered {
                Ok(delivered) => {
                    publication.report.held.extend(delivered.held);
                    match delivered.memory {
                        Some(remember) => drop(memory.requests.insert(request.unit.clone(), remember)),
                        None => drop(memory.requests.remove(&request.unit)),
                    }
                    publication.report.requests.extend(delivered.report);
                    publication.failures.extend(delivered.failure.map(|error| (Some(request.unit.clone()), error)));
                }
                Err(error) => {
                    publication.report.requests.push(RequestReport {
                        branch: request.branch.clone(),
                        elements: request.elements(),
                        title: request.title(config, &base),
                        reason: Some(error.to_string()),
                        ..RequestReport::new(&request.unit, RequestStatus::Failed)
                    });
                    publication.failures.push((Some(request.unit.clone()), error));
                }
            }
            // What was pushed is remembered before the next is.
            self.save(memory, publication);
        }
        Ok(())
    }

    /// Removes branches of ours of requests that have nothing left to change, for they were merged.
    fn tidy(
        &self,
        delivery: &RequestDelivery<'_, '_>,
        plan: &[PlannedRequest],
        heads: &mut BTreeMap<BranchName, CommitId>,
        memory: &mut PublishMemory,
        publication: &mut Publication,
    ) {
        let bundle = super::branches::branch_name(self.project.publish.branch_form(), delivery.base(), "bundle").ok();
        let bundle = bundle.filter(|_| self.project.publish.mode != PublishMode::Commit).map(|branch| {
            let memory = memory.requests.get("bundle").cloned();
            ("bundle".to_owned(), memory.map_or(branch, |known| known.branch))
        });
        let known = memory.requests.iter().map(|(unit, known)| (unit.clone(), known.branch.clone()));
        let gone: BTreeMap<String, BranchName> =
            known.chain(bundle).filter(|(unit, _)| plan.iter().all(|request| request.unit != *unit)).collect();
        for (unit, branch) in gone {
            match delivery.settle(&unit, &branch, heads, memory.requests.get(&unit)) {
                Ok(Some(report)) => {
                    if report.status == RequestStatus::Merged {
                        memory.requests.remove(&unit);
                    }
                    publication.report.requests.push(report);
                }
                Ok(None) => drop(memory.requests.remove(&unit)),
                Err(error) => publication.failures.push((Some(unit), error)),
            }
        }
    }

    /// A request that waits for its turn.
    fn waiting(&self, request: &PlannedRequest, memory: &mut PublishMemory) -> RequestReport {
        let since = memory.requests.get(&request.unit).and_then(|known| known.waits_since).unwrap_or(self.now);
        if let Some(branch) = request.branch.clone() {
            let remember = RequestMemory {
                branch,
                commit: None,
                digest: request.digest(),
                request: None,
                url: None,
                status: RequestStatus::Waiting,
                waits_since: Some(since),
                unrequested: false,
            };
            memory.requests.insert(request.unit.clone(), remember);
        }
        let most = self.project.publish.max_open.unwrap_or_default();
        RequestReport {
            branch: request.branch.clone(),
            elements: request.elements(),
            reason: Some(format!("max-open = {most}: it waits since {}", since.strftime("%Y-%m-%d %H:%M UTC"))),
            ..RequestReport::new(&request.unit, RequestStatus::Waiting)
        }
    }

    fn scratch<'t>(&self, checkout: &TrackedCheckout<'t>) -> Result<ScratchRepository<'t>, PublicationError> {
        let publish = &self.project.publish;
        let url = publish.push_url.as_deref().unwrap_or(&self.project.url);
        let own = &self.project.git;
        let token_file = own.token_file.clone().or_else(|| publish.token_file.clone());
        let has_token = token_file.is_some();
        let remote = RemoteRepository::new(url, &GitAccess { token_file, ..own.clone() })?;
        let given = if has_token { None } else { self.forge.push_credential()? };
        let remote = match given {
            Some((user, password)) => remote.with_credential(&user, password),
            None => remote,
        };
        fs::create_dir_all(self.temporary)?;
        let directory = self.temporary.join("publish");
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        Ok(checkout.branch.project().scratch(remote, &directory)?)
    }

    fn signer<'t>(
        &self,
        scratch: &ScratchRepository<'t>,
        date: i64,
    ) -> Result<Option<CommitSigner<'t>>, PublicationError> {
        let Some(key) = &self.project.publish.signing_key else { return Ok(None) };
        CommitSigner::new(scratch.git(), scratch.beside("signing"), key, date).map(Some)
    }

    /// A request as it was after the last time.
    fn remembered(&self, (unit, known): (&String, &RequestMemory)) -> RequestReport {
        let status = if known.status == RequestStatus::Pushed { self.standing() } else { known.status };
        RequestReport {
            branch: Some(known.branch.clone()),
            url: known.url.clone(),
            commit: known.commit.clone(),
            ..RequestReport::new(unit, status)
        }
    }

    /// How a request is whose branch is as it should be, as far as that is known here.
    fn standing(&self) -> RequestStatus {
        let by_push = self.project.publish.mode == PublishMode::MergeRequest
            && self.forge.route(&RequestDraft::default()).by_push_alone;
        if by_push { RequestStatus::Unknown } else { RequestStatus::Open }
    }

    /// Name and address of who makes the commits.
    fn author(&self) -> (String, String) {
        let given = self.project.publish.author.as_deref();
        let parts = given.and_then(|author| author.strip_suffix('>')?.rsplit_once(" <"));
        let given = parts.map(|(name, address)| (name.trim().to_owned(), address.to_owned()));
        given.unwrap_or_else(|| ("bst-fetcher".to_owned(), format!("bst-fetcher@{}", self.host)))
    }
}

/// Leaves out what somebody took back on the base, which is held back.
fn without_reverted(
    repository: &git2::Repository,
    tip: &CommitId,
    plan: Vec<PlannedRequest>,
    publication: &mut Publication,
) -> Result<Vec<PlannedRequest>, PublicationError> {
    let mut kept = Vec::new();
    for request in plan {
        let found = reverted(repository, tip, &request.components.iter().collect::<Vec<_>>())?;
        publication.report.held.extend(request.held(&found, HoldCause::Reverted));
        kept.extend(Some(request.without(&found)).filter(|request| !request.components.is_empty()));
    }
    Ok(kept)
}

/// Where the project lies in its repository.
fn inside(checkout: &TrackedCheckout<'_>) -> Result<PathBuf, PublicationError> {
    let repository =
        git2::Repository::open_ext(checkout.directory, git2::RepositoryOpenFlags::empty(), [] as [&Path; 0])?;
    let head = commit_id(repository.head()?.peel_to_commit()?.id())?;
    if head != *checkout.branch.commit() {
        let message = format!("the checkout is of {head}, and not of the tip {}", checkout.branch.commit());
        return Err(PublicationError::Internal(message));
    }
    let top = repository.workdir().unwrap_or(checkout.directory).canonicalize()?;
    let project = checkout.directory.canonicalize()?;
    Ok(project.strip_prefix(&top).map(Path::to_owned).unwrap_or_default())
}
