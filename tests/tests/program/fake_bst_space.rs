//! Space: what killed programs left goes first, nothing fills the disk, and what leads out of our directories is left alone.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, Instant};

use fetcher_core::runner::processes;
use fetcher_tests::alive::alive;
use fetcher_tests::fake::{FakeBst, upstream};
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::git_fixture::contents;
use fetcher_tests::scratch::Scratch;

const PROJECT: &str = "[[project]]\nurl = \"project\"\ntargets = [\"all.bst\"]\nretries = 0\n";

/// A configuration with its own least space.
fn config(scratch: &Scratch, fake: &FakeBst, space: &str, projects: &str) {
    let root = scratch.root().display();
    let general = format!("state-dir = \"{root}/state\"\ncache-dir = \"{root}/cache\"\nmin-free-space = \"{space}\"\n");
    scratch.write("config.toml", format!("[fetcher]\n{general}\n{}\n{projects}", fake.config()));
}

/// A repository with a file of so many bytes that nothing compresses.
fn big(scratch: &Scratch, name: &str, megabytes: usize) {
    let repo = scratch.repo(name);
    repo.write("project.conf", "name: big\nmin-version: 2.0\n");
    let script = format!("head -c {megabytes}000000 /dev/urandom >'{}'/blob", repo.path.display());
    assert!(Command::new("sh").args(["-c", &script]).status().expect("sh").success());
    repo.commit("big");
}

#[test]
fn what_killed_programs_left_is_removed_before_the_space_is_looked_at() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, "");
    let fetcher = Fetcher::new(&scratch);
    config(&scratch, &fake, "1M", PROJECT);
    fetcher.run(&["run"]).expect(0);
    let mirror = scratch.mirror("project");
    let in_mirror = |name: &str| format!("{mirror}/{name}");
    let leftovers = [
        &*in_mirror("objects/pack/tmp_pack_1"),
        &in_mirror("objects/pack/.tmp-1-pack-2"),
        &in_mirror("objects/tmp_objdir-incoming-1/x"),
        &in_mirror("packed-refs.lock"),
        "mirrors/gone.new/HEAD",
        "submodules/0123/objects/pack/tmp_idx_1",
        "cachedir/cas/tmp/casd-temp",
        "cachedir/tmp/unpacked/file",
        "sources/0/git/tmpab_c12xy/HEAD",
    ];
    let kept = [
        "sources/0/git/https___host_tmp/HEAD",
        "cachedir/cas/objects/ab/c",
        "checkouts/project/main/tree/project.conf",
    ];
    for name in leftovers.iter().chain(&kept) {
        scratch.write(&format!("cache/{name}"), "left");
    }
    config(&scratch, &fake, "900000T", PROJECT);
    fetcher.run(&["run"]).expect(4);
    for name in leftovers {
        assert!(!scratch.path("cache").join(name).exists(), "{name}");
    }
    // All that could be given up would not be enough, so that nothing is.
    for name in kept {
        assert!(scratch.path("cache").join(name).exists(), "{name}");
    }
}

#[test]
fn what_a_running_bst_of_somebody_else_has_in_hand_is_left_alone() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, "");
    let fetcher = Fetcher::new(&scratch);
    config(&scratch, &fake, "1M", PROJECT);
    let file = scratch.write("cache/cachedir/cas/tmp/casd-temp", "in hand");
    let mut casd = Command::new("sleep").arg("600").current_dir(scratch.path("cache/cachedir")).spawn().expect("sleep");
    fetcher.run(&["run"]).expect(0);
    assert!(file.exists());
    casd.kill().and_then(|()| casd.wait()).expect("its end");
    fetcher.run(&["run"]).expect(0);
    assert!(!file.exists());
}

#[test]
fn a_repository_that_does_not_fit_fails_alone_in_every_run() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    big(&scratch, "big", 60);
    let fake = FakeBst::new(&scratch, "");
    let url = scratch.path("big").display().to_string();
    config(&scratch, &fake, "10M", &format!("[[project]]\nurl = \"file://{url}\"\nretries = 0\n\n{PROJECT}"));
    // Two runs on one small disk.
    let fetcher = Fetcher::new(&scratch).small_disk("cache", "40m").limited("\"$0\" run >/dev/null 2>&1");
    let ended = fetcher.run(&["run"]).expect(1);
    assert!(ended.stderr().contains("disk-full") && ended.stderr().contains("min-free-space"), "{ended}");
    let report = fetcher.report();
    for branch in report["branches"].as_array().expect("branches") {
        let expected = if branch["project"] == "big" { "failed" } else { "ok" };
        assert_eq!(branch["outcome"], expected, "{report:#}");
    }
    assert_eq!(fs::read_dir(scratch.path("state/runs")).expect("runs").count(), 2);
}

