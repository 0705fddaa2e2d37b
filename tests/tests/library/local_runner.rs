//! `LocalRunner` on real processes.

use fetcher_tests::waiting::{self, PATIENCE};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fetcher_core::runner::{RunnerError, output, processes};
use fetcher_core::{Cancel, Exit, Invocation, LocalRunner, Runner};

/// An invocation of a shell script.
fn shell(script: &str) -> Invocation {
    invocation(&["/bin/sh", "-c", script])
}

fn invocation(command: &[&str]) -> Invocation {
    let mut environment = BTreeMap::new();
    environment.insert(OsString::from("PATH"), std::env::var_os("PATH").expect("PATH is set"));
    Invocation::new(command, std::env::temp_dir()).environment(environment).timeout(Duration::from_secs(60))
}

fn run(invocation: &Invocation) -> (Exit, String) {
    let mut output = Vec::new();
    let exit = LocalRunner::default().run(invocation, &Cancel::new(), &mut |_, piece| output.extend_from_slice(piece));
    (exit.expect("it starts"), String::from_utf8(output).expect("it says UTF-8"))
}

/// How many processes have `mark` among their arguments.
fn alive(mark: &str) -> usize {
    let has_mark = |process: &fs::DirEntry| {
        let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
        arguments.split(|byte| *byte == 0).any(|argument| argument == mark.as_bytes())
    };
    fs::read_dir("/proc").expect("/proc is there").filter(|process| process.as_ref().is_ok_and(has_mark)).count()
}

/// A number of seconds to sleep that marks the sleeper.
fn mark(number: u32) -> String {
    format!("{}.{number}", 100_000 + std::process::id())
}

#[test]
fn status_and_both_outputs_in_order() {
    assert_eq!(
        run(&shell("echo one; echo two >&2; echo three; exit 7")),
        (Exit::Status(7), "one\ntwo\nthree\n".into())
    );
    assert_eq!(run(&shell("kill -9 $$")).0, Exit::Signal(9));
}

#[test]
fn the_child_has_no_input_its_own_group_and_only_the_given_environment() {
    let (_, output) = run(&shell("cat; ps -o pgid= -p $$ | tr -d ' '; echo $$; env | cut -d= -f1 | sort"));
    let mut lines = output.lines();
    assert_eq!(lines.next(), lines.next());
    let names: Vec<_> = lines.filter(|name| !["_", "SHLVL", "PWD", "OLDPWD"].contains(name)).collect();
    assert_eq!(names, ["BST_FETCHER_COOKIE", "PATH"]);
}

#[test]
fn what_it_is_given_to_read_ends_and_need_not_be_read() {
    let input = "x".repeat(3_000_000);
    let counted = run(&shell("wc -c").stdin(input.clone()));
    assert_eq!(counted, (Exit::Status(0), "3000000\n".into()));
    assert_eq!(run(&shell("exit 3").stdin(input.clone())).0, Exit::Status(3));
    // Who does not read it is no reason to wait, nor is who stays behind.
    assert_eq!(run(&shell("setsid sleep 60 & exit 4").stdin(input)).0, Exit::Status(4));
}

#[test]
fn both_outputs_come_apart_on_wish() {
    let script = "head -c 2000000 /dev/zero | tr '\\0' o; head -c 2000000 /dev/zero | tr '\\0' e >&2; exit 5";
    let said = output(&LocalRunner::default(), &shell(script).apart(), &Cancel::new(), 3_000_000).unwrap();
    assert_eq!(said.exit, Exit::Status(5));
    assert!(said.stdout.bytes() == "o".repeat(2_000_000).as_bytes());
    assert!(said.stderr.bytes() == "e".repeat(2_000_000).as_bytes());
}

#[test]
fn the_pipe_blocks_on_the_child_s_side() {
    let script = "import fcntl, os; print(fcntl.fcntl(2, fcntl.F_GETFL) & os.O_NONBLOCK)";
    assert_eq!(run(&invocation(&["python3", "-c", script])).1, "0\n");
}

#[test]
fn much_output_arrives_whole_through_a_slow_consumer() {
    let (mut size, mut pieces) = (0, 0);
    let invocation = shell("head -c 1000000000 /dev/zero");
    let exit = LocalRunner::default().run(&invocation, &Cancel::new(), &mut |_, piece| {
        (size, pieces) = (size + piece.len(), pieces + 1);
        if pieces % 1000 == 0 {
            thread::sleep(Duration::from_millis(10));
        }
    });
    assert_eq!((exit.unwrap(), size), (Exit::Status(0), 1_000_000_000));
}

