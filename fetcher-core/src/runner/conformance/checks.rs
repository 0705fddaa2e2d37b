//! The rules of a runner's contract, and how each is tried.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::Duration;

use super::trial::Trial;
use crate::cancel::Cancel;
use crate::runner::{Exit, RunnerError};

type ContractCheck = fn(&Trial<'_>) -> Result<(), String>;

pub(super) const CHECKS: &[(&str, ContractCheck)] = &[
    ("the exit status is the child's", status),
    ("a signal is told as one, or as a shell does", signal),
    ("arguments come as they are", arguments),
    ("the environment is the invocation's alone", environment),
    ("the working directory and its files are the same on both sides", files),
    ("without input there is nothing to read", no_input),
    ("the input is read whole, or not at all", input),
    ("output comes in order and whole", output),
    ("the streams come apart where that is asked for", apart),
    ("output comes before the end", streaming),
    ("the call returns when all that was started has ended", background),
    ("a child whose time is over is stopped, with all that it started", timeout),
    ("a child that is cancelled is stopped, with all that it started", cancel),
    ("what is cancelled beforehand is not started", cancelled_before),
    ("a program that is not there is told as such", missing),
    ("children run at the same time", at_once),
];

/// How long a child that never ends by itself may be stopped for.
const STOP: Duration = Duration::from_secs(40);
/// For how long nothing may happen that must not.
const QUIET: Duration = Duration::from_millis(1500);
/// Writes on and on, in the background and before.
const BUSY: &str = "(while :; do echo x >>busy; sleep 0.2; done) & echo ready; while :; do sleep 1; done";

fn status(trial: &Trial<'_>) -> Result<(), String> {
    trial.run(&trial.script("exit 7")).expect(Exit::Status(7), "")?;
    trial.run(&trial.script("exit 0")).expect(Exit::Status(0), "")
}

fn signal(trial: &Trial<'_>) -> Result<(), String> {
    trial.run(&trial.script("kill -9 $$")).expect_exit(&[Exit::Signal(9), Exit::Status(128 + 9)])
}

fn arguments(trial: &Trial<'_>) -> Result<(), String> {
    let words = ["", "a b", "$HOME", "'\"\\", "-x", "é\n", "*"];
    let mut command = vec!["sh", "-c", "printf '<%s>' \"$@\"", "sh"];
    command.extend(words);
    let expected = format!("<{}>", words.join("><"));
    trial.run(&trial.command(&command)).expect(Exit::Status(0), &expected)
}

fn environment(trial: &Trial<'_>) -> Result<(), String> {
    let mut invocation = trial.script("printf %s \"$ODD\"");
    invocation.environment.insert("ODD".into(), "a b=$c'\n".into());
    trial.run(&invocation).expect(Exit::Status(0), "a b=$c'\n")?;
    let seen = trial.run(&trial.script("env | sed -n 's/^\\([A-Za-z_][A-Za-z0-9_]*\\)=.*/\\1/p'"));
    let text = String::from_utf8_lossy(&seen.stdout).into_owned();
    let own = ["PATH", "PWD", "OLDPWD", "SHLVL", "_", "HOME", "HOSTNAME", "TERM", "LC_CTYPE", "container"];
    let is_alien = |name: &&str| !own.contains(name) && !name.starts_with("BST_FETCHER_");
    let alien: BTreeSet<&str> = text.lines().filter(is_alien).collect();
    if alien.is_empty() { Ok(()) } else { Err(format!("the child has {alien:?} too")) }
}

fn files(trial: &Trial<'_>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("the directory cannot be used on this side: {error}");
    fs::write(trial.directory.join("here"), "from here").map_err(failed)?;
    let seen = trial.run(&trial.script("pwd -P; cat here; printf 'from there' >there"));
    let directory = trial.directory.canonicalize().map_err(failed)?;
    seen.expect(Exit::Status(0), &format!("{}\nfrom here", directory.display()))?;
    match fs::read_to_string(trial.directory.join("there")) {
        Ok(text) if text == "from there" => Ok(()),
        other => Err(format!("what the child wrote is not here: {other:?}")),
    }
}

fn no_input(trial: &Trial<'_>) -> Result<(), String> {
    trial.run(&trial.script("cat; echo end")).expect(Exit::Status(0), "end\n")
}

fn input(trial: &Trial<'_>) -> Result<(), String> {
    let text = "0123456789abcde\n".repeat(1 << 16);
    let counted = trial.run(&trial.script("wc -c | tr -d ' '").stdin(text.clone()));
    counted.expect(Exit::Status(0), &format!("{}\n", text.len()))?;
    trial.run(&trial.script("exit 3").stdin(text)).expect_exit(&[Exit::Status(3)])
}

fn output(trial: &Trial<'_>) -> Result<(), String> {
    let merged = trial.run(&trial.script("echo one; echo two >&2; echo three"));
    let together: Vec<u8> = [&merged.stdout[..], &merged.stderr[..]].concat();
    if together != b"one\ntwo\nthree\n" {
        return Err(format!("of both streams together came {:?}", String::from_utf8_lossy(&together)));
    }
    let seen = trial
        .run(&trial.script("printf '\\377\\000\\n'; i=0; while [ $i -lt 40000 ]; do echo line $i; i=$((i + 1)); done"));
    seen.expect_exit(&[Exit::Status(0)])?;
    let mut expected = b"\xff\0\n".to_vec();
    (0..40_000).for_each(|line| expected.extend_from_slice(format!("line {line}\n").as_bytes()));
    if seen.stdout == expected {
        Ok(())
    } else {
        Err(format!("{} bytes of {}, or others", seen.stdout.len(), expected.len()))
    }
}

fn apart(trial: &Trial<'_>) -> Result<(), String> {
    let seen = trial.run(&trial.script("echo out; echo err >&2").apart());
    seen.expect(Exit::Status(0), "out\n")?;
    if seen.stderr == b"err\n" {
        return Ok(());
    }
    Err(format!("standard error was {:?}", String::from_utf8_lossy(&seen.stderr)))
}

fn streaming(trial: &Trial<'_>) -> Result<(), String> {
    let invocation =
        trial.script("echo first; n=0; while [ ! -e go ]; do n=$((n+1)); [ $n -lt 200 ] || exit 9; sleep 0.1; done");
    let seen = trial.run_until(&invocation, &Cancel::new(), &mut |_| {
        // That it cannot be written shows in the child's status.
        let _ = fs::write(trial.directory.join("go"), "");
    });
    seen.expect(Exit::Status(0), "first\n")
}

fn background(trial: &Trial<'_>) -> Result<(), String> {
    let seen = trial.run(&trial.script("(trap '' HUP; i=0; while [ $i -lt 100 ]; do echo x >>busy; sleep 0.2; i=$((i + 1)); done) >/dev/null 2>&1 & echo done"));
    seen.expect(Exit::Status(0), "done\n")?;
    quiet(trial)
}

fn timeout(trial: &Trial<'_>) -> Result<(), String> {
    let seen = trial.run(&trial.script(BUSY).timeout(Duration::from_secs(1)));
    seen.expect_exit(&[Exit::TimedOut])?;
    if seen.took > STOP {
        return Err(format!("it took {:?}", seen.took));
    }
    quiet(trial)
}

fn cancel(trial: &Trial<'_>) -> Result<(), String> {
    let cancel = Cancel::new();
    let seen = trial.run_until(&trial.script(BUSY), &cancel, &mut |_| cancel.cancel());
    seen.expect_exit(&[Exit::Cancelled])?;
    if seen.took > STOP {
        return Err(format!("it took {:?}", seen.took));
    }
    quiet(trial)
}

fn cancelled_before(trial: &Trial<'_>) -> Result<(), String> {
    let cancel = Cancel::new();
    cancel.cancel();
    let seen = trial.run_until(&trial.script("echo x >>busy"), &cancel, &mut |_| {});
    seen.expect_exit(&[Exit::Cancelled])?;
    if trial.size("busy") == 0 { Ok(()) } else { Err("it ran".to_owned()) }
}

fn missing(trial: &Trial<'_>) -> Result<(), String> {
    match trial.run(&trial.command(&["no-such-program-anywhere"])).ended {
        Err(RunnerError::Start { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => Err(format!("it ended with {other:?} instead of an error `Start` of the kind `NotFound`")),
    }
}

fn at_once(trial: &Trial<'_>) -> Result<(), String> {
    // Each waits for the other.
    let meet = |mine: &str, theirs: &str| {
        trial.script(&format!(
            "echo x >{mine}; n=0; while [ ! -e {theirs} ]; do n=$((n+1)); [ $n -lt 200 ] || exit 9; sleep 0.1; done"
        ))
    };
    let (one, other) = (meet("one", "other"), meet("other", "one"));
    let seen = thread::scope(|scope| {
        let children = [one, other].map(|child| scope.spawn(move || trial.run(&child)));
        children.map(|child| child.join().map_err(|_| "the runner panicked".to_owned()))
    });
    seen.into_iter().try_for_each(|seen| seen?.expect(Exit::Status(0), ""))
}

/// Expects that nobody writes any more.
fn quiet(trial: &Trial<'_>) -> Result<(), String> {
    let before = trial.size("busy");
    thread::sleep(QUIET);
    if trial.size("busy") == before { Ok(()) } else { Err("something that it started runs on".to_owned()) }
}
