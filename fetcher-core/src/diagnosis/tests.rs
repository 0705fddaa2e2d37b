use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use crate::bst::messages::LogParser;
use crate::runner::Exit;

use super::*;

/// A recorded run of the real bst.
struct Recording {
    name: String,
    exit: Exit,
    stderr: Vec<u8>,
}

fn fixtures() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/bst-logs"))
}

fn recording(name: &str) -> Recording {
    let text = fs::read(fixtures().join(format!("{name}.txt"))).unwrap();
    let text = String::from_utf8_lossy(&text);
    let exit = text
        .lines()
        .find_map(|line| line.strip_prefix("EXIT")?.trim_start().strip_prefix(": "))
        .unwrap()
        .split([' ', '('])
        .next()
        .unwrap();
    let exit = match exit {
        "TIMEOUT" => Exit::TimedOut,
        exit => match exit.parse::<i32>().unwrap() {
            signal @ ..0 => Exit::Signal(-signal),
            status => Exit::Status(status),
        },
    };
    // Rules of dashes stand around the streams and files.
    let rule = |line: &&str| line.starts_with("---") && line.contains(|c: char| c.is_ascii_uppercase());
    let stderr: Vec<&str> = text
        .split_inclusive('\n')
        .skip_while(|line| !(rule(line) && line.contains(" STDERR")))
        .skip(1)
        .take_while(|line| !(rule(line) && ["- NEW LOG", "- FILE ", "- LOG"].iter().any(|mark| line.contains(mark))))
        .collect();
    Recording { name: name.to_owned(), exit, stderr: stderr.concat().into_bytes() }
}

fn recordings() -> Vec<Recording> {
    let names = fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter_map(|name| name.strip_suffix(".txt").map(str::to_owned)).collect();
    names.sort();
    names.iter().map(|name| recording(name)).collect()
}

fn in_pieces(log: &[u8], piece: usize, exit: Option<Exit>) -> LogDiagnoses {
    let mut diagnoser = Diagnoser::new(None);
    let mut parser = LogParser::default();
    for bytes in log.chunks(piece) {
        parser.push(bytes, &mut |item| diagnoser.take(&item));
    }
    parser.finish(&mut |item| diagnoser.take(&item));
    diagnoser.finish(exit)
}

/// `kind element stage retry actor` of each diagnosis, a warning behind `~`.
fn brief(found: &LogDiagnoses) -> String {
    let mut text = String::new();
    let failures = found.failures.iter().map(|found| ("", found));
    for (mark, found) in failures.chain(found.warnings.iter().map(|found| ("~", found))) {
        let element = found.element.as_ref().map_or("-", |element| element.as_str());
        let stage = found.stage.as_ref().map_or("-", Stage::as_str);
        let actor = format!("{:?}", found.actor).to_lowercase();
        let _ = write!(text, " | {mark}{} {element} {stage} {} {actor}", found.kind, found.retry.as_str());
    }
    text
}

/// What a log from anywhere comes to.
fn found(log: &str, exit: impl Into<Option<Exit>>) -> LogDiagnoses {
    diagnose(exit.into(), None, &mut log.as_bytes()).unwrap()
}

/// What was checked by hand: a line a recording, as [`brief`] writes them.
#[test]
fn every_recording_is_diagnosed() {
    let wanted = include_str!("tests/recordings.txt");
    let recordings = recordings();
    for recording in &recordings {
        let whole = in_pieces(&recording.stderr, recording.stderr.len().max(1), Some(recording.exit));
        let line = format!("{}{}", recording.name, brief(&whole));
        assert!(wanted.lines().any(|wanted| wanted == line), "not in recordings.txt:\n{line}");
        for piece in [1, 7, 4096] {
            let again = in_pieces(&recording.stderr, piece, Some(recording.exit));
            assert_eq!(again, whole, "{} in pieces of {piece}", recording.name);
        }
    }
    assert_eq!(wanted.lines().count(), recordings.len());
}

