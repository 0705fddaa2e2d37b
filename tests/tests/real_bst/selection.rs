//! What a project needs before the real BuildStream loads it, and what of it is tracked.

use std::fs;
use std::path::Path;

use fetcher_tests::bst;
use fetcher_tests::casd;
use fetcher_tests::client::Client;
use fetcher_tests::daemon::Daemon;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::git_fixture::Repo;
use fetcher_tests::project::Project;
use fetcher_tests::scratch::Scratch;
use serde_json::{Value, json};

fn config(project: &Project, cache: &Daemon, more: &str) -> String {
    format!(
        "[buildstream]\ncommand = ['{}']\n\n[[project]]\nname = \"example\"\nurl = \"{}\"\n\
         targets = [\"all.bst\"]\nretries = 0\n{more}\n[[project.source-caches]]\nurl = \"{}\"\npush = true\n",
        bst::bst().display(),
        project.url(),
        cache.url()
    )
}

fn servers(cache: &Daemon) -> String {
    format!("source-caches:\n  servers:\n  - url: {}\n", cache.url())
}

/// The stages that tracked, and what each left out.
fn track_stage(report: &Value) -> Value {
    let stages = report["branches"][0]["stages"].as_array().expect("stages");
    stages.iter().find(|stage| stage["stage"] == "track").expect("tracking").clone()
}

fn left_out(report: &Value) -> Vec<String> {
    let stage = track_stage(report);
    let elements = stage["left-out"].as_array().expect("elements").iter();
    let word = |value: &Value| value.as_str().expect("a word").to_owned();
    elements.map(|one| ["element", "why"].map(|key| word(&one[key])).join(" ")).collect()
}

fn changed(report: &Value) -> Vec<&str> {
    let changes = report["branches"][0]["changes"].as_array().expect("changes");
    changes.iter().map(|change| change["element"].as_str().expect("an element")).collect()
}

/// Lets a maintainer track elements and commit what that gives.
fn commit_refs(scratch: &Scratch, repo: &Repo, elements: &[&str]) {
    let maintainer = Client::new(scratch, "maintainer", Path::new(&repo.url()), "");
    maintainer.must(&[&["source", "track"][..], elements].concat());
    let tree = scratch.path("maintainer/project");
    for file in repo.git(&["ls-files", "elements", "include"]).lines() {
        repo.write(file, &fs::read_to_string(tree.join(file)).expect("a file"));
    }
    repo.commit("Update the refs");
}

fn tracked_tree(scratch: &Scratch) -> std::path::PathBuf {
    scratch.path("cache/checkouts/example/main/tree")
}

#[test]
fn a_project_that_does_not_load_without_keys_is_prepared_once() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    let script = "set -e\ncd files/boot-keys\nmkdir -p private\n\
                  for name in DB KEK PK; do head -c 20 /dev/urandom | od -An -tx1 >private/$name.key; done\n";
    project.repo.write("files/boot-keys/generate-keys", script);
    project.repo.write("files/boot-keys/.gitignore", "private\n");
    project.repo.write("elements/keys.bst", "kind: import\nsources:\n- kind: local\n  path: files/boot-keys/private\n");
    project.repo.write("elements/all.bst", "kind: stack\ndepends: [git.bst, keys.bst]\n");
    project.repo.commit("Boot keys, as GNOME has them");
    let cache = casd::source_cache(&scratch.path("remote"));

    let bare = Fetcher::new(&scratch).config(config(&project, &cache, ""));
    let told = bare.run(&["run"]).expect(4).to_string();
    assert!(told.contains("files/boot-keys/private"), "{told}");

    let prepare = "prepare = [\"sh\", \"files/boot-keys/generate-keys\", \"IMPORT_MODE=snakeoil\"]";
    let fetcher = Fetcher::new(&scratch).config(config(&project, &cache, prepare));
    let keys = || fs::read_to_string(tracked_tree(&scratch).join("files/boot-keys/private/PK.key")).expect("a key");
    fetcher.run(&["run"]).expect(0);
    let first = keys();
    fetcher.run(&["run"]).expect(0);
    assert_eq!(keys(), first, "they are random, and the same for the same tip");
    let report = fetcher.report();
    let stages = report["branches"][0]["stages"].as_array().expect("stages");
    let outcomes: Vec<_> =
        stages.iter().map(|stage| ["stage", "outcome"].map(|key| stage[key].as_str().unwrap()).join(" ")).collect();
    let nothing = ["fetch skipped", "push skipped", "verify ok"];
    let expected = [&["checkout ok", "prepare skipped"], &nothing[..], &["track ok"], &nothing].concat();
    assert_eq!(outcomes, expected, "{report:#}");

    // Whoever has these keys finds the sources that were made of them.
    project.hide_upstreams(&scratch);
    let client = Client::new(&scratch, "client", &tracked_tree(&scratch), &servers(&cache)).without_upstreams();
    client.must(&["source", "fetch", "--deps", "all", "all.bst"]);
}

