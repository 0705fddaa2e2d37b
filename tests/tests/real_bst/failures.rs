//! Failures of the real BuildStream, provoked: each is told with who must act and what to do, and stops nothing else.

use std::fs;
use std::process::Command;

use fetcher_tests::cachedir::incompressible;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::host::{DeadPort, path_without};
use fetcher_tests::project::Project;
use fetcher_tests::scratch::Scratch;
use fetcher_tests::{bst, casd};
use serde_json::Value;

fn config(project: &Project, more: &str) -> String {
    format!(
        "[buildstream]\ncommand = ['{}']\n\n[[project]]\nname = \"example\"\nurl = \"{}\"\nretries = 0\n{more}\n",
        bst::bst().display(),
        project.url(),
    )
}

/// Makes a branch of the project that has one more element, named `broken.bst`, which all needs.
fn branch(project: &Project, name: &str, broken: &str, files: &[(&str, &str)]) {
    let repo = &project.repo;
    repo.git(&["checkout", "--quiet", "-b", name, "main"]);
    repo.write("elements/broken.bst", broken);
    repo.write("elements/all.bst", "kind: stack\ndepends: [broken.bst, tar.bst]\n");
    for (path, text) in files {
        repo.write(path, text);
    }
    repo.commit(name);
    repo.git(&["checkout", "--quiet", "main"]);
}

/// Lets the branch use a source plugin of the project's own, whose Python text is given.
fn with_plugin(project: &Project, name: &str, kind: &str, text: &str) {
    let conf = fs::read_to_string(project.repo.path.join("project.conf")).expect("project.conf");
    let conf =
        conf.replace("plugins:\n", &format!("plugins:\n- origin: local\n  path: plugins\n  sources: [{kind}]\n"));
    let broken = format!("kind: import\nsources:\n- kind: {kind}\n");
    branch(project, name, &broken, &[("project.conf", &conf), (&format!("plugins/{kind}.py"), text)]);
}

/// The branch's report, and its first failure.
#[track_caller]
fn failure<'r>(report: &'r Value, name: &str) -> (&'r Value, &'r Value) {
    let branches = report["branches"].as_array().expect("branches");
    let branch = branches.iter().find(|branch| branch["branch"] == name).unwrap_or_else(|| panic!("{name}"));
    let stages = branch["stages"].as_array().expect("stages");
    let mut failures = stages.iter().flat_map(|stage| stage["failures"].as_array().expect("failures"));
    (branch, failures.next().unwrap_or_else(|| panic!("nothing failed in {name}: {branch:#}")))
}

#[track_caller]
fn expect(failure: &Value, kind: &str, actor: &str, element: Option<&str>, hint: &str) {
    assert_eq!(failure["kind"], kind, "{failure:#}");
    assert_eq!(failure["actor"], actor, "{failure:#}");
    assert_eq!(failure["element"].as_str(), element, "{failure:#}");
    assert!(failure["hint"].as_str().is_some_and(|text| text.contains(hint)), "{hint:?} in {failure:#}");
}

#[test]
fn each_branch_fails_in_its_own_way_and_the_good_one_is_fetched() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    project.repo.write("elements/all.bst", "kind: stack\ndepends: [tar.bst]\n");
    project.repo.commit("Less");
    let tool = "from buildstream import Source, utils\n\nclass Needy(Source):\n    BST_MIN_VERSION = '2.0'\n\n    \
                def configure(self, node):\n        pass\n\n    def preflight(self):\n        \
                utils.get_host_tool('lzip')\n\n    def get_unique_key(self):\n        return 1\n\n\
                def setup():\n    return Needy\n";
    with_plugin(&project, "host-tool", "needy", tool);
    with_plugin(&project, "python-module", "needy", &format!("import aiohttp_that_is_not_there\n{tool}"));
    branch(&project, "not-found", "kind: import\nsources:\n- kind: tar\n  url: files:gone.tar.gz\n", &[]);
    let git = "kind: import\nsources:\n- kind: git\n  url: up:hello\n  track: no-such-branch\n";
    branch(&project, "branch-gone", git, &[]);
    let names = ["main", "host-tool", "python-module", "not-found", "branch-gone"];
    let more = format!("targets = [\"all.bst\"]\nbranches = {names:?}");
    // Whether or not this machine has the tool.
    let path = path_without(&scratch, &["lzip"]);
    // The sandbox shows nothing of the temporary directory but what it is told to.
    let shown = format!("[sandbox]\nread = ['{}']\n\n{}", path.display(), config(&project, &more));
    let fetcher = Fetcher::new(&scratch).config(shown).env("PATH", path.display());
    let ended = fetcher.run(&["run"]).expect(1);
    let report = fetcher.report();

    let (branch, host_tool) = failure(&report, "host-tool");
    assert_eq!(branch["stages"][2]["outcome"], "skipped", "the same would fail in the same way: {branch:#}");
    expect(host_tool, "host-tool-missing", "host", Some("broken.bst"), "lzip");
    let (_, module) = failure(&report, "python-module");
    expect(module, "python-module-missing", "host", None, "requirements");
    let (branch, not_found) = failure(&report, "not-found");
    expect(not_found, "not-found", "project", Some("broken.bst"), "");
    assert_eq!(branch["outcome"], "partial", "{branch:#}");
    assert!(not_found["where"]["url"].as_str().is_some_and(|url| url.ends_with("/gone.tar.gz")), "{not_found:#}");
    let (branch, gone) = failure(&report, "branch-gone");
    expect(gone, "ref-missing", "project", Some("broken.bst"), "correct `track`");
    assert_eq!(branch["outcome"], "partial", "{branch:#}");
    assert_eq!(report["branches"][0]["outcome"], "ok", "{report:#}");
    // Who reads cron's mail needs no other place to understand it.
    for word in ["host-tool", "lzip", "broken.bst", "gone.tar.gz", "no-such-branch", "aiohttp_that_is_not_there"] {
        assert!(ended.stderr().contains(word), "{word}: {ended}");
    }
}

