//! The contract of runners: the library's own keep it, and whoever does not is told which rule it is.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use fetcher_core::diagnosis::FailureKind;
use fetcher_core::report::Outcome;
use fetcher_core::runner::{OutputStream, RunnerError, SandboxMode, SandboxOptions, Sandboxed, conformance, output};
use fetcher_core::{Cancel, Config, Environment, Exit, Fetcher, Invocation, LocalRunner, RunSelection, Runner};
use fetcher_tests::fake::{FakeBst, upstream};
use fetcher_tests::fetcher::program;
use fetcher_tests::host::path_without;
use fetcher_tests::installed;
use fetcher_tests::scratch::Scratch;

#[expect(dead_code, reason = "its main is for the command line")]
#[path = "../../../fetcher-core/examples/container_runner.rs"]
mod container_runner;

const SEARCH: &str = "/usr/local/bin:/usr/bin:/bin";

fn breaches(runner: &dyn Runner) -> Vec<String> {
    breaches_on(runner, SEARCH)
}

fn breaches_on(runner: &dyn Runner, search: &str) -> Vec<String> {
    let scratch = Scratch::new();
    let directory = scratch.path("contract");
    fs::create_dir(&directory).expect("a directory");
    conformance::check(runner, &directory, search).iter().map(ToString::to_string).collect()
}

#[test]
fn the_librarys_own_runners_keep_it() {
    assert_eq!(breaches(&LocalRunner::default()), [""; 0]);
}

/// With what an embedding program has and has not: bubblewrap, and a helper.
#[test]
fn every_sandbox_keeps_it() {
    installed::program("bwrap");
    std::thread::scope(|scope| {
        for (mechanism, has_bubblewrap, has_helper) in [
            ("bubblewrap", true, false),
            ("bubblewrap and Landlock", true, true),
            ("Landlock", false, true),
            ("Landlock, set by a thread", false, false),
        ] {
            scope.spawn(move || {
                let scratch = Scratch::new();
                let links = if has_bubblewrap { None } else { Some(path_without(&scratch, &["bwrap"])) };
                let search = links.map_or(SEARCH.to_owned(), |links| links.display().to_string());
                let runner = Sandboxed::new(LocalRunner::default(), scratch.path("sandbox"));
                let runner = runner.helper(has_helper.then(program));
                assert_eq!(breaches_on(&runner, &search), [""; 0], "{mechanism}");
                let report = runner.found().expect("a sandbox");
                // Where /proc is masked it goes on with that.
                assert!(report.mechanism.to_string().starts_with(mechanism), "{report:#?}");
            });
        }
    });
}

/// Whatever sets them.
#[test]
fn a_child_has_the_limits_that_are_asked_for() {
    installed::program("bwrap");
    for (has_bubblewrap, has_helper) in [(true, true), (false, true), (false, false), (true, false)] {
        let scratch = Scratch::new();
        let links = if has_bubblewrap { None } else { Some(path_without(&scratch, &["bwrap"])) };
        let search = links.map_or(SEARCH.to_owned(), |links| links.display().to_string());
        let runner = Sandboxed::new(LocalRunner::default(), scratch.path("sandbox")).helper(has_helper.then(program));
        let mut limits = SandboxOptions::default();
        (limits.mode, limits.max_processes) = (SandboxMode::Required, 12_345);
        (limits.max_file_size, limits.max_memory) = (1 << 20, 1 << 30);
        let place = scratch.path("place");
        fs::create_dir(&place).expect("a directory");
        let script = "cat /proc/self/limits; head -c 2M /dev/zero >big; echo status $?";
        let invocation = Invocation::new(["sh", "-c", script], &place).writes([&place]).sandbox(limits);
        let invocation = invocation.environment([("PATH".into(), search.into())].into());
        let said = output(&runner, &invocation, &Cancel::new(), 10_000);
        let mechanism = runner.found().map(|report| report.mechanism);
        if has_bubblewrap && !has_helper {
            let error = said.expect_err("it cannot").to_string();
            assert!(error.contains("without a helper sets no limits"), "{error}");
            continue;
        }
        let said = said.expect("it runs");
        let text = said.stdout.text();
        let values: Vec<_> = text.lines().filter_map(|line| line.split_once("  ")).collect();
        let of = |name: &str| {
            let found = values.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
        };
        let limit = |value: u64| Some(format!("{value} {value}"));
        assert_eq!(of("Max processes"), limit(12_345), "{mechanism:?}: {text}");
        assert_eq!(of("Max file size"), limit(1 << 20), "{mechanism:?}: {text}");
        assert_eq!(of("Max address space"), limit(1 << 30), "{mechanism:?}: {text}");
        assert!(!text.contains("status 0\n"), "{mechanism:?}: {text}");
        assert_eq!(fs::metadata(place.join("big")).expect("a file").len(), 1 << 20, "{mechanism:?}");
    }
}

/// A container engine as far as the example needs one, without containers: podman needs more rights than a test has.
const ENGINE: &str = r#"#!/bin/sh
[ "$1" = run ] || exit 0
shift
set -f
names=
while :; do
    case $1 in
    --rm | --init | --interactive) shift ;;
    --network | --name | --volume) shift 2 ;;
    --workdir) cd "$2" || exit 125; shift 2 ;;
    --env) names="$names $2"; shift 2 ;;
    --*) echo "unknown option $1" >&2; exit 125 ;;
    *) break ;;
    esac
