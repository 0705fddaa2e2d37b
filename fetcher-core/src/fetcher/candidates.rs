//! Whether a project still loads with what is about to be published: asked of the real bst, in a checkout of the commit
//! that is about to be pushed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use super::branch::variants;
use crate::bst::Bst;
use crate::config::VariantConfig;
use crate::diagnosis::{Actor, Diagnosis, FailureKind, Retry};
use crate::git::ScratchRepository;
use crate::names::{CommitId, ElementName};
use crate::pipeline::{
    ElementChoice, Pipeline, PipelineDirectories, PipelineSession, Preparation, PreparedFiles, pushes_sources,
};
use crate::project::{Branch, BranchCheckout};
use crate::publish::{CandidateCheck, CandidateFindings};
use crate::report::{Outcome, StageReport};
use crate::runner::RunContext;

/// Loads a branch's project at commits that are nowhere but in a scratch repository.
pub(super) struct CandidateLoader<'c> {
    pub(super) branch: &'c Branch<'c>,
    pub(super) bst: &'c Bst,
    pub(super) context: RunContext<'c>,
    /// Where the checkout of a commit is made.
    pub(super) place: PathBuf,
    /// Where bst works, but for the project and its repository's objects, which are those of a commit.
    pub(super) directories: PipelineDirectories,
    /// Whether sources may be pushed to the caches that are configured.
    pub(super) may_push: bool,
    /// How long what was done may stand for doing it again.
    pub(super) refresh_after: Duration,
    /// Held while `bst` runs, where no two may run at once.
    pub(super) one_at_a_time: Option<&'c Mutex<()>>,
}

impl std::fmt::Debug for CandidateLoader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CandidateLoader").field("branch", self.branch).finish_non_exhaustive()
    }
}

impl CandidateCheck for CandidateLoader<'_> {
    fn check(
        &self,
        scratch: &ScratchRepository<'_>,
        commit: &CommitId,
        elements: &BTreeSet<ElementName>,
        moved: bool,
    ) -> Result<CandidateFindings, Box<Diagnosis>> {
        let checkout = self.branch.project().checkout_of(scratch, commit, &self.place);
        let checkout = checkout.map_err(|error| Box::new(error.diagnosis()))?;
        let objects = Some(scratch.objects());
        let directories = PipelineDirectories {
            project: checkout.directory.clone(),
            objects,
            logs: self.directories.logs.join("candidate"),
            ..self.directories.clone()
        };
        let prepared = self.prepared(commit, &checkout, &directories)?;
        let pipeline = self.pipeline(commit, directories, prepared.as_ref());
        let mut found = CandidateFindings::default();
        for variant in variants(self.branch.project().config()) {
            self.load(&pipeline, variant, elements, moved, &mut found)?;
            if found.load.is_some() {
                break;
            }
        }
        Ok(found)
    }
}

impl CandidateLoader<'_> {
    /// Has bst list everything; and, where nobody has done so on this base, put the sources of some elements together: in
    /// the cache, where whoever builds the commit looks for them.
    fn load(
        &self,
        pipeline: &Pipeline<'_>,
        variant: Option<&VariantConfig>,
        elements: &BTreeSet<ElementName>,
        moved: bool,
        found: &mut CandidateFindings,
    ) -> Result<(), Box<Diagnosis>> {
        let with = variant.map(|variant| format!(" (with {})", variant.name)).unwrap_or_default();
        let mut session = pipeline.session(variant, |_| ())?;
        let listed = match session.inventory() {
            Ok(inventory) => inventory.elements,
            Err(failures) => {
                if let Some(failure) = failures.iter().find(|failure| says_nothing(failure)) {
                    return Err(Box::new(failure.clone()));
                }
                let reason = failures.first().map_or("bst does not say why", first_line);
                found.load = Some(format!("{reason}{with}"));
                return Ok(());
            }
        };
        let wanted: BTreeSet<_> = listed.into_iter().filter(|known| known.has_refs).map(|known| known.name).collect();
        let wanted: BTreeSet<_> = wanted.intersection(elements).cloned().collect();
        if !moved || wanted.is_empty() {
            return Ok(());
        }
        let report = self.sources(&mut session, wanted);
        for failure in report.failures {
            match &failure.element {
                Some(element) if !says_nothing(&failure) => {
                    found.sources.entry(element.clone()).or_insert_with(|| format!("{}{with}", first_line(&failure)));
                }
                _ => return Err(Box::new(failure)),
            }
        }
        Ok(())
    }

    /// Gets the sources of some elements into the caches: their patches are applied on the way.
    fn sources(&self, session: &mut PipelineSession<'_, '_>, elements: BTreeSet<ElementName>) -> StageReport {
        let elements: ElementChoice = elements.into_iter().collect();
        if self.may_push && pushes_sources(self.branch.project().config()) {
            let report = session.push(elements.clone());
            if report.outcome != Outcome::Skipped {
                return report;
            }
        }
        session.fetch(elements)
    }

    /// Prepares the checkout, where the project wants that.
    fn prepared(
        &self,
        commit: &CommitId,
        checkout: &BranchCheckout,
        directories: &PipelineDirectories,
    ) -> Result<Option<PreparedFiles>, Box<Diagnosis>> {
        let project = self.branch.project().config();
        if project.prepare.is_empty() {
            return Ok(None);
        }
        let preparation = Preparation {
            project,
            commit,
            context: self.context,
            directory: &checkout.directory,
            tree: &checkout.tree,
            objects: directories.objects.as_deref(),
            temporary: &directories.temporary,
            run: &directories.run,
            logs: &directories.logs,
            again: false,
        };
        let (report, prepared) = preparation.run();
        match report.failures.into_iter().next() {
            Some(failure) => Err(Box::new(failure)),
            None => Ok(prepared),
        }
    }

    fn pipeline<'p>(
        &'p self,
        commit: &'p CommitId,
        directories: PipelineDirectories,
        prepared: Option<&'p PreparedFiles>,
    ) -> Pipeline<'p> {
        Pipeline {
            project: self.branch.project().config(),
            branch: self.branch.name(),
            commit,
            bst: self.bst,
            context: self.context,
            directories,
            prepared,
            one_at_a_time: self.one_at_a_time,
            refresh_after: self.refresh_after,
            done_in_run: None,
            probing: None,
            clean_client_every: None,
            local_cache: None,
        }
    }
}

impl Drop for CandidateLoader<'_> {
    fn drop(&mut self) {
        // What is left of it goes with the run's temporary directory.
        let _ = std::fs::remove_dir_all(&self.place);
    }
}

/// Whether a failure says nothing of the commit: it may pass, or it is this host's.
fn says_nothing(failure: &Diagnosis) -> bool {
    let is_of_host = failure.actor == Actor::Host && failure.kind != FailureKind::Unknown;
    failure.retry == Retry::Yes || failure.kind == FailureKind::Interrupted || is_of_host
}

fn first_line(failure: &Diagnosis) -> &str {
    failure.message.lines().next().unwrap_or_default()
}