#[test]
fn every_diagnosis_says_what_to_do() {
    for recording in recordings() {
        let found = in_pieces(&recording.stderr, 4096, Some(recording.exit));
        for found in found.failures.iter().chain(&found.warnings) {
            assert!(found.hint.len() > 10 && !found.message.is_empty(), "{}: {found:?}", recording.name);
            assert!(found.message.lines().count() <= 13, "{}: {}", recording.name, found.message);
        }
    }
}

/// The exit status is not in a log from elsewhere: only what bst did not live to tell is lost with it.
#[test]
fn most_logs_tell_without_the_exit_status() {
    let told = |recording: &Recording, exit| {
        let found = in_pieces(&recording.stderr, 4096, exit);
        found.failures.into_iter().map(|found| (found.kind, found.element)).collect::<Vec<_>>()
    };
    let stopped = |name: &str| name.contains("signal-") || name.starts_with("disk-full-") || name.starts_with("casd-");
    for recording in recordings().iter().filter(|recording| !stopped(&recording.name)) {
        assert_eq!(told(recording, None), told(recording, Some(recording.exit)), "{}", recording.name);
    }
    assert_eq!(told(&recording("disk-full-hang-then-KILL"), None), [(FailureKind::Unknown, None)]);
    assert_eq!(told(&recording("signal-INT-tar-only"), None), [(FailureKind::Interrupted, None)]);
}

#[test]
fn runners_of_ci_put_times_in_front() {
    for name in ["git-http-403-track", "min-version-major3", "fmt-machine"] {
        let recording = recording(name);
        let plain = found(&String::from_utf8_lossy(&recording.stderr), recording.exit);
        for stamp in ["2026-11-24T00:12:01.1234567Z ", "2026-11-24T00:12:01.123456Z 01E "] {
            let log = String::from_utf8_lossy(&recording.stderr);
            let stamped = stamp.to_owned() + &log.trim_end().replace('\n', &format!("\n{stamp}"));
            assert_eq!(found(&stamped, recording.exit), plain, "{name}");
        }
    }
    let log = format!(
        "Running with gitlab-runner 17\n$ bst source track\n{}Cleaning up project directory\nERROR: Job failed: exit code 1\n",
        String::from_utf8_lossy(&recording("min-version-major3").stderr)
    );
    assert_eq!(found(&log, None).failures[0].kind, FailureKind::BstVersion);
    assert_eq!(found("hello\nworld\n", None), LogDiagnoses::default());
}

const PUSH: &str = "\
[--:--:--][        ][    main:core activity                 ] START   Push
[--:--:--][        ][    main:core activity                 ] WARNING Failed to initialize remote http://dead:1: Remote initialisation failed with status UNAVAILABLE: FetchBlob: 14: failed to connect to all addresses
Project: p2
    Source cache servers
      * http://cache:2
        push: True type: all instance: None
      * http://dead:1
        push: @ type: all instance: None

Pipeline
     waiting 00eb680806ddc8cff1e50db51617d96345d9609d6b333b1c555b1aa10dd65dd3 git.bst 
===============================================================================
[--:--:--][00eb6808][src-push:git.bst                       ] START   p2/git/00eb6808-src-push.20261123-220610.log
[--:--:--][00eb6808][src-push:git.bst                       ] INFO    #
[--:--:--][00eb6808][src-push:git.bst                       ] INFO    Pushed source 158528a2 -> http://cache:2
[00:00:00][00eb6808][src-push:git.bst                       ] SUCCESS p2/git/00eb6808-src-push.20261123-220610.log
[00:00:00][        ][    main:core activity                 ] SUCCESS Push
";

