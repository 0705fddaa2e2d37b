//! Files of the memory that are broken, from a newer release or cannot be written: all of it is told, nothing is overwritten.

use std::fs;
use std::path::{Path, PathBuf};

use fetcher_tests::fetcher::Ended;
use fetcher_tests::http::Http;
use fetcher_tests::notified::Notified;
use serde_json::Value;

/// A world in which every store is in use, and what hears of it.
fn world() -> (Notified, Http, Http) {
    let (mut world, hook, server) = (Notified::new(&[], ""), Http::start([]), Http::start([]));
    let root = world.scratch.root().display().to_string();
    world.general(&format!("publish-dir = \"{root}/site\"\nmetrics-file = \"{root}/metrics.prom\""));
    world.notifiers(&format!(
        "[upload]\nurl = \"{}/pages/\"\n[[notify]]\nkind = \"webhook\"\nname = \"a\"\nurl = \"{}/\"\n",
        server.url, hook.url
    ));
    (world, hook, server)
}

/// What of the last run's failures is about the memory.
fn of_state(world: &Notified) -> Vec<Value> {
    let report = world.fetcher().report();
    let failures = report["failures"].as_array().expect("failures").iter();
    failures.filter(|failure| failure["kind"] == "state").cloned().collect()
}

/// Every store, by its path in the scratch directory.
const STORES: [&str; 8] = [
    "state/branches/project/main.json",
    "state/notify/a.json",
    "state/metrics.json",
    "state/uploaded.json",
    "state/usage.json",
    "cache/usage.json",
    "state/current.json",
    "site/.bst-fetcher.json",
];

/// Puts something else in a store's place.
fn replace(path: &Path, text: &str) {
    if path.exists() {
        fs::remove_file(path).expect("the file");
    }
    fs::write(path, text).expect("another file");
}

fn told(ended: &Ended, hook: &Http, path: &Path) {
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
    assert!(ended.stderr().contains(name), "{name}: {ended}");
    let said: Vec<String> = hook.take().iter().map(|request| request.json()["text"].to_string()).collect();
    assert!(said.iter().any(|text| text.contains(name)), "{name} is in no notification: {said:#?}");
}

#[test]
fn a_broken_file_of_any_store_is_set_aside_and_told_once() {
    let (world, hook, _server) = world();
    world.works().expect(0);
    hook.take();
    for store in STORES {
        let path = world.scratch.path(store);
        let whole = fs::read_to_string(&path).unwrap_or_else(|_| "{ \"version\": 1, \"run\": \"x\" }".to_owned());
        let half = &whole[..whole.len() / 2];
        replace(&path, half);
        let ended = world.works().expect(1);
        let aside = PathBuf::from(format!("{}.broken", path.display()));
        assert_eq!(fs::read_to_string(&aside).expect(store), half, "{store}");
        assert_eq!(of_state(&world).len(), 1, "{store}: {ended}");
        told(&ended, &hook, &path);
        world.works().expect(0);
        hook.take();
        assert_eq!(path.exists(), store != "state/current.json", "{store} began anew");
    }
}

#[test]
fn a_directory_in_the_place_of_any_store_is_set_aside_and_told() {
    let (world, hook, _server) = world();
    world.works().expect(0);
    for store in STORES {
        let path = world.scratch.path(store);
        if path.exists() {
            fs::remove_file(&path).expect("the file");
        }
        fs::create_dir_all(path.join("within")).expect("a directory");
        hook.take();
        let ended = world.works().expect(1);
        told(&ended, &hook, &path);
        assert!(PathBuf::from(format!("{}.broken/within", path.display())).is_dir(), "{store}: {ended}");
        world.works().expect(0);
    }
}

#[test]
fn a_file_of_a_newer_release_is_told_with_every_run_and_never_overwritten() {
    let (world, hook, _server) = world();
    world.works().expect(0);
    let newer = "{ \"version\": 99, \"what\": \"this release does not know\" }";
    for store in STORES.into_iter().filter(|store| *store != "state/current.json") {
        let path = world.scratch.path(store);
        let ours = fs::read(&path).expect(store);
        replace(&path, newer);
        hook.take();
        let ended = world.works().expect(1);
        told(&ended, &hook, &path);
        assert!(ended.stderr().contains("newer release"), "{store}: {ended}");
        world.works().expect(1);
        assert_eq!(fs::read_to_string(&path).expect(store), newer, "{store}");
        assert!(!PathBuf::from(format!("{}.broken", path.display())).exists(), "{store}");
        fs::write(&path, ours).expect("our own again");
        world.works().expect(0);
    }
}

#[test]
fn history_survives_a_newer_release_and_status_says_what_it_cannot_read() {
    let world = Notified::new(&[], "");
    world.fails().expect(1);
    let path = world.scratch.path("state/branches/project/main.json");
    let mut state: Value = serde_json::from_slice(&fs::read(&path).expect("the state")).expect("JSON");
    let since = state["failing-since"].clone();
    state["version"] = 99.into();
    fs::write(&path, state.to_string()).expect("a newer one");
    let status = world.fetcher().run(&["status"]).expect(1);
    assert!(status.stderr().contains("newer release"), "{status}");
    world.works().expect(1);
    let kept: Value = serde_json::from_slice(&fs::read(&path).expect("the state")).expect("JSON");
    assert!(since.is_string() && kept["failing-since"] == since, "{kept:#}");
}

#[test]
fn branches_that_cannot_be_remembered_are_told_with_every_run() {
    let world = Notified::new(&["other"], "");
    // A file in its place, for root may write everywhere.
    let path = world.scratch.write("state/branches", "not a directory\n");
    for _ in 0..2 {
        let ended = world.works().expect(1);
        assert!(ended.stderr().contains("state/branches"), "{ended}");
        let failures = of_state(&world);
        assert!(failures.len() >= 2, "one for each branch: {failures:#?}");
        assert!(failures.iter().all(|failure| failure["actor"] == "host"), "{failures:#?}");
    }
    fs::remove_file(path).expect("the file");
    world.works().expect(0);
    assert_eq!(world.fetcher().status()["branches"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_branch_s_file_that_cannot_be_written_is_told() {
    let world = Notified::new(&[], "");
    world.works().expect(0);
    let path = world.scratch.path("state/branches/project/main.json");
    let before = fs::read(&path).expect("the state");
    // Where the new file is written before it is renamed.
    fs::create_dir(path.with_file_name(".main.json.new")).expect("a directory");
    let ended = world.works().expect(1);
    assert!(ended.stderr().contains("main.json"), "{ended}");
    assert_eq!(fs::read(&path).expect("the state"), before);
}

#[test]
fn a_full_disk_under_the_memory_is_told() {
    let world = Notified::new(&["other"], "");
    let fetcher = world.fetcher().small_disk("state/branches", "4k");
    // One page is not enough for two branches.
    let ended = fetcher.run(&["run"]).expect(1);
    assert!(ended.stderr().contains("No space left on device"), "{ended}");
    assert!(ended.stderr().contains("disk-full"), "{ended}");
}
