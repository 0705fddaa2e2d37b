//! Whose the caches are: each trust has its own, and what was there before trusts were known goes to all of them.

use std::fs;
use std::path::Path;

use fetcher_tests::fake::{FakeBst, upstream};
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::scratch::Scratch;
use serde_json::json;

struct World {
    scratch: Scratch,
    fake: FakeBst,
}

impl World {
    /// Two upstreams, `project` and `second`, and a bst that notes which caches it was given.
    fn new() -> Self {
        let scratch = Scratch::new();
        let fake = FakeBst::new(&scratch, NOTES);
        upstream(&scratch, &[]);
        let second = scratch.repo("second");
        second.write("project.conf", "name: second\nmin-version: 2.0\nelement-path: elements\n");
        second.write("elements/a.bst", "kind: stack\n");
        second.commit("A project");
        Self { scratch, fake }
    }

    fn fetcher(&self, name: &str, keep: &str, projects: &str) -> Fetcher<'_> {
        let root = self.scratch.root().display();
        let text = format!(
            "[fetcher]\nstate-dir = \"{root}/state\"\ncache-dir = \"{root}/cache\"\nmin-free-space = \"20M\"\n\
             keep-runs = \"{keep}\"\njobs = 1\n{}\n[defaults]\nretries = 0\n{projects}\n",
            self.fake.config()
        );
        self.scratch.write(name, text);
        Fetcher::new(&self.scratch).using(name)
    }

    fn both(&self, more: &str) -> Fetcher<'_> {
        self.fetcher("config.toml", "30d", &[project("project", more), project("second", more)].concat())
    }

    /// Puts there what a release left that knew of no trust.
    fn left_by_an_older_release(&self) {
        for name in OLD {
            self.scratch.write(&format!("cache/{name}"), "had already");
        }
    }

    /// The directories that bst was given for a project, below the cache directory; there is to be one of each.
    fn given(&self, project: &str) -> [String; 2] {
        let text = fs::read_to_string(self.fake.path("given")).expect("what bst was given");
        let of_project = text.lines().filter(|line| line.contains(&format!("/checkouts/{project}/")));
        let mut found: Vec<_> = of_project.map(|line| line.split_once('\t').expect("a tab").1.to_owned()).collect();
        found.sort();
        found.dedup();
        let top = format!("{}/", self.scratch.path("cache").display());
        let found: Vec<_> = found.iter().filter_map(|line| line.split_once('\t')).collect();
        let [(cachedir, sources)] = found[..] else { panic!("several: {text}") };
        [cachedir, sources].map(|path| path.strip_prefix(&top).expect("in the cache directory").to_owned())
    }

    fn there(&self, name: &str) -> bool {
        self.scratch.path("cache").join(name).exists()
    }

    fn owner(&self) -> String {
        let text = fs::read_to_string(self.scratch.path("cache/cachedir.json")).expect("the record");
        let record: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        record["trust"].as_str().expect("a trust").to_owned()
    }
}

/// Notes the working directory, the cachedir and the sourcedir of each call.
const NOTES: &str = r#"before() {
    [ $command = version ] && return
    value() { sed -n "s|^ *\"$1\": \"\(.*\)\".*|\1|p" "$config"; }
    printf '%s\t%s\t%s\n' "$PWD/" "$(value cachedir)" "$(value sourcedir)" >>$scenario/given
}"#;

const OLD: [&str; 3] = ["cachedir/cas/objects/ab/cd", "cachedir/elementsources/key", "sources/0/git/up/HEAD"];

fn project(url: &str, more: &str) -> String {
    format!("[[project]]\nurl = \"{url}\"\n{more}\n")
}

fn own(trust: &str) -> [String; 2] {
    [format!("trust/{trust}/cachedir"), format!("trust/{trust}/sources/0")]
}

fn first() -> [String; 2] {
    ["cachedir", "sources/0"].map(str::to_owned)
}

