//! Publishing what a run tracked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::branch::variants;
use super::branch_work::BranchWork;
use super::candidates::CandidateLoader;
use super::publish_failures::{finding, forge_failure, publish_failure};
use super::workers::{CacheTurns, WorkerPool};
use crate::address::AddressParts;
use crate::config::{ProjectConfig, PublishMode, VariantConfig};
use crate::diagnosis::Diagnosis;
use crate::git::Git;
use crate::names::{BranchName, ElementName, Refs, Stage};
use crate::project::{Branch, Project};
use crate::publish::{
    Forge, ForgeError, NoForge, Publication, Publisher, Readiness, TrackedCheckout, VariantReadiness, is_pushed_as,
};
use crate::report::{Event, HeldRef, Outcome, PublicationReport, RequestStatus, StageReport, TrackedRef};
use crate::runner::RunContext;
use crate::secret::{Redact as _, Redactor};
use crate::state::ElementMemory;

impl WorkerPool<'_> {
    /// Publishes what tracking found and what is known to be cached, as a stage of its own; none where nothing is to be
    /// published.
    pub(super) fn publish(
        &self,
        work: &mut BranchWork<'_>,
        slot: usize,
        turns: &CacheTurns,
        events: &mut dyn FnMut(Event),
    ) -> Option<PublicationReport> {
        let project = work.branch.project().config();
        if project.publish.mode == PublishMode::None
            || !self.selection.elements.is_empty()
            || self.context.cancel.is_cancelled()
        {
            return None;
        }
        let (name, branch) = (project.name.clone(), work.branch.name().clone());
        let stage = Stage::Publish;
        events(Event::StageStarted {
            project: name.clone(),
            branch: branch.clone(),
            variant: None,
            refs: None,
            stage,
            attempt: 1,
        });
        let began = Instant::now();
        let mut report = StageReport { attempts: 1, ..StageReport::new(stage, None, self.context.clock.now()) };
        // What is only remembered goes nowhere.
        let forge = if self.selection.no_publish {
            Ok(Arc::new(NoForge) as _)
        } else {
            self.fetcher.forge_of(project, self.context)
        };
        let publication = match forge {
            Ok(forge) => {
                let publication = self.published(work, slot, turns, forge);
                entered(&publication, &taken_back(&work.stages), &mut report);
                Some(publication.report)
            }
            Err(error) => {
                report.outcome = Outcome::Failed;
                report.failures.push(forge_failure(&error));
                None
            }
        };
        report.seconds = began.elapsed().as_secs_f64();
        events(Event::StageFinished { project: name, branch, report: report.clone() });
        work.stages.push(report);
        publication
    }

    /// Whether a branch of a project is one that this configuration pushes, by its name.
    pub(super) fn is_published_by_name(&self, project: &ProjectConfig, branch: &BranchName) -> bool {
        let same = self.fetcher.config.projects.iter().filter(|other| other.url == project.url);
        let mut publishing = same.filter(|other| other.publish.mode != PublishMode::None);
        publishing.any(|other| other.publish.branch_template().matches(branch.as_str()))
    }

    fn published(&self, work: &BranchWork<'_>, slot: usize, turns: &CacheTurns, forge: Arc<dyn Forge>) -> Publication {
        let project = work.branch.project().config();
        let cached_in = cached_in(project);
        let host = super::notifications::host_name();
        let directories = self.directories(slot, work);
        let check = CandidateLoader {
            branch: &work.branch,
            bst: &work.bst,
            context: self.context,
            place: self.temporary.join(format!("{slot}.candidate")),
            may_push: true,
            refresh_after: self.fetcher.config.refresh_after,
            one_at_a_time: turns.get(&directories.cachedir),
            directories,
        };
        let publisher = Publisher {
            project,
            git: Git { context: self.context, timeout: project.timeout, space: Some(self.space) },
            forge,
            host: &host,
            now: self.context.clock.now(),
            temporary: &self.temporary.join(slot.to_string()),
            memory: self.store.publish_path(&project.name, work.branch.name()),
            cached_in: &cached_in,
            check: Some(&check),
            dry_run: false,
            at_once: false,
        };
        // What goes to a forge passes the gate as all else does.
        let redactor = self.context.redactor;
        let untracked =
            untracked(&work.stages).into_iter().map(|(name, why)| (name, why.redacted(redactor))).collect::<Vec<_>>();
        let taken_back = taken_back(&work.stages);
        let holds = work.holds.clone().redacted(redactor);
        let readiness = without_secrets(readiness(project, work), &work.changes, redactor);
        let tracked = TrackedCheckout {
            branch: &work.branch,
            directory: &work.project,
            prepared: work.prepared.as_ref(),
            tracked: &work.changes,
            readiness: &readiness,
            taken_back: &taken_back,
            untracked: &untracked,
            holds: &holds,
        };
        if self.selection.no_publish {
            publisher.postpone(&tracked, "--no-publish")
        } else {
            publisher.publish(&tracked)
        }
    }
}

