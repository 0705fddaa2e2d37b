//! What is remembered of each element, and which refs are done when: the committed ones first.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use super::fake_bst_memory::World;

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
    assert_eq!(told[3], (&refs("verify"), &committed), "{stages:#}");
    assert_eq!(told[4], (&refs("track"), &Value::Null), "{stages:#}");
    let second = ["fetch", "push", "verify"].map(refs);
    assert_eq!(told[5..], second.each_ref().map(|stage| (stage, &tracked_refs)), "{stages:#}");
    assert_ne!(stages[1]["log"], stages[5]["log"], "both logs are kept");
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
    // In a sandbox of its own it could not.
    let fetcher = world.fetcher("sandbox = { mode = \"off\" }");
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
        probe: always tracked, for bst tells other sources than its files
      all.bst
      b.bst
        git up:b.bst [digest]
        probe: always tracked, for bst tells other sources than its files
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
    // What all of them have in common is pushed once, unless everything is to be done.
    assert_eq!(world.asked(&fetcher, &["run"]), ["push", "track", "track", "track"]);
    assert_eq!(world.asked(&fetcher, &["run", "--force"]), ["push", "push", "push", "track", "track", "track"]);
}

#[test]
fn a_package_of_plugins_that_is_upgraded_has_the_project_listed_again() {
    let world = World::new(&[]);
    // A bst whose first line names a Python, as pip writes it, and that becomes the fake one.
    let venv = world.scratch.path("venv");
    let plugins = |version: &str| {
        let packages = venv.join("lib/python3.12/site-packages");
        let _ = fs::remove_dir_all(&packages);
        let info = packages.join(format!("buildstream_plugins-{version}.dist-info"));
        fs::create_dir_all(&info).expect("a distribution");
        fs::write(info.join("entry_points.txt"), "[buildstream.plugins.sources]\ngit = x\n").expect("its entry points");
    };
    fs::create_dir_all(venv.join("bin")).expect("a directory");
    let command = world.fake.command().replace(['[', ']', ','], " ");
    let python = format!("#!/bin/sh\nshift\nexec {command} \"$@\"\n");
    for (name, text) in [("python3", python), ("bst", format!("#!{}/bin/python3\n", venv.display()))] {
        let path = venv.join("bin").join(name);
        fs::write(&path, text).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a program");
    }
    plugins("2.7.0");
    // The fake one is no part of what is named as bst, so the sandbox shows it only where it is asked to.
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").canonicalize().expect("the fixtures");
    let fetcher = world.fetcher(&format!(
        "buildstream = {{ command = ['{}/bin/bst'] }}\nsandbox = {{ read = ['{}'] }}",
        venv.display(),
        fixtures.display()
    ));
    assert_eq!(world.asked(&fetcher, &["run"]), ["push", "track"]);
    assert_eq!(world.asked(&fetcher, &["run"]), ["track"]);
    assert_eq!(world.fake.listings(), []);
    plugins("2.8.0");
    assert_eq!(world.asked(&fetcher, &["run"]), ["push", "track"], "another version may fetch something else");
    assert_eq!(world.fake.listings().len(), 1);
}