#[test]
fn a_child_may_close_its_output_and_go_on() {
    let start = Instant::now();
    assert_eq!(run(&shell("echo here; exec >&- 2>&-; sleep 0.3; exit 3")), (Exit::Status(3), "here\n".into()));
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[test]
fn programs_that_cannot_be_started() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let wrong = |command: &[&str]| {
        let error = LocalRunner::default().run(&invocation(command), &Cancel::new(), &mut |_, _| {}).unwrap_err();
        let RunnerError::Start { source, .. } = &error else { panic!("{error}") };
        (source.kind(), error.to_string())
    };
    let expect = |command: &[&str], kind: io::ErrorKind, words: &str| {
        let (found, text) = wrong(command);
        assert!(found == kind && text.contains(words), "{command:?}: {found:?}: {text}");
    };
    expect(&[], io::ErrorKind::InvalidInput, "empty");
    expect(&["no-such-program-here"], io::ErrorKind::NotFound, "PATH=");
    expect(&["/no/such/program"], io::ErrorKind::NotFound, "No such file");
    expect(&[&file("plain", "#!/bin/sh\n", 0o644)], io::ErrorKind::PermissionDenied, "chmod +x");
    expect(&[directory.path().to_str().unwrap()], io::ErrorKind::PermissionDenied, "is a directory");
    expect(&[&file("shebang", "#!/no/such/python -u\n", 0o755)], io::ErrorKind::NotFound, "/no/such/python -u");

    let mut elsewhere = shell("true");
    elsewhere.directory = "/no/such/directory".into();
    let error = LocalRunner::default().run(&elsewhere, &Cancel::new(), &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("the directory is not there"), "{error}");
}

#[test]
fn time_over() {
    let mark = mark(1);
    let mut invocation = shell(&format!("sleep {mark}"));
    invocation.timeout = Duration::from_millis(200);
    let start = Instant::now();
    assert_eq!(run(&invocation).0, Exit::TimedOut);
    assert!(start.elapsed() < PATIENCE, "it took {:?}", start.elapsed());
    assert_eq!(alive(&mark), 0);
}

#[test]
fn what_it_says_while_it_stops_is_heard() {
    let mut invocation = shell("trap 'echo stopping; exit 9' INT; while :; do sleep 0.05; done");
    invocation.timeout = Duration::from_millis(200);
    assert_eq!(run(&invocation), (Exit::TimedOut, "stopping\n".into()));
}

#[test]
fn what_it_waits_for_in_another_session_is_interrupted_too() {
    // As bst does with git: it waits, whatever comes, until the other one ends.
    let script = "import signal, subprocess\n\
                  signal.signal(signal.SIGINT, lambda *_: print('stopping', flush=True))\n\
                  other = 'import time\\ntry: time.sleep(60)\\nexcept KeyboardInterrupt: print(\\'interrupted\\')'\n\
                  subprocess.Popen(['python3', '-c', other], start_new_session=True).wait()\n\
                  print('clean')";
    let mut invocation = invocation(&["python3", "-c", script]);
    invocation.timeout = Duration::from_secs(1);
    assert_eq!(run(&invocation), (Exit::TimedOut, "stopping\ninterrupted\nclean\n".into()));
}

#[test]
fn cancel_is_noticed_soon_and_before_the_start() {
    let mark = mark(2);
    let cancel = Cancel::new();
    let handle = cancel.clone();
    let canceller = {
        let mark = mark.clone();
        thread::spawn(move || {
            waiting::until("the child runs", || alive(&mark) > 0);
            handle.cancel();
            Instant::now()
        })
    };
    let invocation = shell(&format!("sleep {mark}"));
    assert_eq!(LocalRunner::default().run(&invocation, &cancel, &mut |_, _| {}).unwrap(), Exit::Cancelled);
    assert!(canceller.join().unwrap().elapsed() < PATIENCE);
    assert_eq!(alive(&mark), 0);

    let touch = tempfile::tempdir().unwrap();
    let file = touch.path().join("started");
    let invocation = shell(&format!("touch {}", file.display()));
    assert_eq!(LocalRunner::default().run(&invocation, &cancel, &mut |_, _| {}).unwrap(), Exit::Cancelled);
    assert!(!file.exists());
}

#[test]
fn one_that_ignores_signals_is_killed() {
    let mark = mark(3);
    let mut invocation = shell(&format!("trap '' INT TERM; setsid sleep {mark} & while :; do sleep 0.1; done"));
    invocation.timeout = Duration::from_millis(300);
    assert_eq!(run(&invocation).0, Exit::TimedOut);
    assert_eq!(alive(&mark), 0);
}

