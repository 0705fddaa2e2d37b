//! The machine and the configuration around a run: space, mistakes, exit statuses.

use fetcher_tests::fake::{FakeBst, upstream};
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::scratch::Scratch;

fn project(fake: &FakeBst, general: &str) -> String {
    format!(
        "[fetcher]\n{general}\n{}\n[[project]]\nurl = \"project\"\ntargets = [\"all.bst\"]\nretries = 0\n",
        fake.config()
    )
}

#[test]
fn too_little_space_fails_loudly_before_anything_is_half_done() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, "");
    let config = project(&fake, "").replace("[fetcher]\n", "");
    let root = scratch.root().display();
    let general = format!(
        "[fetcher]\nstate-dir = \"{root}/state\"\ncache-dir = \"{root}/cache\"\nmin-free-space = \"900000T\"\n"
    );
    let fetcher = Fetcher::new(&scratch);
    scratch.write("config.toml", general + &config);
    let ended = fetcher.run(&["run"]).expect(4);
    assert!(ended.stderr().contains("min-free-space"), "{ended}");
    assert_eq!(fake.calls(), []);
    assert_eq!(fetcher.report()["failures"][0]["kind"], "disk-full");
}

#[test]
fn a_full_disk_under_the_cache_is_told_as_such() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let scenario = r#"before() {
        [ $command = fetch ] || return 0
        { head -c 50000000 /dev/zero >"${PWD%/checkouts/*}/cachedir/big"; } 2>/dev/null && exit 97
        rm "${PWD%/checkouts/*}/cachedir/big"
    }
    fails() { [ $command = fetch ] && [ $1 = a.bst ] && text='tar source at a.bst [line 3 column 2]: [Errno 28] No space left on device'; }"#;
    let fake = FakeBst::new(&scratch, scenario);
    let fetcher = Fetcher::new(&scratch).config(project(&fake, "")).small_disk("cache", "16m");
    let ended = fetcher.run(&["run"]);
    // Whoever watches the space may see that it is short before bst says so.
    assert!(matches!(ended.status(), 1 | 4), "{ended}");
    assert!(ended.stderr().contains("disk-full"), "{ended}");
}

#[test]
fn a_full_disk_under_the_state_neither_hangs_nor_breaks_the_run() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let talkative = "before() { [ $command != fetch ] || head -c 50000000 /dev/zero | tr '\\0' '\\n' >&2; }";
    let fake = FakeBst::new(&scratch, talkative);
    let fetcher = Fetcher::new(&scratch).config(project(&fake, "")).small_disk("state", "2m");
    let ended = fetcher.run(&["run"]);
    assert!([1, 3, 4].contains(&ended.status()), "{ended}");
    // Who is quicker tells it: who writes, or who watches.
    let said = ["No space left on device", "min-free-space"].iter().any(|words| ended.stderr().contains(words));
    assert!(said, "{ended}");
}

#[test]
fn a_directory_that_cannot_be_written_is_told_with_its_path() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, "");
    scratch.write("state", "a file where the directory should be");
    let fetcher = Fetcher::new(&scratch).config(project(&fake, ""));
    let ended = fetcher.run(&["run"]);
    assert_ne!(ended.status(), 0, "{ended}");
    assert!(ended.stderr().contains(&scratch.path("state").display().to_string()), "{ended}");
}

#[test]
fn every_problem_of_a_configuration_is_told_at_once() {
    let scratch = Scratch::new();
    let config = "[fetcher]\njobs = 0\nkeep-runz = \"3d\"\n\n[[project]]\nname = \"a\"\n\n[[project]]\nurl = \"x\"\nbranches = [\"..\"]\ntimeout = \"soon\"\n";
    scratch.write("config.toml", config);
    let fetcher = Fetcher::new(&scratch);
    fetcher.snapshots(|| insta::assert_snapshot!(fetcher.run(&["check"]), @r#"
    $ bst-fetcher check
    exit status 3
    ---- stderr
    [scratch]/config.toml:2:8: fetcher.jobs: it has to be from 1 to 256; for example: jobs = 4
    [scratch]/config.toml:3:1: fetcher.keep-runz: there is no such key; did you mean "keep-runs"? (the keys here are state-dir, cache-dir, jobs, min-free-space, keep-runs, keep-logs, lock-alarm-after, publish-dir, base-url, metrics-file, refresh-after, clean-client-every)
    [scratch]/config.toml:5:1: project "a": url: it is missing; add a line like: url = "https://git.example.org/other.git"
    [scratch]/config.toml:10:13: project "x": branches: it is no branch name: git does not allow it (see git check-ref-format); choose another branch name
    [scratch]/config.toml:11:11: project "x": timeout: it is no duration; use units from seconds to weeks, as in "[span]", "15m", "2h 30m" or "30d"
    "#));
    fetcher.run(&["run"]).expect(3);
}

#[test]
fn no_configuration_is_told_with_where_it_was_looked_for() {
    let scratch = Scratch::new();
    let fetcher = Fetcher::new(&scratch);
    let ended = fetcher.run(&["run"]).expect(3);
    assert!(ended.stderr().contains("config.toml"), "{ended}");
}

#[test]
fn wrong_words_on_the_command_line_are_usage() {
    let scratch = Scratch::new();
    let fetcher = Fetcher::new(&scratch);
    for arguments in [&["fly"][..], &["run", "--bogus"], &["run", "--lock-wait", "soon"], &[]] {
        fetcher.run(arguments).expect(2);
    }
}

#[test]
fn check_says_that_all_is_well() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, "");
    let fetcher = Fetcher::new(&scratch).config(project(&fake, ""));
    fetcher.run(&["check"]).expect(0);
    fetcher.run(&["check", "--host"]).expect(0);
}

