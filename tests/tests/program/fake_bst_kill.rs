//! Stopping and killing the program, and two of it at once.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fetcher_tests::alive::alive;
use fetcher_tests::fake::{FakeBst, upstream};
use fetcher_tests::fetcher::{Ended, Fetcher};
use fetcher_tests::scratch::Scratch;
use fetcher_tests::waiting::{self, PATIENCE};
use rustix::process::{Pid, Signal, kill_process};

fn fetcher<'s>(scratch: &'s Scratch, fake: &FakeBst) -> Fetcher<'s> {
    configured(scratch, fake, "")
}

fn configured<'s>(scratch: &'s Scratch, fake: &FakeBst, more: &str) -> Fetcher<'s> {
    let project = "[[project]]\nurl = \"project\"\nbranches = [\"*\"]\nretries = 0\n";
    Fetcher::new(scratch).config(format!("{}\n{project}{more}\n", fake.config()))
}

fn start(fetcher: &Fetcher<'_>, arguments: &[&str]) -> Child {
    fetcher.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

fn end(child: Child, arguments: &[&str]) -> Ended {
    (arguments, child.wait_with_output().expect("its end")).into()
}

/// A `bst` that says when it is in a stage, and then stays there.
const STAYS: &str = "before() { [ $command != fetch ] || { leave_behind 600; : >$scenario/there; sleep 600; }; }";

#[test]
fn killed_at_any_moment_it_recovers_by_itself() {
    let scratch = Scratch::new();
    let repo = upstream(&scratch, &["one", "two"]);
    let library = scratch.repo("library");
    library.write("file", "a library\n");
    let commit = library.commit("A library");
    repo.submodule("../library", "library", &commit);
    // Slow enough that kills hit every part of it.
    let slow = "before() { leave_behind 600; sleep 0.05; }";
    let fake = FakeBst::new(&scratch, slow);
    let fetcher = fetcher(&scratch, &fake);
    for step in 0..25 {
        // A new tip, so that there is something to do at every place.
        repo.write("step", &step.to_string());
        repo.commit("Another step");
        let mut child = fetcher.command(&["run"]).spawn().expect("the program starts");
        thread::sleep(Duration::from_millis(4 * step * step / 5));
        child.kill().expect("kill");
        let _ = child.wait();
        let status = fetcher.run(&["status", "--json"]);
        assert_eq!(status.status(), 0, "after {step}: {status}");
        status.json();
        for report in fs::read_dir(scratch.path("state/runs")).into_iter().flatten().flatten() {
            let text = fs::read(report.path().join("report.json"));
            assert!(
                text.is_ok_and(|text| serde_json::from_slice::<serde_json::Value>(&text).is_ok()),
                "{report:?} after {step}"
            );
        }
    }
    let whole = fetcher.run(&["run"]);
    assert!([0, 1].contains(&whole.status()), "{whole}");
    let report = fetcher.report();
    for branch in report["branches"].as_array().expect("branches") {
        assert_eq!(branch["outcome"], "ok", "{report:#}");
    }
    fetcher.run(&["run"]).expect(0);
    assert_eq!(alive(scratch.root()), Vec::<String>::new());
    let checkout = scratch.path("cache/checkouts/project/main/tree");
    assert_eq!(fs::read_to_string(checkout.join("step")).expect("the checkout"), "24");
    assert_eq!(fs::read_to_string(checkout.join("library/file")).expect("the submodule"), "a library\n");
}

#[test]
fn the_run_after_a_killed_one_tells_of_it_and_ends_what_it_left() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, STAYS);
    // What is in a sandbox ends with the program.
    let fetcher = configured(&scratch, &fake, "sandbox = { mode = \"off\" }");
    let mut child = start(&fetcher, &["run"]);
    waiting::for_file(&fake.path("there"));
    child.kill().expect("kill");
    let _ = child.wait();
    assert!(!alive(scratch.root()).is_empty(), "what it started is still there");
    fake.now("");
    let next = fetcher.run(&["run"]);
    assert!(next.stderr().contains("killed"), "{next}");
    assert_eq!(alive(scratch.root()), Vec::<String>::new());
    let silent = fetcher.run(&["run"]).expect(0);
    assert_eq!(silent.stderr(), "", "{silent}");
}

