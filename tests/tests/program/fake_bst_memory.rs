//! What the program remembers from one run to the next, and what it forgets.

use std::fs;
use std::path::PathBuf;

use fetcher_tests::fake::{FakeBst, upstream};
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::git_fixture::Repo;
use fetcher_tests::scratch::Scratch;
use fetcher_tests::waiting;
use serde_json::Value;

pub(super) struct World {
    pub(super) scratch: Scratch,
    pub(super) repo: Repo,
    pub(super) fake: FakeBst,
}

impl World {
    pub(super) fn new(branches: &[&str]) -> Self {
        let scratch = Scratch::new();
        let (repo, fake) = (upstream(&scratch, branches), FakeBst::new(&scratch, ""));
        Self { scratch, repo, fake }
    }

    pub(super) fn fetcher(&self, more: &str) -> Fetcher<'_> {
        self.configured("", more)
    }

    pub(super) fn configured(&self, general: &str, more: &str) -> Fetcher<'_> {
        let project =
            format!("[[project]]\nurl = \"project\"\ntargets = [\"all.bst\"]\nretries = 0\nverify = false\n{more}\n");
        let cache = "[[project.source-caches]]\nurl = \"http://127.0.0.1:1\"\npush = true\n";
        Fetcher::new(&self.scratch).config(format!("[fetcher]\n{general}\n{}\n{project}{cache}", self.fake.config()))
    }

    /// Runs, and gives what bst was asked.
    pub(super) fn asked(&self, fetcher: &Fetcher<'_>, arguments: &[&str]) -> Vec<String> {
        self.fake.forget();
        fetcher.run(arguments).expect(0);
        self.fake.commands()
    }
}

#[test]
fn where_nothing_moved_only_tracking_is_done() {
    let world = World::new(&[]);
    let fetcher = world.fetcher("");
    assert_eq!(world.asked(&fetcher, &["run"]), ["push", "track"]);
    assert_eq!(world.asked(&fetcher, &["run"]), ["track"]);
    let stages = fetcher.report()["branches"][0]["stages"].clone();
    for stage in ["fetch", "push"] {
        let report = stages.as_array().expect("stages").iter().find(|report| report["stage"] == stage);
        let report = report.expect("the stage");
        assert_eq!(report["outcome"], "skipped");
        assert!(report["skipped"].as_str().is_some_and(|why| why.contains("nothing changed")), "{report:#}");
    }
    assert_eq!(fetcher.report()["outcome"], "ok");
}

#[test]
fn whatever_moves_is_fetched_and_pushed_again() {
    let world = World::new(&[]);
    let fetcher = world.fetcher("");
    world.asked(&fetcher, &["run"]);

    world.repo.write("README", "Nothing that matters to bst, but a new tip\n");
    world.repo.commit("A new tip");
    assert_eq!(world.asked(&fetcher, &["run"]), ["track"], "the tip");
    assert_eq!(world.fake.listings().len(), 1, "a new tip is listed");

    world.fake.now("track_ref() { ref=dddddddddddddddddddddddddddddddddddddddd; }");
    assert_eq!(world.asked(&fetcher, &["run"]), ["track", "push"], "the tracked refs");
    assert_eq!(world.asked(&fetcher, &["run"]), ["track"], "the same refs are tracked again");
    assert_eq!(world.fake.listings(), [], "the listing is remembered");
    world.fake.now("");
    assert_eq!(world.asked(&fetcher, &["run"]), ["track"], "upstream went back to what is committed");

    world.fake.now("version=2.9.0\ntrack_ref() { ref=dddddddddddddddddddddddddddddddddddddddd; }");
    assert_eq!(world.asked(&fetcher, &["run"]), ["push", "track", "push"], "the release of bst");

    world.fake.now("");
    let fetcher = world.fetcher("options = { debug = \"true\" }");
    assert_eq!(world.asked(&fetcher, &["run"]), ["push", "track"], "the configuration");
    assert_eq!(world.asked(&fetcher, &["run"]), ["track"]);
}

#[test]
fn force_and_refresh_after_do_it_anyway() {
    let world = World::new(&[]);
    let fetcher = world.fetcher("");
    world.asked(&fetcher, &["run"]);
    assert_eq!(world.asked(&fetcher, &["run", "--force"]), ["push", "track"]);
    let fetcher = world.configured("refresh-after = \"1ms\"", "");
    world.asked(&fetcher, &["run"]);
    assert_eq!(world.asked(&fetcher, &["run"]), ["push", "track"]);
}

#[test]
fn what_failed_is_done_again_although_nothing_moved() {
    let world = World::new(&[]);
    let fetcher = world.fetcher("");
    world.fake.now("fails() { [ $command = push ] && [ $1 = a.bst ]; }");
    fetcher.run(&["run"]).expect(1);
    world.fake.now("");
    assert_eq!(world.asked(&fetcher, &["run"]), ["push", "track"]);
    assert_eq!(world.asked(&fetcher, &["run"]), ["track"]);
}

