//! Mending what a command stumbled over, where that is ours to mend.

use std::collections::BTreeSet;
use std::time::Instant;

use super::log::StageLog;
use super::mirrors;
use super::output::StageAttempt;
use super::stage_runner::{StageRequest, StageRunner};
use crate::bst::dialect::BstAction;
use crate::diagnosis::{Diagnosis, FailureKind};
use crate::failure::phrases;
use crate::names::{ElementName, Stage};

impl StageRunner<'_, '_> {
    /// Mends what an attempt stumbled over, and says whether the whole of what it was asked for should be run again.
    ///
    /// What was mended is no failure any more; where mending failed, its reason is the attempt's.
    #[expect(clippy::too_many_arguments, reason = "the state of one loop, in one place")]
    pub(super) fn recover(
        &mut self,
        stage: Stage,
        action: BstAction,
        attempt: &mut StageAttempt,
        whole: &mut StageRequest,
        asked: &mut StageRequest,
        log: &mut StageLog,
        until: Instant,
    ) -> bool {
        if self.context.cancel.is_cancelled() || attempt.exit.is_success() {
            return false;
        }
        for at in 0..attempt.failures.len() {
            let failure = attempt.failures[at].clone();
            match (failure.kind, &failure.element) {
                (FailureKind::JunctionNoRef, Some(junction)) if self.can_track_junction(junction) => {
                    return match self.track_junction(junction, log, until) {
                        Ok(()) => mended(attempt, |found| *found == failure),
                        Err(reasons) => {
                            let of_stage = |reason: Diagnosis| reason.with_stage(stage);
                            attempt.failures.splice(at..=at, reasons.into_iter().map(of_stage));
                            false
                        }
                    };
                }
                (FailureKind::NoRef, _) if action != BstAction::Track && self.listed.is_empty() => {
                    if !self.list(log, until) {
                        return false;
                    }
                    let (resolved, missing) = self.resolved_elements();
                    if missing.is_empty() || resolved.targets.is_empty() {
                        return false;
                    }
                    *whole = StageRequest::everything(resolved);
                    *asked = whole.clone();
                    return mended(attempt, |found| found.kind == FailureKind::NoRef);
                }
                // `source push` stumbles over the fetch queue of its own loading where that had to fetch a junction; the
                // junction is there then, and the same command works.
                (FailureKind::Bug, _)
                    if action == BstAction::Push && phrases::bst::is_second_fetch_queue(&failure.message) =>
                {
                    return !std::mem::replace(&mut self.push_retried, true)
                        && mended(attempt, |found| *found == failure);
                }
                (FailureKind::MirrorCorrupt, _) => self.remove_mirror(&failure, attempt, log),
                _ => {}
            }
        }
        false
    }

    /// Whether a junction can be tracked by name, and was not yet.
    pub(super) fn can_track_junction(&self, junction: &ElementName) -> bool {
        self.pipeline.project.track
            && !self.tracked_junctions.contains(junction)
            && self.can_be_named(BstAction::Track, junction)
    }

    /// Tracks a junction without which nothing can be loaded.
    pub(super) fn track_junction(
        &mut self,
        junction: &ElementName,
        log: &mut StageLog,
        until: Instant,
    ) -> Result<(), Vec<Diagnosis>> {
        let request = StageRequest::named(BTreeSet::from([junction.clone()]));
        let attempt = self.attempt(Stage::Track, BstAction::Track, &request.elements, log, until);
        self.junctions.insert(junction.clone());
        if attempt.exit.is_success() && attempt.failures.is_empty() {
            self.tracked_junctions.insert(junction.clone());
            return Ok(());
        }
        let named =
            |failure: Diagnosis| Diagnosis { element: failure.element.or_else(|| Some(junction.clone())), ..failure };
        Err(attempt.failures.into_iter().map(named).collect())
    }

    /// Removes a mirror that git found damaged, so that the next attempt makes it anew. Only its name is taken from
    /// git's words, for upstream writes them too.
    fn remove_mirror(&self, failure: &Diagnosis, attempt: &mut StageAttempt, log: &mut StageLog) {
        let Some(name) = failure.place.file.as_deref().and_then(|path| path.file_name()) else { return };
        match mirrors::remove(&self.pipeline.directories.sourcedir, name) {
            Ok(removed) => {
                for path in removed {
                    log.write(format!("[removed the corrupt mirror {}]\n", path.display()).as_bytes());
                }
            }
            Err(error) => attempt.notes.push(format!(
                "cannot remove the corrupt mirror {} below {}: {error}",
                name.display(),
                self.pipeline.directories.sourcedir.display()
            )),
        }
    }
}

/// Takes what was mended from an attempt's failures: it is a remark then.
fn mended(attempt: &mut StageAttempt, is_mended: impl Fn(&Diagnosis) -> bool) -> bool {
    let (mended, left): (Vec<_>, Vec<_>) =
        std::mem::take(&mut attempt.failures).into_iter().partition(|failure| is_mended(failure));
    attempt.failures = left;
    attempt.notes.extend(mended.iter().map(|failure| format!("mended: {}", failure.message)));
    attempt.recovered = true;
    true
}
