//! When `bst` fails, hangs, dies or talks nonsense: retries, deadlines, and nothing left behind.

use std::time::Instant;

use fetcher_tests::alive::alive;
use fetcher_tests::fake::{FakeBst, upstream};
use fetcher_tests::fetcher::{Ended, Fetcher};
use fetcher_tests::scratch::Scratch;
use fetcher_tests::waiting::PATIENCE;
use serde_json::Value;

/// Runs a project with the scenario.
fn run(scratch: &Scratch, fake: &FakeBst, project: &str) -> Ended {
    upstream(scratch, &[]);
    fetcher(scratch, fake, project).run(&["run"])
}

fn fetcher<'s>(scratch: &'s Scratch, fake: &FakeBst, project: &str) -> Fetcher<'s> {
    let project =
        format!("[[project]]\nurl = \"project\"\ntargets = [\"all.bst\"]\nretry-delay = \"10ms\"\n{project}\n");
    Fetcher::new(scratch).config(format!("{}\n{project}", fake.config()))
}

/// The report of one stage of the first branch.
fn stage<'r>(report: &'r Value, name: &str) -> &'r Value {
    let stages = report["branches"][0]["stages"].as_array().expect("stages");
    stages.iter().find(|stage| stage["stage"] == name).unwrap_or_else(|| panic!("no stage {name}: {report:#}"))
}

#[test]
fn what_a_retry_can_mend_is_tried_again() {
    let scratch = Scratch::new();
    let scenario = "fails() {
        count_calls
        [ $command = fetch ] && [ $1 = a.bst ] && [ $nth -le 2 ] && text='HTTP Error 503: Service Unavailable'
    }";
    let fake = FakeBst::new(&scratch, scenario);
    run(&scratch, &fake, "retries = 2\ntrack = false").expect(0);
    let report = fetcher(&scratch, &fake, "").report();
    let fetch = stage(&report, "fetch");
    assert_eq!(fetch["attempts"], 3, "{fetch:#}");
    assert_eq!(fetch["outcome"], "ok", "{fetch:#}");
    assert_eq!(fetch["failures"], Value::Array(vec![]), "{fetch:#}");
}

#[test]
fn retries_end() {
    let scratch = Scratch::new();
    let scenario = "fails() { [ $command = fetch ] && [ $1 = a.bst ] && text='HTTP Error 503: Service Unavailable'; }";
    let fake = FakeBst::new(&scratch, scenario);
    run(&scratch, &fake, "retries = 2\ntrack = false").expect(1);
    assert_eq!(fake.commands(), ["fetch", "fetch", "fetch"]);
    let report = fetcher(&scratch, &fake, "").report();
    let fetch = stage(&report, "fetch");
    assert_eq!(fetch["outcome"], "partial", "{fetch:#}");
    assert_eq!(fetch["failures"][0]["element"], "a.bst", "{fetch:#}");
    assert_eq!(fetch["failures"][0]["kind"], "server-error", "{fetch:#}");
}

#[test]
fn what_no_retry_can_mend_is_tried_once() {
    let scratch = Scratch::new();
    let scenario =
        "fails() { [ $command = fetch ] && [ $1 = a.bst ] && text=\"File downloaded has sha256sum '1', not '2'\"; }";
    let fake = FakeBst::new(&scratch, scenario);
    run(&scratch, &fake, "retries = 5\ntrack = false").expect(1);
    assert_eq!(fake.commands(), ["fetch"]);
}

#[test]
fn a_failed_track_keeps_what_it_got_and_the_others_are_fetched_and_pushed() {
    let scratch = Scratch::new();
    let scenario = "track_ref() { ref=cccccccccccccccccccccccccccccccccccccccc; }
        fails() { [ $command = track ] && [ $1 = a.bst ] && text='HTTP Error 404: Not Found'; }";
    let fake = FakeBst::new(&scratch, scenario);
    let cache = "retries = 0\nverify = false\n[[project.source-caches]]\nurl = \"http://127.0.0.1:1\"\npush = true";
    run(&scratch, &fake, cache).expect(1);
    let report = fetcher(&scratch, &fake, "").report();
    let track = stage(&report, "track");
    assert_eq!(track["outcome"], "partial", "{track:#}");
    assert_eq!(track["failures"][0]["element"], "a.bst");
    assert_eq!(track["changes"].as_array().map(Vec::len), Some(1), "{track:#}");
    assert_eq!(track["changes"][0]["element"], "b.bst");
    assert_eq!(track["changes"][0]["old"], "b".repeat(40));
    assert_eq!(track["changes"][0]["new"], "c".repeat(40));
    assert_eq!(stage(&report, "fetch")["outcome"], "ok");
    assert_eq!(stage(&report, "push")["outcome"], "ok");
    assert_eq!(report["branches"][0]["outcome"], "partial");
}