#[test]
fn variants_are_remembered_one_by_one() {
    let world = World::new(&[]);
    let fetcher = world
        .fetcher("variants = [{ name = \"x\", options = { o = \"x\" } }, { name = \"y\", options = { o = \"y\" } }]");
    world.fake.now("case \" $* \" in *' -o o y '*) fails() { [ $command = push ] && [ $1 = a.bst ]; } ;; esac");
    fetcher.run(&["run"]).expect(1);
    world.fake.now("");
    world.fake.forget();
    fetcher.run(&["run"]).expect(0);
    let calls: Vec<_> =
        world.fake.calls().iter().map(|call| (call.command.clone(), call.values("-o")[0].to_owned())).collect();
    assert_eq!(world.fake.commands(), ["push", "track", "track"], "{calls:?}");
    let push = world.fake.calls().remove(0);
    assert!(push.arguments.windows(3).any(|words| words == ["-o", "o", "y"]), "{push:?}");
}

#[test]
fn a_force_pushed_and_a_re_created_branch_are_ordinary() {
    let world = World::new(&["other"]);
    let fetcher = world.fetcher("branches = [\"*\"]");
    world.asked(&fetcher, &["run"]);
    world.repo.git(&["commit", "--quiet", "--amend", "--allow-empty", "--message", "Rewritten"]);
    world.repo.git(&["branch", "--delete", "--force", "other"]);
    world.asked(&fetcher, &["run"]);
    world.repo.git(&["branch", "other"]);
    let commands = world.asked(&fetcher, &["run"]);
    assert_eq!(commands.iter().filter(|command| *command == "push").count(), 1, "{commands:?}");
}

#[test]
fn a_vanished_branch_leaves_nothing_behind() {
    let world = World::new(&["old"]);
    let fetcher = world.fetcher("branches = [\"*\"]");
    world.asked(&fetcher, &["run"]);
    let checkout = world.scratch.path("cache/checkouts/project/old");
    assert!(checkout.exists());
    world.repo.git(&["branch", "--delete", "--force", "old"]);
    world.asked(&fetcher, &["run"]);
    assert!(!checkout.exists(), "the checkout of a branch that is gone stays");
    let branches = fetcher.status()["branches"].clone();
    assert_eq!(branches.as_array().map(Vec::len), Some(1), "{branches:#}");
}

#[test]
fn a_branch_that_is_configured_by_name_and_vanishes_is_a_failure() {
    let world = World::new(&["old"]);
    let fetcher = world.fetcher("branches = [\"main\", \"old\"]");
    world.asked(&fetcher, &["run"]);
    world.repo.git(&["branch", "--delete", "--force", "old"]);
    let ended = fetcher.run(&["run"]).expect(1);
    assert!(ended.stderr().contains("old"), "{ended}");
}

#[test]
fn old_runs_are_removed_by_a_run_and_by_gc() {
    let world = World::new(&[]);
    let runs = || {
        let runs = fs::read_dir(world.scratch.path("state/runs")).expect("the runs").flatten();
        let mut runs: Vec<PathBuf> = runs.map(|run| run.path()).collect();
        runs.sort();
        runs
    };
    let fetcher = world.fetcher("");
    world.asked(&fetcher, &["run"]);
    world.asked(&fetcher, &["run"]);
    let before = runs();
    assert_eq!(before.len(), 2);
    let fetcher = world.configured("keep-runs = \"1s\"", "");
    waiting::until("a run removes one that is older than a second", || {
        world.asked(&fetcher, &["run"]);
        !runs().contains(&before[0])
    });
    let kept = runs();
    waiting::until("gc does it too", || {
        fetcher.run(&["gc"]).expect(0);
        runs().len() <= 1 || !runs().contains(&kept[0])
    });
    assert!(fetcher.status()["branches"][0]["last-success"].is_string(), "gc forgot the branch");
}

#[test]
fn whatever_a_run_left_in_a_checkout_is_gone_in_the_next() {
    let world = World::new(&[]);
    let scenario =
        "after() { echo dirty >elements/new.bst; echo >project.refs; mkdir -p .bst; rm -f elements/all.bst; }
        track_ref() { ref=dddddddddddddddddddddddddddddddddddddddd; }";
    world.fake.now(scenario);
    // The sandbox hides the mirror, whose objects git needs here to tell.
    let fetcher = world.fetcher("sandbox = { mode = \"off\" }");
    world.asked(&fetcher, &["run"]);
    let scenario = "before() {
        [ $command = track ] || return 0
        { git status --porcelain --ignored && cat elements/a.bst; } >$scenario/seen
    }";
    world.fake.now(scenario);
    world.asked(&fetcher, &["run"]);
    let seen = fs::read_to_string(world.fake.path("seen")).expect("what was seen");
    assert!(seen.starts_with("kind: import"), "the tree was not clean: {seen}");
    assert!(seen.contains(&"a".repeat(40)), "the tracked ref stayed: {seen}");
}

