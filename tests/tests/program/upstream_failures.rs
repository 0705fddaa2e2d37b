//! Whose fault it is, and how it is told, when upstreams fail: one, many, all of them, or this host's proxy.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;

use fetcher_tests::fake::{FakeBst, upstream};
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::http::{Answer, Http};
use fetcher_tests::scratch::Scratch;
use fetcher_tests::smtp::Smtp;
use fetcher_tests::track_log::TrackLog;
use serde_json::Value;

/// A fake bst whose tracking prints a log, for a project of this name.
fn fake(scratch: &Scratch, name: &str, log: TrackLog) -> FakeBst {
    let (text, status) = log.end();
    let fake = FakeBst::at(scratch, &format!("scenario-{name}"));
    fake.now(&format!("before() {{ [ $command != track ] || {{ cat \"$scenario/log\" >&2; exit {status}; }}; }}"));
    fs::write(fake.path("log"), text).expect("the log");
    fake
}

/// A program with a project for each log.
fn fetcher<'s>(scratch: &'s Scratch, logs: Vec<(&str, TrackLog)>, general: &str, more: &str) -> Fetcher<'s> {
    upstream(scratch, &[]);
    let mut text = format!("[fetcher]\n{general}\n");
    for (name, log) in logs {
        let fake = fake(scratch, name, log);
        let _ = write!(
            text,
            "[[project]]\nname = \"{name}\"\nurl = \"project\"\nretries = 0\nfetch = false\nbuildstream = {{ command = {}, \
             pass-environment = [\"HTTPS_PROXY\"] }}\n",
            fake.command()
        );
    }
    Fetcher::new(scratch).config(text + more)
}

/// Kind and actor of every failure of the tracking of the branch with this number.
fn failures(report: &Value, branch: usize) -> Vec<(String, String)> {
    let failures = report["branches"][branch]["stages"][1]["failures"].as_array().expect("failures");
    let word = |failure: &Value, name: &str| failure[name].as_str().expect("a word").to_owned();
    failures.iter().map(|failure| (word(failure, "kind"), word(failure, "actor"))).collect()
}

/// freedesktop-sdk on a host without network: 713 failures, of which 677 hide why.
fn offline() -> TrackLog {
    let hosts = [
        ("github.invalid", 392),
        ("gitlab.gnome.invalid", 149),
        ("gitlab.freedesktop.invalid", 80),
        ("kernel.invalid", 56),
    ];
    let mut log = TrackLog::new();
    for (host, count) in hosts {
        for n in 0..count {
            log = log.hidden(
                &format!("components/{}-{n}.bst", host.trim_end_matches(".invalid").replace('.', "-")),
                &format!("https://{host}/project/{n}.git"),
            );
        }
    }
    for n in 0..36 {
        log = log.unknown_host(&format!("components/tar-{n}.bst"), &format!("https://mirror-{}.invalid/{n}", n % 12));
    }
    log
}

#[test]
fn a_host_without_network_is_one_finding_however_many_elements_fail() {
    let scratch = Scratch::new();
    let server = Smtp::start(&scratch, &[]);
    let mail = format!(
        "[[notify]]\nkind = \"email\"\nserver = \"smtp://{}\"\nfrom = \"a@example.org\"\nto = [\"b@example.org\"]\n",
        server.place()
    );
    let general = "publish-dir = \"site\"\nbase-url = \"https://f.example.org/\"";
    let fetcher = fetcher(&scratch, vec![("freedesktop-sdk", offline())], general, &mail);
    let ended = fetcher.run(&["run"]).expect(4);
    shown(&fetcher, "offline-cron", &ended.to_string());
    let lines: Vec<_> = ended.stderr().lines().map(str::to_owned).collect();
    assert!(lines.len() <= 24, "{ended}");
    // Paths are as long as they are.
    assert!(lines.iter().all(|line| line.chars().count() <= 100 || line.contains(": /")), "{ended}");

    let report = fetcher.report();
    assert_eq!(failures(&report, 0).len(), 713, "the report has all of them");
    assert!(failures(&report, 0).iter().all(|(kind, actor)| kind == "dns" && actor == "host"));
    assert_eq!(report["failures"].as_array().map(Vec::len), Some(1), "{:#}", report["failures"]);

    let mails = server.mails();
    assert_eq!(mails.len(), 1, "one of the host, and none of the branch");
    shown(&fetcher, "offline-mail", &mails[0].text());

    let run = report["run"].as_str().expect("a name");
    let page = fs::read_to_string(scratch.path(&format!("site/runs/{run}/index.html"))).expect("the run's page");
    assert!(page.len() < 200_000, "{} bytes", page.len());
    shown(&fetcher, "offline-run-page", &text_of(&page));
    let index = text_of(&fs::read_to_string(scratch.path("site/index.html")).expect("the index"));
    shown(&fetcher, "offline-index", &index);
}