#[test]
fn a_stage_that_takes_too_long_is_stopped_with_all_that_it_started() {
    let scratch = Scratch::new();
    let scenario = "before() { [ $command != fetch ] || { trap '' INT TERM; leave_behind 600; sleep 600; }; }";
    let fake = FakeBst::new(&scratch, scenario);
    let began = Instant::now();
    run(&scratch, &fake, "timeout = \"1s\"\ntrack = false").expect(4);
    assert!(began.elapsed() < PATIENCE, "it waited for what it had stopped");
    let report = fetcher(&scratch, &fake, "").report();
    assert_eq!(stage(&report, "fetch")["failures"][0]["kind"], "time-out", "{report:#}");
    assert_eq!(alive(scratch.root()), Vec::<String>::new());
}

#[test]
fn what_a_stage_leaves_behind_ends_with_it() {
    let scratch = Scratch::new();
    let fake = FakeBst::new(&scratch, "before() { [ $command != fetch ] || leave_behind 600; }");
    let began = Instant::now();
    run(&scratch, &fake, "").expect(0);
    assert!(began.elapsed() < PATIENCE, "it waited for a process that had its standard error");
    assert_eq!(alive(scratch.root()), Vec::<String>::new());
}

#[test]
fn a_bst_that_is_killed_is_tried_again() {
    let scratch = Scratch::new();
    let scenario = "before() { count_calls 2>/dev/null; [ $command != fetch ] || [ $nth -gt 1 ] || kill -9 $$; }";
    let fake = FakeBst::new(&scratch, scenario);
    run(&scratch, &fake, "retries = 1\ntrack = false").expect(0);
    assert_eq!(fake.commands(), ["fetch", "fetch"]);
}

#[test]
fn a_listing_that_a_retry_can_mend_is_asked_again() {
    let scratch = Scratch::new();
    let scenario = "before() { count_calls 2>/dev/null; [ $command != show ] || [ $nth -gt 2 ] || kill -9 $$; }";
    let fake = FakeBst::new(&scratch, scenario);
    run(&scratch, &fake, "retries = 1\ntrack = false").expect(0);
    assert_eq!((fake.listings().len(), fake.commands()), (3, vec!["fetch".to_owned()]));
    // Where it cannot be mended, that is told, and nothing is fetched blindly.
    fake.now("before() { [ $command != show ] || { echo gibberish >&2; exit 1; }; }");
    fake.forget();
    let ended = run(&scratch, &fake, "retries = 0\ntrack = false\noptions = { a = \"b\" }").expect(4);
    assert!(ended.stderr().contains("fetch (committed): failed"), "{ended}");
    assert_eq!(fake.commands(), [""; 0]);
}

#[test]
fn garbage_from_bst_is_kept_in_the_log_and_breaks_nothing() {
    let scratch = Scratch::new();
    let scenario = r"before() {
        [ $command = fetch ] || return
        head -c 20000000 /dev/urandom >&2
        printf '\n@BST|\n@BST|||||||\n[00:00:00][]] FAILURE\n\033[31mred\033]0;title\007\377\376\n' >&2
    }";
    let fake = FakeBst::new(&scratch, scenario);
    let ended = run(&scratch, &fake, "track = false").expect(0);
    assert_eq!(ended.stderr(), "");
    let report = fetcher(&scratch, &fake, "").report();
    assert_eq!(stage(&report, "fetch")["elements"]["processed"], 3, "{report:#}");
}

