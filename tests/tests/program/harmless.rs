//! What others had a word in, on a terminal: no escape sequence, and nothing that nobody sees.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::scratch::Scratch;

/// What a project may write into its log: a title, colours, C1, direction, what nobody sees, a torn character.
const EVIL: &str = "\u{1b}]0;title\u{7}\u{1b}[31mred\u{1b}[0m \u{9b}2Jc1 \u{202e}back \u{200b}zero\u{2060}\u{feff} \u{e0041}tag \u{2028}line\u{85}";

/// A branch's name that git takes.
const BRANCH: &str = "ma\u{202e}in\u{200b}\u{2066}\u{e0041}";

/// The program with standard output and standard error on a terminal (`script` of util-linux).
fn on_a_terminal(fetcher: &Fetcher<'_>, arguments: &[&str]) -> String {
    let inner = fetcher.command(arguments);
    let words = std::iter::once(inner.get_program()).chain(inner.get_args());
    let quoted: Vec<_> = words.map(|word| format!("'{}'", word.to_str().expect("text"))).collect();
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &quoted.join(" "), "/dev/null"]).stdin(Stdio::null());
    command.current_dir(inner.get_current_dir().expect("a directory")).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().expect("script");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What a terminal would obey, or nobody would see.
#[track_caller]
fn assert_harmless(shown: &str) {
    let bad = |c: &char| {
        matches!(*c, '\0'..='\u{8}' | '\u{b}'..='\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{9f}')
            || matches!(*c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
            || matches!(*c, '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
    };
    assert!(!shown.chars().any(|c| bad(&c)), "{}", shown.escape_debug());
}

/// A host whose project has such a branch, and a bst that prints such a log and fails.
fn host(scratch: &Scratch) -> Fetcher<'_> {
    let repository = scratch.path("upstream");
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(&repository).args(arguments).env_clear().envs(scratch.environment());
        assert!(command.output().expect("git").status.success(), "{arguments:?}");
    };
    fs::create_dir_all(&repository).expect("a directory");
    git(&["init", "--quiet", "--initial-branch", BRANCH]);
    fs::write(repository.join("project.conf"), "name: example\nmin-version: 2.0\n").expect("a file");
    git(&["add", "."]);
    git(&["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "--message", "one"]);
    let bst = scratch.path("evil-bst");
    let script = format!(
        "#!/bin/sh\ncase $* in *--version*) echo 2.8.1; exit 0;; esac\nprintf '%s\\n' '{EVIL}' >&2\nprintf '\\377\\n' >&2\nexit 1\n"
    );
    fs::write(&bst, script).expect("a script");
    fs::set_permissions(&bst, fs::Permissions::from_mode(0o755)).expect("its mode");
    let text = format!(
        "[buildstream]\ncommand = ['{}']\n\n[[project]]\nname = \"example\"\nurl = '{}'\nbranches = [\"*\"]\ntargets = [\"a.bst\"]\nretries = 0\n",
        bst.display(),
        repository.display()
    );
    Fetcher::new(scratch).config(text)
}

#[test]
fn on_a_terminal_nothing_of_others_is_obeyed_or_hidden() {
    let scratch = Scratch::new();
    let fetcher = host(&scratch);
    let shown = on_a_terminal(&fetcher, &["-v", "--log-format=json", "run"]);
    assert_harmless(&shown);
    let events: Vec<serde_json::Value> =
        shown.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    assert!(events.iter().any(|event| event["branch"] == BRANCH), "JSON keeps its values: {shown}");
    // Its bars move the cursor themselves.
    let shown = on_a_terminal(&fetcher, &["run", "--force"]);
    assert!(shown.contains("main") && !shown.contains("]0;title"), "{shown:?}");
    assert!(!shown.contains(['\u{202e}', '\u{200b}', '\u{2066}', '\u{e0041}', '\u{9b}']), "{shown:?}");
    for arguments in [&["status"][..], &["logs", "example"], &["config", "show"], &["check"], &["status", "--json"]] {
        let shown = on_a_terminal(&fetcher, arguments);
        assert_harmless(&shown);
        assert!(!shown.is_empty(), "{arguments:?}");
    }
    let status = on_a_terminal(&fetcher, &["status"]);
    assert!(status.contains("main"), "{status}");
    let logs = on_a_terminal(&fetcher, &["logs", "example"]);
    assert!(logs.contains("red c1 back zero tag line") && logs.contains('\u{fffd}'), "{logs}");
    // A message that comes back by another way: names of files, of branches, of what is not there.
    for arguments in [&["logs", EVIL][..], &["run", "--branch", EVIL], &["--config", EVIL, "check"]] {
        assert_harmless(&on_a_terminal(&fetcher, arguments));
    }
    fs::write(scratch.path("log"), format!("[--:--:--] FAILURE a.bst: {EVIL}\n{EVIL}\n")).expect("a log");
    let log = scratch.path("log");
    assert_harmless(&on_a_terminal(&fetcher, &["diagnose", log.to_str().expect("a path")]));
}

#[test]
fn elsewhere_a_log_is_what_it_was_and_all_else_as_harmless() {
    let scratch = Scratch::new();
    let fetcher = host(&scratch);
    let ended = fetcher.command(&["run"]).output().expect("it runs");
    assert_harmless(&String::from_utf8(ended.stderr).expect("UTF-8"));
    let logs = fetcher.command(&["logs", "example"]).output().expect("it runs").stdout;
    let wanted = [EVIL.as_bytes(), b"\n\xff\n"].concat();
    assert!(logs.windows(wanted.len()).any(|part| part == wanted), "{}", String::from_utf8_lossy(&logs));
    assert_harmless(&String::from_utf8(fetcher.command(&["status"]).output().expect("it runs").stdout).expect("UTF-8"));
    let status = fetcher.status();
    assert_eq!(status["branches"][0]["branch"], BRANCH);
}