#[test]
fn daemons_end_with_it_and_are_not_waited_for() {
    // One holds the pipe and ignores SIGTERM, one is in a session of its own without any output.
    let (holder, daemon) = (mark(4), mark(5));
    let script = format!(
        "(trap '' TERM; setsid sh -c '(sleep {holder} &)'); (setsid sleep {daemon} </dev/null >/dev/null 2>&1 &); \
         sleep 0.2; echo done"
    );
    let start = Instant::now();
    assert_eq!(run(&shell(&script)), (Exit::Status(0), "done\n".into()));
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert_eq!((alive(&holder), alive(&daemon)), (0, 0));
}

#[test]
fn descendants_without_the_cookie_are_found_by_descent_or_group() {
    let (child, orphan) = (mark(6), mark(7));
    let mut invocation =
        shell(&format!("env -i setsid /bin/sleep {child} & (env -i /bin/sleep {orphan} &); wait; sleep 60"));
    invocation.timeout = Duration::from_millis(500);
    assert_eq!(run(&invocation).0, Exit::TimedOut);
    assert_eq!((alive(&child), alive(&orphan)), (0, 0));
}

#[test]
fn one_that_always_becomes_another_program_is_found() {
    // Most of the time it is in the middle of an exec, where its environment does not show.
    let directory = tempfile::tempdir().unwrap();
    let mark = mark(12);
    let program = directory.path().join("again");
    fs::write(&program, "#!/bin/sh\nexec \"$0\" \"$@\"\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let script = format!("(setsid '{}' {mark} </dev/null >/dev/null 2>&1 &); sleep 0.05", program.display());
    for _ in 0..30 {
        assert_eq!(run(&shell(&script)).0, Exit::Status(0));
        assert_eq!(alive(&mark), 0);
    }
}

#[test]
fn two_hundred_grandchildren_that_go_on_forking() {
    let mark = mark(8);
    let script = format!(
        "i=0; while [ $i -lt 200 ]; do i=$((i+1)); \
         setsid sh -c 'trap \"\" INT TERM; n=0; while [ $n -lt 100 ]; do n=$((n+1)); sleep 0.05; done; sleep {mark}' & \
         done; sleep 0.5"
    );
    assert_eq!(run(&shell(&script)).0, Exit::Status(0));
    let leftovers = Command::new("sh").arg("-c").arg("ps ax -o args | grep -c '[t]rap .*n=0; while'").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&leftovers.stdout).trim(), "0");
    assert_eq!(alive(&mark), 0);
}

#[test]
fn a_panic_of_the_consumer_leaves_nothing_running() {
    let mark = mark(9);
    let invocation = shell(&format!("setsid sleep {mark} & echo now; wait"));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        LocalRunner::default().run(&invocation, &Cancel::new(), &mut |_, _| panic!("a bug in the consumer"))
    }));
    assert!(panicked.is_err());
    assert_eq!(alive(&mark), 0);
}

#[test]
fn leftovers_of_a_killed_program_end_and_nothing_else_does() {
    let (mine, other) = (mark(10), mark(11));
    let owner = format!("/owner/{}", std::process::id());
    let start = |owner: &str, mark: &str| {
        Command::new("setsid").args(["sleep", mark]).env(processes::MARKER_VAR, format!("{owner}|1")).spawn().unwrap()
    };
    let mut left = start(&owner, &mine);
    let mut stranger = start(&format!("{owner}-2"), &other);
    waiting::until("both run", || alive(&mine) == 1 && alive(&other) == 1);
    assert_eq!(processes::clear_leftovers(OsStr::new(&owner)).unwrap(), 1);
    assert_eq!((alive(&mine), alive(&other)), (0, 1));
    assert_eq!(processes::clear_leftovers(OsStr::new(&owner)).unwrap(), 0);
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    left.wait().unwrap();
}

#[test]
fn a_child_s_cookie_names_the_owner() {
    let (_, output) = {
        let mut output = Vec::new();
        let runner = LocalRunner::new(Path::new("/state/dir"));
        let exit = runner.run(&shell("echo $BST_FETCHER_COOKIE"), &Cancel::new(), &mut |_, piece| output.extend(piece));
        (exit.unwrap(), String::from_utf8(output).unwrap())
    };
    assert!(output.starts_with("/state/dir|"), "{output}");
}
