//! What private upstreams ask for: it is hidden from the real BuildStream, which is said, unless it is shown to a project.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use fetcher_tests::bst;
use fetcher_tests::cachedir::hash;
use fetcher_tests::daemon::{Daemon, nginx};
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::host::path_without;
use fetcher_tests::installed;
use fetcher_tests::scratch::Scratch;
use serde_json::Value;

/// A tar file behind a password, which the user's `~/.netrc` has, and a project with it.
struct PrivateUpstream {
    scratch: Scratch,
    project: String,
    _server: Daemon,
}

impl PrivateUpstream {
    fn new() -> Self {
        for program in ["bwrap", "nginx"] {
            installed::program(program);
        }
        let scratch = Scratch::new();
        scratch.write("files/a-1/README", "private\n");
        let mut tar = Command::new("tar");
        let done = tar.args(["-czf", "a-1.tar.gz", "a-1"]).current_dir(scratch.path("files")).status().expect("tar");
        assert!(done.success(), "{done}");
        let sha = hash(&fs::read(scratch.path("files/a-1.tar.gz")).expect("a tar file"));
        let passwords = scratch.write("passwords", "me:{PLAIN}s3cretword\n");
        let server = nginx(
            &scratch.path("nginx"),
            &format!(
                "root {}; location / {{ auth_basic x; auth_basic_user_file {}; }}",
                scratch.path("files").display(),
                passwords.display()
            ),
        );
        let repo = scratch.repo("project");
        repo.write("project.conf", "name: private\nmin-version: 2.0\nelement-path: elements\n");
        let url = format!("{}/a-1.tar.gz", server.url());
        let element = format!("kind: import\nsources:\n- kind: tar\n  url: {url}\n  ref: {sha}\n");
        repo.write("elements/a.bst", &element);
        repo.commit("A private source");
        let netrc = scratch.write("home/.netrc", "machine 127.0.0.1 login me password s3cretword\n");
        // Python reads no other's.
        fs::set_permissions(&netrc, fs::Permissions::from_mode(0o600)).expect("its mode");
        let project = repo.url();
        Self { scratch, project, _server: server }
    }

    fn fetcher(&self, sandbox: &str, more: &str) -> Fetcher<'_> {
        Fetcher::new(&self.scratch).config(format!(
            "[sandbox]\nmode = \"{sandbox}\"\n[buildstream]\ncommand = ['{}']\n[[project]]\nname = \"private\"\n\
             url = \"{}\"\ntargets = [\"a.bst\"]\ntrack = false\nretries = 0\nverify = false\n{more}\n",
            bst::bst().display(),
            self.project
        ))
    }
}

/// The failures of the only branch.
fn failures(report: &Value) -> Vec<&Value> {
    let stages = report["branches"][0]["stages"].as_array().expect("stages");
    stages.iter().flat_map(|stage| stage["failures"].as_array().expect("failures")).collect()
}

#[test]
fn what_is_hidden_is_named_with_the_key_that_shows_it_and_shown_to_who_names_it() {
    let upstream = PrivateUpstream::new();
    let netrc = upstream.scratch.path("home/.netrc").display().to_string();
    let without = path_without(&upstream.scratch, &["bwrap"]).display().to_string();
    let shown = format!("[project.credentials]\nnetrc = '{netrc}'");
    for path in [None, Some(&without)] {
        let fetcher = |more: &str| {
            let fetcher = upstream.fetcher("required", more);
            match path {
                Some(path) => fetcher.env("PATH", path),
                None => fetcher,
            }
        };
        let hiding = fetcher("");
        let ended = hiding.run(&["check", "--host"]).expect(0);
        let line = format!(
            "~/.netrc: hidden from every project that does not name them in `[project.credentials]`, as in `netrc = \"{netrc}\"`"
        );
        assert!(ended.stdout().contains(&line), "{ended}");
        hiding.run(&["run", "--force"]).expect(4);
        let report = hiding.report();
        let found = failures(&report);
        let hidden = found.iter().find(|failure| failure["kind"] == "credentials-hidden");
        let hidden = hidden.unwrap_or_else(|| panic!("{report:#}"));
        assert_eq!((&hidden["actor"], &hidden["element"]), (&"host".into(), &"a.bst".into()), "{hidden:#}");
        let (message, hint) = (hidden["message"].as_str().unwrap_or(""), hidden["hint"].as_str().unwrap_or(""));
        assert!(message.contains("hidden from it by the sandbox: ~/.netrc"), "{hidden:#}");
        assert!(hint.contains(&format!("`[project.credentials]` with netrc = \"{netrc}\"")), "{hidden:#}");
        fetcher(&shown).run(&["run", "--force"]).expect(0);
        // What is there already would not be asked for again.
        for directory in ["cache/cachedir", "cache/sources"] {
            fs::remove_dir_all(upstream.scratch.path(directory)).expect("what was fetched");
        }
    }
    // Without a sandbox it is found where it is.
    upstream.fetcher("off", "").run(&["run", "--force"]).expect(0);
}
