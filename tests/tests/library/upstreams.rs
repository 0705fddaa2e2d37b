//! Asking upstreams on real servers: git's over every transport, files and pages over HTTP, a registry.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use fetcher_core::config::ProbeConfig;
use fetcher_core::diagnosis::FailureKind;
use fetcher_core::pipeline::{ProbeDoubt, Prober, RefSelection, UpstreamAnswer, UpstreamQuestion, UpstreamState};
use fetcher_tests::daemon::Daemon;
use fetcher_tests::git_fixture::{Fixture, Repo};
use fetcher_tests::http_git::{HttpGit, Manner};
use fetcher_tests::installed::program;
use fetcher_tests::sshd::Sshd;
use fetcher_tests::web_files::{WebAnswer, WebFiles};

pub(crate) fn prober(fixture: &Fixture) -> Prober<'_> {
    Prober::new(&ProbeConfig::default(), fixture.git(), fixture.path("probes"))
}

pub(crate) fn ask(fixture: &Fixture, question: UpstreamQuestion) -> Arc<UpstreamAnswer> {
    prober(fixture).ask(&[question]).remove(0)
}

pub(crate) fn file(url: impl Into<String>) -> UpstreamQuestion {
    UpstreamQuestion::HttpFile { url: url.into() }
}

pub(crate) fn refs(url: impl Into<String>, refs: RefSelection) -> UpstreamQuestion {
    UpstreamQuestion::GitRefs { url: url.into(), refs }
}

fn main_and_tags() -> RefSelection {
    RefSelection::named(["refs/heads/main"]).and(RefSelection::beginning(["refs/tags/v"]))
}

/// A repository `repos/x` with a branch that is not asked for, and an annotated and a plain tag.
fn repository(fixture: &Fixture) -> Repo {
    let repo = fixture.repo("repos/x");
    repo.git(&["branch", "main2"]);
    repo.git(&["tag", "-a", "-m", "one", "v1"]);
    repo.git(&["tag", "v2"]);
    repo.git(&["tag", "other"]);
    repo
}

/// Holds an answer to what the repository really has.
#[track_caller]
fn assert_listed(repo: &Repo, answer: &UpstreamAnswer) {
    let Some(UpstreamState::Git { refs }) = &answer.state else { panic!("{answer:?}") };
    let tip = repo.tip("main").to_string();
    let shown: Vec<_> = refs.iter().map(|found| (found.name, found.commit(), found.peeled.is_some())).collect();
    let expected = [("refs/heads/main", false), ("refs/tags/v1", true), ("refs/tags/v2", false)];
    assert_eq!(shown, expected.map(|(name, peeled)| (name, tip.as_str(), peeled)));
    assert_eq!(answer.signs.default_branch.as_deref(), Some("refs/heads/main"));
}

#[test]
fn smart_http_is_asked_with_one_request_and_no_process() {
    let fixture = Fixture::new();
    let repo = repository(&fixture);
    let server = HttpGit::start(&fixture.path("repos"), Manner::Open);
    let prober = prober(&fixture);
    let answers = prober.ask(&[refs(format!("{}/x", server.url), main_and_tags())]);
    assert_listed(&repo, &answers[0]);
    assert_eq!(fixture.runner.take().len(), 0);
    let report = prober.report();
    assert_eq!((report.asked(), report.answered(), report.hosts[0].requests), (1, 1, 1));
    assert!(report.bytes() < 1000, "{report:?}");
}