done
[ "$1" = image ] || { echo "no image $1" >&2; exit 125; }
shift
command -v "$1" >/dev/null || exit 127
exec "$@"
"#;

fn container(scratch: &Scratch, image: &str) -> container_runner::ContainerRunner {
    let engine = scratch.write("engine", ENGINE);
    fs::set_permissions(&engine, fs::Permissions::from_mode(0o755)).expect("the engine");
    let (local, count) = (LocalRunner::default(), AtomicU64::new(0));
    container_runner::ContainerRunner { engine: engine.into(), image: image.into(), local, count }
}

#[test]
fn the_example_with_containers_keeps_it() {
    let scratch = Scratch::new();
    assert_eq!(breaches(&container(&scratch, "image")), [""; 0]);
}

/// Breaks one rule.
struct Breaking(fn(&mut Invocation), fn(Exit) -> Exit, bool);

impl Runner for Breaking {
    fn run(
        &self,
        invocation: &Invocation,
        cancel: &Cancel,
        output: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<Exit, RunnerError> {
        let mut changed = invocation.clone();
        (self.0)(&mut changed);
        let mut kept = Vec::new();
        let exit = LocalRunner::default().run(&changed, cancel, &mut |stream, piece| {
            if self.2 { kept.push((stream, piece.to_vec())) } else { output(stream, piece) }
        });
        for (stream, piece) in &kept {
            output(*stream, piece);
        }
        exit.map(self.1)
    }
}

#[test]
fn whoever_breaks_a_rule_is_told_which() {
    let same = |exit| exit;
    let cases: [(&str, Breaking); 7] = [
        ("exit status", Breaking(|_| {}, |_| Exit::Status(0), false)),
        ("environment", Breaking(|child| drop(child.environment.insert("MORE".into(), "x".into())), same, false)),
        ("environment", Breaking(|child| child.environment.retain(|name, _| name == "PATH"), same, false)),
        ("input is read", Breaking(|child| child.stdin = None, same, false)),
        ("working directory", Breaking(|child| child.directory = "/".into(), same, false)),
        ("streams", Breaking(|child| child.output = fetcher_core::runner::OutputMode::Merged, same, false)),
        ("before the end", Breaking(|_| {}, same, true)),
    ];
    std::thread::scope(|scope| {
        for (rule, runner) in &cases {
            scope.spawn(move || {
                let found = breaches(runner);
                assert!(found.iter().any(|breach| breach.contains(rule)), "{rule}: {found:#?}");
            });
        }
    });
}

/// Runs one child at a time, and goes on when that has ended whatever it left.
struct OneByOne(Mutex<()>);

impl Runner for OneByOne {
    fn run(
        &self,
        invocation: &Invocation,
        _: &Cancel,
        output: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<Exit, RunnerError> {
        let _turn = self.0.lock().expect("a turn");
        let mut command = invocation.command.clone();
        // Nothing here ends by itself.
        command.splice(0..0, ["timeout", "-s", "KILL", "10"].map(Into::into));
        let mut child = std::process::Command::new(&command[0]);
        child.args(&command[1..]).current_dir(&invocation.directory).env_clear().envs(&invocation.environment);
        let done = child.stdin(std::process::Stdio::null()).output().expect("a child");
        output(OutputStream::Stdout, &done.stdout);
        output(OutputStream::Stderr, &done.stderr);
        Ok(done.status.code().map_or(Exit::Signal(9), Exit::Status))
    }
}

#[test]
fn a_runner_that_stops_nothing_and_runs_one_at_a_time_is_found_out() {
    let found = breaches(&OneByOne(Mutex::default()));
    for rule in ["all that was started", "time is over", "is cancelled", "beforehand", "not there", "same time"] {
        assert!(found.iter().any(|breach| breach.contains(rule)), "{rule}: {found:#?}");
    }
}

#[test]
fn a_runner_that_fails_is_not_told_as_bst_that_is_missing() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, "");
    let root = scratch.root().display();
    let config = format!(
        "[fetcher]\nstate-dir = \"{root}/state\"\ncache-dir = \"{root}/cache\"\nmin-free-space = \"1M\"\n{}\n\
         [[project]]\nurl = \"{root}/project\"\nverify = false\n",
        fake.config()
    );
    let path = scratch.write("config.toml", config);
    let environment: Environment = scratch.environment().into_iter().collect();
    let run = |runner: container_runner::ContainerRunner| {
        let config = Config::load(&path, &environment).expect("a configuration");
        Fetcher::new(config, environment.clone()).runner(runner).run(&RunSelection::all(), &mut |_| {}).expect("a run")
    };
    let report = run(container(&scratch, "image"));
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    let mut kinds = BTreeMap::new();
    let gone = container_runner::ContainerRunner { engine: "/no/such/engine".into(), ..container(&scratch, "image") };
    for (what, runner) in [("no image", container(&scratch, "other")), ("no engine", gone)] {
        let report = run(runner);
        let failure = report.branches[0].failures().next().expect("a failure").clone();
        assert!(!failure.hint.contains("install BuildStream"), "{failure:#?}");
        kinds.insert(what, failure.kind);
    }
    let failed = FailureKind::RunnerFailed;
    assert_eq!(kinds, BTreeMap::from([("no image", failed), ("no engine", failed)]));
}