#[test]
fn a_dead_remote_of_the_project_is_found_by_check() {
    let scratch = Scratch::new();
    let fake = FakeBst::new(&scratch, "");
    let config = project(&fake, "").replace("url = \"project\"", "url = \"git://127.0.0.1:1/x\"");
    let fetcher = Fetcher::new(&scratch).config(config);
    fetcher.run(&["check"]).expect(0);
    let ended = fetcher.run(&["check", "--host"]);
    assert_ne!(ended.status(), 0, "{ended}");
    assert!(ended.stdout().contains("127.0.0.1:1") || ended.stderr().contains("127.0.0.1:1"), "{ended}");
}

#[test]
fn a_starter_configuration_is_valid() {
    let scratch = Scratch::new();
    let fetcher = Fetcher::new(&scratch);
    fetcher.run(&["init"]).expect(0);
    fetcher.run(&["check"]).expect(0);
}

#[test]
fn completions_and_the_manual_page_are_printed() {
    let scratch = Scratch::new();
    let fetcher = Fetcher::new(&scratch);
    for shell in ["bash", "zsh", "fish"] {
        let ended = fetcher.run(&["completions", shell]).expect(0);
        assert!(ended.stdout().contains("bst-fetcher"), "{ended}");
    }
    assert!(fetcher.run(&["man"]).expect(0).stdout().contains(".TH"));
    assert!(fetcher.run(&["man", "run"]).expect(0).stdout().contains("lock"));
    assert!(fetcher.run(&["man", "walk"]).expect(2).stderr().contains("walk"));
}

#[test]
fn log_format_json_is_json_line_by_line() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, "fails() { [ $1 = a.bst ]; }");
    let fetcher = Fetcher::new(&scratch).config(project(&fake, ""));
    let ended = fetcher.run(&["run", "--log-format", "json", "-v"]).expect(1);
    let lines = ended.stderr();
    assert!(!lines.is_empty());
    for line in lines.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok_and(|value| value.is_object()), "{line}");
    }
}

/// How many of the calls found another one at work, with and without a quota of the cache.
fn overlaps(quota: &str) -> usize {
    let scratch = Scratch::new();
    upstream(&scratch, &["one", "two", "three"]);
    let fake = FakeBst::new(
        &scratch,
        "before() { [ $command = version ] || mkdir \"$scenario/at-work\" 2>/dev/null || echo >>\"$scenario/overlaps\"; }
        after() { sleep 0.3; rmdir \"$scenario/at-work\" 2>/dev/null; }",
    );
    let config = format!(
        "[fetcher]\njobs = 4\n{}{quota}\n[[project]]\nurl = \"project\"\nbranches = [\"*\"]\ntargets = [\"all.bst\"]\n",
        fake.config()
    );
    scratch.write("cache/cachedir/cas/disk_usage", "123");
    Fetcher::new(&scratch).config(config).run(&["run"]).expect(0);
    assert_eq!(fake.calls().len(), 8);
    assert_eq!(scratch.path("cache/cachedir/cas/disk_usage").exists(), quota.is_empty());
    std::fs::read(fake.path("overlaps")).map_or(0, |lines| lines.len())
}

#[test]
fn with_a_quota_one_bst_runs_at_a_time() {
    assert_eq!(overlaps("config = { cache = { quota = \"10G\" } }"), 0);
    assert_ne!(overlaps(""), 0);
}