/// Whether a branch was pushed by this program, from any host, by the commits at its tip. One that cannot be looked at
/// is taken for any other, whose checkout says what is wrong.
pub(super) fn is_published(project: &Project<'_>, branch: &Branch<'_>) -> bool {
    /// As many commits of others may be on top.
    const MAX_COMMITS: usize = 50;
    let messages = project.messages(branch.commit(), MAX_COMMITS).unwrap_or_default();
    messages.iter().any(|message| is_pushed_as(message, branch.name()))
}

impl super::Fetcher {
    /// The forge to which a project's requests go.
    pub(super) fn forge_of(
        &self,
        project: &ProjectConfig,
        context: RunContext<'_>,
    ) -> Result<Arc<dyn Forge>, ForgeError> {
        match &self.forge {
            Some(forge) => Ok(Arc::clone(forge)),
            None => crate::publish::configured_forge(project, context),
        }
    }
}

/// Enters what publishing came to into the report of its stage.
/// `taken_back` was told of by the stage that tracked.
pub(super) fn entered(publication: &Publication, taken_back: &[HeldRef], report: &mut StageReport) {
    let requests = &publication.report.requests;
    report.skipped.clone_from(&publication.skipped);
    report.notes.extend(publication.notes.iter().cloned());
    report.failures.extend(publication.failures.iter().map(|(unit, error)| publish_failure(unit.as_deref(), error)));
    let held = publication.report.held.iter().filter(|held| !taken_back.contains(held));
    report.findings.extend(held.filter_map(finding::of_hold));
    report.findings.extend(requests.iter().filter_map(finding::of_request));
    let good = requests.iter().any(|request| request.status != RequestStatus::Failed);
    report.elements.total = requests.len() as u64;
    report.elements.processed =
        requests.iter().filter(|request| request.status == RequestStatus::Pushed).count() as u64;
    report.elements.failed = requests.iter().filter(|request| request.status == RequestStatus::Failed).count() as u64;
    report.elements.skipped = report.elements.total - report.elements.processed - report.elements.failed;
    report.outcome = match (report.failures.is_empty(), &report.skipped, good) {
        (true, Some(_), _) => Outcome::Skipped,
        (true, None, _) => Outcome::Ok,
        (false, _, true) => Outcome::Partial,
        (false, _, false) => Outcome::Failed,
    };
}

