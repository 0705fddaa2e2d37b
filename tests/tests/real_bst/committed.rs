//! Who builds a branch as it is committed finds its sources in the cache, whatever moved upstream since.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fetcher_tests::bst;
use fetcher_tests::casd;
use fetcher_tests::client::Client;
use fetcher_tests::daemon::Daemon;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::git_fixture::Repo;
use fetcher_tests::project::Project;
use fetcher_tests::scratch::Scratch;
use serde_json::Value;

fn config(url: &str, cache: &Daemon, more: &str) -> String {
    format!(
        "[buildstream]\ncommand = ['{}']\n\n[[project]]\nname = \"example\"\nurl = \"{url}\"\n\
         targets = [\"all.bst\"]\nretries = 0\n{more}\n[[project.source-caches]]\nurl = \"{}\"\npush = true\n",
        bst::bst().display(),
        cache.url()
    )
}

/// Lets a maintainer track these elements in a branch of the project, with each flavour, and commit what that gives.
fn commit_refs(scratch: &Scratch, repo: &Repo, branch: &str, elements: &[&str]) {
    repo.git(&["checkout", "--quiet", branch]);
    let name = format!("maintainer-{branch}");
    let maintainer = Client::new(scratch, &name, Path::new(&repo.url()), "");
    for flavour in ["sweet", "sour"] {
        let options = ["-o", "flavour", flavour, "source", "track"];
        maintainer.must(&[&options[..], elements].concat());
    }
    let tree = scratch.path(&name).join("project/elements");
    for element in fs::read_dir(tree).expect("the elements") {
        let element = element.expect("an element");
        let name = format!("elements/{}", element.file_name().display());
        repo.write(&name, &fs::read_to_string(element.path()).expect("an element's file"));
    }
    repo.commit("Update the refs");
}

/// The tree of a branch as it is committed, submodules included.
fn committed(scratch: &Scratch, repo: &Repo, branch: &str) -> PathBuf {
    let place = scratch.path(&format!("committed-{branch}"));
    let checkout = scratch.path(&format!("cache/checkouts/example/{branch}/tree"));
    let copied = Command::new("cp").arg("-r").arg(&checkout).arg(&place).status().expect("cp");
    assert!(copied.success());
    for file in repo.git(&["ls-tree", "-r", "--name-only", branch, "elements", "project.conf"]).lines() {
        fs::write(place.join(file), repo.git(&["show", &format!("{branch}:{file}")]) + "\n").expect("a file");
    }
    place
}

fn servers(cache: &Daemon) -> String {
    format!("source-caches:\n  servers:\n  - url: {}\n", cache.url())
}

fn stages(report: &Value, branch: usize) -> Vec<String> {
    let stages = report["branches"][branch]["stages"].as_array().expect("stages").iter();
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    stages.map(|stage| ["stage", "refs", "outcome"].map(|key| word(&stage[key])).join(" ")).collect()
}

#[test]
fn a_client_that_builds_committed_refs_finds_them_when_upstream_has_moved_and_is_gone() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    let pinned = ["git.bst", "tar.bst", "flavoured.bst"];
    let junctions = ["sub.bst"];
    for branch in ["main", "stable"] {
        commit_refs(&scratch, &project.repo, branch, &[&pinned[..], &junctions].concat());
        // One that only tracking can give a ref.
        let loose = "kind: import\nsources:\n- kind: git\n  url: up:hello\n  track: main\n";
        project.repo.write("elements/loose.bst", loose);
        let all = project.repo.git(&["show", &format!("{branch}:elements/all.bst")]);
        project.repo.write("elements/all.bst", &(all.replace("[git.bst", "[loose.bst, git.bst") + "\n"));
        project.repo.commit("An element without a ref");
    }
    for branch in ["sweet", "sour", "main"] {
        project.hello.git(&["checkout", "--quiet", branch]);
        project.hello.write("moved", branch);
        project.hello.commit("Upstream moves");
    }
    project.sub.write("moved", "too");
    project.sub.commit("Upstream moves");

    let cache = casd::source_cache(&scratch.path("remote"));
    let more = r#"branches = ["main", "stable"]