/// Compares with a snapshot, in which host, minute and version have names.
fn shown(fetcher: &Fetcher<'_>, name: &str, text: &str) {
    fetcher.snapshots(|| {
        let mut settings = insta::Settings::clone_current();
        settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\d", "[minute]");
        settings.add_filter(&format!(r"\b{}\b", env!("CARGO_PKG_VERSION").replace('.', "\\.")), "[version]");
        settings.add_filter(r"(on |Host\n)[\w.-]+(\]|\n|,)", "$1[host]$2");
        settings.bind(|| insta::assert_snapshot!(name, text));
    });
}

/// The words of a page, with the first few of each list, and without what a disk says of bytes.
fn text_of(page: &str) -> String {
    let main = page.split("<main>").nth(1).and_then(|rest| rest.split("</main>").next()).expect("main");
    let lines = main.replace('<', "\n<");
    let mut listed = 0;
    let mut text = String::new();
    for line in lines.lines() {
        listed = if line.starts_with("<ul") { 0 } else { listed + usize::from(line.starts_with("<li")) };
        let words = line.split_once('>').map_or(line, |(_, words)| words).trim();
        let bytes = ["kB", "MB", "GB", " B"].iter().any(|unit| words.ends_with(unit));
        if listed <= 3 && !words.is_empty() && !bytes {
            text.push_str(words);
            text.push('\n');
        }
    }
    text
}

#[test]
fn one_dead_upstream_is_one_cause_and_not_this_hosts() {
    let scratch = Scratch::new();
    let mut log = TrackLog::new();
    for n in 0..392 {
        log = log.unknown_host(&format!("a{n}.bst"), &format!("https://github.invalid/{n}.git"));
    }
    log = log.good("good.bst", "https://gitlab.example/x.git");
    let fetcher = fetcher(&scratch, vec![("sdk", log)], "", "");
    let ended = fetcher.run(&["run"]).expect(1);
    assert!(ended.stderr().contains("the name github.invalid cannot be resolved: 392 elements [dns]"), "{ended}");
    assert!(ended.stderr().lines().count() < 15, "{ended}");
    assert!(failures(&fetcher.report(), 0).iter().all(|(_, actor)| actor == "upstream"));
}

#[test]
fn many_causes_fit_on_a_screen_too() {
    let scratch = Scratch::new();
    let mut log = TrackLog::new().good("good.bst", "https://gitlab.example/x.git");
    for n in 0..713 {
        log = log
            .unknown_host(&format!("components/element-{n}.bst"), &format!("https://host-{}.invalid/{n}.git", n % 40));
    }
    let fetcher = fetcher(&scratch, vec![("sdk", log)], "", "");
    let ended = fetcher.run(&["run"]).expect(1);
    let told = ended.stderr();
    assert!(told.lines().count() <= 24 && told.contains("more causes"), "{ended}");
    assert!(told.contains("the name host-0.invalid cannot be resolved: 18 elements [dns]"), "{ended}");
    assert!(told.lines().all(|line| line.chars().count() <= 100 || line.contains(": /")), "{ended}");
    assert_eq!(failures(&fetcher.report(), 0).len(), 713);
}

#[test]
fn two_dead_names_beside_five_good_elements_are_the_upstreams() {
    let scratch = Scratch::new();
    let mut log = TrackLog::new()
        .unknown_host("a.bst", "https://a.invalid/a.git")
        .unknown_host("b.bst", "https://b.invalid/b.git");
    for n in 0..5 {
        log = log.good(&format!("good{n}.bst"), "https://good.example/x.git");
    }
    let fetcher = fetcher(&scratch, vec![("sdk", log)], "", "");
    let ended = fetcher.run(&["run"]).expect(1);
    assert_eq!(
        failures(&fetcher.report(), 0),
        [("dns".into(), "upstream".into()), ("dns".into(), "upstream".into())],
        "{ended}"
    );
    assert_eq!(fetcher.report()["failures"], Value::Array(vec![]));
}

