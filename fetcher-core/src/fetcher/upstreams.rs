//! What a run asks upstreams, and what is remembered of tracking: shared by all that the run works on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::config::{ProbeConfig, ProbeMode, ProjectConfig};
use crate::free_space::FreeSpace;
use crate::git::Git;
use crate::json_file::StateError;
use crate::names::{ProjectName, Stage};
use crate::pipeline::TrackingMemory;
use crate::report::{RotFinding, RotUrgency, RunReport};
use crate::runner::RunContext;
use crate::secret::Redact as _;
use crate::state::StateStore;
use crate::upstream::{Prober, UpstreamAnswer, UpstreamQuestion, rot_file};

/// How long one answer may take that git gets.
const GIT_TIMEOUT: Duration = Duration::from_secs(120);

/// The upstreams of a run.
pub(super) struct RunUpstreams<'f> {
    config: &'f ProbeConfig,
    git: Git<'f>,
    directory: PathBuf,
    prober: Prober<'f>,
    unread: Option<StateError>,
    store: &'f StateStore,
    memories: Mutex<BTreeMap<ProjectName, Arc<Mutex<TrackingMemory>>>>,
}

impl<'f> RunUpstreams<'f> {
    /// Nobody has been asked yet. `directory` is one of ours, for what git writes.
    pub(super) fn new(
        config: &'f ProbeConfig,
        store: &'f StateStore,
        context: RunContext<'f>,
        space: &'f FreeSpace,
        directory: PathBuf,
    ) -> Self {
        let git = Git { context, timeout: GIT_TIMEOUT, space: Some(space) };
        let prober = Prober::new(config, git, directory.clone());
        // What cannot be read is read anew from its upstream.
        let (prober, unread) = prober.remembering(&store.directory().join("pages.json"));
        Self { unread, config, git, directory, prober, store, memories: Mutex::default() }
    }

    /// What asking came to, and the trouble to come that the answers tell of, with what of it could not be remembered.
    /// `whole` where the run was about everything that is configured.
    pub(super) fn conclude(self, report: &mut RunReport, whole: bool) -> Vec<StateError> {
        let RunContext { redactor, clock, .. } = self.git.context;
        let now = clock.now();
        let probes = self.prober.report();
        let mut failures: Vec<StateError> = self.unread.into_iter().collect();
        if probes.hosts.is_empty() {
            return failures;
        }
        report.probes = Some(probes.redacted(redactor));
        failures.extend(self.prober.save().err());
        let file = rot_file(self.store.directory());
        let (known, unread) = file.load();
        failures.extend(unread);
        let mut memory = known.unwrap_or_default();
        let mut rot = self.prober.find_rot(&mut memory, now);
        for finding in &mut rot {
            make_urgent(finding, report);
        }
        let rot = rot.redacted(redactor);
        // A run over some of it says nothing of the rest.
        if whole {
            memory.finish(&rot, now);
            failures.extend(file.save(&memory).err());
        }
        report.rot = rot;
        failures
    }

    pub(super) fn prober(&self) -> &Prober<'f> {
        &self.prober
    }

    /// Whether a project's upstreams are asked.
    pub(super) fn are_asked(&self, project: &ProjectConfig) -> bool {
        match project.probe.unwrap_or(self.config.mode) {
            ProbeMode::Auto => true,
            ProbeMode::Off => false,
        }
    }

    /// Asks once more, whoever asked before.
    pub(super) fn ask_again(&self, questions: &[UpstreamQuestion]) -> Vec<Arc<UpstreamAnswer>> {
        Prober::new(self.config, self.git, self.directory.clone()).ask(questions)
    }

    /// What is remembered of tracking a project, with what is wrong with the file where that cannot be read.
    pub(super) fn memory(
        &self,
        project: &ProjectName,
        now: Timestamp,
    ) -> (Arc<Mutex<TrackingMemory>>, Option<StateError>) {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(memory) = memories.get(project) {
            return (Arc::clone(memory), None);
        }
        let (known, failure) = TrackingMemory::file(self.store, project).load();
        let mut memory = known.unwrap_or_default();
        memory.forget_future(now);
        let memory = Arc::new(Mutex::new(memory));
        memories.insert(project.clone(), Arc::clone(&memory));
        (memory, failure)
    }

    /// Writes what was learnt of tracking a project, if anything was.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn save(
        &self,
        project: &ProjectName,
        memory: &Mutex<TrackingMemory>,
        now: Timestamp,
    ) -> Result<(), StateError> {
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        match memory.take_changed(now) {
            Some(changed) => TrackingMemory::file(self.store, project).save(changed),
            None => Ok(()),
        }
    }
}

/// What is trouble for an element whose sources could not be fetched is so today.
fn make_urgent(finding: &mut RotFinding, report: &RunReport) {
    if finding.urgency != RotUrgency::ThisWeek {
        return;
    }
    let is_nowhere = report.branches.iter().any(|branch| {
        let failures =
            branch.stages.iter().filter(|stage| stage.stage == Stage::Fetch).flat_map(|stage| &stage.failures);
        let failed: BTreeSet<_> = failures.filter_map(|failure| failure.element.as_ref()).collect();
        finding.users.iter().any(|user| {
            user.project == branch.project
                && Some(&user.branch) == branch.branch.as_ref()
                && failed.contains(&user.element)
        })
    });
    if is_nowhere {
        finding.urgency = RotUrgency::Today;
    }
}
