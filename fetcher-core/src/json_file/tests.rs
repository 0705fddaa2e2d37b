//! Files that are whole, and every way in which they are not.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Counts {
    version: u32,
    counts: BTreeMap<String, u64>,
}

impl StoredJson for Counts {
    const VERSION: u32 = 3;
    const WHAT: &'static str = "table of counts";
}

fn counts(count: u64) -> Counts {
    Counts { version: 3, counts: [("a".to_owned(), count)].into() }
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_saved_is_read_again_and_older_versions_are_too() {
    let directory = tempfile::tempdir().unwrap();
    let file = JsonFile::<Counts>::at(directory.path().join("deep/er/counts.json"));
    assert_eq!(file.read().unwrap(), None);
    file.save(&counts(1)).unwrap();
    file.save(&counts(2)).unwrap();
    assert_eq!(file.read().unwrap(), Some(counts(2)));
    assert_eq!(names(file.path().parent().unwrap()), ["counts.json"]);
    fs::write(file.path(), r#"{ "version": 1, "counts": { "a": 5 } }"#).unwrap();
    let (old, trouble) = file.load();
    assert!(old.is_some_and(|old| old.counts["a"] == 5) && trouble.is_none());
}

#[test]
fn what_is_broken_is_never_overwritten_but_set_aside_and_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = JsonFile::<Counts>::at(directory.path().join("counts.json"));
    let whole = serde_json::to_string(&counts(7)).unwrap();
    let broken =
        ["", "{", "null", "[]", "\0\0\0\0", "{\"version\": 3}", "{\"version\": \"3\"}", &whole[..whole.len() / 2]];
    for text in broken {
        fs::write(file.path(), text).unwrap();
        assert!(file.save(&counts(1)).is_err(), "{text:?} was overwritten");
        assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
        let (value, told) = file.load();
        let Some(StateError::SetAside { aside, .. }) = &told else { panic!("{text:?}: {told:?}") };
        assert!(value.is_none());
        assert_eq!(fs::read_to_string(aside).unwrap(), text, "what was there is kept");
        assert!(told.unwrap().to_string().contains("counts.json.broken"));
        file.save(&counts(1)).unwrap();
    }
    for _ in 0..30 {
        fs::write(file.path(), "{").unwrap();
        assert!(matches!(file.load(), (None, Some(StateError::SetAside { .. }))));
    }
    assert_eq!(names(directory.path()).len(), BROKEN, "they are bounded");
}

#[test]
fn a_directory_in_its_place_is_set_aside_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let file = JsonFile::<Counts>::at(directory.path().join("counts.json"));
    fs::create_dir_all(file.path().join("within")).unwrap();
    assert!(file.save(&counts(1)).is_err());
    assert!(matches!(file.load(), (None, Some(StateError::SetAside { .. }))));
    assert!(directory.path().join("counts.json.broken/within").is_dir());
    file.save(&counts(1)).unwrap();
}

#[test]
fn a_newer_release_s_file_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let file = JsonFile::<Counts>::at(directory.path().join("counts.json"));
    let newer = r#"{ "version": 4, "counts": ["in", "another", "form"] }"#;
    fs::write(file.path(), newer).unwrap();
    for told in [file.load().1.unwrap(), file.save(&counts(1)).unwrap_err()] {
        assert!(matches!(told, StateError::Newer { version: 4, known: 3, .. }), "{told}");
        assert!(told.to_string().contains("newer release"), "{told}");
    }
    assert_eq!(fs::read_to_string(file.path()).unwrap(), newer);
    assert_eq!(names(directory.path()), ["counts.json"]);
}

#[test]
fn what_cannot_be_written_is_told_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = JsonFile::<Counts>::at(directory.path().join("counts.json"));
    file.save(&counts(1)).unwrap();
    // Not a permission, for root has them all.
    fs::create_dir(directory.path().join(".counts.json.new")).unwrap();
    assert!(matches!(file.save(&counts(2)), Err(StateError::Io { action: "write", .. })));
    assert_eq!(file.read().unwrap(), Some(counts(1)));
    let nowhere = JsonFile::<Counts>::at(file.path().join("inside a file.json"));
    assert!(matches!(nowhere.save(&counts(1)), Err(StateError::Io { .. })));
}
