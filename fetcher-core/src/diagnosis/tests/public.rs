//! Logs as people post them: whole ones of CI runners, tails, task logs, with prefixes of journals and pods.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Expected {
    expect: Vec<ExpectedFailure>,
}

/// One failure that has to be told, with what is acceptable of it.
#[derive(Deserialize)]
struct ExpectedFailure {
    kinds: Vec<String>,
    #[serde(default)]
    element: Option<String>,
    #[serde(default)]
    any_element: bool,
    actors: Vec<Actor>,
    retry: Vec<Retry>,
}

impl ExpectedFailure {
    fn accepts(&self, found: &Diagnosis) -> bool {
        let element = found.element.as_ref().map(ElementName::as_str);
        self.kinds.contains(&found.kind.to_string())
            && (self.any_element || element == self.element.as_deref())
            && self.actors.contains(&found.actor)
            && self.retry.contains(&found.retry)
    }
}

fn fixtures() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/public-logs"))
}

#[test]
fn what_people_post_is_read_right() {
    let expected = fs::read_to_string(fixtures().join("expected.json")).unwrap();
    let expected: BTreeMap<String, Expected> = serde_json::from_str(&expected).unwrap();
    let texts = fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(texts.filter(|path| path.extension().is_some_and(|end| end == "txt")).count(), expected.len());
    let mut wrong = String::new();
    for (name, Expected { expect }) in &expected {
        let log = String::from_utf8(fs::read(fixtures().join(name)).unwrap()).unwrap();
        let failures = found(&log, None).failures;
        let right = failures.len() == expect.len()
            && expect.iter().all(|want| failures.iter().any(|found| want.accepts(found)));
        if !right {
            let _ = writeln!(wrong, "== {name}: {} expected\n{}", expect.len(), render_text(&failures));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// What a place is called, and how it writes a line.
type Form<'a> = (&'a str, Box<dyn Fn(usize, &str) -> String + 'a>);

/// What places put in front of a log's lines: the line's number counts the time up where there is one.
fn prefixed(log: &str, prefix: &dyn Fn(usize, &str) -> String) -> String {
    log.trim_end().lines().enumerate().map(|(at, line)| prefix(at, line) + "\n").collect()
}

/// Every log of the fixtures, as `diagnose` gets it.
fn every_log() -> Vec<(String, String)> {
    let recorded = recordings().into_iter().map(|recording| (recording.name, recording.stderr));
    let texts = fixtures().with_file_name("failure-texts");
    let posted =
        fs::read_dir(fixtures()).unwrap().chain(fs::read_dir(texts).unwrap()).map(|entry| entry.unwrap().path());
    let posted = posted.filter(|path| path.extension().is_some_and(|end| end == "txt"));
    let posted =
        posted.map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()));
    recorded.chain(posted).map(|(name, log)| (name, String::from_utf8_lossy(&log).into_owned())).collect()
}

#[test]
fn a_prefix_of_the_lines_changes_nothing() {
    let time = |at: usize| format!("{:02}:{:02}:{:02}", 10 + at / 3600, at / 60 % 60, at % 60);
    let plain = |line: &str, prefix: String| format!("{prefix}{line}").trim_end().to_owned();
    let forms: Vec<Form> = vec![
        ("GitHub's stamps", Box::new(|at, line| format!("2026-11-24T{}.1234567Z {line}", time(at)))),
        ("GitLab's stamps", Box::new(|at, line| format!("2026-11-24T{}.123456Z 01E {line}", time(at)))),
        ("ISO stamps", Box::new(|at, line| format!("2026-11-24T{}+01:00 {line}", time(at)))),
        ("stamps in brackets", Box::new(|at, line| format!("[2026-11-24T{}.123Z] {line}", time(at)))),
        ("a date and a time", Box::new(|at, line| format!("2026-11-24 {}.123 {line}", time(at)))),
        (
            "gh run view --log",
            Box::new(|at, line| format!("build\tFetch the sources\t2026-11-24T{}.1234567Z {line}", time(at))),
        ),
        ("journald", Box::new(|at, line| format!("Nov 24 {} host bst-fetcher[4711]: {line}", time(at)))),
        ("journald in ISO", Box::new(|at, line| format!("2026-11-24T{}+0100 host bst[4711]: {line}", time(at)))),
        ("ts", Box::new(|at, line| format!("Nov 24 {} {line}", time(at)))),
        ("docker compose", Box::new(|_, line| plain(line, "fetcher-1  | ".to_owned()))),
        ("docker compose of old", Box::new(|_, line| format!("fetcher_1   | {line}"))),
        ("docker logs -t", Box::new(|at, line| format!("2026-11-24T{}.123456789Z {line}", time(at)))),
        ("kubectl --prefix", Box::new(|_, line| format!("[pod/fetch-28934-x7k2p/main] {line}"))),
        ("kubelet", Box::new(|at, line| format!("2026-11-24T{}.123456789Z stderr F {line}", time(at)))),
        ("argo", Box::new(|_, line| plain(line, "dakota-full-build-iter5-b8kzt: ".to_owned()))),
        ("BuildKit", Box::new(|at, line| format!("#12 {at}.123 {line}"))),
        ("quotes", Box::new(|_, line| plain(line, "> ".to_owned()))),
        ("quotes of quotes", Box::new(|_, line| plain(line, "> > ".to_owned()))),
        ("indentation", Box::new(|_, line| plain(line, "    ".to_owned()))),
        ("a tab", Box::new(|_, line| plain(line, "\t".to_owned()))),
        ("CRLF", Box::new(|_, line| format!("{line}\r"))),
        ("colours", Box::new(|_, line| format!("\u{1b}[0;33m{line}\u{1b}[0m"))),
        ("colours without escapes", Box::new(|_, line| format!("[33m{line}[0m"))),
        ("colours written out", Box::new(|_, line| format!("^[[1;33m{line}^[[0m"))),
        ("stamps and quotes", Box::new(|at, line| format!("> 2026-11-24T{}.1234567Z {line}", time(at)))),
        (
            "stamps and a pod",
            Box::new(|at, line| format!("2026-11-24T{}Z [pod/fetch-28934-x7k2p/main] {line}", time(at))),
        ),
    ];
    // Nobody knows these: the first head of a message teaches them.
    let unheard: Vec<Form> = vec![
        ("a runner of its own", Box::new(|at, line| format!("[CI/fetch {at:05}]   | {line}"))),
        ("times alone", Box::new(|at, line| format!("{}  {line}", time(at)))),
        ("names and times", Box::new(|at, line| format!("fetch <{}> {line}", time(at)))),
    ];
    let wraps: [(&str, &str, &str); 5] = [
        ("a fence", "```\n", "```\n"),
        ("a fence with a word", "```console\n", "```\n"),
        ("sections", "section_start:1700000000:fetch\r\u{1b}[0K", "section_end:1700000009:fetch\r\u{1b}[0K\n"),
        (
            "sections without escapes",
            "section_start:1700000000:fetch[collapsed=true]\n",
            "section_end:1700000009:fetch\n",
        ),
        ("details", "<details>\n\n```\n", "```\n\n</details>\n"),
    ];
    let mut wrong = String::new();
    for (name, log) in every_log() {
        let want = found(&log, None);
        let mut compare = |form: &str, log: &str| {
            let got = found(log, None);
            if got.failures != want.failures || got.warnings != want.warnings {
                let _ = writeln!(
                    wrong,
                    "== {name} with {form}:\n{}-- not\n{}",
                    render_text(&got.failures),
                    render_text(&want.failures)
                );
            }
        };
        for (form, prefix) in &forms {
            compare(form, &prefixed(&log, prefix));
        }
        for (form, prefix) in
            unheard.iter().filter(|_| log.contains("activity") && log.lines().all(|line| !line.starts_with("00:")))
        {
            compare(form, &prefixed(&log, prefix));
        }
        for (form, before, after) in wraps {
            compare(form, &format!("{before}{}\n{after}", log.trim_end()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of them\n{}",
        wrong.matches("== ").count(),
        wrong.chars().take(20_000).collect::<String>()
    );
}
