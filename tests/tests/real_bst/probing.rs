//! What did not move upstream is not tracked, and the checkout holds what tracking would have written all the same.

use std::fs;
use std::path::{Path, PathBuf};

use fetcher_tests::bst;
use fetcher_tests::casd;
use fetcher_tests::client::Client;
use fetcher_tests::daemon::Daemon;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::git_fixture::Repo;
use fetcher_tests::scratch::Scratch;
use serde_json::Value;

/// Notes how it is called; and where it is to track and there is a file for it, waits for its end there, before or after it
/// did.
const NOTING_BST: &str = r#"#!PYTHON
import os, subprocess, sys, time
command = ["BST"] + sys.argv[1:]
with open("CALLS", "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\n")
if "track" in command and os.path.exists("HOLD"):
    if open("HOLD").read() == "after":
        subprocess.run(command)
    os.rename("HOLD", "HOLDing")
    time.sleep(3600)
os.execv(command[0], command)
"#;

/// A project with a few upstreams, and a `bst` that notes how it is called.
pub(crate) struct Probed {
    pub(crate) scratch: Scratch,
    pub(crate) repo: Repo,
    pub(crate) upstreams: Vec<Repo>,
    /// Further configuration, and keys of the project.
    config: &'static str,
    pub(crate) project: &'static str,
    /// Variables of the fetcher's, and of the bst that it is compared with.
    pub(crate) environment: Vec<(&'static str, String)>,
    cache: Daemon,
    _servers: [Daemon; 2],
}

impl Probed {
    /// An element for each of the sources, each with a repository of its own; `{url}` stands for its address.
    pub(crate) fn new(conf: &str, sources: &[(&str, &str)]) -> Self {
        let scratch = Scratch::new();
        let upstreams: Vec<_> = sources.iter().map(|(name, _)| scratch.repo(&format!("up/{name}"))).collect();
        for upstream in &upstreams {
            upstream.write("file", "first\n");
            upstream.commit("first");
            upstream.git(&["tag", "-a", "-m", "v1", "v1"]);
        }
        serve_file(&scratch, "first\n", 3600);
        let (git, web) = (Daemon::git(&scratch.path("up")), Daemon::files(&scratch.path("files")));
        let repo = scratch.repo("project");
        let text = format!(
            "name: example\nmin-version: 2.0\nelement-path: elements\naliases:\n  up: {}/\n  web: {}/\nplugins:\n- origin: pip\n  \
             package-name: buildstream-plugins\n  sources: [git, docker]\n- origin: pip\n  \
             package-name: buildstream-plugins-community\n  sources: [git_repo, git_tag, cpan, anitya, pypi, ostree]\n{conf}",
            git.url(),
            web.url()
        );
        repo.write("project.conf", &text);
        for ((name, source), upstream) in sources.iter().zip(&upstreams) {
            let tip = upstream.tip("main").to_string();
            let source = source.replace("{url}", &format!("up:{name}")).replace("{ref}", &tip);
            let whole = source.starts_with("kind:");
            let text = if whole { source } else { format!("kind: import\nsources:\n{source}") };
            repo.write(&format!("elements/{name}.bst"), &text);
        }
        repo.commit("A project");
        let cache = casd::source_cache(&scratch.path("remote"));
        let real = bst::bst();
        // A script of the Python that has bst, so that it is known what decides on its release.
        let values = [
            ("PYTHON", real.with_file_name("python3")),
            ("BST", real),
            ("CALLS", scratch.path("calls")),
            ("HOLD", scratch.path("hold")),
        ];
        let fill = |script: String, (name, value): &(&str, PathBuf)| script.replace(name, &value.display().to_string());
        let script = values.iter().fold(NOTING_BST.to_owned(), fill);
        let path = scratch.write("bin/bst", script);
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its mode");
        Self { scratch, repo, upstreams, config: "", project: "", environment: Vec::new(), cache, _servers: [git, web] }
    }

