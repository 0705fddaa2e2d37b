//! Trouble to come with upstreams, on the real bst: found without another request, told once, and over when it is over.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use fetcher_tests::bst;
use fetcher_tests::daemon::Daemon;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::git_fixture::Repo;
use fetcher_tests::http_git::{HttpGit, Manner};
use fetcher_tests::scratch::Scratch;
use fetcher_tests::web_files::{WebAnswer, WebFiles};
use serde_json::Value;

/// A project with one element of each of two upstreams, and somebody who is told of rot alone.
struct Rotting {
    scratch: Scratch,
    upstream: Repo,
    config: String,
    _servers: (Daemon, HttpGit, WebFiles),
}

impl Rotting {
    fn new() -> Self {
        let scratch = Scratch::new();
        let upstream = scratch.repo("up/tagged");
        upstream.write("file", "first\n");
        let first = upstream.commit("first");
        upstream.git(&["tag", "-a", "-m", "v1", "v1"]);
        let git = Daemon::git(&scratch.path("up"));
        let (real, old) = (HttpGit::start(&scratch.path("up"), Manner::Open), WebFiles::start());
        let target = |service: &str| format!("{}/tagged/{service}", real.url);
        let refs = target("info/refs?service=git-upload-pack");
        old.set("/moved.git/info/refs", WebAnswer::to("301 Moved Permanently", &refs));
        let project = scratch.repo("project");
        let conf = "name: example\nmin-version: 2.0\nelement-path: elements\nplugins:\n- origin: pip\n  package-name: \
                    buildstream-plugins-community\n  sources: [git_repo]\n";
        project.write("project.conf", &format!("{conf}aliases:\n  up: {}/\n  old: {}/\n", git.url(), old.url));
        let element = |url: &str, track: &str, reference: &str| {
            format!("kind: import\nsources:\n- kind: git_repo\n  url: {url}\n  track: {track}\n  ref: {reference}\n")
        };
        project.write("elements/tagged.bst", &element("up:tagged", "v*", &format!("v1-0-g{first}")));
        project.write("elements/moved.bst", &element("old:moved.git", "v*", &format!("v1-0-g{first}")));
        project.commit("A project");
        let told = scratch.write("bin/told", format!("#!/bin/sh\ncat >> {}\n", scratch.path("told").display()));
        fs::set_permissions(&told, PermissionsExt::from_mode(0o755)).expect("its mode");
        let config = format!(
            "[buildstream]\ncommand = ['{}']\n[[project]]\nname = \"example\"\nurl = \"{}\"\nretries = 0\n\
             [[notify]]\nkind = \"command\"\ncommand = ['{}']\non = [\"rot\"]\n",
            bst::bst().display(),
            project.url(),
            told.display()
        );
        Self { scratch, upstream, config, _servers: (git, real, old) }
    }

    fn fetcher(&self) -> Fetcher<'_> {
        Fetcher::new(&self.scratch).config(self.config.clone())
    }

    /// Runs, and gives what `rot --json` says then; no outcome is changed by it.
    fn run(&self) -> Value {
        let fetcher = self.fetcher();
        fetcher.run(&["run"]).expect(0);
        let shown = fetcher.run(&["rot", "--json"]).expect(0);
        shown.json()
    }

    /// The titles of what was told since the last look.
    fn told(&self) -> String {
        let path = self.scratch.path("told");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        text
    }
}

fn kinds(shown: &Value) -> Vec<&str> {
    let findings = shown["findings"].as_array().expect("findings");
    findings.iter().map(|finding| finding["kind"].as_str().expect("a kind")).collect()
}