#[test]
fn an_endless_line_takes_bounded_memory() {
    let scratch = Scratch::new();
    let scenario = "before() { [ $command != fetch ] || head -c 300000000 /dev/zero | tr '\\0' x >&2; }";
    let fake = FakeBst::new(&scratch, scenario);
    upstream(&scratch, &[]);
    // Less address space than the line alone would need.
    let fetcher = fetcher(&scratch, &fake, "track = false").limited("ulimit -v 280000");
    fetcher.run(&["run"]).expect(0);
}

#[test]
fn a_bst_of_another_dialect_than_it_says_fails_the_branch_and_says_so() {
    let scratch = Scratch::new();
    let fake = FakeBst::new(&scratch, "[ \"$1\" = --version ] && version=1.6.9 || version=2.8.1");
    let ended = run(&scratch, &fake, "").expect(4);
    assert!(ended.stderr().contains("No such command 'track'"), "{ended}");
}

#[test]
fn a_bst_that_is_not_there_fails_every_branch_of_its_project_alone() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, "");
    let config = format!(
        "{}\n[[project]]\nname = \"good\"\nurl = \"project\"\n[[project]]\nname = \"bad\"\nurl = \"project\"\n[project.buildstream]\ncommand = [\"no-such-bst\"]\n",
        fake.config()
    );
    let fetcher = Fetcher::new(&scratch).config(config);
    let ended = fetcher.run(&["run"]).expect(1);
    assert!(ended.stderr().contains("no-such-bst"), "{ended}");
    let report = fetcher.report();
    assert_eq!(report["branches"][0]["outcome"], "ok", "{report:#}");
    assert_eq!(report["branches"][1]["outcome"], "failed", "{report:#}");
}

#[test]
fn one_bad_branch_stops_no_other() {
    let scratch = Scratch::new();
    let repo = upstream(&scratch, &["good"]);
    repo.git(&["checkout", "--quiet", "-b", "bad"]);
    repo.git(&["rm", "--quiet", "project.conf"]);
    repo.commit("No project any more");
    repo.git(&["checkout", "--quiet", "main"]);
    let fake = FakeBst::new(&scratch, "");
    let fetcher = fetcher(&scratch, &fake, "branches = [\"*\"]");
    fetcher.run(&["run"]).expect(1);
    let report = fetcher.report();
    let outcomes: Vec<_> = report["branches"].as_array().expect("branches").iter().collect();
    let outcome = |name: &str| {
        let branch = outcomes.iter().find(|branch| branch["branch"] == name).expect("the branch");
        branch["outcome"].as_str().expect("an outcome").to_owned()
    };
    assert_eq!((outcome("main"), outcome("good"), outcome("bad")), ("ok".into(), "ok".into(), "failed".into()));
}

#[test]
fn a_repository_that_is_gone_fails_its_project_alone() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, "");
    let gone = "[[project]]\nname = \"gone\"\nurl = \"nowhere\"\n";
    let config = format!("{}\n{gone}\n[[project]]\nurl = \"project\"\n", fake.config());
    let fetcher = Fetcher::new(&scratch).config(config);
    let ended = fetcher.run(&["run"]).expect(1);
    assert!(ended.stderr().contains("gone"), "{ended}");
    assert_eq!(fake.commands(), ["fetch", "track"]);
}

#[test]
fn hostile_repositories_do_not_leave_their_directory() {
    let scratch = Scratch::new();
    let repo = upstream(&scratch, &[]);
    let outside = scratch.write("outside/project.conf", "name: outside\n");
    std::os::unix::fs::symlink(outside.parent().expect("a parent"), repo.path.join("elsewhere")).expect("a link");
    // Filters and hooks of a repository are programs that nobody here asked for.
    repo.write(".gitattributes", "* filter=evil\n");
    let evil = scratch.path("evil");
    repo.write(".githooks/post-checkout", &format!("#!/bin/sh\ntouch '{}'\n", evil.display()));
    repo.git(&["update-index", "--add", "--chmod=+x", ".githooks/post-checkout"]);
    repo.commit("Evil");
    let fake = FakeBst::new(&scratch, "");
    let fetcher = fetcher(&scratch, &fake, "directory = \"elsewhere\"");
    fetcher.run(&["run"]).expect(4);
    assert_eq!(fake.calls(), []);
    assert!(!evil.exists(), "a hook of the repository was run");
}