    pub(crate) fn fetcher(&self) -> Fetcher<'_> {
        let (bst, url, cache) = (self.scratch.path("bin/bst"), self.repo.url(), self.cache.url());
        let config = format!(
            "[buildstream]\ncommand = ['{}']\npass-environment = [\"https_proxy\", \"no_proxy\", \"REQUESTS_CA_BUNDLE\"]\n\n[sandbox]\nmode = \"off\"\n\n[[project]]\nname = \"example\"\nurl = \"{url}\"\nretries = 0\n{}\n\
             [[project.source-caches]]\nurl = \"{cache}\"\npush = true\n{}",
            bst.display(),
            self.project,
            self.config
        );
        let fetcher = Fetcher::new(&self.scratch).config(config);
        self.environment.iter().fold(fetcher, |fetcher, (name, value)| fetcher.env(name, value))
    }

    /// Runs, and gives how bst was called and what the report says of tracking.
    #[track_caller]
    pub(crate) fn run(&self, more: &[&str]) -> (Vec<String>, Value) {
        self.run_to(0, more)
    }

    /// The same of a run that ends with a status.
    #[track_caller]
    pub(crate) fn run_to(&self, status: i32, more: &[&str]) -> (Vec<String>, Value) {
        let calls = self.scratch.path("calls");
        let _ = fs::remove_file(&calls);
        let fetcher = self.fetcher();
        fetcher.run(&[&["run"], more].concat()).expect(status);
        let calls = fs::read_to_string(calls).unwrap_or_default();
        let calls = calls.lines().filter(|call| *call != "--version").map(|call| {
            let words: Vec<_> = call.split(' ').collect();
            let from = words.iter().position(|word| ["show", "source"].contains(word)).unwrap_or_default();
            words[from..].join(" ")
        });
        let report = fetcher.report();
        let stages = report["branches"][0]["stages"].as_array().expect("stages");
        let track = stages.iter().find(|stage| stage["stage"] == "track").expect("a stage").clone();
        (calls.collect(), track)
    }

    /// The checkout's elements, and the project's refs, as they are.
    pub(crate) fn files(&self) -> CheckoutFiles {
        self.files_of("main")
    }

    /// The same of a branch.
    pub(crate) fn files_of(&self, branch: &str) -> CheckoutFiles {
        files(&self.scratch.path(&format!("cache/checkouts/example/{branch}/tree")))
    }

    /// The same, with stored refs as they stand there.
    pub(crate) fn raw_files(&self, branch: &str) -> CheckoutFiles {
        raw_files(&self.scratch.path(&format!("cache/checkouts/example/{branch}/tree")))
    }

    /// The same as bst itself leaves them that tracks everything in a copy of the commit.
    pub(crate) fn really_tracked(&self, name: &str) -> CheckoutFiles {
        self.tracked_by_bst(name, "main", &[&[]])
    }

    /// The same of a branch, tracked with one set of options after the other.
    pub(crate) fn tracked_by_bst(&self, name: &str, branch: &str, options: &[&[&str]]) -> CheckoutFiles {
        let clone = self.scratch.path(&format!("clone-{name}"));
        self.repo.git(&["clone", "--quiet", "--branch", branch, ".", &clone.display().to_string()]);
        let client = Client::new(&self.scratch, name, &clone, "");
        let elements: Vec<_> =
            self.upstreams.iter().map(|up| format!("{}.bst", up.path.file_name().expect("a name").display())).collect();
        let elements: Vec<&str> = elements.iter().map(String::as_str).collect();
        for options in options {
            let mut command = client.command(&[options, &["source", "track"][..], &elements].concat());
            let output = command.envs(self.environment.iter().cloned()).output().expect("bst");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        files(&self.scratch.path(name).join("project"))
    }

    /// Lets an upstream move.
    pub(crate) fn move_on(&self, upstream: usize, content: &str) {
        self.upstreams[upstream].write("file", content);
        self.upstreams[upstream].commit(content);
    }
}

/// What was tracked by each call: names, or all.
pub(crate) fn tracks(calls: &[String]) -> Vec<String> {
    let tracks = calls.iter().filter(|call| call.starts_with("source track"));
    tracks.map(|call| call.split(" -- ").nth(1).unwrap_or("all").to_owned()).collect()
}

/// Writes the file that is served, as if that was some seconds ago: what was changed just now is not believed.
pub(crate) fn serve_file(scratch: &Scratch, content: &str, ago: u64) {
    let path = scratch.write("files/file.txt", content);
    let file = fs::File::options().write(true).open(path).expect("the file");
    file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(ago)).expect("its time");
}