#[test]
fn the_only_project_has_what_was_there() {
    let world = World::new();
    world.left_by_an_older_release();
    world.fetcher("config.toml", "30d", &project("project", "")).run(&["run"]).expect(0);
    assert_eq!((world.given("project"), world.owner()), (first(), "project".to_owned()));
    assert!(!world.there("trust") && OLD.iter().all(|name| world.there(name)));
    // One that comes later begins with nothing, for nothing was ever its.
    world.both("").run(&["run"]).expect(0);
    assert_eq!([world.given("project"), world.given("second")], [first(), own("second")]);
    assert!(!world.there("trust/second/cachedir/cas/objects/ab/cd"));
}

#[test]
fn of_several_each_gets_a_copy_and_no_more_of_the_others() {
    let world = World::new();
    world.left_by_an_older_release();
    let ended = world.both("").run(&["run"]).expect(0);
    assert_eq!([world.given("project"), world.given("second")], [first(), own("second")], "{ended}");
    for name in OLD {
        let path = |top: &str| world.scratch.path(&format!("cache/{top}{name}"));
        assert_eq!(fs::read_to_string(path("trust/second/")).expect("a copy"), "had already", "{name}");
        fs::write(path(""), "changed").expect("a change");
        assert_eq!(fs::read_to_string(path("trust/second/")).expect("a copy"), "had already", "{name}");
    }
    // Which of them is named first is of no account any more.
    let turned = [project("second", ""), project("project", "")].concat();
    world.fetcher("config.toml", "30d", &turned).run(&["run"]).expect(0);
    assert_eq!([world.given("project"), world.given("second")], [first(), own("second")]);
}

#[test]
fn projects_of_one_trust_share_and_another_configuration_gets_its_copy() {
    let world = World::new();
    world.left_by_an_older_release();
    world.both("trust = \"all\"").run(&["run"]).expect(0);
    assert_eq!([world.given("project"), world.given("second")], [first(), first()]);
    assert_eq!(world.owner(), "all");
    assert!(!world.there("trust"));

    // Two configurations of a release that knew of no trust: the first to run leaves the other its part.
    let world = World::new();
    world.left_by_an_older_release();
    let other = world.fetcher("other.toml", "30d", &project("second", ""));
    other.run(&["run", "--dry-run"]).expect(0);
    let usage = world.scratch.root().join("other.toml").display().to_string();
    let record = format!(
        r#"{{"version": 1, "configurations": {{"{usage}": {{"at": "2099-01-01T00:00:00Z", "keep-seconds": 9999999,
         "named": {{"second": "2099-01-01T00:00:00Z", "second/main": "2099-01-01T00:00:00Z"}}}}}}}}"#
    );
    world.scratch.write("cache/usage.json", record);
    world.fetcher("config.toml", "30d", &project("project", "")).run(&["run"]).expect(0);
    assert_eq!(world.owner(), "project");
    assert!(OLD.iter().all(|name| world.there(&format!("trust/second/{name}"))));
    other.run(&["run"]).expect(0);
    assert_eq!(world.given("second"), own("second"));
}

#[test]
fn where_there_is_no_room_for_a_copy_all_go_on_with_what_is_there() {
    let world = World::new();
    let cache = world.scratch.path("cache").display().to_string();
    let fetcher = world
        .both("")
        .small_disk("cache", "60m")
        .limited(&format!("mkdir -p '{cache}/cachedir/cas'; head -c 30000000 /dev/zero >'{cache}/cachedir/cas/large'"));
    let ended = fetcher.run(&["run"]).expect(0);
    let failures = fetcher.report()["failures"].clone();
    assert_eq!(failures[0]["kind"], "caches-shared", "{ended}");
    assert!(
        failures[0]["message"].as_str().is_some_and(|text| text.starts_with("project, second share")),
        "{failures}"
    );
    assert_eq!([world.given("project"), world.given("second")], [first(), first()]);
}