#[test]
fn signals_end_a_run_in_order() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let scratch = Scratch::new();
        upstream(&scratch, &["other"]);
        let fake = FakeBst::new(&scratch, STAYS);
        let fetcher = fetcher(&scratch, &fake);
        let child = start(&fetcher, &["run"]);
        waiting::for_file(&fake.path("there"));
        kill_process(Pid::from_child(&child), signal).expect("a signal");
        let ended = end(child, &["run"]).expect(status);
        assert_eq!(alive(scratch.root()), Vec::<String>::new(), "{ended}");
        let report = fetcher.report();
        assert_eq!(report["outcome"], "interrupted", "{report:#}");
        assert!(report["finished"].is_string(), "{report:#}");
        fake.now("");
        fetcher.run(&["run"]).expect(0);
    }
}

#[test]
fn a_second_run_says_who_holds_the_lock() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, STAYS);
    let fetcher = fetcher(&scratch, &fake);
    let child = start(&fetcher, &["run"]);
    let holder = child.id();
    waiting::for_file(&fake.path("there"));
    let second = fetcher.run(&["run"]).expect(75);
    assert!(second.stderr().contains(&format!("process {holder}")), "{second}");
    let waited = fetcher.run(&["run", "--lock-wait", "300ms"]).expect(75);
    assert!(waited.stderr().contains(&format!("process {holder}")), "{waited}");
    // Looking needs no lock.
    fetcher.run(&["status"]).expect(0);

    let waiting = start(&fetcher, &["run", "--lock-wait", "2m"]);
    fake.now("");
    kill_process(Pid::from_child(&child), Signal::TERM).expect("a signal");
    end(child, &["run"]).expect(143);
    end(waiting, &["run"]).expect(0);
}

#[test]
fn a_lock_waiter_can_be_stopped() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, STAYS);
    let fetcher = fetcher(&scratch, &fake);
    let child = start(&fetcher, &["run"]);
    waiting::for_file(&fake.path("there"));
    let mut lock_waiter = start(&fetcher, &["run", "--lock-wait", "1h", "-v"]);
    waiting::for_open_file(lock_waiter.id(), &scratch.path("state/lock"));
    assert!(lock_waiter.try_wait().expect("its state").is_none(), "it did not wait");
    kill_process(Pid::from_child(&lock_waiter), Signal::INT).expect("a signal");
    end(lock_waiter, &["run"]).expect(130);
    kill_process(Pid::from_child(&child), Signal::INT).expect("a signal");
    end(child, &["run"]).expect(130);
}

#[test]
fn a_second_signal_does_not_wait_for_children_that_will_not_end() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let stubborn =
        "before() { [ $command != fetch ] || { trap '' INT TERM; : >$scenario/there; while :; do sleep 600; done; }; }";
    let fake = FakeBst::new(&scratch, stubborn);
    let fetcher = fetcher(&scratch, &fake);
    let child = start(&fetcher, &["run"]);
    waiting::for_file(&fake.path("there"));
    let began = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).expect("a signal");
    let output = child.wait_with_output().expect("its end");
    assert_eq!(output.status.code().or(output.status.signal().map(|signal| 128 + signal)), Some(130));
    assert!(began.elapsed() < PATIENCE);
    assert_eq!(alive(scratch.root()), Vec::<String>::new());
}

#[test]
fn a_reader_that_goes_away_ends_nothing_badly() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, "fails() { [ $1 = a.bst ]; }");
    let fetcher = fetcher(&scratch, &fake);
    fetcher.run(&["run"]);
    let mut child = start(&fetcher, &["logs", "project"]);
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("its end").code(), Some(0));
    // A full device takes nothing of what is said on standard error; the run goes on.
    let full = File::options().write(true).open("/dev/full").expect("/dev/full");
    let status = fetcher.command(&["run", "-v"]).stderr(full).status().expect("the program");
    assert_eq!(status.code(), Some(1));
}