#[test]
fn what_another_project_reached_counts_too() {
    let dead = || {
        TrackLog::new()
            .unknown_host("a.bst", "https://a.invalid/a.git")
            .unknown_host("b.bst", "https://b.invalid/b.git")
    };
    let scratch = Scratch::new();
    let good = TrackLog::new().good("good.bst", "https://good.example/x.git");
    let fetcher_ = fetcher(&scratch, vec![("one", dead()), ("two", good)], "", "");
    fetcher_.run(&["run"]).expect(1);
    assert!(failures(&fetcher_.report(), 0).iter().all(|(_, actor)| actor == "upstream"), "{:#}", fetcher_.report());

    let scratch = Scratch::new();
    let fetcher_ = fetcher(&scratch, vec![("one", dead()), ("two", dead())], "", "");
    let ended = fetcher_.run(&["run"]).expect(4);
    let report = fetcher_.report();
    assert!(failures(&report, 0).iter().chain(&failures(&report, 1)).all(|(_, actor)| actor == "host"), "{report:#}");
    assert!(
        ended.stderr().starts_with("bst-fetcher: this host reaches no upstream at all: 4 elements of 2 branches"),
        "{ended}"
    );
}

#[test]
fn what_a_plugin_hides_is_asked_of_the_host_itself() {
    let scratch = Scratch::new();
    let missing = Http::start((0..4).map(|_| Answer::status("404 Not Found")));
    let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
    let log = TrackLog::new()
        .hidden("gone.bst", &format!("{}gone.git", slash(&missing.url)))
        .hidden("other.bst", &format!("{}other.git", slash(&missing.url)))
        .hidden("dead.bst", &format!("http://{free}/x.git"));
    let fetcher = fetcher(&scratch, vec![("sdk", log)], "", "");
    let ended = fetcher.run(&["run"]).expect(4);
    let report = fetcher.report();
    let kinds: Vec<_> = failures(&report, 0);
    assert_eq!(kinds[0], ("network".into(), "upstream".into()), "dead.bst: {ended}");
    assert_eq!(kinds[1].0, "not-found", "gone.bst: {ended}");
    assert_eq!(kinds[2].1, "upstream", "other.bst: {ended}");
    let messages = report["branches"][0]["stages"][1]["failures"].as_array().expect("failures");
    let message = |at: usize| messages[at]["message"].as_str().expect("a message").to_owned();
    assert!(message(0).contains("was asked by itself") && message(0).contains("Failed to connect"), "{}", message(0));
    assert!(message(2).contains("and answered"), "{}", message(2));
    let asked = missing.requests();
    assert!(asked.iter().all(|request| !request.target.contains("other.git")), "each host is asked once: {asked:?}");
}

#[test]
fn a_host_is_asked_without_credentials() {
    let scratch = Scratch::new();
    let private = Http::start((0..9).map(|_| {
        Answer::Status("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n".to_owned(), String::new())
    }));
    let home = scratch.environment().into_iter().find(|(name, _)| name == "HOME").expect("HOME").1;
    fs::write(format!("{home}/.netrc"), "machine 127.0.0.1 login me password s3cret\n").expect("a netrc");
    fs::write(
        format!("{home}/.gitconfig"),
        "[credential]\nhelper = \"!f() { echo username=me; echo password=x; }; f\"\n",
    )
    .expect("a configuration of git's");
    let log = TrackLog::new().hidden("private.bst", &format!("{}x.git", slash(&private.url)));
    let fetcher = fetcher(&scratch, vec![("sdk", log)], "", "");
    let ended = fetcher.run(&["run"]).expect(4);
    assert_eq!(failures(&fetcher.report(), 0)[0].0, "unauthorised", "{ended}");
    assert!(ended.stderr().contains("several forges answer both in the same way"), "{ended}");
    let requests = private.requests();
    assert!(!requests.is_empty());
    assert!(requests.iter().all(|request| !request.headers.contains_key("authorization")), "{requests:#?}");
}