#[test]
fn what_comes_from_an_alias_is_tracked_and_all_is_fetched() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    commit_refs(&scratch, &project.repo, &["sub.bst", "git.bst", "tar.bst", "flavoured.bst"]);
    project.hello.write("moved", "main");
    project.hello.commit("Upstream moves");
    scratch.write("files/pkg-1/README", "Another package\n");
    let mut tar = std::process::Command::new("tar");
    let packed = tar.args(["-C", "files", "-czf", "files/pkg-1.tar.gz", "pkg-1"]).current_dir(scratch.root()).status();
    assert!(packed.expect("tar").success());
    let cache = casd::source_cache(&scratch.path("remote"));
    // The tar file that is committed is gone, so that it is not fetched either.
    let more = "except = [\"tar.bst\"]\nselect = { urls = [\"up:hel*\"], kinds = [\"git\"] }";
    let fetcher = Fetcher::new(&scratch).config(config(&project, &cache, more));
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    assert_eq!(changed(&report), ["git.bst"], "{report:#}");
    assert_eq!(left_out(&report), ["all.bst not-selected", "local.bst not-selected"], "{report:#}");
    project.hide_upstreams(&scratch);
    let client = Client::new(&scratch, "client", &tracked_tree(&scratch), &servers(&cache)).without_upstreams();
    for junction in ["sub.bst", "fixed.bst"] {
        client.must(&["source", "fetch", junction]);
    }
    client.must(&["source", "fetch", "git.bst", "flavoured.bst", "local.bst", "sub.bst:lib.bst", "fixed.bst:lib.bst"]);
}

#[test]
fn a_junction_without_a_ref_is_tracked_before_anybody_knows_what_is_selected() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    let cache = casd::source_cache(&scratch.path("remote"));
    let more = "select = { elements = [\"git.bst\", \"flav*\"] }";
    let fetcher = Fetcher::new(&scratch).config(config(&project, &cache, more));
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    let mut moved = changed(&report);
    moved.sort_unstable();
    assert_eq!(moved, ["flavoured.bst", "git.bst", "sub.bst"], "{report:#}");
    let expected = ["all.bst not-selected", "local.bst not-selected", "tar.bst not-selected"];
    assert_eq!(left_out(&report), expected, "{report:#}");
    // A hold is stronger: nothing can be loaded then, which is told.
    let hold = "[[project.hold]]\nelement = \"sub.bst\"\nreason = \"breaks the build\"";
    let fetcher = Fetcher::new(&scratch).config(config(&project, &cache, hold));
    let told = fetcher.run(&["run"]).expect(4).to_string();
    assert!(told.contains("sub.bst has no ref, and a hold keeps it from being tracked"), "{told}");
}

#[test]
fn what_is_held_keeps_its_ref_and_is_fetched_with_it() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    project.repo.write("include/hello.yml", "sources:\n- kind: git\n  url: up:hello\n  track: main\n");
    for element in ["one", "two"] {
        project.repo.write(&format!("elements/{element}.bst"), "kind: import\n(@): include/hello.yml\n");
    }
    project.repo.write("elements/all.bst", "kind: stack\ndepends: [git.bst, one.bst, two.bst, flavoured.bst]\n");
    project.repo.commit("Elements that include");
    commit_refs(&scratch, &project.repo, &["git.bst", "one.bst", "two.bst", "flavoured.bst"]);
    project.repo.write(".bstignore", "include/hello.yml # waits for the release\nelements/none.bst\n");
    project.repo.commit("Hold hello");
    for branch in ["sweet", "main"] {
        project.hello.git(&["checkout", "--quiet", branch]);
        project.hello.write("moved", branch);
        project.hello.commit("Upstream moves");
    }
    let cache = casd::source_cache(&scratch.path("remote"));
    let hold = "[[project.hold]]\nelement = \"g?t.bst\"\nreason = \"needs a newer compiler\"\nuntil = 2999-12-31";
    let fetcher = Fetcher::new(&scratch).config(config(&project, &cache, hold));
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    assert_eq!(changed(&report), ["flavoured.bst"], "{report:#}");
    assert_eq!(left_out(&report), ["git.bst held", "one.bst held", "two.bst held"], "{report:#}");
    let holds = &fetcher.status()["branches"][0]["holds"];
    assert_eq!(holds[0]["elements"], json!(["git.bst"]), "{holds:#}");
    assert_eq!(
        (&holds[1]["elements"], &holds[1]["reason"]),
        (&json!(["one.bst", "two.bst"]), &"waits for the release".into())
    );
    let notes = track_stage(&report)["notes"].clone();
    assert!(notes.to_string().contains("elements/none.bst"), "{notes}");
    project.hide_upstreams(&scratch);
    let client = Client::new(&scratch, "client", &tracked_tree(&scratch), &servers(&cache)).without_upstreams();
    client.must(&["source", "fetch", "--deps", "all", "all.bst"]);
}
