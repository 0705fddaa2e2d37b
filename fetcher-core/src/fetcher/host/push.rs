//! The source caches that are pushed to.

use std::io;
use std::time::Duration;

use super::{HostCheck, Preflight, place};
use crate::bst::{Bst, probe};
use crate::config::{AllowFailure, DependencyScope, ProjectConfig, PushMode, SourceCacheConfig};
use crate::names::{BranchName, CommitId, Refs, Stage};
use crate::pipeline::{Pipeline, PipelineDirectories};
use crate::report::{Outcome, StageReport};
use crate::state::ElementMemory;

/// How long a push of a few bytes may take; a dead remote costs 19 s with BuildStream's own settings.
const TIMEOUT: Duration = Duration::from_secs(120);

impl Preflight<'_> {
    /// Whether each of a project's source caches that are pushed to takes a push. It is `bst source push` itself that
    /// tells, on a project of one file: so credentials, certificates, instance names and space are all tried.
    pub(super) fn push_remotes(&self, project: &ProjectConfig, bst: &Bst) -> Vec<HostCheck> {
        let name = |cache: &str| format!("push of {} to {cache}", project.name);
        let caches: Vec<_> = project.source_caches.iter().filter(|cache| cache.push).collect();
        match project.push {
            PushMode::Never => return Vec::new(),
            PushMode::Always if caches.is_empty() => {
                let found = "only the project's own configuration can name a cache that takes pushes";
                return vec![HostCheck::warn(name("?"), found, "a run shows whether it does")];
            }
            PushMode::Auto | PushMode::Always => {}
        }
        if !caches.is_empty() && !bst.dialect().can_push() {
            let hint = "sources are tracked and fetched only; `push = false` says that this is meant";
            return vec![HostCheck::warn(name("any cache"), format!("bst {} cannot push sources", bst.version), hint)];
        }
        let check = |(number, cache): (usize, &SourceCacheConfig)| {
            let name = name(&cache.url);
            match self.push(number, project, cache, bst) {
                Ok(report) => judge(name, &report),
                Err(error) => HostCheck::fail(name, error.to_string(), "make $TMPDIR, or /tmp, writable"),
            }
        };
        caches.into_iter().enumerate().map(check).collect()
    }

    fn push(
        &self,
        number: usize,
        project: &ProjectConfig,
        cache: &SourceCacheConfig,
        bst: &Bst,
    ) -> io::Result<StageReport> {
        let directory = place(self.temporary, "push", &project.name).join(number.to_string());
        // Never the same, for what a cache has already is not pushed.
        let content = format!("{} {}\n", self.context.clock.now(), std::process::id());
        probe::write_project(&directory.join("project"), bst.dialect(), &content)?;
        let project = ProjectConfig {
            targets: vec![probe::ELEMENT.to_owned()],
            deps: DependencyScope::None,
            except: Vec::new(),
            cross_junctions: false,
            options: std::collections::BTreeMap::new(),
            variants: Vec::new(),
            refs: std::collections::BTreeSet::from([Refs::Committed]),
            track: false,
            fetch: false,
            push: PushMode::Always,
            verify: true,
            timeout: TIMEOUT,
            retries: 0,
            allow_failure: AllowFailure::default(),
            source_caches: vec![SourceCacheConfig { push: true, ..cache.clone() }],
            ..project.clone()
        };
        let branch = BranchName::try_from("check".to_owned()).map_err(io::Error::other)?;
        let commit = CommitId::try_from("0".repeat(40)).map_err(io::Error::other)?;
        let pipeline = Pipeline {
            project: &project,
            branch: &branch,
            commit: &commit,
            bst,
            context: self.context,
            directories: PipelineDirectories {
                project: directory.join("project"),
                cachedir: directory.join("cachedir"),
                sourcedir: directory.join("sources"),
                temporary: self.temporary.join("bst"),
                objects: None,
                run: directory.clone(),
                logs: directory.join("logs"),
            },
            prepared: None,
            one_at_a_time: None,
            refresh_after: Duration::ZERO,
            probing: None,
            done_in_run: None,
            clean_client_every: None,
            local_cache: None,
        };
        let mut memory = ElementMemory::default();
        let stages = pipeline.run(Refs::Committed, None, &mut memory, &mut |_| {});
        // Where bst could not even begin, it is another stage that says why.
        let failed = stages.iter().find(|stage| !stage.failures.is_empty());
        let push = failed.or(stages.iter().find(|stage| stage.stage == Stage::Push));
        push.cloned().ok_or_else(|| io::Error::other("nothing was pushed"))
    }
}

fn judge(name: String, report: &StageReport) -> HostCheck {
    match (report.outcome, report.failures.first(), report.elements.processed) {
        (_, Some(failure), _) => HostCheck::diagnosed(name, failure),
        (Outcome::Ok, None, 1..) => HostCheck::ok(name, format!("took a source in {:.1} s", report.seconds)),
        (Outcome::Ok, None, 0) => {
            HostCheck::fail(name, "bst skipped the push", "see whether the cache is full or read-only")
        }
        (outcome @ (Outcome::Skipped | Outcome::Partial | Outcome::Failed | Outcome::Interrupted), None, _) => {
            let why = report.skipped.as_deref().or(report.notes.first().map(String::as_str)).unwrap_or_default();
            HostCheck::fail(name, format!("{}: {why}", outcome.as_str()), "try `bst source push` by hand")
        }
    }
}
