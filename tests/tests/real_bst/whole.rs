//! The whole program with the real BuildStream, real transports and a real source cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fetcher_tests::cachedir::{hash, object_below};
use fetcher_tests::casd;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::project::Project;
use fetcher_tests::scratch::Scratch;
use fetcher_tests::{bst, daemon::Daemon};
use serde_json::Value;

/// A configuration with the real `bst` for a project, pushed to a cache.
fn config(project: &Project, cache: &Daemon, more: &str) -> String {
    format!(
        "[buildstream]\ncommand = ['{}']\n\n[[project]]\nname = \"example\"\nurl = \"{}\"\ntargets = [\"all.bst\"]\nretries = 0\n{more}\n
[[project.source-caches]]\nurl = \"{}\"\npush = true\n",
        bst::bst().display(),
        project.url(),
        cache.url()
    )
}

#[test]
fn two_branches_with_everything_go_to_a_source_cache_and_a_clean_client_needs_no_upstream() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    let cache = casd::source_cache(&scratch.path("remote"));
    let variants = r#"branches = ["main", "stable"]
variants = [{ name = "sweet", options = { flavour = "sweet" } }, { name = "sour", options = { flavour = "sour" } }]"#;
    let fetcher = Fetcher::new(&scratch).config(config(&project, &cache, variants));
    fetcher.run(&["run"]).expect(0);

    let report = fetcher.report();
    let branches = report["branches"].as_array().expect("branches");
    assert_eq!(branches.len(), 2);
    for branch in branches {
        let stages = branch["stages"].as_array().expect("stages");
        let outcomes: Vec<_> = stages.iter().map(|stage| stage["outcome"].as_str().expect("an outcome")).collect();
        // Nothing is committed without a ref for the junction.
        assert_eq!((outcomes[0], &outcomes[1..7]), ("ok", &["skipped"; 6][..]), "{branch:#}");
        assert_eq!(outcomes[7..], ["ok"; 8], "four stages for each option set: {branch:#}");
        let changed = |element: &str| {
            let of = |stage: &&Value| stage["stage"] == "track";
            let changes = stages.iter().filter(of).flat_map(|stage| stage["changes"].as_array().expect("changes"));
            changes.filter(|change| change["element"] == element && change["new"].is_string()).count()
        };
        for element in ["git.bst", "tar.bst", "sub.bst"] {
            assert!(changed(element) > 0, "{element}: {branch:#}");
        }
        assert_eq!(changed("fixed.bst"), 0, "a junction that has a ref is not tracked");
    }

    project.hide_upstreams(&scratch);
    for branch in ["main", "stable"] {
        for flavour in ["sweet", "sour"] {
            client_fetches_everything(&scratch, &cache, branch, flavour);
        }
    }

    // The same by the program itself: junctions first, and with each option set.
    let proved = fetcher.run(&["verify", "--clean-client", "--json"]).expect(0).json();
    for branch in proved["branches"].as_array().expect("branches") {
        if branch["refs"] == "tracked" {
            assert!(branch["proved"].as_array().is_some_and(|proved| proved.len() >= 8), "{branch:#}");
            assert_eq!(branch["fetched-by-client"], branch["proved"], "{branch:#}");
        }
    }

    // The cache says that it has these bytes, and has others: a client does not get away with them.
    let object = object_below(&scratch.path("remote"), &hash(b"A package\n"));
    fs::remove_file(&object).expect("a blob");
    fs::write(&object, "a package\n").expect("a blob");
    fetcher.run(&["verify", "example/main", "--element", "tar.bst"]).expect(0);
    let client = ["verify", "example/main", "--element", "tar.bst", "--clean-client", "--json"];
    let damaged = fetcher.run(&client).expect(1).json();
    let tracked = damaged["branches"].as_array().expect("branches").iter().find(|of| of["refs"] == "tracked");
    assert!(tracked.expect("a branch")["missing"]["tar.bst"].is_string(), "{damaged:#}");

    // Nothing moved upstream; but upstream is gone, so that tracking fails, and what is there stays.
    let again = fetcher.run(&["run", "--branch", "main"]);
    assert_ne!(again.status(), 0, "{again}");
}

/// Fetches every element of a tracked branch into an empty cache, with upstream gone: junctions first, for bst asks no
/// remote cache for them while it loads.
fn client_fetches_everything(scratch: &Scratch, cache: &Daemon, branch: &str, flavour: &str) {
    let name = format!("client-{branch}-{flavour}");
    let home = client_of(scratch, cache, branch, &name);
    for target in ["sub.bst", "fixed.bst", "all.bst"] {
        let (succeeded, said) = client(scratch, &home, flavour, target);
        assert!(succeeded, "{name} {target}:\n{said}");
    }
}

/// A directory with a copy of a tracked branch, and a configuration with an empty cache.
fn client_of(scratch: &Scratch, cache: &Daemon, branch: &str, name: &str) -> PathBuf {
    let home = scratch.path(name);
    fs::create_dir_all(&home).expect("a client's home");
    let tree = scratch.path(&format!("cache/checkouts/example/{branch}/tree"));
    let copied = Command::new("cp").arg("-r").arg(&tree).arg(home.join("project")).status().expect("cp");
    assert!(copied.success());
    let here = home.display();
    let conf = format!(
        "cachedir: {here}/cache\nsourcedir: {here}/sources\nlogdir: {here}/logs\n\
         source-caches:\n  servers:\n  - url: {}\n",
        cache.url()
    );
    fs::write(home.join("buildstream.conf"), conf).expect("a configuration");
    home
}

fn client(scratch: &Scratch, home: &Path, flavour: &str, target: &str) -> (bool, String) {
    let mut command = Command::new(bst::bst());
    command.env_clear().envs(scratch.environment()).current_dir(home.join("project"));
    command.arg("--no-interactive").arg("-c").arg(home.join("buildstream.conf"));
    command.args(["-o", "flavour", flavour, "source", "fetch", "--deps", "all", target]);
    let output = command.output().expect("bst");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_failed_track_is_partial_and_the_others_reach_the_cache() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    project.repo.write(
        "elements/gone.bst",
        "kind: import\nsources:\n- kind: tar\n  url: files:gone.tar.gz\ndepends: [git.bst]\n",
    );
    project.repo.write("elements/all.bst", "kind: stack\ndepends: [gone.bst, tar.bst]\n");
    project.repo.commit("An upstream that is gone");
    let cache = casd::source_cache(&scratch.path("remote"));
    let fetcher = Fetcher::new(&scratch).config(config(&project, &cache, ""));
    fetcher.run(&["run"]).expect(1);
    let report = fetcher.report();
    let stages = &report["branches"][0]["stages"];
    assert_eq!(report["branches"][0]["outcome"], "partial");
    assert_eq!(stages[4]["failures"][0]["element"], "gone.bst", "{report:#}");
    assert_eq!(stages[4]["failures"][0]["kind"], "not-found");
    assert_eq!((&stages[6]["outcome"], &stages[6]["refs"]), (&"ok".into(), &"tracked".into()), "{report:#}");

    project.hide_upstreams(&scratch);
    let home = client_of(&scratch, &cache, "main", "client");
    // `git.bst` is needed by nothing but the element that failed, and is there all the same.
    for target in ["tar.bst", "git.bst"] {
        let (succeeded, said) = client(&scratch, &home, "sweet", target);
        assert!(succeeded, "{target}:\n{said}");
    }
}
