//! Bringing the site up to date, in an order in which links never lead to nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::log_preview::LogPreview;
use super::site::{
    ContentStamp, FileError, LogEntry, PageEntry, PublishedLogs, PublishedRun, RunEntry, SiteDirectory, text_beside,
};
use super::site_view::{BranchView, KnownRot, SiteView};
use super::{PublishError, PublishedSite, SitePublisher, branch, feed, index, log, run, status, text, upstreams};
use crate::atomic_file::write_atomic_with;
use crate::diagnosis::{Actor, Diagnosis, FailureKind, Location, Retry};
use crate::links::{LogForm, PageAddress};
use crate::names::{RunId, digest};
use crate::report::{BranchReport, RunReport, StageReport};
use crate::secret::Redact as _;
use crate::state::{BranchState, StateError};
use crate::upstream::RotMemory;

/// See [`super::publish`].
pub(super) fn publish(publish: &SitePublisher) -> Result<PublishedSite, PublishError> {
    let (site, broken) = SiteDirectory::open(publish.directory)?;
    let failures = broken.iter().map(StateError::diagnosis).collect();
    let mut work = PublishJob { publish, now: publish.clock.now(), site, reports: BTreeMap::new(), failures };
    for gone in work.site.manifest.pages.values_mut().filter_map(|page| page.gone.as_mut()) {
        // A clock was ahead.
        *gone = (*gone).min(work.now);
    }
    let stale = work.stale_runs();
    work.claim(&stale)?;
    let mut rewritten = Vec::new();
    for run in &stale {
        rewritten.extend(work.publish_run(run)?);
    }
    work.publish_pages(rewritten)?;
    work.remove_old();
    work.site.save()?;
    let SiteDirectory { written, unchanged, removed, unremoved, .. } = work.site;
    let unremoved = unremoved.into_iter().map(|(path, source)| PublishError::Remove { path, source }.diagnosis());
    Ok(PublishedSite { written, unchanged, removed, failures: work.failures.into_iter().chain(unremoved).collect() })
}

/// A page that is there and reachable, and may be written only when all that it links to is there.
type PendingPage = (PageAddress, String);

struct PublishJob<'a> {
    publish: &'a SitePublisher<'a>,
    now: Timestamp,
    site: SiteDirectory<'a>,
    /// Reports that were read, masked.
    reports: BTreeMap<RunId, RunReport>,
    failures: Vec<Diagnosis>,
}