/// Files with their texts, by name.
pub(crate) type CheckoutFiles = Vec<(String, String)>;

fn files(tree: &Path) -> CheckoutFiles {
    let in_order = |(name, text): (String, String)| match &*name {
        "project.refs" | "junction.refs" => (name, in_order(&text)),
        _ => (name, text),
    };
    raw_files(tree).into_iter().map(in_order).collect()
}

fn raw_files(tree: &Path) -> CheckoutFiles {
    let mut files: Vec<_> = fs::read_dir(tree.join("elements"))
        .expect("the elements")
        .map(|entry| entry.expect("an element").path())
        .chain(["project.refs", "junction.refs", "shared.yml"].map(|name| tree.join(name)))
        .filter_map(|path| Some((path.file_name()?.display().to_string(), fs::read_to_string(&path).ok()?)))
        .collect();
    files.sort();
    files
}

/// A `project.refs` in the order of elements: bst's own is that in which they are tracked, which is chance.
fn in_order(text: &str) -> String {
    let mut elements: Vec<String> = Vec::new();
    for line in text.lines() {
        match elements.last_mut().filter(|_| line.trim_start().starts_with('-')) {
            Some(element) => element.push_str(line),
            None => elements.push(line.to_owned()),
        }
    }
    elements.sort();
    elements.join("\n")
}

pub(crate) fn sources() -> Vec<(&'static str, &'static str)> {
    vec![
        ("plain", "-   kind:   git\n    url: {url}   # where\n    track: main\n\n# the end"),
        ("glob", "- kind: git_repo\n  url: {url}\n  track: v*\n  ref-format: git-describe\n"),
        ("branch", "- kind: git_repo\n  url: {url}\n  track: main\n  ref-format: git-describe\n"),
        ("described", "- kind: git\n  url: {url}\n  track: main\n  ref-format: git-describe\n"),
    ]
}