/// Where a project's sources are known to be, in words; of addresses the host alone.
pub(super) fn cached_in(project: &ProjectConfig) -> String {
    let pushed = project.source_caches.iter().filter(|cache| cache.push);
    let hosts: BTreeSet<_> =
        pushed.map(|cache| AddressParts::of_url(&cache.url).map_or("", |parts| parts.authority).to_owned()).collect();
    match hosts.len() {
        0 => "the local source cache".to_owned(),
        1 => format!("the source cache {}", hosts.into_iter().collect::<String>()),
        _ => format!("the source caches {}", hosts.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

/// What was taken back, for nothing loads with it. The stages that tracked have masked it.
fn taken_back(stages: &[StageReport]) -> Vec<HeldRef> {
    let mut held: Vec<HeldRef> = Vec::new();
    for of_stage in stages.iter().flat_map(|stage| &stage.held) {
        let same = |known: &HeldRef| (&known.element, &known.new) == (&of_stage.element, &of_stage.new);
        if !held.iter().any(same) {
            held.push(of_stage.clone());
        }
    }
    held
}

/// The elements that could not be tracked, and why.
fn untracked(stages: &[StageReport]) -> Vec<(ElementName, String)> {
    let failures = stages.iter().filter(|stage| stage.stage == Stage::Track).flat_map(|stage| &stage.failures);
    let first = |failure: &Diagnosis| failure.message.lines().next().unwrap_or_default().to_owned();
    failures.filter_map(|failure| Some((failure.element.clone()?, first(failure)))).collect()
}

/// Masks the reasons, and keeps back elements of which a ref holds a secret: a plugin may have put one there.
fn without_secrets(mut readiness: Readiness, changes: &[TrackedRef], redactor: &Redactor) -> Readiness {
    let told = |change: &&TrackedRef| {
        let new = change.change.new.clone();
        new.clone().redacted(redactor) != new
    };
    let telling: BTreeSet<_> = changes
        .iter()
        .filter(told)
        .flat_map(|change| std::iter::once(&change.change.element).chain(&change.change.shared_with))
        .collect();
    for variant in &mut readiness.variants {
        variant.unknown = variant.unknown.take().redacted(redactor);
        for reason in variant.missing.values_mut() {
            *reason = std::mem::take(reason).redacted(redactor);
        }
        for element in &telling {
            variant.ready.remove(*element);
            variant.missing.insert((*element).clone(), "its ref holds what is to be secret".to_owned());
        }
    }
    readiness
}

/// What is known to be cached, with each option set.
fn readiness(project: &ProjectConfig, work: &BranchWork<'_>) -> Readiness {
    let of = |variant: Option<&VariantConfig>| {
        let name = variant.map(|variant| variant.name.clone());
        let stages: Vec<_> = work.stages.iter().filter(|stage| stage.variant == name).collect();
        match work.memories.get(&name) {
            Some(memory) => VariantReadiness { variant: name, ..variant_readiness(project, &stages, memory) },
            None => VariantReadiness {
                variant: name,
                unknown: Some("nothing was done".to_owned()),
                ..VariantReadiness::default()
            },
        }
    };
    Readiness { variants: variants(project).into_iter().map(of).collect() }
}

fn variant_readiness(project: &ProjectConfig, stages: &[&StageReport], memory: &ElementMemory) -> VariantReadiness {
    let unknown = |reason: &str| VariantReadiness { unknown: Some(reason.to_owned()), ..VariantReadiness::default() };
    let tracked = || stages.iter().filter(|stage| stage.refs == Some(Refs::Tracked));
    let pushes = crate::pipeline::pushes_sources(project);
    if !project.fetch && !pushes {
        return unknown("sources are neither fetched nor pushed");
    }
    let track = stages.iter().find(|stage| stage.stage == Stage::Track);
    let blocked = |stage: &&StageReport| matches!(stage.outcome, Outcome::Failed | Outcome::Interrupted);
    if track.copied().is_some_and(|stage| blocked(&stage)) && tracked().all(|stage| stage.skipped.is_some()) {
        return unknown("tracking failed");
    }
    let failures: Vec<_> = tracked().flat_map(|stage| &stage.failures).collect();
    let failed = |element: &ElementName| failures.iter().find(|failure| failure.element.as_ref() == Some(element));
    let Some(settled) = &memory.settled else { return unknown("the run did not come so far") };
    let inventories = [&memory.committed, &memory.tracked].into_iter().flat_map(|refs| &refs.inventory);
    let listed = inventories.flat_map(|known| known.inventory.elements.iter().map(|element| &element.name));
    let failing = failures.iter().filter_map(|failure| failure.element.as_ref());
    // Where the caches were asked, what they say decides.
    let verify = tracked().find(|stage| stage.stage == Stage::Verify && stage.skipped.is_none());
    let proved: Option<BTreeSet<_>> = verify.map(|stage| stage.proved().collect());
    let unproved = |element| proved.as_ref().is_some_and(|proved| !proved.contains(element));
    let mut readiness = VariantReadiness::default();
    for element in listed.chain(settled.keys()).chain(failing).collect::<BTreeSet<_>>() {
        match (settled.get(element), failed(element)) {
            (Some(true), None) if unproved(element) => {
                readiness.missing.insert(element.clone(), "its sources are not proved to be in the cache".to_owned());
            }
            (Some(true), None) => drop(readiness.ready.insert(element.clone())),
            (_, failure) => {
                let reason = failure.and_then(|failure| failure.message.lines().next()).unwrap_or_default();
                readiness.missing.insert(element.clone(), reason.to_owned());
            }
        }
    }
    readiness
}
