//! What the program remembers from one run to the next, and what it forgets.

use std::fs;
use std::path::PathBuf;

use fetcher_tests::fake::{FakeBst, upstream};
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::git_fixture::Repo;
use fetcher_tests::scratch::Scratch;
use serde_json::Value;

struct World {
    scratch: Scratch,
    repo: Repo,
    fake: FakeBst,
}

impl World {
    fn new(branches: &[&str]) -> Self {
        let scratch = Scratch::new();
        let (repo, fake) = (upstream(&scratch, branches), FakeBst::new(&scratch, ""));
        Self { scratch, repo, fake }
    }

    fn fetcher(&self, more: &str) -> Fetcher<'_> {
        self.configured("", more)
    }

    fn configured(&self, general: &str, more: &str) -> Fetcher<'_> {
        let project = format!("[[project]]\nurl = \"project\"\ntargets = [\"all.bst\"]\nretries = 0\n{more}\n");
        let cache = "[[project.source-caches]]\nurl = \"http://127.0.0.1:1\"\npush = true\n";
        Fetcher::new(&self.scratch).config(format!("[fetcher]\n{general}\n{}\n{project}{cache}", self.fake.config()))
    }

    /// Runs, and gives what bst was asked.
    fn asked(&self, fetcher: &Fetcher<'_>, arguments: &[&str]) -> Vec<String> {
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

/// The targets of the last call of a command.
fn last_targets(world: &World, command: &str) -> Vec<String> {
    let calls = world.fake.calls();
    let call = calls.iter().rfind(|call| call.command == command).unwrap_or_else(|| panic!("no {command}: {calls:?}"));
    call.targets().into_iter().map(str::to_owned).collect()
}

#[test]
fn an_edited_element_is_all_that_is_fetched_and_pushed_again() {
    let world = World::new(&[]);
    let fetcher = world.fetcher("");
    world.asked(&fetcher, &["run"]);
    let source = |name: &str| format!("- kind: git\n  url: up:{name}\n  track: main\n  ref: {}\n", "e".repeat(40));
    world.repo.write("elements/a.bst", &format!("kind: import\nsources:\n{}", source("a")));
    world.repo.commit("Another ref");
    assert_eq!(world.asked(&fetcher, &["run"]), ["push", "track"]);
    assert_eq!(last_targets(&world, "push"), ["a.bst"]);
    assert_eq!(world.fake.listings().len(), 1);
    // A branch that goes back, by a revert or by force, has what was done for it before.
    world.repo.git(&["reset", "--quiet", "--hard", "HEAD^"]);
    assert_eq!(world.asked(&fetcher, &["run"]), ["push", "track"], "one state of the tip is remembered, and no more");
    assert_eq!(last_targets(&world, "push"), ["a.bst"]);
}

#[test]
fn who_merges_what_was_tracked_has_it_already() {
    let world = World::new(&[]);
    let tracked = "d".repeat(40);
    world.fake.now(&format!("track_ref() {{ ref={tracked}; }}"));
    let fetcher = world.fetcher("");
    assert_eq!(world.asked(&fetcher, &["run"]), ["push", "track", "push"]);
    let stages = fetcher.report()["branches"][0]["stages"].clone();
    let told: Vec<_> =
        stages.as_array().expect("stages").iter().map(|stage| (&stage["stage"], &stage["refs"])).collect();
    let refs = |name: &str| Value::from(name);
    let (committed, tracked_refs) = (refs("committed"), refs("tracked"));
    assert_eq!(told[1], (&refs("fetch"), &committed), "{stages:#}");
    assert_eq!(told[2], (&refs("push"), &committed), "{stages:#}");
    assert_eq!(told[3], (&refs("track"), &Value::Null), "{stages:#}");
    assert_eq!((told[4].1, told[5].1, told.len()), (&tracked_refs, &tracked_refs, 6), "{stages:#}");
    assert_ne!(stages[1]["log"], stages[4]["log"], "both logs are kept");
    for name in ["a", "b"] {
        let element =
            format!("kind: import\nsources:\n- kind: git\n  url: up:{name}\n  track: main\n  ref: {tracked}\n");
        world.repo.write(&format!("elements/{name}.bst"), &element);
    }
    world.repo.commit("What was tracked");
    assert_eq!(world.asked(&fetcher, &["run"]), ["track"]);
}

#[test]
fn an_element_that_always_fails_is_all_that_is_tried_again() {
    let world = World::new(&[]);
    let fetcher = world.fetcher("");
    let dead = "fails() { [ $command = fetch ] && [ $1 = a.bst ] && text='HTTP Error 404: Not Found'; }";
    world.fake.now(dead);
    fetcher.run(&["run"]).expect(1);
    for _ in 0..2 {
        world.fake.forget();
        fetcher.run(&["run"]).expect(1);
        assert_eq!(world.fake.commands(), ["push", "track"], "tracking moved nothing, so that it is tried once a run");
        assert_eq!(last_targets(&world, "push"), ["a.bst"]);
        let report = fetcher.report();
        assert_eq!(report["branches"][0]["outcome"], "partial", "{report:#}");
        let fetch = &report["branches"][0]["stages"][1];
        assert_eq!((&fetch["elements"]["total"], &fetch["elements"]["failed"]), (&3.into(), &1.into()), "{fetch:#}");
    }
    world.fake.now("");
    assert_eq!(world.asked(&fetcher, &["run"]), ["push", "track"]);
    assert_eq!(world.asked(&fetcher, &["run"]), ["track"]);
}

#[test]
fn of_a_hundred_elements_one_that_is_dead_is_all_that_is_fetched_again() {
    let world = World::new(&[]);
    let names: Vec<_> = (0..100).map(|number| format!("e{number}.bst")).collect();
    for name in &names {
        let source = format!("sources:\n- kind: git\n  url: up:{name}\n  track: main\n  ref: {}\n", "e".repeat(40));
        world.repo.write(&format!("elements/{name}"), &format!("kind: import\n{source}"));
    }
    world.repo.write("elements/all.bst", &format!("kind: stack\ndepends: [{}]\n", names.join(", ")));
    world.repo.commit("A hundred elements");
    world.fake.now("fails() { [ $command = fetch ] && [ $1 = e50.bst ] && text='HTTP Error 404: Not Found'; }");
    let fetcher = world.fetcher("");
    fetcher.run(&["run"]).expect(1);
    world.fake.forget();
    fetcher.run(&["run"]).expect(1);
    assert_eq!(world.fake.commands(), ["push", "track"]);
    assert_eq!(last_targets(&world, "push"), ["e50.bst"]);
}

#[test]
fn a_run_that_is_killed_between_the_two_fetches_has_what_was_committed() {
    let world = World::new(&[]);
    let scenario = "track_ref() { ref=dddddddddddddddddddddddddddddddddddddddd; }
    before() {
        [ $command = track ] && [ ! -e \"$scenario/killed\" ] || return 0
        : >\"$scenario/killed\"
        kill -KILL $PPID
        sleep 60
    }";
    world.fake.now(scenario);
    let fetcher = world.fetcher("");
    fetcher.run(&["run"]).expect(137);
    assert_eq!(world.fake.commands(), ["push", "track"]);
    world.fake.forget();
    fetcher.run(&["run"]);
    assert_eq!(world.fake.commands(), ["track", "push"], "what is committed was pushed before");
    assert_eq!(last_targets(&world, "push"), ["a.bst", "b.bst"]);
}

#[test]
fn what_a_project_consists_of_is_remembered_and_shown() {
    let world = World::new(&[]);
    world.repo.write("elements/a.bst", "kind: import\nsources:\n- kind: git\n  url: up:a\n  track: main\n");
    world.repo.commit("No ref");
    let fetcher = world.fetcher("");
    world.fake.now("track_ref() { ref=dddddddddddddddddddddddddddddddddddddddd; }");
    fetcher.run(&["inventory"]).expect(2);
    world.asked(&fetcher, &["run"]);
    world.fake.forget();
    fetcher.snapshots(|| {
        insta::assert_snapshot!(fetcher.run(&["inventory", "project/main"]), @r"
    $ bst-fetcher inventory project/main
    exit status 0
    ---- stdout
    project (main): 3 elements with 2 sources, listed at [time]
      a.bst, without a committed ref
        git up:a.bst [digest]
      all.bst
      b.bst
        git up:b.bst [digest]
    ");
    });
    assert_eq!(world.fake.every_call(), [], "it is remembered");
    let ended = fetcher.run(&["inventory", "nobody"]).expect(2);
    assert!(ended.stderr().contains("nobody"), "{ended}");
}

#[test]
fn what_bst_show_prints_is_a_strangers() {
    let world = World::new(&[]);
    // Names that are options, lead elsewhere or are of no element; garbage, and more of it than is read.
    let scenario = "show() {
        printf 'FORGED\\twaiting\\tforged.bst\\n[]\\n'
        marker=${format%%\"$TAB\"*}
        printf '%s\\twaiting\\t%s\\n- kind: [\\n%s\\n' \"$marker\" --option.bst \"$marker\"
        printf '%s\\twaiting\\t%s\\n- kind: git\\n  url: \\033]0;x\\007\\n%s\\n' \"$marker\" a.bst \"$marker\"
        printf '%s\\twaiting\\t../../x.bst\\n!!python/object:os.system x\\n' \"$marker\"
        printf 'PADDING%0100000d' 1
    }
    TAB=$(printf '\\t')";
    world.fake.now(scenario);
    let fetcher = world.fetcher("");
    fetcher.run(&["run"]).expect(0);
    let pushed: Vec<_> = world.fake.calls().into_iter().filter(|call| call.command == "push").collect();
    assert!(!pushed.is_empty());
    for call in &pushed {
        let targets = call.targets();
        assert!(targets.iter().all(|target| !target.starts_with('-') && *target != "forged.bst"), "{targets:?}");
    }
}

#[test]
fn elements_without_a_committed_ref_are_left_to_tracking() {
    let world = World::new(&[]);
    world.repo.write("elements/a.bst", "kind: import\nsources:\n- kind: git\n  url: up:a\n  track: main\n");
    world.repo.commit("No ref");
    world.fake.now("track_ref() { ref=dddddddddddddddddddddddddddddddddddddddd; }");
    let fetcher = world.fetcher("");
    assert_eq!(world.asked(&fetcher, &["run"]), ["push", "track", "push"]);
    let pushes: Vec<_> = world.fake.calls().into_iter().filter(|call| call.command == "push").collect();
    assert!(!pushes[0].targets().contains(&"a.bst") && pushes[0].targets().contains(&"b.bst"), "{pushes:?}");
    let stages = fetcher.report()["branches"][0]["stages"].clone();
    assert!(stages[1]["notes"][0].as_str().is_some_and(|note| note.contains("a.bst")), "{stages:#}");
    assert_eq!(world.asked(&fetcher, &["run"]), ["track"]);
    assert_eq!(world.fake.listings(), []);
}

#[test]
fn what_moved_since_the_last_run_is_told_apart_from_what_differs_from_the_tip() {
    let world = World::new(&[]);
    world.repo.write("project.conf", "name: fake\nmin-version: 2.0\nelement-path: elements\n(@): [include/conf.yml]\n");
    world.repo.write("include/conf.yml", "aliases:\n  up: https://github.com/example/\n");
    world.repo.commit("Where upstream is");
    let variants = "variants = [{ name = \"x\", options = { o = \"x\" } }, { name = \"y\", options = { o = \"y\" } }]";
    let fetcher = world.fetcher(variants);
    let run = |a: char, b: char| {
        let refs = [a, b].map(|letter| letter.to_string().repeat(40));
        world
            .fake
            .now(&format!("track_ref() {{ case $1 in a.bst) ref={} ;; b.bst) ref={} ;; esac; }}", refs[0], refs[1]));
        fetcher.run(&["run"]).expect(0);
        let report = fetcher.report();
        let changes = report["branches"][0]["changes"].as_array().expect("changes").clone();
        let first = |value: &Value| value.as_str().map_or("-".to_owned(), |text| text[..1].to_owned());
        let line = |change: &Value| {
            let words = [&change["old"], &change["new"], &change["before"]].map(first).join(" ");
            format!("{} {words} {}", change["element"].as_str().expect("an element"), change["moved"])
        };
        (changes.iter().map(line).collect::<Vec<_>>(), changes)
    };
    assert_eq!(run('a', 'c').0, ["b.bst b c - false"], "nothing is known at first");
    let (lines, changes) = run('a', 'd');
    assert_eq!(lines, ["b.bst b d c true"], "once, whatever the number of option sets");
    let page = format!("https://github.com/example/b.bst/compare/{}...{}", "c".repeat(40), "d".repeat(40));
    assert_eq!(changes[0]["compare"], page.as_str(), "{changes:#?}");
    let (lines, again) = run('a', 'd');
    assert_eq!(lines, ["b.bst b d - false"]);
    assert_eq!(again[0]["since"], changes[0]["since"], "when it was first seen");
    assert_eq!(run('e', 'd').0, ["a.bst a e a true", "b.bst b d - false"]);
    // The tip takes over what was tracked, and goes back.
    let element = |letter: &str| {
        format!("kind: import\nsources:\n- kind: git\n  url: up:a\n  track: main\n  ref: {}\n", letter.repeat(40))
    };
    world.repo.write("elements/a.bst", &element("e"));
    world.repo.commit("What was tracked");
    assert_eq!(run('e', 'd').0, ["b.bst b d - false"]);
    world.repo.git(&["revert", "--no-edit", "HEAD"]);
    assert_eq!(run('e', 'd').0, ["a.bst a e - false", "b.bst b d - false"], "upstream did not move");
    let stages = fetcher.report()["branches"][0]["stages"].clone();
    let tracks = stages.as_array().expect("stages").iter().filter(|stage| stage["stage"] == "track");
    let counts: Vec<_> = tracks.map(|stage| stage["changes"].as_array().map(Vec::len)).collect();
    assert_eq!(counts, [Some(2), Some(0)], "{stages:#}");
}

#[test]
fn a_run_may_be_about_one_element() {
    let world = World::new(&["other"]);
    world.repo.git(&["checkout", "--quiet", "other"]);
    world.repo.git(&["rm", "--quiet", "elements/b.bst"]);
    world.repo.write("elements/all.bst", "kind: stack\ndepends: [a.bst]\n");
    world.repo.commit("Without b");
    world.repo.git(&["checkout", "--quiet", "main"]);
    let fetcher = world.fetcher("branches = [\"*\"]");
    world.fake.now("fails() { [ $command = fetch ] && [ $1 = a.bst ] && text='HTTP Error 404: Not Found'; }");
    fetcher.run(&["run"]).expect(1);
    let (before, inventory) = (fetcher.status()["branches"].clone(), fetcher.run(&["inventory", "--json"]).json());
    world.fake.now("track_ref() { ref=dddddddddddddddddddddddddddddddddddddddd; }");
    assert_eq!(world.asked(&fetcher, &["run", "--element", "b.bst"]), ["track", "push"], "on the branch that has it");
    for call in world.fake.calls() {
        assert_eq!((call.targets(), call.values("--deps")), (vec!["b.bst"], vec!["none"]), "{call:?}");
        assert!(call.directory.iter().any(|part| part == "main"), "{call:?}");
    }
    assert_eq!(world.asked(&fetcher, &["run", "--element", "b.bst"]), ["track"], "what was done is remembered");
    // It says nothing of the branch as a whole.
    assert_eq!(fetcher.status()["branches"], before);
    assert_eq!(fetcher.run(&["inventory", "--json"]).json(), inventory);
    fetcher.run(&["run", "--element", "nowhere.bst"]).expect(2);
    fetcher.run(&["run", "--element=--option"]).expect(2);
    // What others need is known as before.
    world.fake.forget();
    fetcher.run(&["run", "--branch", "main"]).expect(0);
    assert_eq!(world.fake.commands(), ["push", "track", "push"]);
    assert_eq!(world.fake.calls()[0].targets(), ["a.bst"]);
    assert_eq!(world.fake.listings(), []);
}

#[test]
fn one_sort_of_refs_may_be_had_alone() {
    let world = World::new(&[]);
    world.fake.now("track_ref() { ref=dddddddddddddddddddddddddddddddddddddddd; }");
    for (refs, commands) in [("[\"committed\"]", &["push"][..]), ("[\"tracked\"]", &["track", "push"])] {
        let _ = fs::remove_dir_all(world.scratch.path("state/elements"));
        let fetcher = world.fetcher(&format!("refs = {refs}"));
        assert_eq!(world.asked(&fetcher, &["run"]), commands, "{refs}");
    }
}

#[test]
fn committed_refs_of_all_branches_come_before_tracking_of_any() {
    let world = World::new(&["other", "third"]);
    let fetcher = world.configured("jobs = 1", "branches = [\"*\"]");
    assert_eq!(world.asked(&fetcher, &["run"]), ["push", "push", "push", "track", "track", "track"]);
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
    std::thread::sleep(std::time::Duration::from_millis(1100));
    world.asked(&fetcher, &["run"]);
    assert!(!runs().contains(&before[0]), "{:?}", runs());
    let kept = runs();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    fetcher.run(&["gc"]).expect(0);
    assert!(runs().len() <= kept.len(), "{:?}", runs());
    assert!(fetcher.status()["branches"][0]["last-success"].is_string(), "gc forgot the branch");
}

#[test]
fn whatever_a_run_left_in_a_checkout_is_gone_in_the_next() {
    let world = World::new(&[]);
    let scenario =
        "after() { echo dirty >elements/new.bst; echo >project.refs; mkdir -p .bst; rm -f elements/all.bst; }
        track_ref() { ref=dddddddddddddddddddddddddddddddddddddddd; }";
    world.fake.now(scenario);
    let fetcher = world.fetcher("");
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
    PROJECT  BRANCH  STATE                    LAST SUCCESS  LAST RUN  COMMIT
    project  main    partial for [span] (1 runs)  never         [span] ago    [short commit]
    project  other   partial for [span] (1 runs)  never         [span] ago    [short commit]
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
