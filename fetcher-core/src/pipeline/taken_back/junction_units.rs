//! What tracking wrote for a junction and what is to stay with it, and a checkout with or without that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::atomic_file::write_atomic;
use crate::bst::project_files::ProjectFiles;
use crate::bst::refs::StoredKey;
use crate::bst::stored_writer::without_blocks;
use crate::config::ElementGroup;
use crate::names::ElementName;
use crate::pipeline::inputs::ChangedFile;
use crate::report::RefChange;

/// The file in which bst stores the refs of junctions alone, where it stores refs.
const JUNCTION_REFS: &str = "junction.refs";

/// What of a file is taken back as one: all of it, or one element's block where refs are stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WrittenPart {
    /// The file, relative to the project's directory.
    pub(super) file: String,
    /// Whose block; none where it is the whole file.
    pub(super) block: Option<StoredKey>,
}

/// A ref that tracking changed, and what of its file is taken back with it.
#[derive(Debug)]
pub(super) struct WrittenRef {
    pub(super) change: RefChange,
    pub(super) part: WrittenPart,
}

/// What stands or falls as one: a junction, or a group with one in it.
#[derive(Debug)]
pub(super) struct JunctionUnit {
    /// The junction, which names it.
    pub(super) junction: ElementName,
    /// What tracking wrote for it.
    pub(super) parts: BTreeSet<WrittenPart>,
    /// Whether that is not to be in the checkout.
    pub(super) is_back: bool,
    /// Why nothing loads with it, once that is known.
    pub(super) broken: Option<String>,
}

impl WrittenRef {
    /// A change; none where nobody knows the file.
    pub(super) fn new(change: RefChange, block: Option<StoredKey>) -> Option<Self> {
        let part = WrittenPart { file: change.file.clone()?, block };
        Some(Self { change, part })
    }

    /// The elements that get the ref.
    pub(super) fn elements(&self) -> impl Iterator<Item = &ElementName> {
        self.change.shared_with.iter().chain([&self.change.element])
    }

    /// The junction that gets it.
    fn junction(&self, known: &ProjectFiles) -> Option<&ElementName> {
        // Those behind junctions are stored there too, of which no file here says what they are.
        let is_stored = self.part.block.is_some() && self.part.file == JUNCTION_REFS;
        self.elements().filter(|element| is_stored || known.is_junction(element)).min()
    }
}

