//! Upstreams that fail or change, with the real BuildStream: whose fault it is, and what is found.

use std::process::Command;

use fetcher_tests::bst;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::project::Project;
use fetcher_tests::scratch::Scratch;

fn config(url: &str, more: &str) -> String {
    format!(
        "[buildstream]\ncommand = ['{}']\n\n[[project]]\nname = \"example\"\nurl = \"{url}\"\nretries = 0\n{more}\n",
        bst::bst().display()
    )
}

/// A project whose sources are on two hosts of the internet.
fn far_away(scratch: &Scratch) {
    let repo = scratch.repo("project");
    let plugins = "plugins:\n- origin: pip\n  package-name: buildstream-plugins\n  sources: [git]\n";
    repo.write("project.conf", &format!("name: far\nmin-version: 2.0\nelement-path: elements\n{plugins}"));
    for n in 0..3 {
        let git =
            format!("kind: import\nsources:\n- kind: git\n  url: https://git.example.org/{n}.git\n  track: main\n");
        repo.write(&format!("elements/git{n}.bst"), &git);
    }
    repo.write("elements/tar.bst", "kind: import\nsources:\n- kind: tar\n  url: https://files.example.net/a.tar.gz\n");
    repo.commit("Far away");
}

#[test]
fn a_host_without_network_is_one_finding() {
    let scratch = Scratch::new();
    far_away(&scratch);
    let fetcher = Fetcher::new(&scratch).config(config("project", "fetch = false")).offline();
    let ended = fetcher.run(&["run"]).expect(4);
    let report = fetcher.report();
    let failures = report["branches"][0]["stages"][1]["failures"].as_array().expect("failures");
    assert_eq!(failures.len(), 4, "{report:#}");
    assert!(failures.iter().all(|failure| failure["actor"] == "host"), "{report:#}");
    assert!(ended.stderr().starts_with("bst-fetcher: this host reaches no upstream at all: 4 elements"), "{ended}");
    assert_eq!(report["failures"].as_array().map(Vec::len), Some(1), "{report:#}");
}

#[test]
fn a_proxy_that_is_down_is_named() {
    let scratch = Scratch::new();
    far_away(&scratch);
    let text = config("project", "fetch = false")
        .replace("\n\n[[project]]", "\npass-environment = [\"HTTPS_PROXY\"]\n\n[[project]]");
    let fetcher = Fetcher::new(&scratch).config(text).env("HTTPS_PROXY", "http://127.0.0.1:1");
    let ended = fetcher.run(&["run"]).expect(4);
    assert!(
        ended.stderr().contains("the proxy http://127.0.0.1:1 of HTTPS_PROXY does not answer: 4 elements"),
        "{ended}"
    );
}

#[test]
fn a_file_that_changed_behind_its_address_is_found_and_fails_nothing() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    project.repo.write("elements/all.bst", "kind: stack\ndepends: [tar.bst]\n");
    let old = "0123456789abcdef".repeat(4);
    let element = format!("kind: import\nsources:\n- kind: tar\n  url: files:pkg-1.tar.gz\n  ref: {old}\n");
    project.repo.write("elements/tar.bst", &element);
    project.repo.commit("A ref of what was there before");
    let fetcher =
        Fetcher::new(&scratch).config(config(&project.url(), "targets = [\"all.bst\"]\nrefs = [\"tracked\"]"));
    let ended = fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    let findings = report["branches"][0]["stages"][1]["findings"].as_array().expect("findings");
    assert_eq!(findings.len(), 1, "{report:#}");
    let found = &findings[0];
    assert_eq!(
        (found["kind"].as_str(), found["element"].as_str()),
        (Some("checksum-changed"), Some("tar.bst")),
        "{found:#}"
    );
    assert!(found["where"]["url"].as_str().is_some_and(|url| url.ends_with("/pkg-1.tar.gz")), "{found:#}");
    let sum = Command::new("sha256sum").arg(scratch.path("files/pkg-1.tar.gz")).output().expect("sha256sum");
    let sum = String::from_utf8_lossy(&sum.stdout)[..64].to_owned();
    let message = found["message"].as_str().expect("words");
    assert!(message.contains(&format!("old: {old}\nnew: {sum}")), "{message}");
    assert!(ended.stderr().contains("[checksum-changed]") && ended.stderr().contains("1 finding"), "{ended}");
    assert_eq!(report["outcome"], "ok");
}