#[test]
fn projects_that_cannot_be_listed_count_as_upstreams() {
    let scratch = Scratch::new();
    let project = |host: &str| format!("[[project]]\nname = \"{host}\"\nurl = \"https://{host}.invalid/x.git\"\n");
    let fetcher = Fetcher::new(&scratch).config(format!("{}{}", project("one"), project("two")));
    let ended = fetcher.run(&["run"]).expect(4);
    let report = fetcher.report();
    assert_eq!(report["failures"].as_array().map(Vec::len), Some(1), "{report:#}");
    assert!(ended.stderr().starts_with("bst-fetcher: this host reaches no upstream at all"), "{ended}");
    let actors = (0..2).map(|at| report["branches"][at]["stages"][0]["failures"][0]["actor"].clone());
    assert!(actors.eq(["host", "host"]), "{report:#}");
}

/// The address of a server with a slash at its end.
fn slash(url: &str) -> String {
    format!("{}/", url.trim_end_matches('/'))
}

#[test]
fn other_failures_of_the_host_say_what_a_plugin_hides() {
    let scratch = Scratch::new();
    let log = TrackLog::new()
        .hidden("a.bst", "https://a.invalid/a.git")
        .bad("b.bst", "https://a.invalid/b.tar", "tar source at b.bst [line 3 column 2]: Error mirroring https://a.invalid/b.tar: HTTP Error 503: Service Unavailable", "");
    let fetcher = fetcher(&scratch, vec![("sdk", log)], "", "");
    let ended = fetcher.run(&["run"]).expect(4);
    let told = failures(&fetcher.report(), 0);
    assert_eq!(
        told,
        [("server-error".into(), "upstream".into()), ("server-error".into(), "upstream".into())],
        "{ended}"
    );
    assert!(ended.stderr().contains("other sources of a.invalid fail so"), "{ended}");
}

#[test]
fn a_proxy_that_does_not_answer_is_named_and_is_this_hosts() {
    let scratch = Scratch::new();
    let refused = |element: &str, url: &str, log: TrackLog| {
        let words =
            format!("git source at {element} [line 3 column 2]: Failed to fetch from remote git repository: {url}");
        let end = format!(
            "fatal: unable to access '{url}/': Failed to connect to 127.0.0.1 port 1 after 0 ms: Couldn't connect to server"
        );
        log.bad(element, url, &words, &end)
    };
    let log = refused("a.bst", "https://one.example/a.git", TrackLog::new());
    let log = log.good("local.bst", "http://mirror.example/b.git");
    let fetcher = fetcher(&scratch, vec![("sdk", log)], "", "").env("HTTPS_PROXY", "http://me:s3cret@127.0.0.1:1");
    let ended = fetcher.run(&["run"]).expect(1);
    let told = ended.stderr();
    assert!(told.contains("the proxy http://127.0.0.1:1 of HTTPS_PROXY does not answer"), "{ended}");
    assert!(!told.contains("s3cret"), "{ended}");
    assert_eq!(failures(&fetcher.report(), 0), [("network".into(), "host".into())], "{ended}");
}

#[test]
fn a_changed_checksum_is_told_and_fails_nothing() {
    let scratch = Scratch::new();
    let http = Http::start([]);
    let hook = format!("[[notify]]\nkind = \"webhook\"\nurl = \"{}\"\n", http.url);
    let mut log = TrackLog::new();
    for n in 0..89 {
        log = log.changed(
            &format!("c{n}.bst"),
            &format!("https://files.example/{n}.tar"),
            &"a".repeat(64),
            &"b".repeat(64),
        );
    }
    let fetcher = fetcher(&scratch, vec![("sdk", log)], "", &hook);
    let ended = fetcher.run(&["run"]).expect(0);
    assert!(
        ended.stderr().contains("files.example serves other content under the same addresses: 89 elements"),
        "{ended}"
    );
    assert!(ended.stderr().contains("89 findings"), "{ended}");
    let report = fetcher.report();
    assert_eq!(report["outcome"], "ok", "it changes no status");
    let findings = report["branches"][0]["stages"][1]["findings"].as_array().expect("findings");
    assert_eq!(findings.len(), 89);
    let first = &findings[0];
    assert_eq!((first["kind"].as_str(), first["element"].as_str()), (Some("checksum-changed"), Some("c0.bst")));
    assert_eq!(first["where"]["url"], "https://files.example/0.tar");
    let message = first["message"].as_str().expect("words");
    assert!(message.contains(&format!("old: {}\nnew: {}", "a".repeat(64), "b".repeat(64))), "{message}");
    let told = http.take();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].json()["title"].as_str().is_some_and(|t| t.contains("found in track: files.example")), "{told:#?}");
    fetcher.run(&["run", "--force"]).expect(0);
    assert_eq!(http.take().len(), 0, "told once");
}
