//! Refs of junctions with which nothing loads any more: what tracking wrote is taken back, so that everything else goes its
//! way. What is one group for publishing is taken back as one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::inputs::{self, ChangedFile};
use super::listing::NotListed;
use super::stage_runner::StageRunner;
use super::{Pipeline, sources::untold};
use crate::atomic_file::write_atomic;
use crate::bst::project_files::ProjectFiles;
use crate::config::ElementGroup;
use crate::diagnosis::{Actor, Diagnosis, FailureKind, Retry};
use crate::names::{ElementName, Stage};
use crate::report::{HeldRef, HoldCause, RefChange, StageReport};
use crate::state::ElementMemory;

/// As many units are tried one by one; of more, all are taken back.
const MAX_TRIES: usize = 16;

/// What stands or falls as one: a junction, or a group with one in it.
struct JunctionUnit {
    /// The junction, which names it.
    junction: ElementName,
    /// The files that tracking changed for it.
    files: BTreeSet<String>,
    /// Why nothing loads with it, once that is known.
    broken: Option<String>,
}

impl Pipeline<'_> {
    /// Takes back what tracking wrote for junctions, where nothing loads with that; enters into the report what it was.
    pub(super) fn take_back_breaking(
        &self,
        work: &mut StageRunner<'_, '_>,
        report: &mut StageReport,
        memory: &mut ElementMemory,
    ) {
        let project = &self.directories.project;
        let written = inputs::changed(project, self.prepared).map_err(io::Error::other);
        let found = written.and_then(|files| inputs::ref_changes(project, &files).map(|changes| (files, changes)));
        // That the changes cannot be told is told where they are looked for.
        let Ok((files, changes)) = found else { return };
        let mut units = units(&ProjectFiles::new(project), &changes, &self.project.groups);
        if units.is_empty() {
            return;
        }
        let Some(whole) = self.breaks(work, memory) else { return };
        match self.part(work, memory, &files, &mut units, &whole) {
            Ok(()) => enter(report, &units, &changes),
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
        for unit in &*units {
            unit.write(project, files, |file| file.old.as_deref())?;
        }
        if self.breaks(work, memory).is_some() || work.context.cancel.is_cancelled() {
            for unit in &*units {
                unit.write(project, files, |file| file.new.as_deref())?;
            }
            return Ok(());
        }
        if units.len() == 1 || units.len() > MAX_TRIES {
            for unit in units {
                unit.broken = Some(whole.to_owned());
            }
            return Ok(());
        }
        for unit in units {
            unit.write(project, files, |file| file.new.as_deref())?;
            unit.broken = self.breaks(work, memory);
            if unit.broken.is_some() {
                unit.write(project, files, |file| file.old.as_deref())?;
            }
        }
        Ok(())
    }
}

impl JunctionUnit {
    /// Writes its files as they are in one of two versions.
    fn write<'f>(
        &self,
        project: &Path,
        files: &'f [ChangedFile],
        version: impl Fn(&'f ChangedFile) -> Option<&'f str>,
    ) -> io::Result<()> {
        for file in files.iter().filter(|file| self.files.contains(&*file.path.to_string_lossy())) {
            let Some(text) = version(file) else { continue };
            if text.contains(char::REPLACEMENT_CHARACTER) {
                return Err(io::Error::other(format!("{} is not UTF-8", file.path.display())));
            }
            let path = project.join(&file.path);
            // A plugin that no sandbox confines may have put a link in the place of a directory.
            let parent = path.parent().unwrap_or(project).canonicalize()?;
            if !parent.starts_with(project.canonicalize()?) {
                return Err(io::Error::other(format!("{} leads out of the checkout", file.path.display())));
            }
            if fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
                write_atomic(&path, text.as_bytes())?;
            }
        }
        Ok(())
    }
}

/// The junctions of which a ref changed in an element's file, each with the group that it is in. Stored refs are one file
/// for all, and stay.
fn units(known: &ProjectFiles, changes: &[RefChange], groups: &[ElementGroup]) -> Vec<JunctionUnit> {
    let groups: Vec<_> = groups.iter().map(|group| globs(&group.elements)).collect();
    let mut units: BTreeMap<String, JunctionUnit> = BTreeMap::new();
    let elements = |change: &RefChange| {
        change.shared_with.iter().chain([&change.element]).cloned().collect::<BTreeSet<ElementName>>()
    };
    let is_stored = |change: &RefChange| {
        change.file.as_deref().is_none_or(|file| Path::new(file).extension().is_some_and(|end| end == "refs"))
    };
    for change in changes.iter().filter(|change| !is_stored(change)) {
        let Some(junction) = elements(change).into_iter().find(|element| known.is_junction(element)) else { continue };
        let group = groups.iter().position(|globs| globs.is_match(junction.as_str()));
        let key = group.map_or_else(|| junction.to_string(), |number| format!("\0{number}"));
        let unit = units.entry(key).or_insert_with(|| JunctionUnit { junction, files: BTreeSet::new(), broken: None });
        let of_unit = |other: &&RefChange| {
            let in_group = |number: usize| elements(other).iter().any(|name| groups[number].is_match(name.as_str()));
            !is_stored(other) && (other.file == change.file || group.is_some_and(in_group))
        };
        unit.files.extend(changes.iter().filter(of_unit).filter_map(|other| other.file.clone()));
    }
    units.into_values().collect()
}

/// A set of globs over names; what is no glob was refused when the configuration was read.
fn globs(patterns: &[String]) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for glob in patterns.iter().filter_map(|pattern| Glob::new(pattern).ok()) {
        set.add(glob);
    }
    set.build().unwrap_or_else(|_| GlobSet::empty())
}

/// Enters what was taken back, and why.
fn enter(report: &mut StageReport, units: &[JunctionUnit], changes: &[RefChange]) {
    let remedy = FailureKind::UpdateBreaks.remedy();
    for unit in units {
        let Some(reason) = &unit.broken else { continue };
        let of_unit = |change: &&RefChange| change.file.as_ref().is_some_and(|file| unit.files.contains(file));
        for change in changes.iter().filter(of_unit) {
            let elements = change.shared_with.iter().chain([&change.element]);
            let (cause, reason) = if elements.into_iter().any(|element| *element == unit.junction) {
                (HoldCause::Broken, format!("nothing loads with it: {reason}"))
            } else {
                let reason = format!("it is published together with {}, which is held back", unit.junction);
                (HoldCause::Group, reason)
            };
            let (old, new) = (change.old.clone(), change.new.clone());
            report.held.push(HeldRef::new(change.element.clone(), old, new, cause, reason));
        }
        let message = format!("nothing loads with the ref that tracking found: {reason}");
        let finding =
            Diagnosis::new(FailureKind::UpdateBreaks, message, remedy.retry, remedy.actor, remedy.hint.to_owned());
        report.findings.push(Diagnosis { element: Some(unit.junction.clone()), stage: Some(Stage::Track), ..finding });
    }
}
