//! Kinds of sources whose upstreams are no plain repositories and files, with their real plugins and indexes on loopback.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use fetcher_tests::web_files::{WebAnswer, WebFiles};

use crate::probing::{Probed, tracks};

/// What a command makes of some bytes.
fn piped(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a command");
    child.stdin.take().expect("its input").write_all(input).expect("to write");
    child.wait_with_output().expect("its output").stdout
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&piped(&mut Command::new("sha256sum"), bytes))[..64].to_owned()
}

/// A registry, CPAN, and Anitya with its archives.
pub(crate) struct Indexes(pub(crate) WebFiles);

impl Indexes {
    pub(crate) fn new() -> Self {
        let indexes = Self(WebFiles::start());
        indexes.image("first");
        indexes.module("1", "1");
        indexes.version("1.0");
        indexes
    }

    /// Has a tag name another image.
    pub(crate) fn image(&self, label: &str) {
        let manifest = format!(
            "{{\"schemaVersion\": 2, \"mediaType\": \"application/vnd.oci.image.manifest.v1+json\", \"layers\": [], \
             \"annotations\": {{\"label\": \"{label}\"}}}}"
        );
        let digest = sha256(manifest.as_bytes());
        let answer = WebAnswer::ok(&format!("Docker-Content-Digest: sha256:{digest}\r\n"), manifest);
        self.0.set("/v2/library/small/manifests/stable", answer.clone());
        self.0.set(&format!("/v2/library/small/manifests/sha256%3A{digest}"), answer);
    }

    /// Has CPAN name a version of a module, and one of another.
    pub(crate) fn module(&self, version: &str, other: &str) {
        let index = format!(
            "File: 02packages.details.txt\n\nA::B  {version}  a/A-B-{version}.tar.gz\nA::BC  {other}  a/A-BC-{other}.tar.gz\n"
        );
        let index = piped(Command::new("gzip").arg("-c"), index.as_bytes());
        self.0.set("/cpan/modules/02packages.details.txt.gz", WebAnswer::ok("", index));
        self.0.set(&format!("/cpan/authors/id/a/A-B-{version}.tar.gz"), WebAnswer::ok("", archive(version)));
    }

    /// Has Anitya know a newest version.
    pub(crate) fn version(&self, version: &str) {
        let known = format!("{{\"stable_versions\": [\"{version}\"]}}");
        self.0.set("/api/versions/", WebAnswer::ok("Content-Type: application/json\r\n", known));
        self.0.set(&format!("/pkg-{version}.tar.gz"), WebAnswer::ok("", archive(version)));
    }
}

/// An archive with one file.
pub(crate) fn archive(content: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a directory");
    fs::create_dir(directory.path().join("top")).expect("a directory");
    fs::write(directory.path().join("top/file"), content).expect("a file");
    let mut tar = Command::new("tar");
    tar.current_dir(directory.path()).args(["--mtime=2026-01-01", "-cz", "top"]);
    tar.output().expect("tar").stdout
}

#[test]
fn registries_and_indexes_are_asked_and_what_did_not_move_is_not_tracked() {
    let indexes = Indexes::new();
    let web = &indexes.0.url;
    let docker = format!("- kind: docker\n  registry-url: {web}\n  image: library/small\n  track: stable\n");
    let cpan = format!("- kind: cpan\n  index: {web}/cpan/\n  name: A::B\n");
    let anitya =
        format!("- kind: anitya\n  api-url: {web}/api/\n  project-id: 7\n  url: '{web}/pkg-{{version}}.tar.gz'\n");
    let probed = Probed::new("", &[("docker", &docker), ("cpan", &cpan), ("anitya", &anitya)]);
    let (calls, track) = probed.run(&[]);
    assert_eq!(tracks(&calls), ["all"], "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("first"));
    let (calls, track) = probed.run(&[]);
    assert_eq!(calls, [""; 0], "{track:#}");
    assert_eq!((&track["probes"]["left-out"], &track["probes"]["answered"]), (&3.into(), &3.into()), "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("second"));

    // Another module of the same index moves nothing; the others do.
    indexes.module("1", "2");
    indexes.image("second");
    indexes.version("1.1");
    let (calls, track) = probed.run(&[]);
    assert_eq!(tracks(&calls), ["anitya.bst docker.bst"], "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("third"));
    indexes.module("2", "2");
    let (calls, track) = probed.run(&[]);
    assert_eq!(tracks(&calls), ["cpan.bst"], "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("fourth"));
    let (calls, track) = probed.run(&[]);
    assert_eq!(calls, [""; 0], "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("fifth"));
}
