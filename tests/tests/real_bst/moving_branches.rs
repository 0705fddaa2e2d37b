//! Branches that lag behind upstream, go back, or are pushed by force; elements that fail beside good ones.

use std::fs;
use std::path::PathBuf;

use fetcher_tests::bst;
use fetcher_tests::casd;
use fetcher_tests::client::Client;
use fetcher_tests::daemon::Daemon;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::project::Project;
use fetcher_tests::scratch::Scratch;
use serde_json::Value;

struct World {
    scratch: Scratch,
    project: Project,
    cache: Daemon,
}

impl World {
    fn new() -> Self {
        let scratch = Scratch::new();
        let project = Project::new(&scratch);
        let cache = casd::source_cache(&scratch.path("remote"));
        Self { scratch, project, cache }
    }

    fn fetcher(&self, more: &str) -> Fetcher<'_> {
        Fetcher::new(&self.scratch).config(format!(
            "[buildstream]\ncommand = ['{}']\n\n[[project]]\nname = \"example\"\nurl = \"{}\"\n\
             targets = [\"all.bst\"]\nretries = 0\n{more}\n[[project.source-caches]]\nurl = \"{}\"\npush = true\n",
            bst::bst().display(),
            self.project.url(),
            self.cache.url()
        ))
    }

    /// Commits `git.bst` with a ref, as the one element beside `all.bst` with one.
    fn commit_ref(&self, reference: &str) {
        let source =
            format!("kind: import\nsources:\n- kind: git\n  url: up:hello\n  track: main\n  ref: {reference}\n");
        self.project.repo.write("elements/git.bst", &source);
        self.project.repo.write("elements/all.bst", "kind: stack\ndepends: [git.bst]\n");
        self.project.repo.commit(&format!("A ref: {reference}"));
    }

    /// Upstream moves on; gives its new tip.
    fn move_upstream(&self, word: &str) -> String {
        self.project.hello.git(&["checkout", "--quiet", "main"]);
        self.project.hello.write("moved", word);
        self.project.hello.commit("Upstream moves");
        self.project.hello.tip("main").to_string()
    }

    /// Whether a client without any upstream finds `git.bst` with this ref.
    fn finds(&self, name: &str, reference: &str) -> bool {
        let servers = format!("source-caches:\n  servers:\n  - url: {}\n", self.cache.url());
        let tree = self.scratch.path("cache/checkouts/example/main/tree");
        let client = Client::new(&self.scratch, name, &tree, &servers);
        let file = self.scratch.path(name).join("project/elements/git.bst");
        let source =
            format!("kind: import\nsources:\n- kind: git\n  url: up:hello\n  track: main\n  ref: {reference}\n");
        fs::write(file, source).expect("an element");
        client.bst(&["source", "fetch", "git.bst"]).0
    }
}

/// What bst was asked in a stage of the last run, its first line.
fn command(scratch: &Scratch, report: &Value, stage: &Value) -> String {
    let run: PathBuf = scratch.path(&format!("state/runs/{}", report["run"].as_str().expect("a run")));
    let log = fs::read_to_string(run.join(stage["log"].as_str().expect("a log"))).expect("the log");
    log.lines().next().expect("a command").to_owned()
}

#[test]
fn a_branch_that_lags_or_goes_back_by_a_revert_or_by_force_has_what_its_tip_says() {
    let world = World::new();
    let first = world.project.hello.tip("main").to_string();
    let second = world.move_upstream("once");
    world.move_upstream("twice");
    let forced = world.project.hello.tip("sour").to_string();
    let fetcher = world.fetcher("");
    // It lags two commits behind, and further with each run.
    world.commit_ref(&first);
    fetcher.run(&["run"]).expect(0);
    let fourth = world.move_upstream("thrice");
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    assert_eq!(report["branches"][0]["stages"][1]["outcome"], "skipped", "{report:#}");
    let coverage = &report["branches"][0]["coverage"];
    let told: Vec<_> =
        coverage.as_array().expect("coverage").iter().map(|of| (&of["refs"], &of["cached"], &of["sources"])).collect();
    assert_eq!(
        told,
        [(&"committed".into(), &1.into(), &1.into()), (&"tracked".into(), &1.into(), &1.into())],
        "{coverage:#}"
    );
    // Its maintainer goes on to one that no run has seen as a tip, and reverts that.
    world.commit_ref(&second);
    fetcher.run(&["run"]).expect(0);
    world.project.repo.git(&["revert", "--no-edit", "HEAD"]);
    fetcher.run(&["run"]).expect(0);
    // A history that has nothing of that: its ref is on another branch of upstream, which nobody tracks.
    world.project.repo.git(&["reset", "--quiet", "--hard", "HEAD^^^"]);
    world.commit_ref(&forced);
    let ended = fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    assert_eq!(report["branches"][0]["commit"], world.project.repo.tip("main").as_str(), "{ended}");
    world.project.hide_upstreams(&world.scratch);
    for (name, reference) in [("a", &first), ("b", &second), ("c", &forced), ("d", &fourth)] {
        assert!(world.finds(name, reference), "{name}: {reference}");
    }
}