#[test]
fn a_checksum_that_changed_is_the_upstreams_or_the_projects_matter() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    let wrong = format!("kind: import\nsources:\n- kind: tar\n  url: files:pkg-1.tar.gz\n  ref: {}\n", "0".repeat(64));
    branch(&project, "checksum", &wrong, &[]);
    let more = "branches = [\"checksum\"]\ntargets = [\"broken.bst\"]\ntrack = false";
    let fetcher = Fetcher::new(&scratch).config(config(&project, more));
    fetcher.run(&["run"]).expect(4);
    let report = fetcher.report();
    let (_, checksum) = failure(&report, "checksum");
    expect(checksum, "checksum", "upstream", Some("broken.bst"), "");
    assert_eq!(checksum["retry"], "no");
    assert!(checksum["message"].as_str().is_some_and(|text| text.contains(&"0".repeat(64))), "{checksum:#}");
}

#[test]
fn a_file_name_that_is_not_utf8_is_named() {
    use std::os::unix::ffi::OsStrExt as _;
    let scratch = Scratch::new();
    let repo = scratch.repo("project");
    repo.write("project.conf", "name: latin\nmin-version: 2.0\n");
    repo.write("a.bst", "kind: import\nsources:\n- kind: local\n  path: data\n");
    repo.write("data/file", "x");
    fs::write(repo.path.join("data").join(std::ffi::OsStr::from_bytes(b"caf\xe9")), "x").expect("a file");
    repo.commit("A name in Latin-1");
    let text = format!(
        "[buildstream]\ncommand = ['{}']\n\n[[project]]\nurl = \"project\"\nretries = 0\n",
        bst::bst().display()
    );
    let fetcher = Fetcher::new(&scratch).config(text);
    let ended = fetcher.run(&["run"]).expect(4);
    assert!(ended.stderr().contains(r"data/caf\xe9"), "{ended}");
    let report = fetcher.report();
    let failure = &report["branches"][0]["stages"][1]["failures"][0];
    expect(failure, "project-invalid", "project", None, "rename it");
}

#[test]
fn a_source_cache_that_is_dead_or_full_is_told_and_the_sources_are_kept_here() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    package(&scratch, "big", 1 << 20);
    branch(&project, "big", "kind: import\nsources:\n- kind: tar\n  url: files:big.tar\n", &[]);
    let quick = "connection-config = { retry-limit = 1, retry-delay = 100, request-timeout = 5 }";
    let more = |url: &str| {
        format!(
            "branches = [\"big\"]\ntargets = [\"all.bst\"]\n[[project.source-caches]]\nurl = \"{url}\"\npush = true\n{quick}"
        )
    };
    let dead = DeadPort::new();
    let fetcher = Fetcher::new(&scratch).config(config(&project, &more(&dead.url())));
    fetcher.run(&["run"]).expect(1);
    let report = fetcher.report();
    let stages = report["branches"][0]["stages"].as_array().expect("stages");
    for fetch in [1, 5] {
        assert_eq!(stages[fetch]["outcome"], "ok", "what cannot be pushed is fetched all the same: {report:#}");
        assert_eq!(stages[fetch + 1]["outcome"], "failed", "{report:#}");
        expect(&stages[fetch + 1]["failures"][0], "cache-unreachable", "cache", None, "");
    }

    // It is there again, but takes no blob: bst's own exit status would be 0.
    let full = casd::full_source_cache(&scratch.path("remote"));
    let fetcher = Fetcher::new(&scratch).config(config(&project, &more(full.url())));
    fetcher.run(&["run"]).expect(1);
    let report = fetcher.report();
    let push = &report["branches"][0]["stages"][6];
    assert_ne!(push["outcome"], "ok", "{push:#}");
    assert!(!push["failures"].as_array().expect("failures").is_empty(), "{push:#}");
}

#[test]
fn a_full_disk_ends_in_a_diagnosis_and_the_next_run_has_room() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    package(&scratch, "big", 48 << 20);
    branch(&project, "big", "kind: import\nsources:\n- kind: tar\n  url: files:big.tar\n", &[]);
    let more = "branches = [\"big\"]\ntargets = [\"broken.bst\"]\ntimeout = \"2m\"";
    let fetcher = Fetcher::new(&scratch).config(config(&project, more)).small_disk("cache", "40m");
    fetcher.run(&["run"]).expect(4);
    let report = fetcher.report();
    let (_, full) = failure(&report, "big");
    // Whoever sees it first: bst's own words are about an element, those of who watches the space are not.
    assert_eq!((full["kind"].as_str(), full["actor"].as_str()), (Some("disk-full"), Some("host")), "{full:#}");
    let fetcher = Fetcher::new(&scratch).config(config(&project, more));
    fetcher.run(&["run"]).expect(0);
}

/// Offers a tar file with one file of random bytes, for a source with the url `files:NAME.tar`.
fn package(scratch: &Scratch, name: &str, size: usize) {
    scratch.write(&format!("files/{name}-1/data"), incompressible(size));
    let mut tar = Command::new("tar");
    tar.args(["-C", "files", "-cf", &format!("files/{name}.tar"), &format!("{name}-1")]);
    assert!(tar.current_dir(scratch.root()).status().expect("tar").success());
}
