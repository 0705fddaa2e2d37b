//! A checkout's files that hold refs, and what they are to hold: written byte for byte as bst would.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::memory::TrackingMemory;
use crate::atomic_file::write_atomic;
use crate::bst::project_files::ProjectFiles;
use crate::bst::ref_slots::{RefSlots, ref_slots, with_refs};

/// The files with refs, as they were before anything was tracked.
pub(super) struct RefFiles {
    before: BTreeMap<PathBuf, FileRefs>,
}

/// A file and its refs.
pub(super) struct FileRefs {
    /// Its path, relative to the project's directory.
    path: PathBuf,
    /// Its text; none where it is not there.
    text: Option<String>,
    slots: RefSlots,
}

impl RefFiles {
    pub(super) fn new() -> Self {
        Self { before: BTreeMap::new() }
    }

    /// Reads a file, if that was not done; none where it is no file with refs.
    pub(super) fn read(&mut self, files: &ProjectFiles, file: &Path) -> Option<&FileRefs> {
        if !self.before.contains_key(file) {
            self.before.insert(file.to_owned(), FileRefs::read(files, file)?);
        }
        self.before.get(file)
    }

    /// The text that a file gets with these refs; none where it is not known what bst would write.
    pub(super) fn rewritten(
        &mut self,
        files: &ProjectFiles,
        file: &Path,
        wanted: &BTreeMap<String, String>,
        memory: &mut TrackingMemory,
        now: Timestamp,
    ) -> Option<NewText> {
        let before = self.read(files, file)?;
        before.rewritten(wanted, memory, now)
    }

    /// Enters into the memory what bst made of these files.
    pub(super) fn learn(&self, after: &ProjectFiles, memory: &mut TrackingMemory, now: Timestamp) {
        for (file, before) in &self.before {
            let Ok(Some(text)) = after.plain_text(file) else { continue };
            if before.text.as_deref() != Some(text.as_str()) {
                memory.learn_file(file, before.text.as_deref(), &text, now);
            }
        }
    }
}

/// What becomes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NewText {
    /// It stays as it is.
    Same,
    /// It gets another text.
    Other(String),
}

impl FileRefs {
    /// Reads a file; one that is not there has no refs. None where it cannot be known what it holds.
    fn read(files: &ProjectFiles, file: &Path) -> Option<Self> {
        // Of whatever else is there nothing is known of what bst would do with it.
        let text = files.plain_text(file).ok()?;
        let slots = text.as_deref().map_or_else(|| Some(RefSlots::new()), ref_slots)?;
        Some(Self { path: file.to_owned(), text, slots })
    }

    fn rewritten(
        &self,
        wanted: &BTreeMap<String, String>,
        memory: &mut TrackingMemory,
        now: Timestamp,
    ) -> Option<NewText> {
        let has = |(place, value): (&String, &String)| self.slots.get(place).is_some_and(|slot| slot.value == *value);
        if wanted.iter().all(has) {
            return Some(NewText::Same);
        }
        // What tracking does not change stays as it is, where the form comes from another version of the file too.
        let mut all: BTreeMap<_, _> =
            self.slots.iter().map(|(place, slot)| (place.clone(), slot.value.clone())).collect();
        all.extend(wanted.clone());
        let form = memory.in_form(&self.path, self.text.as_deref(), now)?;
        let slots = ref_slots(&form)?;
        if !slots.keys().eq(all.keys()) {
            return None;
        }
        let text = with_refs(&form, &slots, &all)?;
        // Nothing is written that is not seen to be what was meant.
        let written = ref_slots(&text)?;
        let same = written.iter().map(|(place, slot)| (place, &slot.value)).eq(all.iter());
        same.then_some(NewText::Other(text))
    }
}

/// Writes refs into a file of the checkout as it is now, which bst may have written meanwhile; says whether that changed
/// it. None where it is not known what bst would write.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write(
    project: &Path,
    files: &ProjectFiles,
    file: &Path,
    wanted: &BTreeMap<String, String>,
    memory: &mut TrackingMemory,
    now: Timestamp,
) -> io::Result<Option<bool>> {
    match FileRefs::read(files, file).and_then(|known| known.rewritten(wanted, memory, now)) {
        None => Ok(None),
        Some(NewText::Same) => Ok(Some(false)),
        Some(NewText::Other(text)) => write_atomic(&project.join(file), text.as_bytes()).map(|()| Some(true)),
    }
}
