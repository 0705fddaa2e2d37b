//! `LocalRunner` ends the real `bst` with all that it starts: casd, fork servers, and gits in sessions of their own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use fetcher_core::runner::{SandboxMode, Sandboxed, processes};
use fetcher_core::{Cancel, Exit, Invocation, LocalRunner, Runner};
use fetcher_tests::alive::alive;
use fetcher_tests::bst;
use fetcher_tests::fetcher::program;
use fetcher_tests::host::path_without;
use fetcher_tests::installed;
use fetcher_tests::scratch::Scratch;

/// A `bst source track` of three elements whose git server takes connections and never answers.
struct Hanging {
    place: tempfile::TempDir,
    connected: Receiver<()>,
}

impl Hanging {
    fn new() -> Self {
        // bst makes a socket below it, whose path may have 107 bytes.
        let place = fetcher_tests::host::temporary("t-");
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = server.local_addr().expect("its number").port();
        let file = |name: &str, text: &str| fs::write(place.path().join(name), text).expect("write it");
        file(
            "project.conf",
            "name: hanging\nmin-version: 2.0\nplugins:\n- origin: pip\n  package-name: buildstream-plugins\n  sources: [git]\n",
        );
        for name in ["a", "b", "c"] {
            let source = format!("- kind: git\n  url: git://127.0.0.1:{port}/{name}.git\n  track: main\n");
            file(&format!("{name}.bst"), &format!("kind: import\nsources:\n{source}"));
        }
        let caches = ["cache", "source", "log"].map(|name| format!("{name}dir: {}/{name}\n", place.path().display()));
        file("buildstream.conf", &caches.concat());
        fs::create_dir(place.path().join("tmp")).expect("a directory");
        let (sender, connected) = channel();
        thread::spawn(move || {
            let mut held = Vec::new();
            for connection in server.incoming() {
                held.push(connection);
                if sender.send(()).is_err() {
                    return;
                }
            }
        });
        Self { place, connected }
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    fn temporary(&self) -> PathBuf {
        self.path().join("tmp")
    }

    fn invocation(&self, timeout: u64) -> Invocation {
        let mut command = vec![bst::bst().into_os_string()];
        let words = ["-c", "buildstream.conf", "--no-interactive", "source", "track", "a.bst", "b.bst", "c.bst"];
        command.extend(words.map(OsString::from));
        let mut environment = BTreeMap::new();
        environment.insert(OsString::from("PATH"), std::env::var_os("PATH").expect("PATH is set"));
        environment.insert("HOME".into(), self.path().into());
        environment.insert("TMPDIR".into(), self.temporary().into());
        Invocation::new(command, self.path()).environment(environment).timeout(Duration::from_secs(timeout))
    }

    /// Waits until a git of each element hangs.
    fn wait(&self) {
        for _ in 0..3 {
            self.connected.recv_timeout(Duration::from_secs(60)).expect("a git connects");
        }
    }

    /// Runs it, and does something once it hangs; gives how it ended, what it said, and how long that took from then.
    fn run(&self, timeout: u64, act: impl FnOnce(&Cancel)) -> (Exit, String, Duration) {
        self.run_by(&LocalRunner::default(), self.invocation(timeout), act)
    }

    fn run_by(
        &self,
        runner: &dyn Runner,
        invocation: Invocation,
        act: impl FnOnce(&Cancel),
    ) -> (Exit, String, Duration) {
        let (cancel, mut output) = (Cancel::new(), Vec::new());
        // A sandbox shows it no more.
        let invocation = invocation.reads([self.path()]).writes([self.path()]);
        let (exit, took) = thread::scope(|scope| {
            let runner =
                scope.spawn(|| runner.run(&invocation, &cancel, &mut |_, piece| output.extend_from_slice(piece)));
            self.wait();
            let start = Instant::now();
            act(&cancel);
            (runner.join().expect("no panic").expect("it starts"), start.elapsed())
        });
        (exit, String::from_utf8_lossy(&output).into_owned(), took)
    }

    #[track_caller]
    fn nothing_runs(&self) {
        assert_eq!(alive(self.path()), Vec::<String>::new());
    }
}

/// The processes of a test whose command line has this word.
fn processes_of(place: &Path, word: &str) -> Vec<String> {
    let all = fs::read_dir("/proc").expect("/proc").flatten().map(|entry| entry.path());
    let has =
        |file: &PathBuf, what: &str| fs::read(file).is_ok_and(|text| String::from_utf8_lossy(&text).contains(what));
    let ours = all.filter(|process| has(&process.join("environ"), &place.display().to_string()));
    ours.filter(|process| has(&process.join("cmdline"), word))
        .filter_map(|process| Some(process.file_name()?.to_string_lossy().into_owned()))
        .collect()
}

fn kill(processes: &[String]) {
    assert!(!processes.is_empty());
    assert!(Command::new("kill").arg("-KILL").args(processes).status().expect("kill starts").success());
}

#[test]
fn cancelled_it_stops_cleanly_and_soon_though_its_gits_hang() {
    let hanging = Hanging::new();
    let (exit, output, took) = hanging.run(600, Cancel::cancel);
    assert_eq!(exit, Exit::Cancelled, "{output}");
    assert!(output.contains("Pipeline Summary"), "it came to its own end: {output}");
    assert!(took < Duration::from_secs(9), "{took:?}: {output}");
    hanging.nothing_runs();
    let left: Vec<_> = fs::read_dir(hanging.temporary()).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn in_every_sandbox_it_stops_as_cleanly() {
    installed::program("bwrap");
    for (has_bubblewrap, has_helper) in [(true, true), (true, false), (false, true), (false, false)] {
        let (hanging, scratch) = (Hanging::new(), Scratch::new());
        let runner = Sandboxed::new(LocalRunner::default(), scratch.path("sandbox")).helper(has_helper.then(program));
        let mut invocation = hanging.invocation(600);
        if !has_bubblewrap {
            let path = path_without(&scratch, &["bwrap"]);
            invocation.environment.insert("PATH".into(), path.into());
        }
        invocation.sandbox.mode = SandboxMode::Required;
        let (exit, output, took) = hanging.run_by(&runner, invocation, Cancel::cancel);
        let mechanism = runner.found().map(|report| report.mechanism);
        assert_eq!(exit, Exit::Cancelled, "{mechanism:?}: {output}");
        assert!(output.contains("Pipeline Summary"), "{mechanism:?}: it came to its own end: {output}");
        assert!(took < Duration::from_secs(9), "{mechanism:?}: {took:?}: {output}");
        hanging.nothing_runs();
        let left: Vec<_> = fs::read_dir(hanging.temporary()).unwrap().flatten().collect();
        assert!(left.is_empty(), "{mechanism:?}: {left:?}");
    }
}

#[test]
fn without_its_casd_it_hangs_and_is_ended() {
    let hanging = Hanging::new();
    let (exit, output, _) = hanging.run(8, |_| kill(&processes_of(hanging.path(), "buildbox-casd")));
    assert!(matches!(exit, Exit::TimedOut | Exit::Status(_)), "{exit:?}: {output}");
    hanging.nothing_runs();
}

#[test]
fn killed_it_leaves_nothing_and_is_not_waited_for() {
    let hanging = Hanging::new();
    let (exit, output, took) = hanging.run(600, |_| kill(&processes_of(hanging.path(), "--no-interactive")));
    assert_eq!(exit, Exit::Signal(9), "{output}");
    assert!(took < Duration::from_secs(9), "{took:?}");
    hanging.nothing_runs();
}

/// What the next test runs in a process of its own.
#[test]
fn run_one_to_be_killed() {
    let Some(place) = std::env::var_os("TEST_KILLED_PLACE") else { return };
    let bst = std::env::var("TEST_KILLED_COMMAND").unwrap();
    let environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    let timeout = Duration::from_secs(600);
    let invocation = Invocation::new(bst.split('\n'), &place).environment(environment).timeout(timeout);
    let runner = LocalRunner::new(place.clone());
    match std::env::var("TEST_KILLED_SANDBOX") {
        Ok(directory) => {
            let helper = std::env::var_os("TEST_KILLED_HELPER").map(PathBuf::from);
            let mut invocation = invocation.reads([&place]).writes([&place]);
            invocation.sandbox.mode = SandboxMode::Required;
            let _ = Sandboxed::new(runner, directory).helper(helper).run(&invocation, &Cancel::new(), &mut |_, _| {});
        }
        Err(_) => drop(runner.run(&invocation, &Cancel::new(), &mut |_, _| {})),
    }
}

/// What a program leaves whose children were confined so, and that was killed.
fn killed_in_a_sandbox(has_bubblewrap: bool, has_helper: bool) -> (Hanging, Scratch) {
    installed::program("bwrap");
    let (hanging, scratch) = (Hanging::new(), Scratch::new());
    let mut invocation = hanging.invocation(600);
    if !has_bubblewrap {
        let path = path_without(&scratch, &["bwrap"]);
        invocation.environment.insert("PATH".into(), path.into());
    }
    let words: Vec<_> = invocation.command.iter().map(|word| word.to_str().expect("UTF-8")).collect();
    let mut killed = Command::new(std::env::current_exe().expect("this program"));
    killed.args(["--exact", "stops::run_one_to_be_killed", "--nocapture"]).env_clear().envs(&invocation.environment);
    killed.env("TEST_KILLED_PLACE", hanging.path()).env("TEST_KILLED_COMMAND", words.join("\n"));
    killed.env("TEST_KILLED_SANDBOX", scratch.path("sandbox"));
    killed.envs(has_helper.then(|| ("TEST_KILLED_HELPER", program())));
    let mut killed = killed.spawn().expect("it starts");
    hanging.wait();
    killed.kill().expect("it runs");
    killed.wait().expect("it ends");
    (hanging, scratch)
}

#[test]
fn in_a_sandbox_everything_ends_with_a_program_that_is_killed() {
    for (has_bubblewrap, has_helper) in [(true, true), (true, false), (false, true)] {
        let (hanging, _scratch) = killed_in_a_sandbox(has_bubblewrap, has_helper);
        let until = Instant::now() + Duration::from_secs(10);
        while !alive(hanging.path()).is_empty() {
            assert!(Instant::now() < until, "{has_bubblewrap} {has_helper}: {:?}", alive(hanging.path()));
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn what_a_thread_confined_is_cleared_by_the_next_run() {
    let (hanging, _scratch) = killed_in_a_sandbox(false, false);
    assert!(!alive(hanging.path()).is_empty());
    let cleared = processes::clear_leftovers(hanging.path().as_os_str()).unwrap();
    assert!(cleared >= 5, "bst, casd and three gits at least, but {cleared}");
    hanging.nothing_runs();
}

#[test]
fn what_a_killed_program_left_is_cleared() {
    let hanging = Hanging::new();
    let invocation = hanging.invocation(600);
    let words: Vec<_> = invocation.command.iter().map(|word| word.to_str().unwrap()).collect();
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", "stops::run_one_to_be_killed", "--nocapture"]).env_clear().envs(&invocation.environment);
    program.env("TEST_KILLED_PLACE", hanging.path()).env("TEST_KILLED_COMMAND", words.join("\n"));
    let mut program = program.spawn().unwrap();
    hanging.wait();
    program.kill().unwrap();
    program.wait().unwrap();
    assert!(!alive(hanging.path()).is_empty());
    let cleared = processes::clear_leftovers(hanging.path().as_os_str()).unwrap();
    assert!(cleared >= 5, "bst, casd and three gits at least, but {cleared}");
    hanging.nothing_runs();
}