variants = [{ name = "sweet", options = { flavour = "sweet" } }, { name = "sour", options = { flavour = "sour" } }]"#;
    let fetcher = Fetcher::new(&scratch).config(config(&project.url(), &cache, more));
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    let (committed_stages, tracked_stages) = (
        ["fetch committed ok", "push committed ok", "verify committed ok"].repeat(2),
        ["track - ok", "fetch tracked ok", "push tracked ok", "verify tracked ok"].repeat(2),
    );
    let expected = [vec!["checkout - ok"], committed_stages, tracked_stages].concat();
    assert_eq!(stages(&report, 0), expected, "{report:#}");
    assert_eq!(stages(&report, 1), expected, "{report:#}");
    let note = &report["branches"][0]["stages"][1]["notes"][0];
    assert!(note.as_str().is_some_and(|note| note.contains("loose.bst")), "{note}");

    let inventory = fetcher.run(&["inventory", "example/stable", "--json"]).expect(0).json();
    let branches = inventory["branches"].as_array().expect("branches");
    let of: Vec<_> = branches.iter().map(|of| (&of["branch"], &of["variant"])).collect();
    assert_eq!(of, [(&"stable".into(), &"sweet".into()), (&"stable".into(), &"sour".into())], "{inventory:#}");
    let element = |name: &str| {
        let mut elements = branches[0]["elements"].as_array().expect("elements").iter();
        elements.find(|element| element["name"] == name).unwrap_or_else(|| panic!("no {name}: {inventory:#}"))
    };
    let tar = &element("tar.bst")["sources"][0];
    assert!(
        tar["url"].as_str().is_some_and(|url| url.starts_with("http://127.0.0.1")),
        "its alias is resolved: {tar:#}"
    );
    assert_eq!((&tar["kind"], &tar["medium"]), (&"tar".into(), &"remote-file".into()));
    assert_eq!(element("sub.bst:lib.bst")["sources"][0]["medium"], "git");
    // Of what has no committed ref, it is what tracking found.
    let loose = element("loose.bst");
    assert_eq!(loose["has-refs"], false, "{loose:#}");
    assert_eq!(loose["sources"][0]["version"], project.hello.tip("main").as_str(), "{loose:#}");

    // Nothing moves: nothing is fetched, pushed or listed again.
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    for stage in report["branches"][0]["stages"].as_array().expect("stages") {
        if stage["stage"] == "verify" {
            assert_eq!((&stage["outcome"], &stage["proof"]["requests"]), (&"ok".into(), &0.into()), "{stage:#}");
        } else {
            assert_eq!(stage["outcome"] == "skipped", stage["refs"].is_string(), "{stage:#}");
        }
    }

    project.hide_upstreams(&scratch);
    for branch in ["main", "stable"] {
        let trees = [
            committed(&scratch, &project.repo, branch),
            scratch.path(&format!("cache/checkouts/example/{branch}/tree")),
        ];
        for (tree, refs) in trees.iter().zip(["committed", "tracked"]) {
            for flavour in ["sweet", "sour"] {
                let name = format!("client-{branch}-{flavour}-{refs}");
                let client = Client::new(&scratch, &name, tree, &servers(&cache));
                let fetch = |elements: &[&str]| {
                    client.must(&[&["-o", "flavour", flavour, "source", "fetch"][..], elements].concat());
                };
                fetch(&["sub.bst"]);
                fetch(&["fixed.bst"]);
                fetch(&[&pinned[..], &["local.bst", "sub.bst:lib.bst", "fixed.bst:lib.bst"]].concat());
                if refs == "tracked" {
                    fetch(&["--deps", "all", "all.bst"]);
                }
            }
        }
    }
}

#[test]
fn a_junction_without_a_committed_ref_leaves_all_to_tracking() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    let cache = casd::source_cache(&scratch.path("remote"));
    let fetcher = Fetcher::new(&scratch).config(config(&project.url(), &cache, ""));
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    let committed = ["fetch committed skipped", "push committed skipped", "verify committed skipped"];
    let tracked = ["track - ok", "fetch tracked ok", "push tracked ok", "verify tracked ok"];
    assert_eq!(stages(&report, 0)[1..], [&committed[..], &tracked].concat(), "{report:#}");
    let why = &report["branches"][0]["stages"][1]["skipped"];
    assert!(why.as_str().is_some_and(|why| why.contains("sub.bst has no committed ref")), "{why}");
    // What was tracked is remembered all the same.
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    let tracked = ["track - ok", "fetch tracked skipped", "push tracked skipped", "verify tracked ok"];
    assert_eq!(stages(&report, 0)[4..], tracked, "{report:#}");
}