#[test]
fn a_push_that_was_not_whole_is_a_failure_though_bst_ends_well() {
    let push = |flag: &str, info: &str| brief(&found(&PUSH.replace('@', flag).replace('#', info), Exit::Status(0)));
    let fine = "Pushed data from source 158528a2 -> http://cache:2";
    assert_eq!(push("False", fine), " | ~cache-unreachable - push yes cache");
    assert_eq!(push("True", fine), " | cache-unreachable - push yes cache");
    assert_eq!(
        push("False", "Failed to push source files 158528a2 -> http://cache:2"),
        " | push-incomplete git.bst push yes cache | ~cache-unreachable - push yes cache"
    );
    assert_eq!(
        push("False", "Remote (http://cache:2) already has all data of source 158528a2 cached"),
        " | cache-full git.bst push yes cache | ~cache-unreachable - push yes cache"
    );
    // A second try that reaches all of it makes good for the first.
    let again = PUSH.lines().find(|line| line.contains("START   p2")).unwrap().to_owned() + "\n";
    let log = PUSH.replace('@', "False").replace('#', "Failed to push source files 158528a2 -> http://cache:2");
    let (before, after) = log.split_at(log.find("[00:00:00][00eb6808]").unwrap());
    assert_eq!(
        brief(&found(&format!("{before}{again}{after}"), Exit::Status(0))),
        " | ~cache-unreachable - push yes cache"
    );
}

#[test]
fn facts_are_kept() {
    let recording = recording("on-error-continue-track");
    let facts = in_pieces(&recording.stderr, 4096, Some(recording.exit)).facts;
    assert_eq!(facts.version.as_deref(), Some("2.8.1"));
    assert_eq!(facts.no_ref.len(), 8);
    assert_eq!((facts.queues[0].processed, facts.queues[0].failed), (6, 2));
}

#[test]
fn exits_tell_what_the_log_does_not() {
    let one = |exit| found("", exit).failures.into_iter().map(|found| found.kind).collect::<Vec<_>>();
    assert_eq!(one(Exit::TimedOut), [FailureKind::TimeOut]);
    assert_eq!(one(Exit::Cancelled), [FailureKind::Interrupted]);
    assert_eq!(one(Exit::Signal(9)), [FailureKind::Killed]);
    assert_eq!(one(Exit::Status(137)), [FailureKind::Killed]);
    assert_eq!(one(Exit::Status(127)), [FailureKind::BstMissing]);
    assert_eq!(one(Exit::Status(3)), [FailureKind::Unknown]);
    assert_eq!(one(Exit::Status(0)), []);
    let unknown = found("the moon is in the wrong phase\n", Exit::Status(255));
    assert_eq!(unknown.failures[0].kind, FailureKind::Unknown);
    assert!(unknown.failures[0].message.contains("wrong phase"));
}

#[test]
fn the_end_of_a_push_without_its_beginning_tells_of_the_cache() {
    let begin = "[00:00:10][        ][    main:core activity                 ]";
    let log = format!(
        "{begin} WARNING Failed to initialize remote https://cache.example.org:11002: status = StatusCode.UNAVAILABLE\n\n\
         No source caches available for pushing sources\n"
    );
    for exit in [None, Some(Exit::Status(255))] {
        let kinds: Vec<_> = found(&log, exit).failures.iter().map(|failure| failure.kind).collect();
        assert_eq!(kinds, [FailureKind::CacheUnreachable], "{exit:?}");
    }
}

/// One element failing with a log of its own.
fn failing(element: &str, text: &str, log: &str) -> String {
    let rule = "=".repeat(70);
    let log = log.replace('\n', "\n    ");
    format!(
        "[00:00:00][????????][   track:{element}] FAILURE {text}\n\n    Printing the last 20 lines from log file:\n    /x.log\n    {rule}\n    {log}\n    {rule}\n\n"
    )
}

mod limits;
mod manual;
mod public;
mod texts;
mod words;

#[test]
fn the_text_for_people() {
    let log = failing(
        "a.bst",
        "git source at a.bst [line 3 column 2]: Failed to fetch from remote git repository: https://u:secret@h.org/x.git",
        "fatal: unable to access 'https://u:secret@h.org/x.git/': The requested URL returned error: 503\n\u{1b}[31mbye",
    );
    let found = found(&log, Exit::Status(255));
    insta::assert_snapshot!(render_text(&found.failures), @r"
    server-error: a.bst, track
        git source at a.bst [line 3 column 2]: Failed to fetch from remote git repository: https://h.org/x.git
        fatal: unable to access 'https://h.org/x.git/': The requested URL returned error: 503
      where: a.bst line 3 column 2, https://h.org/x.git/
      who:   the upstream; it may pass by itself
      hint:  the server is broken: wait, or tell its operators if it lasts
    ");
}