#[test]
fn questions_to_one_repository_are_one_request_whoever_asks() {
    let fixture = Fixture::new();
    let repo = repository(&fixture);
    let server = HttpGit::start(&fixture.path("repos"), Manner::Open);
    let prober = prober(&fixture);
    let url = format!("{}/x", server.url);
    let questions = [refs(&url, RefSelection::named(["refs/heads/main"])), refs(&url, main_and_tags())];
    thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| prober.ask(&questions))).collect();
        for answers in asked {
            let answers = answers.join().unwrap();
            assert_listed(&repo, &answers[1]);
            let Some(UpstreamState::Git { refs }) = &answers[0].state else { panic!("{answers:?}") };
            assert_eq!(refs.iter().count(), 1);
        }
    });
    assert_eq!(prober.report().hosts[0].requests, 1);
    // A new commit changes the state, another branch does not.
    let before = ask(&fixture, questions[0].clone()).state.as_ref().unwrap().digest();
    repo.git(&["branch", "another"]);
    assert_eq!(ask(&fixture, questions[0].clone()).state.as_ref().unwrap().digest(), before);
    repo.commit("second");
    assert_ne!(ask(&fixture, questions[0].clone()).state.as_ref().unwrap().digest(), before);
}

#[test]
fn git_daemon_is_asked_without_a_process() {
    let fixture = Fixture::new();
    let repo = repository(&fixture);
    let daemon = Daemon::git(&fixture.path("repos"));
    let answer = ask(&fixture, refs(format!("{}/x", daemon.url()), main_and_tags()));
    assert_listed(&repo, &answer);
    assert_eq!(fixture.runner.take().len(), 0);
    let answer = ask(&fixture, refs(format!("{}/nothing", daemon.url()), main_and_tags()));
    assert_eq!((answer.state.is_none(), answer.doubt), (true, Some(ProbeDoubt::NotFound)), "{answer:?}");
}

#[test]
fn a_commit_is_asked_for_and_not_got() {
    let fixture = Fixture::new();
    let repo = repository(&fixture);
    let old = repo.tip("main").to_string();
    repo.write("large", &"x".repeat(1 << 20));
    repo.commit("second");
    for tag in ["v1", "v2", "other"] {
        repo.git(&["tag", "-d", tag]);
    }
    repo.git(&["branch", "-f", "main2", "main"]);
    let commit =
        |url: &str, commit: &str| UpstreamQuestion::GitCommit { url: url.to_owned(), commit: commit.to_owned() };
    let server = HttpGit::start(&fixture.path("repos"), Manner::Open);
    let daemon = Daemon::git(&fixture.path("repos"));
    for url in [format!("{}/x", server.url), format!("{}/x", daemon.url())] {
        let prober = prober(&fixture);
        // No tip, and there all the same; and one that nobody has.
        let answers = prober.ask(&[commit(&url, &old), commit(&url, &"2".repeat(40)), commit(&url, "main")]);
        assert_eq!(answers[0].state, Some(UpstreamState::Held), "{answers:?}");
        assert_eq!(answers[1].failure.as_ref().unwrap().kind, FailureKind::RefMissing, "{answers:?}");
        assert_eq!((answers[1].doubt, answers[2].doubt), (Some(ProbeDoubt::NotFound), Some(ProbeDoubt::Unsupported)));
        let report = prober.report();
        assert!(report.bytes() < 2000 && report.hosts[0].requests == 2, "{report:?}");
        let missing = ask(&fixture, commit(&url.replace("/x", "/nothing"), &old));
        assert_eq!(missing.failure.as_ref().unwrap().kind, FailureKind::NotFound, "{missing:?}");
    }
    fixture.runner.take();
    // Where only a listing is to be had, what is not in it may be there.
    assert_eq!(ask(&fixture, commit(&repo.url(), &old)).doubt, Some(ProbeDoubt::Untold));
    assert_eq!(ask(&fixture, commit(&repo.url(), repo.tip("main").as_str())).state, Some(UpstreamState::Held));
}

