//! Tracking what is meant to be tracked.

use std::time::Instant;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Pipeline;
use super::holds::ProjectHolds;
use super::listing::{LISTING_LOG, NotListed};
use super::log::StageLog;
use super::results::ElementResults;
use super::selection::{TrackSelection, select};
use super::stage_runner::{MAX_RECOVERIES, StageRunner};
use crate::bst::dialect::BstAction;
use crate::bst::inventory::Inventory;
use crate::bst::project_files::ProjectFiles;
use crate::diagnosis::{Diagnosis, FailureKind};
use crate::names::{ElementName, Refs, Stage};
use crate::report::{Outcome, RefChange, StageReport, count_left_out};
use crate::state::ElementMemory;

impl Pipeline<'_> {
    /// Tracks what `select` means and no hold does; gives the report, and why nothing after it can work. `before` is what
    /// tracking with other option sets changed.
    pub(super) fn track(
        &self,
        work: &mut StageRunner<'_, '_>,
        before: &[RefChange],
        memory: &mut ElementMemory,
    ) -> (StageReport, Option<String>) {
        let holds = ProjectHolds::read(self.project, &self.directories.project, self.today());
        let (mut report, loads) = match self.track_selection(work, &holds, memory) {
            Ok(None) => (self.track_what_moved(work, None, memory), false),
            Ok(Some(selection)) => (self.track_selected(work, selection, memory), true),
            Err(failures) => (self.not_listed(work, failures), false),
        };
        report.notes.extend(holds.notes);
        let blocked = blocked_by(&report, &work.results, loads);
        if blocked.is_none() && self.wants_sources() {
            self.take_back_breaking(work, &mut report, memory);
        }
        match work.ref_changes() {
            Ok(mut changes) => {
                changes.retain(|change| !before.contains(change));
                report.changes = changes;
            }
            Err(error) => report.notes.push(format!("the changed refs cannot be told: {error}")),
        }
        (self.finish(report, work), blocked)
    }

    /// What to track; none where that is everything, so that bst need not be asked for the elements first.
    fn track_selection(
        &self,
        work: &mut StageRunner<'_, '_>,
        holds: &ProjectHolds,
        memory: &mut ElementMemory,
    ) -> Result<Option<TrackSelection>, Vec<Diagnosis>> {
        let config = &self.project.select;
        if config.is_everything() && holds.is_empty() {
            return Ok(None);
        }
        let inventory = self.listed_for_tracking(work, holds, memory)?;
        let files = ProjectFiles::new(&self.directories.project);
        let names = inventory.elements.iter().map(|known| known.name.clone());
        let candidates: Vec<_> = names.filter(|name| work.can_be_named(BstAction::Track, name)).collect();
        select(candidates, &inventory, &files, config, holds).map(Some).map_err(|error| {
            let message = format!("`select` is not valid: {error}");
            vec![of_track(FailureKind::Configuration, message)]
        })
    }

    /// The elements, which a junction without a ref keeps bst from listing: such are tracked first.
    fn listed_for_tracking(
        &self,
        work: &mut StageRunner<'_, '_>,
        holds: &ProjectHolds,
        memory: &mut ElementMemory,
    ) -> Result<Inventory, Vec<Diagnosis>> {
        for _ in 0..=MAX_RECOVERIES {
            match work.inventory_to_track(memory) {
                Ok(inventory) => return Ok(inventory),
                Err(NotListed::Failed(failures)) => return Err(failures),
                Err(NotListed::NoRef(junction)) => {
                    let held = holds.of(&junction).is_some();
                    if held || !work.can_track_junction(&junction) {
                        let why = if held { ", and a hold keeps it from being tracked" } else { "" };
                        let message = format!("{junction} has no ref{why}");
                        return Err(vec![of_track(FailureKind::JunctionNoRef, message).with_element(junction)]);
                    }
                    self.track_first(work, &junction)?;
                }
            }
        }
        Err(vec![of_track(FailureKind::JunctionNoRef, format!("more than {MAX_RECOVERIES} junctions have no ref"))])
    }

    fn track_first(&self, work: &mut StageRunner<'_, '_>, junction: &ElementName) -> Result<(), Vec<Diagnosis>> {
        let path = work.log_path(Stage::Track.as_str());
        // The stage that follows opens the same log, and tells where that fails.
        let mut log = StageLog::open(&path, self.context.redactor).unwrap_or_else(|_| StageLog::none());
        work.track_junction(junction, &mut log, Instant::now() + self.project.timeout)
    }

    fn track_selected(
        &self,
        work: &mut StageRunner<'_, '_>,
        selection: TrackSelection,
        memory: &mut ElementMemory,
    ) -> StageReport {
        if selection.is_everything() {
            return self.track_what_moved(work, None, memory);
        }
        let to_track = selection.to_track().clone();
        let left_out = selection.into_left_out();
        let mut report = if to_track.is_empty() {
            let reason = format!("nothing to track: {}", count_left_out(&left_out).unwrap_or_default());
            self.skipped(work.variant, Refs::Tracked, Stage::Track, &reason)
        } else {
            self.track_what_moved(work, Some(&to_track), memory)
        };
        report.left_out = left_out;
        report
    }

    /// The report of tracking that did not begin, for nobody knows what there is to track.
    fn not_listed(&self, work: &StageRunner<'_, '_>, failures: Vec<Diagnosis>) -> StageReport {
        let mut report = self.skipped(work.variant, Refs::Tracked, Stage::Track, "");
        report.skipped = None;
        report.attempts = 1;
        report.outcome = if work.context.cancel.is_cancelled() { Outcome::Interrupted } else { Outcome::Failed };
        report.log = work.kept_log(Stage::Track.as_str()).or_else(|| work.kept_log(LISTING_LOG));
        let of_stage = |failure: Diagnosis| failure.with_stage(Stage::Track);
        report.failures = failures.into_iter().map(of_stage).collect();
        report
    }

    /// The day, by UTC.
    fn today(&self) -> Date {
        self.context.clock.now().to_zoned_datetime(TimeZone::UTC).date()
    }
}

/// A failure of tracking with its kind's remedy.
fn of_track(kind: FailureKind, message: String) -> Diagnosis {
    let failure = Diagnosis::of_kind(kind, message);
    failure.with_stage(Stage::Track)
}

/// Why nothing after tracking can work; none where it can. `loads`: bst has listed the project's elements already.
fn blocked_by(track: &StageReport, results: &ElementResults, loads: bool) -> Option<String> {
    // What stopped bst before its first task stops a fetch as well, whichever element it names.
    let before_all = !loads && !results.has_loaded(Stage::Track);
    let whole = track.all_failures().find(|failure| {
        (before_all || failure.element.is_none())
            && !matches!(failure.kind, FailureKind::TimeOut | FailureKind::Killed | FailureKind::CasdDied)
    });
    match track.outcome {
        Outcome::Interrupted => Some("the run was interrupted".to_owned()),
        // What stopped all of tracking stops a fetch in the same way, and would be told twice.
        Outcome::Failed => whole.map(|failure| format!("tracking failed: {}", first_line(&failure.message))),
        Outcome::Skipped | Outcome::Ok | Outcome::Partial => None,
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
