//! Upstreams that mean harm, or are broken: every answer is bounded, and none is believed.

use std::thread;
use std::time::{Duration, Instant};

use fetcher_core::diagnosis::FailureKind;
use fetcher_core::pipeline::{ProbeDoubt, RefSelection, UpstreamQuestion, UpstreamState};
use fetcher_tests::git_fixture::Fixture;
use fetcher_tests::host::DeadPort;
use fetcher_tests::scratch::Scratch;
use fetcher_tests::tls_proxy::TlsProxy;
use fetcher_tests::waiting::PATIENCE;
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
fn nothing_from_elsewhere_leads_to_this_machine() {
    let (mut fixture, scratch) = (Fixture::new(), Scratch::new());
    let (elsewhere, here) = (WebFiles::start(), WebFiles::start());
    let internet = TlsProxy::start(&scratch, &elsewhere.url, &["far.example"]);
    for (name, value) in internet.environment() {
        fixture.environment.set(name, value);
    }
    // The proxy is asked for what is elsewhere alone.
    elsewhere.set("/there", WebAnswer::ok("ETag: \"a\"\r\n", "x"));
    assert!(ask(&fixture, file("https://far.example/there")).state.is_some());
    let port = here.url.rsplit(':').next().unwrap();
    for target in ["https://127.0.0.1", "https://localhost", "https://[::1]", "https://0.0.0.0"] {
        let target = format!("{target}:{port}/x");
        elsewhere.set("/away", WebAnswer::to("302 Found", &target));
        elsewhere.set("/r.git/info/refs", WebAnswer::to("301 Moved Permanently", &target));
        elsewhere.set("/simple", WebAnswer::to("308 Permanent Redirect", &target));
        elsewhere.set("/os/refs/heads/main", WebAnswer::to("307 Temporary Redirect", &target));
        let challenge = format!("WWW-Authenticate: Bearer realm=\"{target}\",service=\"s\"\r\n");
        elsewhere.set("/v2/image/manifests/1", WebAnswer::Plain("401 Who", challenge, Vec::new()));
        let url = |path: &str| format!("https://far.example{path}");
        let image =
            |registry| UpstreamQuestion::ContainerManifest { registry, image: "image".to_owned(), tag: "1".to_owned() };
        for question in [
            file(url("/away")),
            UpstreamQuestion::FileLength { url: url("/away") },
            UpstreamQuestion::ImmutableFile { url: url("/away") },
            UpstreamQuestion::HttpPage { url: url("/away") },
            UpstreamQuestion::PypiReleases { url: url("/simple") },
            UpstreamQuestion::OstreeRef { url: url("/os"), name: "main".to_owned() },
            refs(url("/r.git"), RefSelection::named(["refs/heads/main"])),
            UpstreamQuestion::GitCommit { url: url("/r.git"), commit: A.to_owned() },
            image(url("")),
        ] {
            let answer = ask(&fixture, question.clone());
            assert!(answer.state.is_none(), "{question:?} {target}: {answer:?}");
        }
    }
    assert_eq!(here.connections(), 0, "{:?}", here.take_requests());
}

#[test]
fn indexes_pages_and_registries_that_mean_harm_say_nothing() {
    let (mut fixture, server) = (Fixture::new(), WebFiles::start());
    fixture.timeout = Duration::from_secs(3);
    let page = |path: &str| format!("{}{path}", server.url);
    let deep = "[".repeat(1 << 20);
    let bodies: [&[u8]; 6] =
        [b"", b"\0\xff\xfe", b"{\"files\": 1}", deep.as_bytes(), b"<html>", b"\x1f\x8b\x08\0garbage"];
    for body in bodies {
        server.set("/page", WebAnswer::ok("", body));
        let releases = ask(&fixture, UpstreamQuestion::PypiReleases { url: page("/page") });
        assert_eq!((releases.state.is_none(), releases.doubt), (true, Some(ProbeDoubt::Malformed)), "{releases:?}");
        server.set("/os/refs/heads/main", WebAnswer::ok("", body));
        let os = UpstreamQuestion::OstreeRef { url: page("/os"), name: "main".to_owned() };
        assert_eq!(ask(&fixture, os).doubt, Some(ProbeDoubt::Malformed));
    }
    for digest in ["", "sha256:x", "sha256:\u{1b}[2J", "md5:00000000000000000000000000000000", "../../etc/passwd"] {
        let header = format!("Docker-Content-Digest: {digest}\r\n");
        server.set("/v2/i/manifests/1", WebAnswer::ok(&header, "{}"));
        let (registry, image, tag) = (server.url.clone(), "i".to_owned(), "1".to_owned());
        let answer = ask(&fixture, UpstreamQuestion::ContainerManifest { registry, image, tag });
        assert!(answer.state.is_none(), "{digest:?}: {answer:?}");
    }
    for endless in [WebAnswer::Endless, WebAnswer::EndlessHeaders] {
        server.set("/endless", endless.clone());
        server.set("/os/refs/heads/main", endless.clone());
        server.set("/v2/i/manifests/1", endless);
        let (registry, image, tag) = (server.url.clone(), "i".to_owned(), "1".to_owned());
        for question in [
            UpstreamQuestion::PypiReleases { url: page("/endless") },
            UpstreamQuestion::IndexLines { url: page("/endless"), containing: "A ".to_owned() },
            UpstreamQuestion::OstreeRef { url: page("/os"), name: "main".to_owned() },
            UpstreamQuestion::ContainerManifest { registry, image, tag },
        ] {
            let answer = ask(&fixture, question.clone());
            assert!(answer.state.is_none(), "{question:?}: {answer:?}");
        }
    }
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
            assert!(began.elapsed() < PATIENCE);
            thread::yield_now();
        }
        fixture.cancel.cancel();
        let answers = asked.join().unwrap();
        assert!(answers.iter().all(|answer| answer.doubt == Some(ProbeDoubt::Cancelled)), "{answers:?}");
    });
    assert!(began.elapsed() < PATIENCE);
}