#[test]
fn ssh_files_and_dumb_http_are_asked_by_git() {
    let mut fixture = Fixture::new();
    let repo = repository(&fixture);
    assert_listed(&repo, &ask(&fixture, refs(repo.url(), main_and_tags())));
    repo.git(&["update-server-info"]);
    let dumb = Daemon::files(&fixture.path("repos"));
    let answer = ask(&fixture, refs(format!("{}/x/.git", dumb.url()), main_and_tags()));
    assert_listed(&repo, &answer);
    let ssh = Sshd::start(&fixture.path("ssh"));
    let home = fixture.path("home/.ssh");
    fs::create_dir_all(&home).unwrap();
    // With the user's own key and the hosts that they know, as their settings of ssh would have it.
    let real = program("ssh");
    let bin = fixture.path("bin");
    let as_user = |settings: &str| {
        let script = format!("#!/bin/sh\nexec {} -F none {settings} \"$@\"\n", real.display());
        fs::write(bin.join("ssh"), script).unwrap();
        fs::set_permissions(bin.join("ssh"), PermissionsExt::from_mode(0o755)).unwrap();
    };
    fs::create_dir_all(&bin).unwrap();
    fixture.environment.set("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
    let (key, hosts) = (bin.join("key"), bin.join("hosts"));
    fs::copy(&ssh.key, &key).unwrap();
    fs::copy(&ssh.known_hosts, &hosts).unwrap();
    as_user(&format!("-i {} -o UserKnownHostsFile={}", key.display(), hosts.display()));
    assert_listed(&repo, &ask(&fixture, refs(ssh.url(&repo.path), main_and_tags())));
    let gone = ask(&fixture, refs(ssh.url(&fixture.path("repos/nothing")), main_and_tags()));
    assert_eq!((gone.state.is_none(), gone.doubt), (true, Some(ProbeDoubt::NotFound)), "{gone:?}");
    as_user("-o UserKnownHostsFile=/dev/null");
    // A host whose key nobody knows is not asked, and no question is put to anybody.
    let answer = ask(&fixture, refs(ssh.url(&repo.path), main_and_tags()));
    assert_eq!((answer.state.is_none(), answer.doubt), (true, Some(ProbeDoubt::Denied)), "{answer:?}");
}

#[test]
fn a_private_repository_needs_what_netrc_says_and_is_never_unchanged_without() {
    let mut fixture = Fixture::new();
    let repo = repository(&fixture);
    let server = HttpGit::start(&fixture.path("repos"), Manner::Guarded("Basic bWU6czNjcmV0".to_owned()));
    let question = || refs(format!("{}/x", server.url), main_and_tags());
    let answer = ask(&fixture, question());
    assert_eq!((answer.state.is_none(), answer.doubt), (true, Some(ProbeDoubt::Denied)), "{answer:?}");
    fs::write(fixture.path("netrc"), "machine 127.0.0.1 login me password s3cret\n").unwrap();
    fixture.environment.set("NETRC", fixture.path("netrc"));
    assert_listed(&repo, &ask(&fixture, question()));
    // And by no redirect to anybody else: another name of the same machine is another host.
    let elsewhere = HttpGit::start(&fixture.path("repos"), Manner::Guarded("Basic bm9ib2R5".to_owned()));
    let name = elsewhere.url.replace("127.0.0.1", "localhost");
    let redirecting = HttpGit::start(&fixture.path("repos"), Manner::Redirect(name));
    assert!(ask(&fixture, refs(format!("{}/x", redirecting.url), main_and_tags())).state.is_none());
    assert_eq!(*elsewhere.sent.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn a_repository_that_moved_says_where_to() {
    let fixture = Fixture::new();
    let repo = repository(&fixture);
    let real = HttpGit::start(&fixture.path("repos"), Manner::Open);
    let old = WebFiles::start();
    let target = format!("{}/x/info/refs?service=git-upload-pack", real.url);
    old.set("/old.git/info/refs", WebAnswer::to("301 Moved Permanently", &target));
    let answer = ask(&fixture, refs(format!("{}/old.git", old.url), main_and_tags()));
    assert_listed(&repo, &answer);
    assert_eq!(answer.signs.moved.as_deref(), Some(format!("{}/x", real.url).as_str()));
    old.set("/old.git/info/refs", WebAnswer::to("302 Found", &target));
    let answer = ask(&fixture, refs(format!("{}/old.git", old.url), main_and_tags()));
    assert_listed(&repo, &answer);
    assert_eq!(answer.signs.moved, None);
}

const TAG: &str = "ETag: \"abc\"\r\n";

#[test]
fn files_are_known_by_what_may_be_believed() {
    let (fixture, server) = (Fixture::new(), WebFiles::start());
    let doubt = |answer: WebAnswer| ask(&fixture, file(server.set("/x.tar", answer))).doubt;
    let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    assert_eq!(doubt(WebAnswer::ok(TAG, "x")), None);
    assert_eq!(doubt(WebAnswer::GetOnly(Box::new(WebAnswer::ok(TAG, "x")))), None);
    assert_eq!(doubt(WebAnswer::ok("ETag: W/\"abc\"\r\n", "x")), Some(ProbeDoubt::WeakValidator));
    assert_eq!(doubt(WebAnswer::ok("", "x")), Some(ProbeDoubt::NoValidator));
    let old = format!("{date}Last-Modified: Sun, 06 Nov 1994 08:00:00 GMT\r\n");
    assert_eq!(doubt(WebAnswer::ok(&old, "x")), None);
    let fresh = format!("{date}Last-Modified: Sun, 06 Nov 1994 08:49:36 GMT\r\n");
    assert_eq!(doubt(WebAnswer::ok(&fresh, "x")), Some(ProbeDoubt::TooRecent));
    for (status, expected) in [
        ("404 Not Found", ProbeDoubt::NotFound),
        ("410 Gone", ProbeDoubt::NotFound),
        ("401 No", ProbeDoubt::Denied),
        ("403 No", ProbeDoubt::Denied),
        ("500 Oh", ProbeDoubt::Failed),
    ] {
        assert_eq!(doubt(WebAnswer::Plain(status, TAG.to_owned(), Vec::new())), Some(expected), "{status}");
    }
}

#[test]
fn the_length_of_a_file_is_told_whoever_serves_it() {
    let (fixture, server, other) = (Fixture::new(), WebFiles::start(), WebFiles::start());
    let length = |url: String| ask(&fixture, UpstreamQuestion::FileLength { url });
    let present = |length| Some(UpstreamState::Present { length });
    assert_eq!(length(server.set("/x", WebAnswer::ok("ETag: W/\"a\"\r\n", "12345"))).state, present(Some(5)));
    let target = other.set("/x", WebAnswer::ok("", "123")).replace("127.0.0.1", "localhost");
    assert_eq!(length(server.set("/y", WebAnswer::to("302 Found", &target))).state, present(Some(3)));
    assert_eq!(length(server.set("/z", WebAnswer::GetOnly(Box::new(WebAnswer::Endless)))).state, present(None));
    assert_eq!(length(format!("{}/nothing", server.url)).doubt, Some(ProbeDoubt::NotFound));
    assert_eq!(length("file:///etc/passwd".to_owned()).doubt, Some(ProbeDoubt::Unsupported));
}

#[test]
fn another_file_is_another_state() {
    let (fixture, server) = (Fixture::new(), WebFiles::start());
    let state = |tag: &str, body: &str| {
        let url = server.set("/x.tar", WebAnswer::ok(&format!("ETag: \"{tag}\"\r\n"), body));
        ask(&fixture, file(url)).state.clone().unwrap()
    };
    let first = state("a", "x");
    assert_eq!(state("a", "x"), first);
    assert_ne!(state("b", "x"), first);
    // A server whose tag lies may still say another length.
    assert_ne!(state("a", "xyz"), first);
}

#[test]
fn a_host_keeps_its_connections_and_gets_few_requests_at_once() {
    let (fixture, server) = (Fixture::new(), WebFiles::start());
    let questions: Vec<_> =
        (0..200).map(|at| file(server.set(&format!("/{at}.tar"), WebAnswer::ok(TAG, "x")))).collect();
    let prober = prober(&fixture);
    assert!(prober.ask(&questions).iter().all(|answer| answer.state.is_some()));
    assert_eq!(server.take_requests().len(), 200);
    assert!(server.connections() <= 6, "{}", server.connections());
}

#[test]
fn slow_servers_and_those_that_close_connections_are_answers_all_the_same() {
    let (fixture, slow, closing) = (Fixture::new(), WebFiles::start(), WebFiles::start());
    let answer = || Box::new(WebAnswer::ok(TAG, "x"));
    let prober = prober(&fixture);
    let mut questions: Vec<_> =
        (0..20).map(|at| file(slow.set(&format!("/{at}"), WebAnswer::Slow(answer())))).collect();
    questions.extend((0..20).map(|at| file(closing.set(&format!("/{at}"), WebAnswer::Closing(answer())))));
    for answer in prober.ask(&questions) {
        assert!(answer.state.is_some(), "{answer:?}");
    }
    // And one after the other, so that each finds a connection that was kept and is closed.
    for at in 20..40 {
        let url = closing.set(&format!("/{at}"), WebAnswer::Closing(answer()));
        let answer = prober.ask(&[file(url)]).remove(0);
        assert!(answer.state.is_some(), "{answer:?}");
    }
    assert_eq!(prober.report().failed(), 0, "{:?}", prober.report());
}

#[test]
fn a_host_that_wants_to_be_asked_later_is() {
    let (fixture, server) = (Fixture::new(), WebFiles::start());
    let busy = |status, header: &str| {
        let busy = WebAnswer::Plain(status, header.to_owned(), Vec::new());
        WebAnswer::Times(1, Box::new(busy), Box::new(WebAnswer::ok(TAG, "x")))
    };
    let url = server.set("/x.tar", busy("429 Slow down", "Retry-After: 1\r\n"));
    let began = Instant::now();
    assert_eq!(ask(&fixture, file(url)).doubt, None);
    assert!(began.elapsed() >= Duration::from_millis(900));
    // One that wants too much is asked no more in this run, nor is anything else of it.
    let url = server.set("/y.tar", busy("503 Later", "Retry-After: 86400\r\n"));
    let prober = prober(&fixture);
    let answer = prober.ask(&[file(url)]).remove(0);
    assert_eq!(answer.failure.as_ref().unwrap().kind, FailureKind::ServerError);
    server.take_requests();
    let answer = prober.ask(&[file(server.set("/z.tar", WebAnswer::ok(TAG, "x")))]).remove(0);
    assert!(answer.state.is_none());
    assert_eq!(server.take_requests(), Vec::<String>::new());
}

#[test]
fn pages_are_read_again_only_where_they_changed() {
    let (fixture, server) = (Fixture::new(), WebFiles::start());
    let page = |tag: &str, body: &str| {
        let whole = WebAnswer::ok(&format!("ETag: {tag}\r\n"), body);
        let same = WebAnswer::Plain("304 Not Modified", String::new(), Vec::new());
        server.set("/index", WebAnswer::If("if-none-match", tag.to_owned(), Box::new(same), Box::new(whole)))
    };
    let url = page("W/\"a\"", "Foo 1.0 foo.tar\nBar 2.0 bar.tar\n");
    let line = |text: &str| UpstreamQuestion::IndexLines { url: url.clone(), containing: text.to_owned() };
    let run = || {
        let prober = prober(&fixture);
        let (prober, failure) = prober.remembering(&fixture.path("pages.json"));
        assert!(failure.is_none());
        let answers = prober.ask(&[line("Foo "), line("Bar "), UpstreamQuestion::HttpPage { url: url.clone() }]);
        prober.save().unwrap();
        (answers.iter().map(|answer| answer.state.clone().unwrap()).collect::<Vec<_>>(), prober.report().bytes())
    };
    let (first, _) = run();
    assert_eq!(first[0], UpstreamState::Lines { lines: vec!["Foo 1.0 foo.tar".to_owned()] });
    server.take_requests();
    let (second, bytes) = run();
    assert_eq!((second, server.take_requests().len()), (first.clone(), 1));
    assert!(bytes < 100, "{bytes}");
    page("W/\"b\"", "Foo 1.0 foo.tar\nBar 2.1 bar.tar\n");
    let (third, _) = run();
    assert_eq!((&third[0], third[1] == first[1], third[2] == first[2]), (&first[0], false, false));
}

#[test]
fn a_registry_tells_the_digest_of_a_tag_without_a_pull() {
    let (fixture, server) = (Fixture::new(), WebFiles::start());
    let digest = format!("sha256:{}", "a".repeat(64));
    let manifest = WebAnswer::ok(&format!("Docker-Content-Digest: {digest}\r\n"), "{}");
    let challenge =
        format!("WWW-Authenticate: Bearer realm=\"{}/token\",service=\"s\",scope=\"r:x:pull\"\r\n", server.url);
    let asked = WebAnswer::Plain("401 Who", challenge, Vec::new());
    let guarded = WebAnswer::If("authorization", "Bearer t0ken".to_owned(), Box::new(manifest), Box::new(asked));
    server.set("/v2/library/x/manifests/1", guarded);
    server.set("/token", WebAnswer::ok("", "{\"token\": \"t0ken\"}"));
    let question = |image: &str| UpstreamQuestion::ContainerManifest {
        registry: server.url.clone(),
        image: image.to_owned(),
        tag: "1".to_owned(),
    };
    assert_eq!(ask(&fixture, question("library/x")).state, Some(UpstreamState::Manifest { digest }));
    let expected =
        ["HEAD /v2/library/x/manifests/1", "GET /token?service=s&scope=r%3Ax%3Apull", "HEAD /v2/library/x/manifests/1"];
    assert_eq!(server.take_requests(), expected);
    assert_eq!(ask(&fixture, question("library/../x")).doubt, Some(ProbeDoubt::Unsupported));
    assert_eq!(server.take_requests(), Vec::<String>::new());
}

#[test]
fn the_checksum_of_an_ostree_ref_is_read() {
    let (fixture, server) = (Fixture::new(), WebFiles::start());
    server.set("/repo/refs/heads/os/x86_64", WebAnswer::ok("", format!("{}\n", "b".repeat(64))));
    let question =
        |name: &str| UpstreamQuestion::OstreeRef { url: format!("{}/repo/", server.url), name: name.to_owned() };
    let answer = ask(&fixture, question("os/x86_64"));
    assert_eq!(answer.state, Some(UpstreamState::Commit { checksum: "b".repeat(64) }));
    assert_eq!(ask(&fixture, question("nothing")).doubt, Some(ProbeDoubt::NotFound));
}

#[test]
fn nginx_before_git_http_backend_keeps_one_connection() {
    let fixture = Fixture::new();
    let repo = repository(&fixture);
    for at in 0..20 {
        let source = repo.path.display().to_string();
        let clone = fixture.path(&format!("repos/c{at}"));
        let made = Command::new("git").args(["clone", "-q", "--bare", &source]).arg(&clone).status().unwrap();
        assert!(made.success());
    }
    let backend = HttpGit::start(&fixture.path("repos"), Manner::Open);
    let nginx =
        fetcher_tests::daemon::nginx(&fixture.path("nginx"), &format!("location / {{ proxy_pass {}; }}", backend.url));
    let questions: Vec<_> = (0..20).map(|at| refs(format!("{}/c{at}", nginx.url()), main_and_tags())).collect();
    let prober = prober(&fixture);
    for answer in prober.ask(&questions) {
        assert_listed(&repo, &answer);
    }
    let log = fs::read_to_string(fixture.path("nginx/access.log")).unwrap();
    let connections: std::collections::BTreeSet<_> = log.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(log.lines().count(), 20);
    assert!(connections.len() <= 6, "{log}");
}
