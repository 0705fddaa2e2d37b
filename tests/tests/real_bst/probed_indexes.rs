//! Kinds of sources whose index is a fixed host of the internet, or whose refs need another program: the real plugins, with
//! the hosts on loopback.

use std::fs;
use std::process::Command;

use fetcher_tests::installed::program;
use fetcher_tests::scratch::Scratch;
use fetcher_tests::tls_proxy::TlsProxy;
use fetcher_tests::web_files::{WebAnswer, WebFiles};

use crate::probed_kinds::{archive, sha256};
use crate::probing::{Probed, tracks};

/// `pypi.org` on loopback, and a server of files.
pub(crate) struct PypiIndex(pub(crate) WebFiles);

impl PypiIndex {
    pub(crate) fn new() -> Self {
        Self(WebFiles::start())
    }

    /// Has a project have releases, each with whether it is yanked.
    pub(crate) fn releases(&self, name: &str, versions: &[(&str, bool)], serial: u32) {
        let file = |(version, yanked): &(&str, bool)| {
            let (file, content) = (format!("{name}-{version}.tar.gz"), archive(version));
            let sum = sha256(&content);
            self.0.set(&format!("/packages/{}/{file}", &sum[..2]), WebAnswer::ok("", content));
            format!(
                "{{\"filename\": \"{file}\", \"url\": \"https://files.pythonhosted.org/packages/{}/{file}\", \"hashes\": \
                 {{\"sha256\": \"{sum}\"}}, \"yanked\": {yanked}, \"upload-time\": \"2015-02-03T04:05:06.000000Z\"}}",
                &sum[..2]
            )
        };
        let files: Vec<_> = versions.iter().map(file).collect();
        let page = format!(
            "{{\"meta\": {{\"api-version\": \"1.1\", \"_last-serial\": {serial}}}, \"name\": \"{name}\", \"files\": [{}]}}",
            files.join(", ")
        );
        let headers = "Content-Type: application/vnd.pypi.simple.v1+json\r\n";
        // Who asks for HTML gets no JSON.
        let accept = "application/vnd.pypi.simple.v1+json".to_owned();
        let other = Box::new(WebAnswer::ok("Content-Type: text/html\r\n", "<html></html>"));
        let page = WebAnswer::If("accept", accept, Box::new(WebAnswer::ok(headers, page)), other);
        // As the index has it, which puts addresses right.
        self.0.set(&format!("/simple/{name}"), WebAnswer::to("301 Moved Permanently", &format!("/simple/{name}/")));
        self.0.set(&format!("/simple/{name}/"), page);
    }
}

#[test]
fn the_page_of_a_project_on_pypi_is_asked_and_yanked_releases_move_it_back() {
    let index = PypiIndex::new();
    index.releases("tool", &[("1.0", false)], 1);
    let source = format!("- kind: pypi\n  name: tool\n  url: {}/packages/\n", index.0.url);
    let mut probed = Probed::new("", &[("tool", &source)]);
    let internet = TlsProxy::start(&probed.scratch, &index.0.url, &["pypi.org"]);
    probed.environment = internet.environment();
    let (calls, track) = probed.run(&[]);
    assert_eq!(tracks(&calls), ["all"], "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("first"));
    assert!(probed.files()[0].1.contains("tool-1.0.tar.gz"), "{:?}", probed.files());
    // Whatever else changes at the index.
    index.releases("tool", &[("1.0", false)], 2);
    let (calls, track) = probed.run(&[]);
    assert_eq!(calls, [""; 0], "{track:#}");
    assert_eq!((&track["probes"]["left-out"], &track["probes"]["answered"]), (&1.into(), &1.into()), "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("second"));
    let rot = probed.fetcher().run(&["rot"]).expect(0).stdout();
    assert!(
        rot.contains("information (no-release") && rot.contains("https://pypi.org/simple/tool is of 2015-02-03"),
        "{rot}"
    );
    assert!(!rot.contains("moved for good"), "{rot}");

    index.releases("tool", &[("1.0", false), ("1.1", false)], 3);
    let (calls, track) = probed.run(&[]);
    assert_eq!(tracks(&calls), ["all"], "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("third"));
    // Somebody takes that over, the release is yanked, and the one before is written without bst.
    for (name, text) in probed.files() {
        probed.repo.write(&format!("elements/{name}"), &text);
    }
    probed.repo.commit("Take the refs");
    index.releases("tool", &[("1.0", false), ("1.1", true)], 4);
    let (calls, track) = probed.run(&[]);
    assert_eq!(tracks(&calls), ["all"], "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("fourth"));
    let (calls, track) = probed.run(&[]);
    assert_eq!(calls, [""; 0], "{track:#}");
    assert_eq!(track["probes"]["left-out"], 1, "{track:#}");
    assert!(probed.files()[0].1.contains("tool-1.0.tar.gz"), "{:?}", probed.files());
    assert_eq!(probed.files(), probed.really_tracked("fifth"));

    // An index that cannot be reached is no reason to leave anything out.
    probed.environment[0].1 = "http://127.0.0.1:9".to_owned();
    let (_, track) = probed.run_to(4, &[]);
    assert_eq!(track["outcome"], "failed", "{track:#}");
}

/// An `OSTree` repository, committed to from a directory.
fn commit_to_ostree(scratch: &Scratch, content: &str) {
    let (repo, tree) = (scratch.path("files/os"), scratch.path("os-tree"));
    fs::create_dir_all(&tree).expect("a directory");
    fs::write(tree.join("file"), content).expect("a file");
    let ostree = |arguments: &[&str]| {
        let output = Command::new(program("ostree")).arg(format!("--repo={}", repo.display())).args(arguments).output();
        let output = output.expect("ostree starts");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    if !repo.exists() {
        ostree(&["init", "--mode=archive"]);
    }
    ostree(&[
        "commit",
        "--branch=os/stable",
        "--subject=x",
        "--owner-uid=0",
        "--owner-gid=0",
        &tree.display().to_string(),
    ]);
    ostree(&["summary", "--update"]);
}

#[test]
fn a_ref_of_an_ostree_repository_is_asked() {
    let probed = Probed::new("", &[("os", "- kind: ostree\n  url: web:os\n  track: os/stable\n")]);
    commit_to_ostree(&probed.scratch, "first\n");
    let (calls, track) = probed.run(&[]);
    assert_eq!(tracks(&calls), ["all"], "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("first"));
    let (calls, track) = probed.run(&[]);
    assert_eq!((calls, &track["probes"]["left-out"]), (vec![], &1.into()), "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("second"));
    commit_to_ostree(&probed.scratch, "second\n");
    let (calls, track) = probed.run(&[]);
    assert_eq!(tracks(&calls), ["all"], "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("third"));
}