#[test]
fn of_good_elements_nothing_is_fetched_again_because_one_is_dead_and_may_be() {
    let world = World::new();
    let tip = world.project.hello.tip("main").to_string();
    world.commit_ref(&tip);
    let repo = &world.project.repo;
    let dead =
        format!("kind: import\nsources:\n- kind: git\n  url: up:nowhere\n  track: main\n  ref: {}\n", "d".repeat(40));
    repo.write("elements/dead.bst", &dead);
    repo.write("elements/all.bst", "kind: stack\ndepends: [git.bst, dead.bst, 'fixed.bst:lib.bst']\n");
    repo.commit("One is dead");
    // Where upstreams are not asked, what failed is tried in every run.
    for (probe, is_tried) in [("probe = \"off\"\n", true), ("", false)] {
        let fetcher = world.fetcher(&format!("{probe}allow-failure = {{ elements = [\"dead.bst\"] }}"));
        for _ in 0..2 {
            let ended = fetcher.run(&["run"]).expect(0);
            let report = fetcher.report();
            assert_eq!(report["branches"][0]["outcome"], "ok", "{ended}");
            assert!(ended.stderr().contains("dead.bst") && ended.stderr().contains("allowed to fail"), "{ended}");
        }
        let report = fetcher.report();
        let fetch = &report["branches"][0]["stages"][1];
        assert_eq!((&fetch["refs"], &fetch["allowed"]), (&"committed".into(), &true.into()), "{fetch:#}");
        if is_tried {
            let asked = command(&world.scratch, &report, fetch);
            assert!(asked.ends_with("--deps none -- dead.bst"), "{asked}");
        } else {
            let notes = fetch["notes"].to_string();
            assert!(fetch["log"].is_null() && notes.contains("not tried again"), "{fetch:#}");
        }
    }
    let fetcher = world.fetcher("allow-failure = { elements = [\"dead.bst\"] }");
    let report = fetcher.report();
    let coverage = &report["branches"][0]["coverage"][0];
    let counted = (&coverage["cached"], &coverage["sources"], &coverage["missing"]);
    assert_eq!(counted, (&3.into(), &4.into(), &serde_json::json!(["dead.bst"])), "{coverage:#}");
    let shown = fetcher.run(&["status"]).expect(0).stdout();
    assert!(shown.contains("committed 75%"), "{shown}");
    // Without leave it counts, and so does what is behind a junction that cannot be had.
    let counting = world.fetcher("allow-failure = { elements = [\"git.bst\"] }");
    counting.run(&["run"]).expect(1);
}

#[test]
fn a_junction_that_cannot_be_had_stops_all_and_counts_whoever_may_fail() {
    let world = World::new();
    fs::rename(world.scratch.path("up/fixed"), world.scratch.path("up/fixed-hidden")).expect("a rename");
    let repo = &world.project.repo;
    repo.write("elements/all.bst", "kind: stack\ndepends: [git.bst, 'fixed.bst:lib.bst']\n");
    repo.commit("A junction to nothing");
    let fetcher = world.fetcher("allow-failure = { elements = [\"fixed.bst\", \"fixed.bst:*\"] }");
    fetcher.run(&["run"]).expect(4);
    let whole = world.fetcher("allow-failure = true");
    whole.run(&["run"]).expect(0);
    let report = whole.report();
    assert_eq!(report["branches"][0]["outcome"], "ok", "{report:#}");
}

#[test]
fn a_change_says_with_which_option_set_it_could_not_be_tracked_and_lists_that_are_added_to_are_found() {
    let world = World::new();
    let repo = &world.project.repo;
    let source =
        |name: &str, indent: &str| format!("{indent}- kind: git\n{indent}  url: up:{name}\n{indent}  track: main\n");
    let sour = "(?):\n- flavour == 'sour':\n    sources:\n";
    let odd = format!("kind: import\nsources:\n{}{sour}{}", source("hello", ""), source("nowhere", "    "));
    repo.write("elements/odd.bst", &odd);
    let added = format!(
        "kind: import\nsources:\n{}{sour}      (>):\n{}        directory: more\n",
        source("hello", ""),
        source("sub", "      ")
    );
    repo.write("elements/added.bst", &added);
    repo.write("elements/all.bst", "kind: stack\ndepends: [odd.bst, added.bst]\n");
    repo.commit("Elements with conditions");
    let variants = r#"variants = [{ name = "sweet", options = { flavour = "sweet" } }, { name = "sour", options = { flavour = "sour" } }]
allow-failure = { variants = ["sour"] }"#;
    let fetcher = world.fetcher(variants);
    let ended = fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    let changes = report["branches"][0]["changes"].as_array().expect("changes");
    let text_of = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut lines: Vec<_> = changes
        .iter()
        .map(|change| {
            format!(
                "{} {} {} {}",
                text_of(&change["element"]),
                text_of(&change["condition"]),
                change["source"],
                change["failed-with"]
            )
        })
        .collect();
    lines.sort();
    let expected = ["added.bst - 0 null", "added.bst flavour == 'sour' 0 null", "odd.bst - 0 [\"sour\"]"];
    assert_eq!(lines, expected, "{report:#} {ended}");
    let coverage = report["branches"][0]["coverage"].as_array().expect("coverage").iter();
    let tracked: Vec<_> = coverage
        .filter(|of| of["refs"] == "tracked")
        .map(|of| (&of["variant"], &of["cached"], &of["sources"]))
        .collect();
    assert_eq!(
        tracked,
        [(&"sour".into(), &2.into(), &3.into()), (&"sweet".into(), &2.into(), &2.into())],
        "{report:#}"
    );
}