#[test]
fn what_no_configuration_has_named_for_its_time_goes_with_its_trust() {
    let world = World::new();
    let only = |name: &str| world.fetcher("config.toml", "1ms", &project(name, ""));
    world
        .fetcher("config.toml", "1ms", &[project("project", ""), project("second", "")].concat())
        .run(&["run"])
        .expect(0);
    assert!(world.there("cachedir") && world.there("trust/second/cachedir"));
    only("project").run(&["run"]).expect(0);
    assert!(world.there("cachedir") && !world.there("trust/second"));
    only("second").run(&["run"]).expect(0);
    assert!(!world.there("cachedir") && !world.there("cachedir.json") && world.there("trust/second/cachedir"));
    assert!(Path::new(&world.scratch.path("cache/trust/second/sources")).is_dir());
}

#[test]
fn what_one_trust_has_is_fetched_for_another() {
    let world = World::new();
    let fetched = |trust: &str| {
        let again = format!("name = \"again\"\nverify = false\n{trust}");
        let projects = [project("project", "verify = false"), project("project", &again)].concat();
        let fetcher = world.fetcher("config.toml", "30d", &projects);
        fetcher.run(&["run"]).expect(0);
        let report = fetcher.report();
        let branches = report["branches"].as_array().expect("branches").iter();
        let stages = branches
            .flat_map(|branch| branch["stages"].as_array().expect("stages").iter().map(move |stage| (branch, stage)));
        let done = stages.filter(|(_, stage)| stage["stage"] == "fetch" && stage["outcome"] != "skipped");
        done.map(|(branch, _)| branch["project"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    let both = fetched("");
    assert!(both.contains(&"project".to_owned()) && both.contains(&"again".to_owned()), "{both:?}");
    assert_eq!(fetched(""), [""; 0]);
    // In the other's cache nothing is known to be there of its own.
    let moved = fetched("trust = \"other\"");
    assert!(!moved.is_empty() && moved.iter().all(|project| project == "again"), "{moved:?}");
}

#[test]
fn status_says_who_shares_which_caches_and_how_large_they_are() {
    let world = World::new();
    let third = world.scratch.repo("third");
    third.write("project.conf", "name: third\nmin-version: 2.0\nelement-path: elements\n");
    third.write("elements/a.bst", "kind: stack\n");
    third.commit("A project");
    let ours = "trust = \"ours\"";
    let projects = [project("project", ours), project("second", ours), project("third", "")].concat();
    let fetcher = world.fetcher("config.toml", "30d", &projects);
    fetcher.run(&["run"]).expect(0);
    world.scratch.write("cache/cachedir/cas/objects/ab/cd", vec![1; 3 << 20]);
    world.scratch.write("cache/trust/third/sources/0/git/pack", vec![1; 5 << 20]);
    let path = |name: &str| world.scratch.path("cache").join(name).display().to_string();
    let shown = fetcher.run(&["status"]).expect(0).stdout();
    let (first, other) = (path("cachedir"), path("trust/third/cachedir"));
    for line in [
        format!("caches of ours: 3 MiB, used by project, second: {first}\n"),
        format!("caches of third: 5 MiB, used by third: {other}\n"),
    ] {
        assert!(shown.contains(&line), "{line}{shown}");
    }
    let caches = &fetcher.status()["caches"];
    let of = |number: usize, key: &str| caches[number][key].clone();
    assert_eq!(of(0, "trusts"), json!(["ours"]), "{caches:#}");
    assert_eq!(of(0, "projects"), json!(["project", "second"]), "{caches:#}");
    assert_eq!((of(1, "cachedir"), of(1, "sources")), (json!(other), json!(path("trust/third/sources"))), "{caches:#}");
    let bytes = of(1, "bytes").as_u64().expect("a number");
    assert!((5 << 20..6 << 20).contains(&bytes), "{caches:#}");
    // Who is alone is told nothing of whom it shares with.
    let alone = world.fetcher("alone.toml", "30d", &project("project", ours)).run(&["status"]).expect(0).stdout();
    assert!(!alone.contains("caches of"), "{alone}");
}
