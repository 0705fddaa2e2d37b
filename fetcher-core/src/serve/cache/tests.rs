use std::fs::{self, FileTimes};
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::SystemTime;

use bazel_remote_apis::build::bazel::remote::execution::v2::{Digest, Directory, DirectoryNode, FileNode};
use prost::Message as _;
use tempfile::TempDir;

use super::super::objects::PIECE;
use super::*;

const KEY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A cachedir, made here, and the server's view of it.
struct Fixture {
    root: TempDir,
    cache: ServedCache,
    told: Arc<Mutex<Vec<ServeEvent>>>,
}

impl Fixture {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&told);
        let directory = ServedDirectory { cachedir: root.path().to_owned(), instances: Vec::new() };
        let cache = ServedCache::new(&[directory], Arc::new(move |event| sink.lock().unwrap().push(event)));
        Self { root, cache, told }
    }

    fn path(&self, object: ObjectDigest) -> PathBuf {
        self.root.path().join("cas/objects").join(object.hash.path())
    }

    fn put(&self, content: &[u8]) -> ObjectDigest {
        let object = ObjectDigest::of(content);
        let path = self.path(object);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        object
    }

    /// A tree with a file at its top and the rest one directory further down, as the sources of an element.
    fn element(&self, key: &str, top: &[u8], below: &[&[u8]]) -> (AssetName, ObjectDigest) {
        let node = |digest: Digest| FileNode { name: digest.hash.clone(), digest: Some(digest), ..FileNode::default() };
        let files = below.iter().map(|content| node(self.put(content).digest())).collect();
        let inner = self.put(&Directory { files, ..Directory::default() }.encode_to_vec());
        let directories = vec![DirectoryNode { name: "inner".to_owned(), digest: Some(inner.digest()) }];
        let files = vec![node(self.put(top).digest())];
        let root = self.put(&Directory { files, directories, ..Directory::default() }.encode_to_vec());
        let index = self.root.path().join("elementsources");
        fs::create_dir_all(&index).unwrap();
        fs::write(index.join(key), source_message(root)).unwrap();
        (AssetName::Sources(key.to_owned()), root)
    }

    fn corrupt(&self) -> usize {
        self.told.lock().unwrap().iter().filter(|event| matches!(event, ServeEvent::Corrupt { .. })).count()
    }

    fn is_there(&self, asset: &AssetName) -> bool {
        match self.cache.find("", asset) {
            Ok(_) => true,
            Err(ReadError::Missing) => false,
            Err(ReadError::Busy(error)) => panic!("{error}"),
        }
    }
}

/// A `Source` message by hand: field 2, a digest.
fn source_message(root: ObjectDigest) -> Vec<u8> {
    let digest = root.digest().encode_to_vec();
    [&[0x12, u8::try_from(digest.len()).unwrap()][..], &digest].concat()
}

#[test]
fn an_asset_is_answered_while_all_of_it_is_there() {
    let fixture = Fixture::new();
    let large = vec![7; PIECE * 3 + 1];
    let (asset, root) = fixture.element(KEY, b"top", &[b"one", &large]);
    let found = fixture.cache.find("", &asset).unwrap();
    assert_eq!(found.root, Some(root));
    // The message is nowhere among the objects, and clients ask for it.
    assert_eq!(fixture.cache.whole(found.message).unwrap(), source_message(root));
    for missing in [&b"one"[..], &large, b"top"] {
        let path = fixture.path(ObjectDigest::of(missing));
        fs::rename(&path, fixture.root.path().join("away")).unwrap();
        assert!(!fixture.is_there(&asset), "{} bytes are missing", missing.len());
        fs::rename(fixture.root.path().join("away"), &path).unwrap();
        assert!(fixture.is_there(&asset));
    }
    fs::remove_file(fixture.path(root)).unwrap();
    assert!(!fixture.is_there(&asset));
    assert_eq!(fixture.corrupt(), 0);
}

#[test]
fn what_was_changed_is_missing_and_told_once() {
    let fixture = Fixture::new();
    let large = vec![7; PIECE * 3 + 1];
    let (asset, _) = fixture.element(KEY, b"top", &[&large]);
    assert!(fixture.is_there(&asset));
    let object = ObjectDigest::of(&large);
    let open = fs::File::options().write(true).open(fixture.path(object)).unwrap();
    open.write_all_at(b"x", 1000).unwrap();
    // A file system's clock may stand still for some milliseconds, in which a change cannot be seen by it.
    open.set_times(FileTimes::new().set_modified(SystemTime::now() + Duration::from_secs(1))).unwrap();
    for _ in 0..3 {
        assert!(!fixture.is_there(&asset));
        assert!(matches!(fixture.cache.open(object), Err(ReadError::Missing)));
    }
    assert_eq!(fixture.corrupt(), 1);
    fs::remove_file(fixture.path(object)).unwrap();
    fixture.put(&large);
    assert!(fixture.is_there(&asset), "and is there again when it is whole again");
}