#[test]
fn a_moved_tag_and_a_moved_repository_are_found_and_told_once() {
    let site = Rotting::new();
    let shown = site.run();
    assert_eq!(kinds(&shown), ["moved"], "{shown:#}");
    let moved = &shown["findings"][0];
    assert!(moved["hint"].as_str().expect("a hint").contains("/tagged"), "{moved:#}");
    assert_eq!((&moved["users"][0]["element"], &moved["users"][0]["line"]), (&"moved.bst".into(), &4.into()));
    assert!(site.told().contains("moved.bst"));
    site.run();
    assert_eq!(site.told(), "", "the same is told once");

    site.upstream.write("file", "second\n");
    site.upstream.commit("second");
    site.upstream.git(&["tag", "-f", "-a", "-m", "v1", "v1"]);
    let shown = site.run();
    assert!(kinds(&shown).contains(&"moved-tag"), "{shown:#}");
    let findings = shown["findings"].as_array().expect("findings");
    let tag = findings.iter().find(|finding| finding["kind"] == "moved-tag").expect("one");
    assert_eq!((&tag["urgency"], &tag["users"][0]["line"]), (&"this-week".into(), &6.into()), "{tag:#}");
    assert!(site.told().contains("tagged.bst"));
    let text = site.fetcher().run(&["rot"]).expect(0).stdout();
    assert!(text.contains("elements/tagged.bst:6") && text.contains("this-week (moved-tag"), "{text}");

    let report = site.fetcher().report();
    let hosts = report["probes"]["hosts"].as_array().expect("hosts");
    assert!(hosts.len() == 2 && hosts.iter().all(|host| host["answered"].as_u64() > Some(0)), "{hosts:#?}");
}

#[test]
fn what_was_asked_and_found_is_seen_on_pages_in_metrics_and_by_those_who_ask() {
    let mut site = Rotting::new();
    let (pages, metrics) = (site.scratch.path("pages"), site.scratch.path("metrics.prom"));
    let more = format!("[fetcher]\npublish-dir = {pages:?}\nmetrics-file = {metrics:?}\n");
    site.config.insert_str(0, &more);
    site.run();
    let read = |path: &std::path::Path| fs::read_to_string(path).expect("a file");
    let page = read(&pages.join("upstreams.html"));
    for part in ["Trouble to come: 1 finding", "has moved for good", "moved.bst", "elements/moved.bst:4", "127.0.0.1:"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(read(&pages.join("index.html")).contains("upstreams.html"));
    let status: Value = serde_json::from_str(&read(&pages.join("status.json"))).expect("JSON");
    assert_eq!(status["rot"][0]["kind"], "moved", "{status:#}");
    assert_eq!(status["last-run"]["probes"]["hosts"].as_array().map(Vec::len), Some(2), "{status:#}");
    let run = fs::read_dir(pages.join("runs")).expect("runs").next().expect("a run").expect("its directory").path();
    assert!(read(&run.join("index.html")).contains("Upstreams asked"));
    let metrics = read(&metrics);
    assert!(metrics.contains("bst_fetcher_rot_findings{kind=\"moved\",urgency=\"sometime\"} 1\n"), "{metrics}");
    let answers = metrics.lines().filter(|line| line.starts_with("bst_fetcher_upstream_answers{host=\"127.0.0.1:"));
    assert_eq!(answers.count(), 2, "{metrics}");

    let shown = site.fetcher().run(&["status"]).expect(0).stdout();
    assert!(shown.contains("upstreams: ") && shown.contains("questions to 2 hosts answered"), "{shown}");
    assert!(shown.contains("trouble to come with upstreams: 1 finding, see `bst-fetcher rot`"), "{shown}");
    let shown = site.fetcher().run(&["status", "--json"]).expect(0).json();
    assert!(shown["last-run"]["probes"]["seconds"].is_number() && shown["rot"][0]["kind"] == "moved", "{shown:#}");
    let shown = site.fetcher().run(&["inventory"]).expect(0).stdout();
    assert!(
        shown.contains("    probe: git_repo: asks git://127.0.0.1:") && shown.contains("    tracked at "),
        "{shown}"
    );
    let shown = site.fetcher().run(&["inventory", "--json"]).expect(0).json();
    let tagged = &shown["branches"][0]["probing"]["tagged.bst"];
    assert_eq!(tagged["sources"][0]["question"]["ask"], "git-refs", "{shown:#}");
    let known = tagged["remembered"][0]["refs"][0].as_array().expect("a ref");
    assert!(known[0] == "elements/tagged.bst" && known[2].as_str().is_some_and(|known| known.len() >= 40), "{known:?}");
}

#[test]
fn who_was_never_asked_is_said_so() {
    let site = Rotting::new();
    let ended = site.fetcher().run(&["rot"]).expect(2);
    assert!(ended.stderr().contains("no upstream was asked yet"), "{}", ended.stderr());
}