#[test]
fn nothing_moved_starts_no_bst_and_the_checkout_is_tracked_all_the_same() {
    let probed = Probed::new("", &sources());
    let tracks =
        |calls: &[String]| calls.iter().filter(|call| call.starts_with("source track")).cloned().collect::<Vec<_>>();
    let (calls, track) = probed.run(&[]);
    assert_eq!(tracks(&calls).len(), 1, "{calls:?} {track:#}");
    let tracked = probed.files();
    assert_eq!(tracked, probed.really_tracked("first"));
    let (calls, track) = probed.run(&[]);
    assert_eq!(calls, [""; 0], "{track:#}");
    assert!(!probed.scratch.path("calls").exists(), "not even for its release");
    assert_eq!(
        (&track["outcome"], &track["probes"]["left-out"], &track["attempts"]),
        (&"ok".into(), &4.into(), &0.into())
    );
    assert_eq!(track["changes"].as_array().map(Vec::len), Some(4), "{track:#}");
    assert_eq!(probed.files(), tracked);

    // One of four moves: it alone is tracked, and the others' refs are written.
    probed.move_on(0, "second\n");
    let (calls, track) = probed.run(&[]);
    assert_eq!(tracks(&calls).len(), 1, "{calls:?}");
    assert!(tracks(&calls)[0].ends_with("--deps none -- plain.bst"), "{calls:?}");
    assert_eq!(track["probes"]["tracked"]["moved, or new"], 1, "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("second"));

    // Somebody takes over what was tracked: nothing has to be written.
    let merged = probed.files();
    for (name, text) in &merged {
        probed.repo.write(&format!("elements/{name}"), text);
    }
    probed.repo.commit("Update refs");
    let (calls, track) = probed.run(&[]);
    assert_eq!(tracks(&calls), [""; 0], "{calls:?}");
    assert_eq!((&track["probes"]["left-out"], &track["probes"]["written"]), (&4.into(), &0.into()));
    assert_eq!(probed.files(), merged);

    // Somebody goes back to an older ref, or to another form of it: tracking finds the newest again, as ever.
    let first = probed.upstreams[0].tip("main~1").to_string();
    let newest = probed.upstreams[0].tip("main").to_string();
    probed.repo.write("elements/plain.bst", &merged[3].1.replace(&newest, &first));
    probed.repo.write("elements/branch.bst", &merged[0].1.replace("ref: v1-0-g", "ref: "));
    probed.repo.commit("Revert");
    let (calls, track) = probed.run(&[]);
    assert_eq!(tracks(&calls), [""; 0], "{calls:?}");
    assert_eq!(track["probes"]["written"], 2, "{track:#}");
    assert_eq!(probed.files(), merged);
    assert_eq!(probed.files(), probed.really_tracked("third"));
}

#[test]
fn where_only_tracked_refs_are_wanted_the_first_run_learns_as_well() {
    let mut probed = Probed::new("", &sources());
    probed.project = "refs = [\"tracked\"]\n";
    probed.run(&[]);
    let tracked = probed.files();
    assert_eq!(tracked, probed.really_tracked("first"));
    let (calls, track) = probed.run(&[]);
    assert_eq!(calls, [""; 0], "{track:#}");
    assert!(!probed.scratch.path("calls").exists(), "not even for its release");
    assert_eq!(probed.files(), tracked);
    // Everything is done, and bst asked for its release, where that is wanted.
    let (calls, _) = probed.run(&["--force"]);
    assert!(calls.iter().any(|call| call.starts_with("source track")), "{calls:?}");
    let all = fs::read_to_string(probed.scratch.path("calls")).expect("calls");
    assert!(all.lines().any(|call| call == "--version"), "{all}");
}

#[test]
fn what_is_dead_is_told_in_every_run_and_tried_again_when_its_upstream_changes() {
    let gone = format!("- kind: remote\n  url: web:gone.txt\n  ref: {}\n", sha256("back\n"));
    let nowhere = "- kind: git\n  url: up:missing\n  track: main\n  ref: {ref}\n";
    let plain = "- kind: git\n  url: {url}\n  track: main\n  ref: {ref}\n";
    let probed = Probed::new("", &[("plain", plain), ("gone", &gone), ("nowhere", nowhere)]);
    let (_, first) = probed.run_to(1, &[]);
    let failed = |report: &Value| {
        let branch = report["branches"][0]["stages"].as_array().expect("stages");
        let failures = branch.iter().flat_map(|stage| {
            let failures = stage["failures"].as_array().expect("failures").iter();
            failures
                .map(|failure| ["stage", "element", "kind", "message"].map(|key| failure[key].to_string()).join(" "))
        });
        failures.collect::<Vec<_>>()
    };
    let once = failed(&probed.fetcher().report());
    assert_eq!(once.len(), 4, "{once:#?}");
    assert_eq!(first["outcome"], "partial", "{first:#}");

    for _ in 0..2 {
        let (calls, track) = probed.run_to(1, &[]);
        assert_eq!(calls, [""; 0], "{track:#}");
        let report = probed.fetcher().report();
        assert_eq!(failed(&report), once, "{report:#}");
        let counts = &track["elements"];
        assert_eq!(
            (&track["outcome"], &counts["failed"], &counts["skipped"]),
            (&"partial".into(), &2.into(), &1.into())
        );
        let notes = track["notes"].to_string();
        assert!(notes.contains("not tried again") && notes.contains("gone.bst, nowhere.bst"), "{notes}");
        let status = probed.fetcher().run(&["status"]).expect(0).stdout();
        assert!(status.contains("committed 33.3%") && status.contains("tracked 33.3%"), "{status}");
    }

    // By hand, and where everything is forced, it is tried all the same.
    let (calls, _) = probed.run_to(4, &["--element", "gone.bst"]);
    assert!(calls.iter().any(|call| call.ends_with("-- gone.bst")), "{calls:?}");
    let (calls, _) = probed.run_to(1, &["--force"]);
    assert!(calls.iter().any(|call| call.starts_with("source track")), "{calls:?}");
    let (calls, _) = probed.run_to(1, &[]);
    assert_eq!(calls, [""; 0]);

    // One is back: it alone is tried, and the other one is told of still.
    let path = probed.scratch.write("files/gone.txt", "back\n");
    let hour = std::time::Duration::from_secs(3600);
    let file = fs::File::options().write(true).open(path).expect("the file");
    file.set_modified(std::time::SystemTime::now() - hour).expect("its time");
    let (calls, track) = probed.run_to(1, &[]);
    let asked: Vec<_> = calls.iter().filter(|call| call.contains(" -- ")).collect();
    assert!(!asked.is_empty() && asked.iter().all(|call| call.ends_with(" -- gone.bst")), "{calls:#?}");
    let left = failed(&probed.fetcher().report());
    assert!(left.len() == 2 && left.iter().all(|failure| failure.contains("nowhere.bst")), "{left:#?} {track:#}");

    // So does a change of the element.
    let tip = probed.upstreams[0].tip("main");
    let other = format!("kind: import\nsources:\n- kind: git\n  url: up:plain\n  track: main\n  ref: {tip}\n");
    probed.repo.write("elements/nowhere.bst", &other);
    probed.repo.commit("Another address");
    probed.run(&[]);
}

/// A text's SHA-256, as refs of files have it.
fn sha256(text: &str) -> String {
    let script = "import hashlib, sys; print(hashlib.sha256(sys.argv[1].encode()).hexdigest(), end='')";
    let made = std::process::Command::new("python3").args(["-c", script, text]).output().expect("python3");
    String::from_utf8(made.stdout).expect("a digest")
}

#[test]
fn files_and_whatever_form_the_projects_files_have_are_left_as_bst_leaves_them() {
    let flow = "- {kind: git_repo,  url: '{url}', track: main, ref: {ref}, directory: x}\n";
    let probed = Probed::new(
        "options:\n  debug: {type: bool, description: d, default: false}\n",
        &[
            ("tar", "- kind: remote\n  url: web:file.txt\n"),
            ("quoted", "- kind: git_repo\r\n  ref: \"{ref}\"   # ref\r\n  url: {url}\r\n  track: main\r\n"),
            ("flow", flow),
            ("included", "kind: import\n(@): shared.yml\n"),
            (
                "including",
                "kind: import\n(@):\n- shared.yml\nsources:\n  (>):\n  - kind: git\n    url: {url}\n    track: main\n    directory: own\n",
            ),
            (
                "conditional",
                "kind: import\n(?):\n- debug == False:\n    sources:\n    - kind: git\n      url: {url}\n      track: main\n",
            ),
            (
                "tagged",
                "- kind: git\n  url: {url}\n  track: v1\n  ref-format: git-describe\n- kind: local\n  path: shared.yml\n",
            ),
        ],
    );
    probed.repo.write("shared.yml", "# shared\nsources:\n-   kind: git\n    url: up:included\n    track: main\n");
    probed.repo.commit("What is shared");
    let (calls, track) = probed.run(&[]);
    assert_eq!(tracks(&calls), ["all"], "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("first"));
    let (calls, track) = probed.run(&[]);
    assert_eq!(tracks(&calls), ["conditional.bst"], "{calls:?} {track:#}");
    assert_eq!(track["probes"]["left-out"], 6, "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("second"));

    // The file, what is shared, and one whose comment has to stay where it is.
    serve_file(&probed.scratch, "second, and longer\n", 60);
    probed.move_on(3, "second\n");
    probed.move_on(1, "second\n");
    let (calls, track) = probed.run(&[]);
    let tracked = tracks(&calls);
    assert_eq!(tracked, ["conditional.bst included.bst including.bst quoted.bst tar.bst"], "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("third"));

    // An element that changes is tracked, and one that sees another file of the tree is not.
    probed.repo.write("elements/tagged.bst", "kind: import\nsources:\n- kind: git\n  url: up:tagged\n  track: main\n");
    probed.repo.write("README", "news\n");
    probed.repo.commit("Track the branch");
    let (calls, track) = probed.run(&[]);
    assert_eq!(tracks(&calls), ["conditional.bst tagged.bst"], "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("fourth"));
}

#[test]
fn refs_that_the_project_stores_in_one_file_are_written_whole() {
    let probed = Probed::new("ref-storage: project.refs\n", &sources());
    probed.run(&[]);
    assert_eq!(probed.files(), probed.really_tracked("first"));
    let (calls, track) = probed.run(&[]);
    assert_eq!(calls, [""; 0], "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("second"));
    // With one of them tracked by name, the file has its ref alone: the others are tracked as well.
    probed.move_on(0, "second\n");
    probed.run(&[]);
    assert_eq!(probed.files(), probed.really_tracked("third"));
    // Where it is committed, one is tracked and the others stand.
    let stored =
        fs::read_to_string(probed.scratch.path("cache/checkouts/example/main/tree/project.refs")).expect("refs");
    probed.repo.write("project.refs", &stored);
    probed.repo.commit("Take the refs");
    probed.run(&[]);
    probed.move_on(1, "third\n");
    probed.move_on(2, "third\n");
    let (calls, track) = probed.run(&[]);
    let tracked: Vec<_> = calls.iter().filter(|call| call.starts_with("source track")).collect();
    assert!(tracked.len() == 1 && tracked[0].ends_with(" -- branch.bst"), "{tracked:?} {track:#}");
    assert_eq!(probed.files(), probed.really_tracked("fourth"));
}

#[test]
fn a_probe_that_was_wrong_is_told_and_not_believed_until_it_is_found_right() {
    let mut probed = Probed::new("", &[("remote", "- kind: remote\n  url: web:file.txt\n")]);
    let served = |probed: &Probed, content: &str| {
        let path = probed.scratch.write("files/file.txt", content);
        let file = fs::File::options().write(true).open(path).expect("the file");
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000)).expect("its time");
    };
    let tracks = |calls: &[String]| calls.iter().filter(|call| call.starts_with("source track")).count();
    served(&probed, "first\n");
    probed.run(&[]);
    assert_eq!(tracks(&probed.run(&[]).0), 0);
    // Other bytes of the same length and time: no probe can see that, and the share that is tracked anyway does.
    served(&probed, "other\n");
    assert_eq!(tracks(&probed.run(&[]).0), 0);
    probed.config = "[probe]\nfull-track-after = \"1s\"\n";
    let (calls, track) = probed.run(&[]);
    assert_eq!((tracks(&calls), &track["probes"]["missed"]), (1, &serde_json::json!(["remote.bst"])), "{track:#}");
    let kinds: Vec<_> = track["findings"].as_array().expect("findings").iter().map(|found| &found["kind"]).collect();
    assert!(kinds.contains(&&"probe-miss".into()), "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("other"));

    probed.config = "";
    let (calls, track) = probed.run(&[]);
    assert_eq!((tracks(&calls), &track["probes"]["tracked"]["a probe was wrong"]), (1, &1.into()), "{track:#}");
    // Where everything is tracked and nothing is wrong, it is believed again.
    probed.run(&["--force", "--project", "example"]);
    let (calls, track) = probed.run(&[]);
    assert_eq!(tracks(&calls), 0, "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("again"));
}