#[test]
fn what_was_changed_in_place_is_missing_though_its_time_is_put_back() {
    let fixture = Fixture::new();
    let large = vec![7; PIECE * 3 + 1];
    for content in [&b"small"[..], &large] {
        let object = fixture.put(content);
        let path = fixture.path(object);
        // As fresh as it is, and as it is once it is known for good.
        for age in [Duration::ZERO, Duration::from_secs(500), Duration::from_secs(100_000)] {
            let time = SystemTime::now() - age;
            let open = fs::File::options().write(true).open(&path).unwrap();
            open.write_all_at(content, 0).unwrap();
            open.set_times(FileTimes::new().set_modified(time)).unwrap();
            until_settled(&path);
            assert!(fixture.cache.open(object).is_ok(), "{age:?}");
            assert!(fixture.cache.check(object, Instant::now()).is_ok());
            let before = fs::metadata(&path).unwrap();
            open.write_all_at(b"x", 1).unwrap();
            open.set_times(FileTimes::new().set_modified(before.modified().unwrap())).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before.modified().unwrap());
            assert!(fixture.cache.open_now(object).is_none());
            assert!(matches!(fixture.cache.open(object), Err(ReadError::Missing)), "{} bytes, {age:?}", content.len());
            assert!(matches!(fixture.cache.check(object, Instant::now() + READING), Err(ReadError::Missing)));
        }
    }
}

/// Waits until a further change of a file would show.
fn until_settled(path: &std::path::Path) {
    let state = crate::file_state::FileState::of(&fs::metadata(path).unwrap());
    while !state.is_settled(SystemTime::now()) {
        std::thread::yield_now();
    }
}

#[test]
fn a_new_time_that_the_server_set_costs_no_reading() {
    let fixture = Fixture::new();
    let object = fixture.put(&vec![7; PIECE * 3 + 1]);
    let path = fixture.path(object);
    let old = SystemTime::now() - Duration::from_secs(100_000);
    fs::File::options().write(true).open(&path).unwrap().set_times(FileTimes::new().set_modified(old)).unwrap();
    until_settled(&path);
    assert!(fixture.cache.open(object).is_ok());
    assert!(fs::metadata(&path).unwrap().modified().unwrap() > old, "its time was set");
    // Only what is known to be whole is opened without being read.
    assert!(fixture.cache.open_now(object).is_some());
}

#[test]
fn what_is_cut_short_is_told_and_a_wrong_size_is_the_clients_own_affair() {
    let fixture = Fixture::new();
    let object = fixture.put(b"content");
    let wrong = ObjectDigest { size: object.size + 1, ..object };
    assert!(matches!(fixture.cache.whole(wrong), Err(ReadError::Missing)));
    assert_eq!(fixture.corrupt(), 0);
    fs::write(fixture.path(object), b"cont").unwrap();
    assert!(matches!(fixture.cache.whole(object), Err(ReadError::Missing)));
    assert_eq!(fixture.corrupt(), 1);
}

#[test]
fn what_is_open_arrives_whole_though_it_is_removed() {
    let fixture = Fixture::new();
    let large: Vec<u8> = (0..PIECE * 5).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let object = fixture.put(&large);
    let ObjectContent::File(file) = fixture.cache.open(object).unwrap() else { panic!("it is large") };
    fs::remove_file(fixture.path(object)).unwrap();
    let mut read = vec![0; large.len()];
    file.read_exact_at(&mut read, 0).unwrap();
    assert!(read == large);
    assert!(matches!(fixture.cache.open(object), Err(ReadError::Missing)));
}

#[test]
fn what_is_given_away_does_not_expire() {
    let fixture = Fixture::new();
    let (asset, root) = fixture.element(KEY, b"top", &[b"below"]);
    let objects = [root, ObjectDigest::of(b"top"), ObjectDigest::of(b"below")];
    let old = SystemTime::now() - Duration::from_secs(100_000);
    for object in objects {
        let file = fs::File::options().write(true).open(fixture.path(object)).unwrap();
        file.set_times(FileTimes::new().set_modified(old)).unwrap();
    }
    for _ in 0..2 {
        assert!(fixture.is_there(&asset));
    }
    for object in objects {
        let changed = fs::metadata(fixture.path(object)).unwrap().modified().unwrap();
        assert!(changed > old + Duration::from_secs(50_000), "{object:?}");
    }
}

#[test]
fn links_and_directories_are_no_objects() {
    let fixture = Fixture::new();
    let secret = b"the content of a file elsewhere";
    let elsewhere = fixture.root.path().join("elsewhere");
    fs::write(&elsewhere, secret).unwrap();
    let object = ObjectDigest::of(secret);
    let path = fixture.path(object);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert!(matches!(fixture.cache.whole(object), Err(ReadError::Missing)));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(fixture.cache.whole(object), Err(ReadError::Missing)));
    assert!(matches!(fixture.cache.check(object, Instant::now()), Err(ReadError::Missing)));
}

#[test]
fn a_message_is_known_after_a_restart_without_being_asked_for() {
    let fixture = Fixture::new();
    let (_, root) = fixture.element(KEY, b"top", &[]);
    let artifacts = fixture.root.path().join("artifacts/refs/project/element");
    fs::create_dir_all(&artifacts).unwrap();
    fs::write(artifacts.join(KEY), b"an artifact's message").unwrap();
    fixture.cache.read_index();
    for message in [source_message(root), b"an artifact's message".to_vec()] {
        assert_eq!(fixture.cache.whole(ObjectDigest::of(&message)).unwrap(), message);
    }
}

#[test]
fn an_index_file_that_is_no_message_is_no_asset() {
    let fixture = Fixture::new();
    let index = fixture.root.path().join("elementsources");
    fs::create_dir_all(&index).unwrap();
    fs::write(index.join(KEY), b"\xff\xff\xff").unwrap();
    assert!(!fixture.is_there(&AssetName::Sources(KEY.to_owned())));
    assert!(matches!(fixture.told.lock().unwrap()[..], [ServeEvent::Unreadable { .. }]));
}