impl PublishJob<'_> {
    /// The runs whose pages are not what they should be.
    fn stale_runs(&self) -> Vec<RunId> {
        let mut stale = self.publish.store.runs();
        stale.retain(|run| {
            let Some(report) = self.stamp(run) else { return false };
            let running = self.publish.running == Some(run);
            let known = self.site.manifest.runs.get(run);
            known.is_none_or(|known| known.report != Some(report) || known.running != running)
        });
        stale
    }

    /// The stamp of a run's report; none where it has none.
    fn stamp(&self, run: &RunId) -> Option<ContentStamp> {
        ContentStamp::of(&self.publish.store.report_path(run))
    }

    /// Writes down what is about to be made, before it is.
    fn claim(&mut self, runs: &[RunId]) -> Result<(), PublishError> {
        let manifest = &mut self.site.manifest;
        if manifest.site.is_empty() {
            manifest.site = digest(format!("{} {}", self.now, self.publish.store.directory().display()).as_bytes());
        }
        for state in self.publish.states {
            let name = state.project_branch().to_string();
            let page = PageAddress::branch(&state.project, state.branch.as_ref());
            manifest.pages.insert(page, PageEntry { name, gone: None });
        }
        for run in runs {
            manifest.runs.entry(run.clone()).or_default().report = None;
        }
        Ok(self.site.save()?)
    }

    /// Publishes a run's logs and its page; the page is handed back instead where it is there already, for what is new
    /// on it may link to what is not there yet.
    fn publish_run(&mut self, run: &RunId) -> Result<Option<PendingPage>, PublishError> {
        let stamp = self.stamp(run);
        let running = self.publish.running == Some(run);
        let report = match self.publish.store.report(run) {
            Ok(Some(report)) => report.redacted(self.publish.redactor),
            Ok(None) => return Ok(None),
            Err(error) => {
                self.failures.push(unreadable(&error, self.publish.store.report_path(run)));
                self.site.manifest.runs.insert(run.clone(), RunEntry { report: stamp, running, ..RunEntry::default() });
                return Ok(None);
            }
        };
        let summary = Some(PublishedRun::from(&report));
        if self.is_old_run(run, report.started) {
            self.site.manifest.runs.insert(run.clone(), RunEntry { report: stamp, running, ..RunEntry::default() });
            return Ok(None);
        }
        for branch in &report.branches {
            let name = branch.project_branch().to_string();
            let page = PageAddress::branch(&branch.project, branch.branch.as_ref());
            let entry = self.site.manifest.pages.entry(page).or_insert(PageEntry { name, gone: None });
            entry.gone = entry.gone.map(|_| self.now);
        }
        let logs = self.publish_logs(&report)?;
        let page = (PageAddress::run(run), run::page(&report, &logs, self.publish.running));
        let bytes = self.site.size(&logs);
        self.site.manifest.runs.insert(run.clone(), RunEntry { report: stamp, running, summary, bytes });
        if self.site.has(&page.0) {
            return Ok(Some(page));
        }
        self.site.write(page.0.path(), page.1.as_bytes())?;
        Ok(None)
    }

    /// Publishes the logs of a run that are not published yet.
    fn publish_logs(&mut self, report: &RunReport) -> Result<PublishedLogs, PublishError> {
        let mut logs = self.site.logs(&report.run);
        let mut fresh: Vec<(_, _, _, _, PageAddress)> = Vec::new();
        for (branch, stage) in report.branches.iter().flat_map(|branch| branch.stages.iter().map(move |s| (branch, s)))
        {
            let Some(path) = stage.log.as_ref().and_then(|log| self.log(&report.run, log)) else { continue };
            let Some(source) = ContentStamp::of(&path) else { continue };
            // Stages that one bst did share their log, which is published once.
            let stage = branch.log_owner(stage);
            let page = run::log_address(&report.run, branch, stage, LogForm::Page);
            if fresh.iter().any(|(.., other)| *other == page) {
                continue;
            }
            let known = logs.entry(page.clone()).or_default();
            if known.as_ref().is_none_or(|known| known.source != source) {
                fresh.push((branch, stage, path, source, page));
            }
        }
        if fresh.is_empty() {
            return Ok(logs);
        }
        self.site.save_logs(&report.run, &logs)?;
        for (branch, stage, path, source, page) in fresh {
            let entry = match File::open(&path) {
                Ok(mut file) => Some(self.publish_log(&report.run, branch, stage, &mut file, source, &page)?),
                Err(error) => {
                    let message = format!("the status pages lack a log: cannot read {}: {error}", path.display());
                    let hint = "make the file readable for the user that runs bst-fetcher";
                    self.failures.push(Diagnosis::new(FailureKind::Permission, message, Retry::No, Actor::Host, hint));
                    None
                }
            };
            logs.insert(page, entry);
        }
        self.site.save_logs(&report.run, &logs)?;
        Ok(logs)
    }

    /// Where a log is that a stage's report names; none where the name would lead out of the run's directory.
    fn log(&self, run: &RunId, log: &Path) -> Option<PathBuf> {
        let inside = log.components().all(|part| matches!(part, Component::Normal(_)));
        inside.then(|| self.publish.store.run_directory(run).join(log))
    }

    fn publish_log(
        &mut self,
        run: &RunId,
        branch: &BranchReport,
        stage: &StageReport,
        file: &mut File,
        source: ContentStamp,
        page: &PageAddress,
    ) -> Result<LogEntry, PublishError> {
        let beside = text_beside(page);
        self.site.make_parents(&beside)?;
        let path = self.site.file(&beside);
        let copied = write_atomic_with(&path, |target| {
            text::copy(file, self.publish.redactor, LogWithPreview(target, LogPreview::default())).map(|both| both.1)
        });
        let mut excerpt = copied.map_err(|source| PublishError::Write { path, source })?;
        excerpt.finish();
        self.site.written.push(beside);
        self.site.write(page.path(), log::page(run, branch, stage, &excerpt).as_bytes())?;
        let failure = excerpt.failures.iter().copied().find(|line| excerpt.shows(*line));
        Ok(LogEntry { source, lines: excerpt.lines, bytes: excerpt.bytes, failure })
    }

    /// Writes everything that is not a run's own: what is not there yet first, for no page links to it yet; then what
    /// changes, and at last what leads to it all.
    fn publish_pages(&mut self, rewritten: Vec<PendingPage>) -> Result<(), PublishError> {
        let newest = self.newest_first().into_iter().find(|run| self.site.manifest.runs[run].summary.is_some());
        let newest = newest.and_then(|run| self.report(&run).cloned());
        let branches: Vec<BranchView> = self.publish.states.iter().map(|state| self.branch(state)).collect();
        let runs = self.kept_runs();
        let rot = self.known_rot();
        let view = SiteView {
            now: self.now,
            running: self.publish.running,
            base_url: self.publish.base_url,
            branches,
            runs: &runs,
            newest: newest.as_ref(),
            rot: rot.as_ref(),
        };
        let mut pages = rewritten;
        pages.extend(view.branches.iter().map(|branch| (branch.address.clone(), branch::page(branch, &view))));
        pages.extend(rot.as_ref().map(|known| (PageAddress::upstreams(), upstreams::page(known, &view))));
        pages.extend(self.gone_pages());
        pages.sort_by_cached_key(|(address, _)| self.site.has(address));
        for (address, page) in &pages {
            self.site.write(address.path(), page.as_bytes())?;
        }
        self.site.write(PageAddress::index().path(), index::page(&view).as_bytes())?;
        self.publish_feed(&view)?;
        let path = self.site.file(PageAddress::status().path());
        let status = status::render(&view).map_err(|error| PublishError::Write { path, source: error.into() })?;
        Ok(self.site.write(PageAddress::status().path(), &status)?)
    }

    /// The trouble to come that is known, masked.
    fn known_rot(&mut self) -> Option<KnownRot> {
        match RotMemory::read(self.publish.store.directory()) {
            Ok(memory) => {
                let (findings, asked) = memory.findings();
                let findings = findings.iter().map(|found| found.clone().redacted(self.publish.redactor)).collect();
                asked.map(|asked| KnownRot { findings, asked })
            }
            // The run that cannot use it says so.
            Err(_) => None,
        }
    }

    /// The pages of branches that are no more.
    fn gone_pages(&mut self) -> Vec<PendingPage> {
        let states = self.publish.states.iter();
        let alive: Vec<_> = states.map(|state| PageAddress::branch(&state.project, state.branch.as_ref())).collect();
        let alive: BTreeSet<&PageAddress> = alive.iter().collect();
        let gone = self.site.manifest.pages.iter_mut().filter(|(page, _)| !alive.contains(page));
        gone.map(|(page, entry)| {
            entry.gone.get_or_insert(self.now);
            (page.clone(), branch::gone(page, &entry.name))
        })
        .collect()
    }

    fn publish_feed(&mut self, view: &SiteView) -> Result<(), PublishError> {
        let changes = feed::changes(view);
        let key = feed::key(view, &changes);
        if self.site.manifest.feed == key && self.site.has(&PageAddress::feed()) {
            return Ok(());
        }
        let site = self.site.manifest.site.clone();
        let feed = feed::render(view, &site, &changes, &mut |run| self.report(run).cloned());
        self.site.write(PageAddress::feed().path(), feed.as_bytes())?;
        self.site.manifest.feed = key;
        Ok(())
    }

    /// A branch with what its last run reported.
    fn branch<'s>(&mut self, state: &'s BranchState) -> BranchView<'s> {
        let run = state.history.last().map(|past| past.run.clone());
        let latest = run.and_then(|run| {
            let mut reports = self.report(&run)?.branches.iter();
            let report = reports.find(|report| (&report.project, &report.branch) == (&state.project, &state.branch))?;
            Some((run, report.clone()))
        });
        BranchView::new(state, latest)
    }

    /// A run's report, masked, where it can be read.
    fn report(&mut self, run: &RunId) -> Option<&RunReport> {
        if !self.reports.contains_key(run) {
            // Why one cannot be read was told when it was to be published.
            let report = self.publish.store.report(run).ok()??;
            self.reports.insert(run.clone(), report.redacted(self.publish.redactor));
        }
        self.reports.get(run)
    }

    /// The runs whose pages stay.
    fn kept_runs(&self) -> BTreeMap<RunId, RunEntry> {
        let (mut kept, mut bytes) = (BTreeMap::new(), 0_u64);
        for run in self.newest_first() {
            let entry = &self.site.manifest.runs[&run];
            let Some(summary) = entry.summary.as_ref().filter(|it| !self.is_old_run(&run, it.started)) else {
                continue;
            };
            bytes = bytes.saturating_add(entry.bytes);
            let going_on = summary.finished.is_none() && self.publish.running == Some(&run);
            if kept.is_empty() || going_on || bytes <= self.publish.keep_logs {
                kept.insert(run, entry.clone());
            }
        }
        kept
    }

    /// The runs that are known, those last that claim to have begun after now: the clock was ahead then.
    fn newest_first(&self) -> Vec<RunId> {
        let mut runs: Vec<RunId> = self.site.manifest.runs.keys().rev().cloned().collect();
        runs.sort_by_key(|run| run.is_after(self.now));
        runs
    }

    /// Whether a run's pages are no longer kept; those of one from the future go with its directory.
    fn is_old_run(&self, run: &RunId, started: Timestamp) -> bool {
        if run.is_after(self.now) { self.stamp(run).is_none() } else { self.is_old(started) }
    }

    /// Removes what no page links to any more.
    fn remove_old(&mut self) {
        let pages = self.site.manifest.pages.iter();
        let old = pages.filter(|(_, entry)| entry.gone.is_some_and(|gone| self.is_old(gone)));
        for page in old.map(|(page, _)| page.clone()).collect::<Vec<_>>() {
            self.site.remove(page.path());
            self.site.manifest.pages.remove(&page);
        }
        let kept = self.kept_runs();
        let runs: Vec<RunId> = self.site.manifest.runs.keys().cloned().collect();
        for run in runs.iter().filter(|run| !kept.contains_key(run)) {
            let entry = self.site.manifest.runs.get(run).cloned();
            self.site.remove_run(run);
            // What has a directory, but no page, is remembered as long as that is so, not to be looked at each time.
            if let Some(entry) = entry.filter(|entry| entry.report.is_some() && self.stamp(run) == entry.report) {
                self.site.manifest.runs.insert(run.clone(), RunEntry { summary: None, ..entry });
            }
        }
    }

    fn is_old(&self, started: Timestamp) -> bool {
        let keep = SignedDuration::try_from(self.publish.keep_runs).unwrap_or(SignedDuration::MAX);
        self.now.duration_since(started) > keep
    }
}

/// A log's file, and what its page shows of it.
struct LogWithPreview<'a>(&'a mut File, LogPreview);

impl io::Write for LogWithPreview<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.write_all(text)?;
        self.1.push(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl From<FileError> for PublishError {
    fn from((path, source): FileError) -> Self {
        match source.kind() {
            io::ErrorKind::AlreadyExists => PublishError::Foreign(path),
            _ => PublishError::Write { path, source },
        }
    }
}

fn unreadable(error: &StateError, path: PathBuf) -> Diagnosis {
    let message = format!("the status pages lack a run: {error}");
    let hint = format!("Look at {}; remove the run's directory if it is damaged.", path.display());
    Diagnosis::of_kind(FailureKind::Permission, message).with_hint(hint).with_place(Location::of_file(path))
}