/// The junctions of which a ref changed, each with the group that it is in.
pub(super) fn junction_units(
    known: &ProjectFiles,
    written: &[WrittenRef],
    groups: &[ElementGroup],
) -> Vec<JunctionUnit> {
    let groups: Vec<_> = groups.iter().map(|group| globs(&group.elements)).collect();
    let mut units: BTreeMap<String, JunctionUnit> = BTreeMap::new();
    for one in written {
        let Some(junction) = one.junction(known) else { continue };
        let group = groups.iter().position(|globs| globs.is_match(junction.as_str()));
        let key = group.map_or_else(|| junction.to_string(), |number| format!("\0{number}"));
        let new = || JunctionUnit { junction: junction.clone(), parts: BTreeSet::new(), is_back: false, broken: None };
        let unit = units.entry(key).or_insert_with(new);
        let of_unit = |other: &&WrittenRef| {
            let in_group = |number: usize| other.elements().any(|name| groups[number].is_match(name.as_str()));
            other.part == one.part || group.is_some_and(in_group)
        };
        unit.parts.extend(written.iter().filter(of_unit).map(|other| other.part.clone()));
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

/// Writes the files of all units, without what is to be taken back.
///
/// # Errors
/// When one cannot be written, or not without changing anything else; nothing was written in the latter case.
pub(super) fn write_units(project: &Path, files: &[ChangedFile], units: &[JunctionUnit]) -> io::Result<()> {
    let mut texts = Vec::new();
    for file in files {
        let name = file.path.to_string_lossy();
        let of_file = |part: &&WrittenPart| part.file == name;
        if !units.iter().flat_map(|unit| &unit.parts).any(|part| of_file(&part)) {
            continue;
        }
        let back = units.iter().filter(|unit| unit.is_back).flat_map(|unit| &unit.parts);
        let back: BTreeSet<_> = back.filter(of_file).map(|part| part.block.as_ref()).collect();
        let told = |error: String| io::Error::other(format!("{}: {error}", file.path.display()));
        texts.push((file, text_without(file, &back).map_err(told)?));
    }
    texts.into_iter().try_for_each(|(file, text)| write_file(project, file, text.as_deref()))
}

/// A file without some blocks of what tracking wrote, or (`None`) as it was before; none where it was not there then.
fn text_without(file: &ChangedFile, back: &BTreeSet<Option<&StoredKey>>) -> Result<Option<String>, String> {
    let (old, new) = (file.old.as_deref(), file.new.as_deref());
    let text = if back.is_empty() {
        new.map(str::to_owned)
    } else if back.contains(&None) {
        old.map(str::to_owned)
    } else {
        let blocks = back.iter().filter_map(|key| key.cloned()).collect();
        without_blocks(old, new.unwrap_or_default(), &blocks).map_err(|error| error.to_string())?
    };
    // What is no UTF-8 was read with that in its place.
    if text.as_deref().is_some_and(|text| text.contains(char::REPLACEMENT_CHARACTER)) {
        return Err("it is not UTF-8".to_owned());
    }
    Ok(text)
}

/// Writes a file of the checkout; where it has no text, removes what bst made to store refs in.
fn write_file(project: &Path, file: &ChangedFile, text: Option<&str>) -> io::Result<()> {
    let path = project.join(&file.path);
    // A plugin that no sandbox confines may have put a link in the place of a directory.
    let parent = path.parent().unwrap_or(project).canonicalize()?;
    if !parent.starts_with(project.canonicalize()?) {
        return Err(io::Error::other(format!("{} leads out of the checkout", file.path.display())));
    }
    let is_stored = file.path.extension().is_some_and(|end| end == "refs");
    match text {
        Some(text) if fs::read(&path).ok().as_deref() == Some(text.as_bytes()) => Ok(()),
        Some(text) => write_atomic(&path, text.as_bytes()),
        // bst makes no other file than those for refs, and tracking removes none.
        None if !is_stored => Ok(()),
        None => match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::pipeline::inputs::keyed_ref_changes;

    struct Checkout {
        directory: tempfile::TempDir,
        files: Vec<ChangedFile>,
    }

    impl Checkout {
        fn new() -> Self {
            let checkout = Self { directory: tempfile::tempdir().unwrap(), files: Vec::new() };
            checkout.put("project.conf", "name: p\nelement-path: elements\n");
            for (name, kind) in [("sub", "junction"), ("other", "junction"), ("one", "import"), ("two", "import")] {
                checkout.put(&format!("elements/{name}.bst"), &format!("kind: {kind}\n"));
            }
            checkout
        }

        fn put(&self, file: &str, text: &str) {
            let path = self.directory.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        /// A file that tracking changed.
        fn tracked(&mut self, file: &str, old: Option<&str>, new: &str) {
            self.put(file, new);
            let (old, new) = (old.map(str::to_owned), Some(new.to_owned()));
            self.files.push(ChangedFile { path: PathBuf::from(file), old, new });
        }

        fn units(&self, group: &[&str]) -> Vec<JunctionUnit> {
            let known = ProjectFiles::new(self.directory.path());
            let changes = keyed_ref_changes(&known, &self.files).unwrap();
            let written: Vec<_> =
                changes.into_iter().filter_map(|(change, block)| WrittenRef::new(change, block)).collect();
            let elements = group.iter().map(ToString::to_string).collect();
            let groups =
                if group.is_empty() { Vec::new() } else { vec![ElementGroup { name: "core".to_owned(), elements }] };
            junction_units(&known, &written, &groups)
        }

        fn write(&self, units: &[JunctionUnit]) -> io::Result<()> {
            write_units(self.directory.path(), &self.files, units)
        }

        fn text(&self, file: &str) -> Option<String> {
            fs::read_to_string(self.directory.path().join(file)).ok()
        }
    }

    /// Each unit's junction, with the files and elements of its parts.
    fn told(units: &[JunctionUnit]) -> Vec<(String, Vec<String>)> {
        let part = |part: &WrittenPart| match &part.block {
            None => part.file.clone(),
            Some((project, element)) => format!("{} {project} {element}", part.file),
        };
        units.iter().map(|unit| (unit.junction.to_string(), unit.parts.iter().map(part).collect())).collect()
    }

    const ELEMENT: &str = "sources:\n- kind: git\n  ref: ";

    #[test]
    fn a_junctions_ref_is_taken_back_wherever_it_is_with_those_of_its_group() {
        let mut checkout = Checkout::new();
        let old = "projects:\n  p:\n    other.bst:\n    - ref: o1\n    sub.bst:\n    - ref: s1\n  sub:\n    deep.bst:\n    - ref: d1\n";
        let new = old.replace("o1", "o2").replace("s1", "s2").replace("d1", "d2");
        checkout.tracked("junction.refs", Some(old), &new);
        let stored = "projects:\n  p:\n    one.bst:\n    - ref: a1\n    two.bst:\n    - ref: b1\n  sub:\n    lib.bst:\n    - ref: l1\n";
        let moved = stored.replace("a1", "a2").replace("b1", "b2").replace("l1", "l2");
        checkout.tracked("project.refs", Some(stored), &moved);
        let of = |name: &str, parts: &[&str]| (name.to_owned(), parts.iter().map(ToString::to_string).collect());
        let sub = of("sub.bst", &["junction.refs p sub.bst"]);
        let rest =
            [of("other.bst", &["junction.refs p other.bst"]), of("sub:deep.bst", &["junction.refs sub deep.bst"])];
        assert_eq!(told(&checkout.units(&[])), [rest[0].clone(), sub, rest[1].clone()]);
        let mut units = checkout.units(&["sub.bst", "two.bst"]);
        let core = of("sub.bst", &["junction.refs p sub.bst", "project.refs p two.bst"]);
        assert_eq!(told(&units), [core, rest[0].clone(), rest[1].clone()]);
        units[0].is_back = true;
        checkout.write(&units).unwrap();
        assert_eq!(checkout.text("junction.refs").unwrap(), new.replace("s2", "s1"));
        assert_eq!(checkout.text("project.refs").unwrap(), moved.replace("b2", "b1"));
        units[2].is_back = true;
        checkout.write(&units).unwrap();
        assert_eq!(checkout.text("junction.refs").unwrap(), old.replace("o1", "o2"));
        units[0].is_back = false;
        units[2].is_back = false;
        checkout.write(&units).unwrap();
        assert_eq!([checkout.text("junction.refs").unwrap(), checkout.text("project.refs").unwrap()], [new, moved]);
    }

    #[test]
    fn a_group_may_have_refs_in_files_of_every_sort() {
        let mut checkout = Checkout::new();
        checkout.put("elements/one.bst", "kind: import\n(@): include/one.yml\n");
        let texts = |kind: &str| ["1", "2"].map(|n| format!("{kind}{ELEMENT}{n}\n"));
        let (sub, other, one) = (texts("kind: junction\n"), texts("kind: junction\n"), texts(""));
        checkout.tracked("elements/other.bst", Some(&other[0]), &other[1]);
        checkout.tracked("elements/sub.bst", Some(&sub[0]), &sub[1]);
        checkout.tracked("include/one.yml", Some(&one[0]), &one[1]);
        checkout.tracked("project.refs", None, "projects:\n  p:\n    two.bst:\n    - ref: b2\n");
        let mut units = checkout.units(&["sub.bst", "one.bst", "two.bst"]);
        assert_eq!(told(&units)[0].1, ["elements/sub.bst", "include/one.yml", "project.refs p two.bst"]);
        units[0].is_back = true;
        checkout.write(&units).unwrap();
        let names = ["elements/sub.bst", "elements/other.bst", "include/one.yml", "project.refs"];
        let expected = [Some(sub[0].clone()), Some(other[1].clone()), Some(one[0].clone()), None];
        assert_eq!(names.map(|name| checkout.text(name)), expected);
    }

    #[test]
    fn nothing_is_written_where_one_file_cannot_be_and_nothing_outside() {
        let mut checkout = Checkout::new();
        let texts = ["1", "2"].map(|n| format!("kind: junction\n{ELEMENT}{n}\n"));
        checkout.tracked("elements/sub.bst", Some(&texts[0]), &texts[1]);
        let flow = |reference: &str| {
            format!("projects: {{p: {{other.bst: [{{ref: {reference}}}], two.bst: [{{ref: {reference}}}]}}}}\n")
        };
        checkout.tracked("junction.refs", Some(&flow("1")), &flow("2"));
        let mut units = checkout.units(&[]);
        for unit in &mut units {
            // One block of the other file stays.
            unit.is_back = unit.junction.as_str() != "two.bst";
        }
        assert!(checkout.write(&units).is_err());
        assert_eq!(checkout.text("elements/sub.bst").unwrap(), texts[1]);

        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("sub.bst"), &texts[1]).unwrap();
        let elements = checkout.directory.path().join("elements");
        fs::remove_dir_all(&elements).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), &elements).unwrap();
        let sub: Vec<_> = units.into_iter().filter(|unit| unit.junction.as_str() == "sub.bst").collect();
        assert!(checkout.write(&sub).is_err());
        assert_eq!(fs::read_to_string(elsewhere.path().join("sub.bst")).unwrap(), texts[1]);
    }
}
