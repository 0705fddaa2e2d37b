use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use git2::{IndexAddOption, Oid, Signature, Time};

use super::super::differences::differences;
use super::*;

/// A work tree at an old commit, with files that git does not know, and a new commit.
struct World {
    directory: tempfile::TempDir,
    repository: Repository,
    new: Oid,
    contents: CommitContents,
    moves: Vec<StagedMove>,
}

const OLD: [(&str, &str); 6] = [
    ("changed", "old"),
    ("gone/deep/file", "old"),
    ("same", "same"),
    ("was-directory/file", "old"),
    ("was-file", "old"),
    ("script", "old"),
];
const NEW: [(&str, &str); 6] = [
    ("changed", "new"),
    ("new/deep/file", "new"),
    ("same", "same"),
    ("was-directory", "new"),
    ("was-file/file", "new"),
    ("script", "new"),
];

fn commit(repository: &Repository, files: &[(&str, &str)]) -> Oid {
    let top = repository.workdir().unwrap().to_owned();
    for entry in fs::read_dir(&top).unwrap() {
        let path = entry.unwrap().path();
        match path.file_name() {
            Some(name) if name == ".git" => {}
            _ if path.is_dir() => fs::remove_dir_all(path).unwrap(),
            _ => fs::remove_file(path).unwrap(),
        }
    }
    for (name, content) in files {
        fs::create_dir_all(top.join(name).parent().unwrap()).unwrap();
        fs::write(top.join(name), content).unwrap();
    }
    fs::set_permissions(top.join("script"), fs::Permissions::from_mode(0o750)).unwrap();
    symlink(files[0].1, top.join("link")).unwrap();
    let mut index = repository.index().unwrap();
    index.clear().unwrap();
    index.add_all(["*"], IndexAddOption::DEFAULT, None).unwrap();
    index.write().unwrap();
    let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
    let who = Signature::new("A", "a@example.org", &Time::new(0, 0)).unwrap();
    repository.commit(None, &who, &who, "A commit", &tree, &[]).unwrap()
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::init(directory.path()).unwrap();
        let new = commit(&repository, &NEW);
        let old = commit(&repository, &OLD);
        repository.set_head_detached(old).unwrap();
        fs::create_dir(directory.path().join(".git/desk")).unwrap();
        for (name, content) in
            [("own", "mine"), ("gone/own", "mine"), ("new/own", "mine"), ("was-directory/own", "mine")]
        {
            fs::create_dir_all(directory.path().join(name).parent().unwrap()).unwrap();
            fs::write(directory.path().join(name), content).unwrap();
        }
        fs::write(directory.path().join("changed"), "changed here").unwrap();
        let cancel = Cancel::new();
        let contents = CommitContents::of(&repository, new, &cancel).unwrap();
        let known = super::super::index::known(&repository, &cancel).unwrap();
        let moves = differences(&repository, &contents, directory.path(), &known, &cancel).unwrap();
        let world = Self { directory, repository, new, contents, moves };
        world.staging().prepare(&world.repository, world.new, &world.contents, &world.moves, &cancel).unwrap();
        world
    }

    fn staging(&self) -> StagingArea {
        StagingArea::of(self.directory.path(), &self.directory.path().join(".git/desk")).unwrap()
    }

    /// As many steps as this, and then a kill.
    fn steps(&self, number: usize) {
        let staging = self.staging();
        self.moves.iter().enumerate().take(number).for_each(|(number, step)| staging.step(number, step).unwrap());
    }

    /// Everything in the work tree but git's: its mode, and its content or where it leads.
    fn files(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut open = vec![self.directory.path().to_owned()];
        let mut files = BTreeMap::new();
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let metadata = fs::symlink_metadata(&path).unwrap();
                let content = if path.ends_with(".git") {
                    continue;
                } else if metadata.is_dir() {
                    open.push(path.clone());
                    Vec::new()
                } else if metadata.is_symlink() {
                    fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
                } else {
                    fs::read(&path).unwrap()
                };
                let inside = path.strip_prefix(self.directory.path()).unwrap().to_owned();
                files.insert(inside, (metadata.mode(), content));
            }
        }
        files
    }

    #[track_caller]
    fn is_new(&self) {
        let files = self.files();
        let content = |name: &str| String::from_utf8(files[Path::new(name)].1.clone()).unwrap();
        for (name, expected) in NEW {
            assert_eq!(content(name), expected, "{name}");
        }
        assert_eq!(content("link"), "new");
        assert_eq!(files[Path::new("script")].0 & 0o777, 0o750);
        // What was in the way is gone, and what was not is there.
        let own: Vec<_> = files.keys().filter(|path| path.ends_with("own")).collect();
        assert_eq!(own, [Path::new("gone/own"), Path::new("new/own"), Path::new("own")]);
        assert!(!files.contains_key(Path::new("gone/deep")));
    }

    fn back(&self) -> Result<(), CheckoutObstacle> {
        self.staging().back(self.repository.path())
    }
}

