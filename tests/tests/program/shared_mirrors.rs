//! Projects of one repository share one mirror.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fetcher_tests::fake::{FakeBst, upstream};
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::git_fixture::Repo;
use fetcher_tests::scratch::Scratch;

struct World {
    scratch: Scratch,
    repo: Repo,
    fake: FakeBst,
}

impl World {
    fn new() -> Self {
        let scratch = Scratch::new();
        let (repo, fake) = (upstream(&scratch, &["other", "third"]), FakeBst::new(&scratch, ""));
        // The git that is there, which notes what it was asked.
        let git = scratch.write(
            "bin/git",
            "#!/bin/sh\nprintf '%s\\n' \"$1\" >>\"${0%/bin/git}/asked\"\nPATH=${PATH#*:} exec git \"$@\"\n",
        );
        fs::set_permissions(git, fs::Permissions::from_mode(0o755)).expect("a program");
        Self { scratch, repo, fake }
    }

    fn fetcher(&self, projects: &str) -> Fetcher<'_> {
        self.fetcher_keeping("30d", projects)
    }

    fn fetcher_keeping(&self, keep: &str, projects: &str) -> Fetcher<'_> {
        let path = self.scratch.environment().into_iter().find(|(name, _)| name == "PATH").expect("a PATH").1;
        let path = format!("{}:{path}", self.scratch.path("bin").display());
        let general = format!("[fetcher]\nkeep-runs = \"{keep}\"\n{}", self.fake.config());
        let text = format!("{general}\n[defaults]\ntargets = [\"all.bst\"]\nretries = 0\n{projects}");
        Fetcher::new(&self.scratch).config(text).env("PATH", path)
    }

    /// Runs, and gives what remote repositories were asked.
    fn asked(&self, fetcher: &Fetcher<'_>, arguments: &[&str]) -> Vec<String> {
        let _ = fs::remove_file(self.scratch.path("asked"));
        fetcher.run(arguments).expect(0);
        let asked = fs::read_to_string(self.scratch.path("asked")).unwrap_or_default();
        asked.lines().filter(|word| ["ls-remote", "fetch"].contains(word)).map(str::to_owned).collect()
    }

    fn mirrors(&self) -> Vec<String> {
        let all = fs::read_dir(self.scratch.path("cache/mirrors")).expect("the mirrors");
        let names = all.map(|entry| entry.expect("a mirror").file_name().to_string_lossy().into_owned());
        names.filter(|name| Path::new(name).extension().is_none_or(|end| end != "lock")).collect()
    }
}

const BOTH: &str = "[[project]]\nname = \"one\"\nurl = \"project\"\nbranches = [\"main\", \"other\"]\n\
    [[project]]\nname = \"two\"\nurl = \"project/\"\nbranches = [\"third\", \"main\"]\n";

#[test]
fn two_projects_of_one_repository_fetch_it_once_a_run() {
    let world = World::new();
    let fetcher = world.fetcher(BOTH);
    assert_eq!(world.asked(&fetcher, &["run"]), ["ls-remote", "fetch"]);
    assert_eq!(world.mirrors().len(), 1, "{:?}", world.mirrors());
    let branches = fetcher.report()["branches"].clone();
    let told: Vec<_> =
        branches.as_array().expect("branches").iter().map(|b| format!("{}/{}", b["project"], b["branch"])).collect();
    assert_eq!(told.join(" ").replace('"', ""), "one/main one/other two/third two/main");
    assert_eq!(world.asked(&fetcher, &["run"]), ["ls-remote"], "nothing moved");
    world.repo.write("README", "A new tip\n");
    world.repo.commit("A new tip");
    assert_eq!(world.asked(&fetcher, &["run", "--project", "two"]), ["ls-remote", "fetch"]);
    assert_eq!(world.asked(&fetcher, &["run"]), ["ls-remote"], "what one project fetched the other has");
}

#[test]
fn what_one_project_gets_wrong_stops_no_other_of_the_same_repository() {
    let world = World::new();
    let fetcher = world.fetcher(&BOTH.replace("\"main\", \"other\"", "\"nowhere\""));
    fetcher.run(&["run"]).expect(1);
    let branches = fetcher.report()["branches"].clone();
    let outcome = |project: &str, branch: &str| {
        let all = branches.as_array().expect("branches");
        all.iter().find(|b| b["project"] == project && b["branch"] == branch).expect("a branch")["outcome"].clone()
    };
    assert_eq!((outcome("one", "nowhere"), outcome("two", "third")), ("failed".into(), "ok".into()), "{branches:#}");
}

#[test]
fn projects_that_reach_a_repository_in_different_ways_share_nothing() {
    let world = World::new();
    world.scratch.write("token", "secret\n");
    let other = "[project.git]\nusername = \"me\"\n";
    let fetcher = world.fetcher(&format!("{BOTH}{other}"));
    assert_eq!(world.asked(&fetcher, &["run"]).len(), 4);
    assert_eq!(world.mirrors().len(), 2, "{:?}", world.mirrors());
}

#[test]
fn the_mirror_of_an_earlier_release_is_taken_over_and_nothing_of_it_fetched_again() {
    let world = World::new();
    let fetcher = world.fetcher(BOTH);
    world.asked(&fetcher, &["run"]);
    let mirrors = world.scratch.path("cache/mirrors");
    let name = world.mirrors().remove(0);
    fs::rename(mirrors.join(&name), mirrors.join("one")).expect("a rename");
    assert_eq!(world.asked(&fetcher, &["run"]), ["ls-remote"]);
    assert_eq!(world.mirrors(), [name]);
}

#[test]
fn a_mirror_stays_as_long_as_one_of_its_projects_is_configured() {
    let world = World::new();
    world.asked(&world.fetcher(BOTH), &["run"]);
    let two = BOTH.split_at(BOTH.rfind("[[project]]").expect("two projects")).1;
    let fetcher = world.fetcher_keeping("1ms", two);
    assert_eq!(world.asked(&fetcher, &["run"]), ["ls-remote"]);
    fetcher.run(&["gc"]).expect(0);
    assert_eq!(world.mirrors().len(), 1);
    assert!(!world.scratch.path("cache/checkouts/one").exists(), "nobody needs it any more");
}
