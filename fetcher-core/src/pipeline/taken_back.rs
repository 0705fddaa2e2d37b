//! Refs of junctions with which nothing loads any more: what tracking wrote is taken back, so that everything else goes its
//! way. What is one group for publishing is taken back as one.

mod junction_units;

use std::io;

use super::inputs::{self, ChangedFile};
use super::listing::NotListed;
use super::stage_runner::StageRunner;
use super::{Pipeline, sources::untold};
use crate::bst::project_files::ProjectFiles;
use crate::diagnosis::{Actor, Diagnosis, FailureKind, Retry};
use crate::names::Stage;
use crate::report::{HeldRef, HoldCause, StageReport};
use crate::state::ElementMemory;
use junction_units::{JunctionUnit, WrittenRef, junction_units, write_units};

/// As many units are tried one by one; of more, all are taken back.
const MAX_TRIES: usize = 16;

impl Pipeline<'_> {
    /// Takes back what tracking wrote for junctions, where nothing loads with that; enters into the report what it was.
    pub(super) fn take_back_breaking(
        &self,
        work: &mut StageRunner<'_, '_>,
        report: &mut StageReport,
        memory: &mut ElementMemory,
    ) {
        let known = ProjectFiles::new(&self.directories.project);
        let files = inputs::changed(&self.directories.project, self.prepared).map_err(io::Error::other);
        let found = files.and_then(|files| inputs::keyed_ref_changes(&known, &files).map(|changes| (files, changes)));
        // That the changes cannot be told is told where they are looked for.
        let Ok((files, changes)) = found else { return };
        let written: Vec<_> =
            changes.into_iter().filter_map(|(change, block)| WrittenRef::new(change, block)).collect();
        let mut units = junction_units(&known, &written, &self.project.groups);
        if units.is_empty() {
            return;
        }
        let Some(whole) = self.breaks(work, memory) else { return };
        match self.part_or_leave(work, memory, &files, &mut units, &whole) {
            Ok(()) => enter(report, &units, &written),
            Err(error) => {
                report.notes.push(format!("what a junction's new ref broke cannot be taken back: {error}"));
            }
        }
    }

    /// Why nothing loads with what is in the checkout; none where it does, or where that may pass.
    fn breaks(&self, work: &mut StageRunner<'_, '_>, memory: &mut ElementMemory) -> Option<String> {
        let untold = untold(self, memory);
        match self.inventory_as_tracked(work, memory, &untold) {
            Ok(_) | Err(NotListed::NoRef(_)) => None,
            Err(NotListed::Failed(failures)) => {
                let of_project = |failure: &Diagnosis| {
                    failure.retry != Retry::Yes && !matches!(failure.actor, Actor::Host | Actor::Nobody)
                };
                let reason = failures.first().filter(|_| failures.iter().all(of_project))?;
                Some(reason.message.lines().next().unwrap_or_default().to_owned())
            }
        }
    }

    /// As [`Self::part`]; where that fails, all is left as tracking wrote it.
    fn part_or_leave(
        &self,
        work: &mut StageRunner<'_, '_>,
        memory: &mut ElementMemory,
        files: &[ChangedFile],
        units: &mut [JunctionUnit],
        whole: &str,
    ) -> io::Result<()> {
        self.part(work, memory, files, units, whole).or_else(|error| {
            set_back(units, false);
            write_units(&self.directories.project, files, units)?;
            Err(error)
        })
    }

    /// Finds out which of the units are to blame, and leaves the others in the checkout; all of them, where it does not
    /// load without any of them either.
    fn part(
        &self,
        work: &mut StageRunner<'_, '_>,
        memory: &mut ElementMemory,
        files: &[ChangedFile],
        units: &mut [JunctionUnit],
        whole: &str,
    ) -> io::Result<()> {
        let project = &self.directories.project;
        set_back(units, true);
        write_units(project, files, units)?;
        if self.breaks(work, memory).is_some() || work.context.cancel.is_cancelled() {
            set_back(units, false);
            return write_units(project, files, units);
        }
        if units.len() == 1 || units.len() > MAX_TRIES {
            for unit in units {
                unit.broken = Some(whole.to_owned());
            }
            return Ok(());
        }
        for number in 0..units.len() {
            units[number].is_back = false;
            write_units(project, files, units)?;
            units[number].broken = self.breaks(work, memory);
            if units[number].broken.is_some() {
                units[number].is_back = true;
                write_units(project, files, units)?;
            }
        }
        Ok(())
    }
}

fn set_back(units: &mut [JunctionUnit], is_back: bool) {
    for unit in units {
        unit.is_back = is_back;
    }
}

/// Enters what was taken back, and why.
fn enter(report: &mut StageReport, units: &[JunctionUnit], written: &[WrittenRef]) {
    let remedy = FailureKind::UpdateBreaks.remedy();
    for unit in units {
        let Some(reason) = &unit.broken else { continue };
        for one in written.iter().filter(|one| unit.parts.contains(&one.part)) {
            let (cause, reason) = if one.elements().any(|element| *element == unit.junction) {
                (HoldCause::Broken, format!("nothing loads with it: {reason}"))
            } else {
                let reason = format!("it is published together with {}, which is held back", unit.junction);
                (HoldCause::Group, reason)
            };
            let (old, new) = (one.change.old.clone(), one.change.new.clone());
            report.held.push(HeldRef::new(one.change.element.clone(), old, new, cause, reason));
        }
        let message = format!("nothing loads with the ref that tracking found: {reason}");
        let finding =
            Diagnosis::new(FailureKind::UpdateBreaks, message, remedy.retry, remedy.actor, remedy.hint.to_owned());
        report.findings.push(Diagnosis { element: Some(unit.junction.clone()), stage: Some(Stage::Track), ..finding });
    }
}