#[test]
fn status_and_logs_tell_of_the_last_run() {
    let world = World::new(&["other"]);
    let fetcher = world.fetcher("branches = [\"*\"]");
    world.fake.now("fails() { [ $command = fetch ] && [ $1 = a.bst ] && text='HTTP Error 404: Not Found'; }");
    fetcher.run(&["run"]).expect(1);
    fetcher.snapshots(|| {
        insta::assert_snapshot!(fetcher.run(&["status"]), @r"
    $ bst-fetcher status
    exit status 0
    ---- stdout
    PROJECT  BRANCH  STATE                    LAST SUCCESS  LAST RUN  COMMIT        CACHED
    project  main    partial for [span] (1 runs)  never         [span] ago    [short commit]  committed 50%, tracked 50%
    project  other   partial for [span] (1 runs)  never         [span] ago    [short commit]  committed 50%, tracked 50%
    ");
    });
    let ended = fetcher.run(&["logs", "project/main", "track"]).expect(0);
    assert!(ended.stdout().contains("source track --deps all -- all.bst"), "{ended}");
    let ended = fetcher.run(&["logs", "project/main", "fetch"]).expect(0);
    assert!(ended.stdout().contains("HTTP Error 404: Not Found"), "{ended}");
    let status = fetcher.status();
    let main = &status["branches"][0];
    assert_eq!(main["project"], "project", "{status:#}");
    assert!(main["failing-since"].is_string() && main["last-success"] == Value::Null, "{status:#}");
    assert_eq!(main["consecutive-failures"], 1);
}

#[test]
fn a_run_shows_its_essence_where_something_failed_and_nothing_where_nothing_did() {
    let world = World::new(&[]);
    let fetcher = world.fetcher("");
    let ended = fetcher.run(&["run"]).expect(0);
    assert_eq!((ended.stdout(), ended.stderr()), (String::new(), String::new()), "{ended}");
    world.fake.now("fails() { [ $command = track ] && [ $1 = a.bst ] && text='HTTP Error 404: Not Found'; }");
    fetcher.snapshots(|| {
        insta::assert_snapshot!(fetcher.run(&["run"]), @r"
    $ bst-fetcher run
    exit status 1
    ---- stderr
    project (main) track: partial, 1 done, 1 had nothing to do, 1 failed, [span]
      a.bst: HTTP Error 404: Not Found [not-found]
        the project's maintainers: the address is gone: give the element upstream's new one, or a mirror; if it is private, credentials are missing
      log: [scratch]/state/runs/[run]/project/main/track.log
    ");
    });
}

#[test]
fn a_dry_run_does_nothing() {
    let world = World::new(&["other"]);
    let fetcher = world.fetcher("branches = [\"*\"]");
    fetcher.snapshots(|| {
        insta::assert_snapshot!(fetcher.run(&["run", "--dry-run"]), @r"
    $ bst-fetcher run --dry-run
    exit status 0
    ---- stderr
    project: main, other
    ");
    });
    assert_eq!(world.fake.calls(), []);
    assert!(!world.scratch.path("cache/checkouts").exists());
}

#[test]
fn a_run_may_be_about_some_projects_and_branches() {
    let world = World::new(&["other"]);
    let fetcher = world.fetcher("branches = [\"*\"]");
    let commands = world.asked(&fetcher, &["run", "--project", "project", "--branch", "other"]);
    assert_eq!(commands, ["push", "track"]);
    let directory = world.fake.calls()[0].directory.clone();
    assert!(directory.iter().any(|part| part == "other"), "{directory:?}");
    fetcher.run(&["run", "--project", "nobody"]).expect(2);
    fetcher.run(&["run", "--branch", "nobody"]).expect(2);
}

#[test]
fn jobs_run_branches_beside_each_other_with_a_sourcedir_each() {
    let world = World::new(&["one", "two", "three"]);
    let scenario = r#"before() {
        [ $command != version ] || return 0
        while read -r line; do case $line in *'"sourcedir"'*) own=${line%\"*} own=${own##*\"} ;; esac; done <"$config"
        mkdir -p "${own%/*}" && mkdir "$own.held" || exit 99
        # Who came first waits for a second; alone it would wait in vain.
        [ -e "$scenario/first" ] && : >"$scenario/second" || : >"$scenario/first"
        left=200
        while [ ! -e "$scenario/second" ]; do
            left=$((left - 1))
            [ $left -gt 0 ] || exit 98
            sleep 0.1
        done
        rmdir "$own.held"
    }"#;
    world.fake.now(scenario);
    let fetcher = world.configured("jobs = 2", "branches = [\"*\"]");
    world.asked(&fetcher, &["run"]);
    assert_eq!(fetcher.report()["branches"].as_array().map(Vec::len), Some(4));
}
