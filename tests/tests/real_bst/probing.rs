//! What did not move upstream is not tracked, and the checkout holds what tracking would have written all the same.

use std::fs;
use std::path::Path;

use fetcher_tests::bst;
use fetcher_tests::casd;
use fetcher_tests::client::Client;
use fetcher_tests::daemon::Daemon;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::git_fixture::Repo;
use fetcher_tests::scratch::Scratch;
use serde_json::Value;

/// A project with a few upstreams, and a `bst` that notes how it is called.
struct Probed {
    scratch: Scratch,
    repo: Repo,
    upstreams: Vec<Repo>,
    cache: Daemon,
    _git: Daemon,
}

impl Probed {
    /// An element for each of the sources, each with a repository of its own; `{url}` stands for its address.
    fn new(conf: &str, sources: &[(&str, &str)]) -> Self {
        let scratch = Scratch::new();
        let upstreams: Vec<_> = sources.iter().map(|(name, _)| scratch.repo(&format!("up/{name}"))).collect();
        for upstream in &upstreams {
            upstream.write("file", "first\n");
            upstream.commit("first");
            upstream.git(&["tag", "-a", "-m", "v1", "v1"]);
        }
        let git = Daemon::git(&scratch.path("up"));
        let repo = scratch.repo("project");
        let text = format!(
            "name: example\nmin-version: 2.0\nelement-path: elements\naliases:\n  up: {}/\nplugins:\n- origin: pip\n  \
             package-name: buildstream-plugins\n  sources: [git]\n- origin: pip\n  \
             package-name: buildstream-plugins-community\n  sources: [git_repo]\n{conf}",
            git.url()
        );
        repo.write("project.conf", &text);
        for (name, source) in sources {
            let source = source.replace("{url}", &format!("up:{name}"));
            repo.write(&format!("elements/{name}.bst"), &format!("kind: import\nsources:\n{source}"));
        }
        repo.commit("A project");
        let cache = casd::source_cache(&scratch.path("remote"));
        let real = bst::bst();
        let script =
            format!("#!/bin/sh\necho \"$*\" >> {}\nexec {} \"$@\"\n", scratch.path("calls").display(), real.display());
        let path = scratch.write("bin/bst", script);
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its mode");
        Self { scratch, repo, upstreams, cache, _git: git }
    }

    fn fetcher(&self) -> Fetcher<'_> {
        let (bst, url, cache) = (self.scratch.path("bin/bst"), self.repo.url(), self.cache.url());
        let config = format!(
            "[buildstream]\ncommand = ['{}']\n\n[[project]]\nname = \"example\"\nurl = \"{url}\"\nretries = 0\n\n\
             [[project.source-caches]]\nurl = \"{cache}\"\npush = true\n",
            bst.display()
        );
        Fetcher::new(&self.scratch).config(config)
    }

    /// Runs, and gives how bst was called and what the report says of tracking.
    #[track_caller]
    fn run(&self, more: &[&str]) -> (Vec<String>, Value) {
        let calls = self.scratch.path("calls");
        let _ = fs::remove_file(&calls);
        let fetcher = self.fetcher();
        fetcher.run(&[&["run"], more].concat()).expect(0);
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
    fn files(&self) -> Vec<(String, String)> {
        files(&self.scratch.path("cache/checkouts/example/main/tree"))
    }

    /// The same as bst itself leaves them that tracks everything in a copy of the commit.
    fn really_tracked(&self, name: &str) -> Vec<(String, String)> {
        let clone = self.scratch.path(&format!("clone-{name}"));
        self.repo.git(&["clone", "--quiet", ".", &clone.display().to_string()]);
        let client = Client::new(&self.scratch, name, &clone, "");
        let elements: Vec<_> =
            self.upstreams.iter().map(|up| format!("{}.bst", up.path.file_name().unwrap().display())).collect();
        let elements: Vec<&str> = elements.iter().map(String::as_str).collect();
        client.must(&[&["source", "track"], &elements[..]].concat());
        files(&self.scratch.path(name).join("project"))
    }

    /// Lets an upstream move.
    fn move_on(&self, upstream: usize, content: &str) {
        self.upstreams[upstream].write("file", content);
        self.upstreams[upstream].commit(content);
    }
}

fn files(tree: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(tree.join("elements"))
        .expect("the elements")
        .map(|entry| entry.expect("an element").path())
        .chain([tree.join("project.refs")])
        .filter_map(|path| Some((path.file_name()?.display().to_string(), fs::read_to_string(&path).ok()?)))
        .collect();
    files.sort();
    files
}

fn sources() -> Vec<(&'static str, &'static str)> {
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
    // The first run knows nothing; the second one knows what the sources are, and the third what they follow from.
    for run in 0..2 {
        let (calls, track) = probed.run(&[]);
        assert_eq!(tracks(&calls).len(), 1, "{run}: {calls:?} {track:#}");
    }
    let tracked = probed.files();
    assert_eq!(tracked, probed.really_tracked("first"));
    let (calls, track) = probed.run(&[]);
    assert_eq!(calls, [""; 0], "{track:#}");
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