#[test]
fn checkouts_are_given_up_where_space_is_short_and_that_is_told() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    big(&scratch, "big", 10);
    let fake = FakeBst::new(&scratch, "");
    config(&scratch, &fake, "20M", &format!("[[project]]\nurl = \"big\"\nretries = 0\n\n{PROJECT}"));
    let cache = scratch.path("cache").display().to_string();
    let line = format!("\"$0\" run >/dev/null 2>&1; head -c 25000000 /dev/zero >'{cache}/filler'");
    let fetcher = Fetcher::new(&scratch).small_disk("cache", "60m").limited(&line);
    let ended = fetcher.run(&["run", "--project", "project"]).expect(0);
    let failures = fetcher.report()["failures"].clone();
    assert_eq!(failures[0]["kind"], "space-made", "{ended}");
    let message = failures[0]["message"].as_str().expect("a message");
    assert!(message.contains("to make space") && message.contains("checkouts/big/main"), "{message}");
    assert!(ended.stderr().contains("to make space"), "{ended}");
}

#[test]
fn a_bst_that_would_fill_the_disk_is_stopped() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let greedy = r#"before() {
        [ $command = fetch ] || return 0
        head -c 25000000 /dev/zero >"${PWD%/checkouts/*}/cachedir/big"
        sleep 600
    }"#;
    let fake = FakeBst::new(&scratch, greedy);
    config(&scratch, &fake, "20M", PROJECT);
    let fetcher = Fetcher::new(&scratch).small_disk("cache", "40m");
    let began = Instant::now();
    let ended = fetcher.run(&["run"]);
    assert!([1, 4].contains(&ended.status()), "{ended}");
    assert!(began.elapsed() < Duration::from_secs(120), "{ended}");
    assert!(ended.stderr().contains("disk-full") && ended.stderr().contains("bst was stopped"), "{ended}");
    assert_eq!(alive(scratch.root()), Vec::<String>::new());
}

#[test]
fn links_in_the_place_of_our_directories_lead_nowhere() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, "");
    let fetcher = Fetcher::new(&scratch);
    config(&scratch, &fake, "1M", PROJECT);
    fetcher.run(&["run"]).expect(0);
    for name in
        ["project/main/tree/file", "project/old/file", "gone/file", "7/file", "main/tree/file", "tmp/tmp_pack_x"]
    {
        scratch.write(&format!("outside/{name}"), "precious");
    }
    let before = contents(&scratch.path("outside"));
    let mirror = scratch.mirror("project");
    for name in ["checkouts", "mirrors", "checkouts/project", "checkouts/project/main", &mirror, "cachedir/cas"] {
        let path = scratch.path("cache").join(name);
        let _ = fs::remove_dir_all(&path);
        symlink(scratch.path("outside"), &path).expect("a link");
        let ended = fetcher.run(&["run"]).expect(0);
        fetcher.run(&["gc"]).expect(0);
        assert_eq!(contents(&scratch.path("outside")), before, "{name}: {ended}");
    }
    for name in ["cache/sources", "cache/environments", "state/branches"] {
        let _ = fs::remove_dir_all(scratch.path(name));
        symlink(scratch.path("outside"), scratch.path(name)).expect("a link");
        fetcher.run(&["gc"]).expect(0);
        assert_eq!(contents(&scratch.path("outside")), before, "{name}");
    }
}

#[test]
fn a_directory_that_the_memory_of_a_killed_run_names_elsewhere_is_left_alone() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, "");
    let fetcher = Fetcher::new(&scratch);
    config(&scratch, &fake, "1M", PROJECT);
    let file = scratch.write("outside/bst-fetcher-x/file", "precious");
    let named = file.parent().expect("its directory").display();
    let run = "20260101T000000.000Z-1";
    scratch.write("state/current.json", format!(r#"{{ "run": "{run}", "process": 1, "temporary": "{named}" }}"#));
    let ended = fetcher.run(&["run"]).expect(0);
    assert!(ended.stderr().contains(run) && file.exists(), "{ended}");
}

#[test]
fn what_an_earlier_run_left_running_is_ended_at_every_start() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, "");
    let fetcher = Fetcher::new(&scratch);
    config(&scratch, &fake, "1M", PROJECT);
    fetcher.run(&["run"]).expect(0);
    let owner = scratch.path("state").canonicalize().expect("the state directory");
    let mut left = Command::new("setsid");
    left.args(["sleep", "600"]).env(processes::MARKER_VAR, format!("{}|1", owner.display()));
    let mut left = left.spawn().expect("sleep");
    let ended = fetcher.run(&["run"]).expect(0);
    assert!(!left.wait().expect("its end").success());
    assert!(ended.stderr().contains("1 processes that an earlier run had started"), "{ended}");
    let silent = fetcher.run(&["run"]).expect(0);
    assert_eq!(silent.stderr(), "", "{silent}");
}