#[test]
fn refs_that_a_project_stores_in_one_file_are_told_apart_by_element() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    let conf = project.repo.git(&["show", "main:project.conf"]);
    project.repo.write("project.conf", &format!("{conf}\nref-storage: project.refs\n"));
    let tips = ["main", "sweet"].map(|branch| project.hello.tip(branch).to_string());
    project.repo.write(
        "project.refs",
        &format!(
            "projects:\n  example:\n    git.bst:\n    - ref: {}\n    flavoured.bst:\n    - ref: {}\n",
            tips[0], tips[1]
        ),
    );
    project.repo.write("elements/all.bst", "kind: stack\ndepends: [git.bst, flavoured.bst]\n");
    project.repo.commit("Refs in a file");
    project.hello.git(&["checkout", "--quiet", "sweet"]);
    project.hello.write("moved", "sweet");
    project.hello.commit("Upstream moves");
    let cache = casd::source_cache(&scratch.path("remote"));
    let fetcher = Fetcher::new(&scratch).config(config(&project.url(), &cache, ""));
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    let stages = &report["branches"][0]["stages"];
    assert_eq!(stages[1]["elements"]["processed"], 3, "{report:#}");
    // What did not move is left out.
    assert_eq!((&stages[5]["refs"], &stages[5]["elements"]["processed"]), (&"tracked".into(), &1.into()), "{report:#}");
    let log = scratch.path(&format!("state/runs/{}", report["run"].as_str().expect("a run")));
    let log = log.join(stages[6]["log"].as_str().expect("a log"));
    let command = fs::read_to_string(log).expect("the log").lines().next().expect("a command").to_owned();
    assert!(command.ends_with("--deps none -- flavoured.bst"), "{command}");

    project.hide_upstreams(&scratch);
    let client = |name: &str, refs: &str| {
        let tree = scratch.path("cache/checkouts/example/main/tree");
        let client = Client::new(&scratch, name, &tree, &servers(&cache));
        fs::write(scratch.path(name).join("project/project.refs"), refs).expect("the refs");
        client.fetch("all.bst");
    };
    client("as-committed", &(project.repo.git(&["show", "main:project.refs"]) + "\n"));
    let tracked = fs::read_to_string(scratch.path("cache/checkouts/example/main/tree/project.refs"));
    client("as-tracked", &tracked.expect("what tracking wrote"));
}

#[test]
fn what_moved_is_found_wherever_bst_writes_it_and_told_once() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    project.repo.write("include/source.yml", "sources:\n- kind: git\n  url: up:hello\n  track: main\n");
    for element in ["one", "two"] {
        project.repo.write(&format!("elements/{element}.bst"), "kind: import\n(@): include/source.yml\n");
    }
    project.repo.write("elements/all.bst", "kind: stack\ndepends: [one.bst, two.bst, flavoured.bst, tar.bst]\n");
    project.repo.commit("Elements that include");
    let cache = casd::source_cache(&scratch.path("remote"));
    let more = r#"variants = [{ name = "sweet", options = { flavour = "sweet" } }, { name = "sour", options = { flavour = "sour" } }]"#;
    let fetcher = Fetcher::new(&scratch).config(config(&project.url(), &cache, more));
    let run = || {
        fetcher.run(&["run"]).expect(0);
        fetcher.report()["branches"][0]["changes"].as_array().expect("changes").clone()
    };
    let places = |changes: &[Value], moved: bool| {
        let lines = changes.iter().filter(|change| change["moved"] == moved);
        let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        lines.map(|change| ["element", "condition", "file"].map(|key| word(&change[key])).join(" ")).collect::<Vec<_>>()
    };
    let all = [
        "flavoured.bst flavour == 'sour' elements/flavoured.bst",
        "flavoured.bst flavour == 'sweet' elements/flavoured.bst",
        "one.bst - include/source.yml",
        "tar.bst - elements/tar.bst",
    ];
    let first = run();
    let mut lines = places(&first, false);
    lines.sort();
    assert_eq!(lines, all, "{first:#?}");
    let shared = first.iter().find(|change| change["element"] == "one.bst").expect("the shared one");
    assert_eq!(shared["shared-with"], serde_json::json!(["two.bst"]), "{shared:#}");
    assert!(shared["url"].as_str().is_some_and(|url| url.starts_with("git://127.0.0.1")), "{shared:#}");

    project.hello.git(&["checkout", "--quiet", "main"]);
    project.hello.write("moved", "main");
    project.hello.commit("Upstream moves");
    let second = run();
    assert_eq!(places(&second, true), ["one.bst - include/source.yml"], "{second:#?}");
    assert_eq!(second.len(), first.len(), "the others differ from the tip as before");
    let moved = second.iter().find(|change| change["moved"] == true).expect("one that moved");
    assert_eq!((&moved["before"], &moved["old"]), (&shared["new"], &Value::Null), "{moved:#}");
    assert_eq!(places(&run(), true), Vec::<String>::new());
}
