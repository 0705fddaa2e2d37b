//! `Fetcher` inside another program, whose own code panics: one branch fails, and nothing else.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use fetcher_core::diagnosis::FailureKind;
use fetcher_core::report::{BranchReport, Outcome};
use fetcher_core::runner::{OutputStream, RunnerError};
use fetcher_core::{
    Cancel, Clock, Config, Environment, Event, Exit, Fetcher, Invocation, LocalRunner, RunReport, RunSelection, Runner,
    SystemClock,
};
use fetcher_tests::fake::{FakeBst, upstream};
use fetcher_tests::scratch::Scratch;

/// A fetcher of the branches `main`, `good` and `bad` of a project.
fn fetcher(scratch: &Scratch, more: &str) -> Fetcher {
    upstream(scratch, &["bad", "good"]);
    let fake = FakeBst::new(scratch, "");
    let root = scratch.root().display();
    let text = format!(
        "[fetcher]\nstate-dir = \"{root}/state\"\ncache-dir = \"{root}/cache\"\nmin-free-space = \"1M\"\njobs = 2\n{}{more}\n\
         [[project]]\nurl = \"{root}/project\"\nbranches = [\"main\", \"bad\", \"good\"]\ntargets = [\"all.bst\"]\n",
        fake.config()
    );
    let path = scratch.write("config.toml", text);
    let environment: Environment = scratch.environment().into_iter().collect();
    Fetcher::new(Config::load(path, &environment).expect("a configuration"), environment)
}

fn run(fetcher: &Fetcher, events: &mut dyn FnMut(Event)) -> RunReport {
    fetcher.run(&RunSelection::all(), events).expect("a run")
}

fn branch<'r>(report: &'r RunReport, name: &str) -> &'r BranchReport {
    let is = |branch: &&BranchReport| branch.branch.as_ref().is_some_and(|branch| branch.as_str() == name);
    report.branches.iter().find(is).unwrap_or_else(|| panic!("no branch {name}: {report:#?}"))
}

/// Expects that the report was written, that only this branch failed, and of what.
#[track_caller]
fn only_bad_failed(scratch: &Scratch, report: &RunReport, words: &str) {
    for name in ["main", "good"] {
        assert_eq!(branch(report, name).outcome, Outcome::Ok, "{report:#?}");
        assert_eq!(branch(report, name).failures().count(), 0, "{report:#?}");
    }
    let bad = branch(report, "bad");
    assert!(!bad.outcome.is_good(), "{bad:#?}");
    let told = |failure: &fetcher_core::Diagnosis| failure.kind == FailureKind::Bug && failure.message.contains(words);
    assert!(bad.failures().any(told), "{bad:#?}");
    assert_eq!(report.outcome, Outcome::Partial);
    let path = scratch.path(&format!("state/runs/{}/report.json", report.run));
    let written = std::fs::read_to_string(path).expect("a report");
    serde_json::from_str::<RunReport>(&written).expect("a report");
    // As text: numbers with many digits are read with the last one rounded.
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert_eq!(value(&written), value(&serde_json::to_string(report).expect("JSON")));
}

/// Panics where a command of the branch `bad` is to be run.
struct Panicking(LocalRunner);

impl Runner for Panicking {
    fn run(
        &self,
        invocation: &Invocation,
        cancel: &Cancel,
        output: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<Exit, RunnerError> {
        output(OutputStream::Stdout, b"before it panics\n");
        assert!(!invocation.directory.components().any(|part| part.as_os_str() == "bad"), "the runner has a bug");
        self.0.run(invocation, cancel, output)
    }
}

#[test]
fn a_runner_that_panics_fails_its_branch_alone() {
    for more in ["", "[buildstream.config.cache]\nquota = \"1G\"\n"] {
        let scratch = Scratch::new();
        let fetcher = fetcher(&scratch, more).runner(Panicking(LocalRunner::default()));
        let report = run(&fetcher, &mut |_| {});
        only_bad_failed(&scratch, &report, "the runner has a bug");
        // The branch's other stages are told of as well.
        assert_eq!(branch(&report, "bad").stages.len(), 8, "{report:#?}");
    }
}

/// Panics at every call, to the version even.
struct Broken;

impl Runner for Broken {
    fn run(&self, _: &Invocation, _: &Cancel, _: &mut dyn FnMut(OutputStream, &[u8])) -> Result<Exit, RunnerError> {
        panic!("nothing runs here")
    }
}

#[test]
fn a_runner_that_always_panics_ends_in_a_report() {
    let scratch = Scratch::new();
    let fetcher = fetcher(&scratch, "").runner(Broken);
    let report = run(&fetcher, &mut |_| {});
    assert_eq!(report.outcome, Outcome::Failed);
    for name in ["main", "bad", "good"] {
        let failure = branch(&report, name).failures().next().expect("a failure");
        assert!(failure.message.contains("nothing runs here"), "{failure:#?}");
    }
}

#[test]
fn a_sink_of_events_that_panics_fails_the_branch_that_was_told_of() {
    let scratch = Scratch::new();
    let fetcher = fetcher(&scratch, "");
    let mut finished = 0;
    let report = run(&fetcher, &mut |event| match event {
        Event::StageFinished { branch, .. } if branch.as_str() == "bad" => panic!("the sink has a bug"),
        Event::BranchFinished(_) => finished += 1,
        _ => {}
    });
    only_bad_failed(&scratch, &report, "the sink has a bug");
    assert_eq!(finished, 3, "it is told on");
}

#[test]
fn a_sink_that_panics_at_events_of_the_run_or_at_a_branchs_last_loses_nothing() {
    let scratch = Scratch::new();
    let fetcher = fetcher(&scratch, "");
    let report = run(&fetcher, &mut |event| match event {
        Event::BranchFinished(report) if report.branch.as_ref().is_some_and(|branch| branch.as_str() == "bad") => {
            panic!("at the end of a branch")
        }
        Event::RunFinished(_) => panic!("at the end of all"),
        _ => {}
    });
    only_bad_failed(&scratch, &report, "at the end of a branch");
    assert!(report.failures.iter().any(|failure| failure.message.contains("at the end of all")), "{report:#?}");
}

/// Panics when a worker asks for the first time, and tells the time otherwise.
struct Stumbling(thread::ThreadId, AtomicUsize);

impl Clock for Stumbling {
    fn now(&self) -> jiff::Timestamp {
        let at_work = thread::current().id() != self.0;
        assert!(!at_work || self.1.fetch_add(1, Ordering::Relaxed) != 3, "the clock has a bug");
        SystemClock.now()
    }
}

#[test]
fn a_clock_that_panics_is_told_and_stops_nothing() {
    let scratch = Scratch::new();
    let fetcher = fetcher(&scratch, "").clock(Stumbling(thread::current().id(), AtomicUsize::new(0)));
    let report = run(&fetcher, &mut |_| {});
    let failed: Vec<_> = report.branches.iter().filter(|branch| !branch.outcome.is_good()).collect();
    assert_eq!(failed.len(), 1, "{report:#?}");
    assert!(failed[0].failures().any(|failure| failure.message.contains("the clock has a bug")), "{report:#?}");
    assert_eq!((report.outcome, report.branches.len()), (Outcome::Partial, 3));
}
