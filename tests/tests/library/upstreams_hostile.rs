//! Upstreams that mean harm, or are broken: every answer is bounded, and none is believed.

use std::thread;
use std::time::{Duration, Instant};

use fetcher_core::diagnosis::FailureKind;
use fetcher_core::upstream::{ProbeDoubt, RefSelection, UpstreamQuestion, UpstreamState};
use fetcher_tests::git_fixture::Fixture;
use fetcher_tests::host::DeadPort;
use fetcher_tests::web_files::{WebAnswer, WebFiles};

use crate::upstreams::{ask, file, prober, refs};

fn packet(text: &str) -> String {
    format!("{:04x}{text}", text.len() + 4)
}

const RESULT: &str = "Content-Type: application/x-git-upload-pack-result\r\n";
const A: &str = "1111111111111111111111111111111111111111";

#[test]
fn endless_answers_end() {
    let (mut fixture, server) = (Fixture::new(), WebFiles::start());
    // Git is asked last, and would read for ever.
    fixture.timeout = Duration::from_secs(3);
    let url = server.set("/headers", WebAnswer::EndlessHeaders);
    assert_eq!(ask(&fixture, file(url)).doubt, Some(ProbeDoubt::Malformed));
    // Of a file no byte is wanted: it is known by its headers, and has none of worth.
    let url = server.set("/body", WebAnswer::GetOnly(Box::new(WebAnswer::Endless)));
    assert_eq!(ask(&fixture, file(url.clone())).doubt, Some(ProbeDoubt::NoValidator));
    assert_eq!(ask(&fixture, UpstreamQuestion::HttpPage { url }).doubt, Some(ProbeDoubt::Malformed));
    server.set("/x.git/git-upload-pack", WebAnswer::Endless);
    server.set("/x.git/info/refs", WebAnswer::Endless);
    let answer = ask(&fixture, refs(format!("{}/x.git", server.url), RefSelection::named(["refs/heads/main"])));
    assert!(answer.state.is_none(), "{answer:?}");
}

#[test]
fn names_with_control_characters_are_no_references() {
    let (fixture, server) = (Fixture::new(), WebFiles::start());
    let lines = [
        format!("{A} refs/heads/main\n"),
        format!("{A} refs/heads/\u{1b}]0;x\u{7}\n"),
        format!("{A} refs/heads/a\nb\n"),
        format!("{A} ../../etc/passwd\n"),
        format!("{A} refs/heads/<script>\n"),
    ];
    let body: String = lines.iter().map(|line| packet(line)).collect::<String>() + "0000";
    server.set("/x.git/git-upload-pack", WebAnswer::ok(RESULT, body));
    let answer = ask(&fixture, refs(format!("{}/x.git", server.url), RefSelection::beginning(["refs/"])));
    let Some(UpstreamState::Git { refs }) = &answer.state else { panic!("{answer:?}") };
    let names: Vec<_> = refs.iter().map(|found| found.name).collect();
    assert_eq!(names, ["refs/heads/<script>", "refs/heads/main"]);
}

#[test]
fn garbage_is_no_listing() {
    let (fixture, server) = (Fixture::new(), WebFiles::start());
    let question = || refs(format!("{}/x.git", server.url), RefSelection::named(["refs/heads/main"]));
    for body in ["<html>hello</html>", "0000000000", "ffffx", "0007ERR", &packet("ERR go away\n"), ""] {
        server.set("/x.git/git-upload-pack", WebAnswer::ok(RESULT, body.to_owned()));
        let answer = ask(&fixture, question());
        // An empty repository says as much as `0000`.
        let is_empty = body.starts_with("0000");
        assert_eq!(answer.state.is_some(), is_empty, "{body:?}: {answer:?}");
    }
    // The same bytes as a page are no listing either.
    let body = packet(&format!("{A} refs/heads/main\n")) + "0000";
    server.set("/x.git/git-upload-pack", WebAnswer::ok("Content-Type: text/html\r\n", body));
    assert!(ask(&fixture, question()).state.is_none());
}