#[test]
fn killed_after_any_step_it_goes_on_to_the_new_one() {
    let count = World::new().moves.len();
    for number in 0..=count {
        let world = World::new();
        world.steps(number);
        world.staging().forward().unwrap();
        world.is_new();
        // Once more does no harm.
        world.staging().forward().unwrap();
        world.is_new();
    }
}

#[test]
fn from_any_step_it_goes_back_to_the_old_one_and_killed_there_further_back() {
    let world = World::new();
    let (before, staging, count) = (world.files(), world.staging(), world.moves.len());
    let index = world.repository.path().join("index");
    let old = fs::read(&index).unwrap();
    assert!(count > 10, "{count}");
    for number in 0..=count {
        for undone in 0..=count {
            world.steps(number);
            fs::write(&index, "the new one's").unwrap();
            if undone > 0 {
                fs::rename(staging.place.join("moves"), staging.place.join("back")).unwrap();
                let steps = world.moves.iter().enumerate().rev().take(undone);
                steps.for_each(|(number, step)| staging.step_back(number, step).unwrap());
            }
            world.back().unwrap();
            assert_eq!(world.files(), before, "{number} steps, {undone} taken back");
            assert_eq!(fs::read(&index).unwrap(), old);
            assert!(staging.is_going_back());
            world.back().unwrap();
            assert_eq!(world.files(), before);
            // Everything is as it was prepared, but for these.
            fs::rename(staging.place.join("back"), staging.place.join("moves")).unwrap();
            fs::copy(&index, staging.place.join("index")).unwrap();
        }
    }
    let world = World::new();
    let before = world.files();
    world.staging().forward().unwrap();
    world.back().unwrap();
    assert_eq!(world.files(), before, "directories that were emptied are there again");
}

#[test]
fn nothing_of_somebody_elses_is_overwritten_or_reached_through_a_link() {
    let world = World::new();
    let before = world.files();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("file"), "precious").unwrap();
    // Somebody else is quicker than the last step: a directory of the new commit is a link now.
    let last = world.moves.iter().position(|step| *step == StagedMove::Put("was-file/file".into())).unwrap();
    world.steps(last);
    fs::remove_dir(world.directory.path().join("was-file")).unwrap();
    symlink(outside.path(), world.directory.path().join("was-file")).unwrap();
    assert!(world.staging().forward().is_err());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    fs::remove_file(world.directory.path().join("was-file")).unwrap();
    world.back().unwrap();
    assert_eq!(world.files(), before);

    let world = World::new();
    fs::create_dir_all(world.directory.path().join("new/deep")).unwrap();
    fs::write(world.directory.path().join("new/deep/file"), "somebody else's").unwrap();
    let error = world.staging().forward().unwrap_err();
    assert!(error.to_string().contains("meanwhile"), "{error}");
    world.back().unwrap();
    assert_eq!(fs::read_to_string(world.directory.path().join("new/deep/file")).unwrap(), "somebody else's");
}

#[test]
fn what_is_staged_is_for_its_owner_alone_and_goes_whole() {
    let world = World::new();
    let mode = fs::metadata(&world.staging().place).unwrap().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert!(world.staging().is_ready(&world.new.to_string()) && !world.staging().is_ready(&Oid::ZERO_SHA1.to_string()));
    world.staging().clear().unwrap();
    assert!(!world.staging().is_ready(&world.new.to_string()));
    assert_eq!(fs::read_dir(world.directory.path().join(".git/desk")).unwrap().count(), 0);
    // A configuration that is stopped leaves nothing.
    let cancel = Cancel::new();
    cancel.cancel();
    let stopped = world.staging().prepare(&world.repository, world.new, &world.contents, &world.moves, &cancel);
    assert!(matches!(stopped, Err(CheckoutObstacle::Cancelled)));
    assert_eq!(fs::read_dir(world.directory.path().join(".git/desk")).unwrap().count(), 0);
}