#[test]
fn whether_a_commit_is_held_follows_from_a_plain_answer_alone() {
    let (fixture, server) = (Fixture::new(), WebFiles::start());
    let question = || UpstreamQuestion::GitCommit { url: format!("{}/x.git", server.url), commit: A.to_owned() };
    let other = packet(&format!("ERR upload-pack: not our ref {}\n", "2".repeat(40)));
    for body in ["<html>hello</html>", "0000", "0001", "ffffx", "0007ERR", &packet("ERR go away\n"), &other, ""] {
        server.set("/x.git/git-upload-pack", WebAnswer::ok(RESULT, body.to_owned()));
        let answer = ask(&fixture, question());
        // Nor is it missing: git was asked as well, and found no repository.
        assert!(answer.state.is_none(), "{body:?}: {answer:?}");
        assert_ne!(answer.failure.as_ref().map(|failure| failure.kind), Some(FailureKind::RefMissing), "{body:?}");
    }
    server.set("/x.git/git-upload-pack", WebAnswer::ok(RESULT, packet("acknowledgments\n")));
    assert_eq!(ask(&fixture, question()).state, Some(UpstreamState::Held));
}

#[test]
fn redirects_lead_to_http_alone_and_end() {
    let (fixture, server) = (Fixture::new(), WebFiles::start());
    for to in ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "//", "http:///x"] {
        let url = server.set("/x", WebAnswer::to("302 Found", to));
        assert_eq!(ask(&fixture, file(url)).doubt, Some(ProbeDoubt::ForbiddenRedirect), "{to}");
    }
    let url = server.set("/round", WebAnswer::to("302 Found", "/round"));
    assert_eq!(ask(&fixture, file(url)).doubt, Some(ProbeDoubt::Malformed));
    let other = WebFiles::start();
    let target = other.set("/y", WebAnswer::ok("ETag: \"a\"\r\n", "x"));
    let url = server.set("/away", WebAnswer::to("302 Found", &target.replace("127.0.0.1", "localhost")));
    assert_eq!(ask(&fixture, file(url)).doubt, Some(ProbeDoubt::Redirected));
}

#[test]
fn a_host_that_is_down_is_asked_twice_not_a_hundred_times() {
    let fixture = Fixture::new();
    let dead = DeadPort::new();
    let prober = prober(&fixture);
    let question = |at: u32| refs(format!("{}/{at}.git", dead.url()), RefSelection::named(["refs/heads/main"]));
    let answers: Vec<_> = (0..100).map(|at| prober.ask(&[question(at)]).remove(0)).collect();
    assert!(
        answers
            .iter()
            .all(|answer| answer.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::Network))
    );
    let report = prober.report();
    assert_eq!((report.failed(), report.hosts[0].requests), (100, 2), "{report:?}");
    assert!(report.hosts[0].failure.is_some());
    let answer = ask(&fixture, file("http://nothing.invalid/x"));
    assert_eq!(answer.failure.as_ref().unwrap().kind, FailureKind::Dns, "{answer:?}");
}

#[test]
fn servers_that_hang_up_or_answer_nothing_sensible_are_failures() {
    let (fixture, server) = (Fixture::new(), WebFiles::start());
    let answer = ask(&fixture, file(server.set("/x", WebAnswer::Hangup)));
    assert_eq!(answer.failure.as_ref().unwrap().kind, FailureKind::Network, "{answer:?}");
    let url = server.set("/y", WebAnswer::ok("ETag: \"\u{1}\"\r\n", "x"));
    assert!(ask(&fixture, file(url)).state.is_none());
    for url in ["https://", "http://a b/", "ext::sh -c id", "javascript:x", "http://h\u{0}/"] {
        assert_eq!(ask(&fixture, file(url)).doubt, Some(ProbeDoubt::Unsupported), "{url}");
        let answer = ask(&fixture, refs(url, RefSelection::named(["HEAD"])));
        assert!(answer.state.is_none(), "{answer:?}");
    }
}

#[test]
fn a_run_that_is_stopped_waits_for_nobody() {
    let (fixture, server) = (Fixture::new(), WebFiles::start());
    let questions: Vec<_> = (0..50).map(|at| file(server.set(&format!("/{at}"), WebAnswer::Silent))).collect();
    let prober = prober(&fixture);
    let began = Instant::now();
    thread::scope(|scope| {
        let asked = scope.spawn(|| prober.ask(&questions));
        while server.take_requests().is_empty() {
            assert!(began.elapsed() < Duration::from_secs(20));
            thread::yield_now();
        }
        fixture.cancel.cancel();
        let answers = asked.join().unwrap();
        assert!(answers.iter().all(|answer| answer.doubt == Some(ProbeDoubt::Cancelled)), "{answers:?}");
    });
    assert!(began.elapsed() < Duration::from_secs(20));
}
