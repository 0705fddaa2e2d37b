//! Remotes over every transport, with the credentials that reach them, and what is said when they do not.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fetcher_core::git::{GitAccess, GitError, GitFailure};
use fetcher_tests::git_fixture::{Fixture, fetch};
use fetcher_tests::http_git::{HttpGit, Manner};
use fetcher_tests::sshd::Sshd;
use fetcher_tests::waiting;

/// `Basic oauth2:s3cret`.
const OAUTH2: &str = "Basic b2F1dGgyOnMzY3JldA==";
/// `Basic me:s3cret`.
const ME: &str = "Basic bWU6czNjcmV0";

fn token(fixture: &Fixture, text: &str) -> GitAccess {
    let path = fixture.path("token");
    fs::write(&path, text).unwrap();
    {
        let mut it = GitAccess::default();
        it.token_file = Some(path);
        it
    }
}

/// Lists and fetches `main`, and checks it out.
fn follow(fixture: &Fixture, url: &str, access: &GitAccess) -> Result<(), GitError> {
    let mirror = fixture.mirror_with(url, access);
    mirror.remote_refs()?;
    let tip = fetch(&mirror, &["main"]).tips.remove(0);
    mirror.checkout(&fixture.path("slot"), &tip.commit, Some(&fixture.path("modules"))).map(drop)
}

fn failure(fixture: &Fixture, url: &str, access: &GitAccess) -> GitFailure {
    let error = fixture.mirror_with(url, access).remote_refs().unwrap_err();
    let failure = error.failure();
    assert!(!error.to_string().contains("s3cret") && !format!("{error:?}").contains("s3cret"), "{error:?}");
    println!("{failure:?}: {error}");
    failure
}

/// Holds every child that was run to what may be seen by everybody on the machine.
fn assert_no_secret_in_arguments(fixture: &Fixture) {
    for invocation in fixture.runner.take() {
        assert!(!format!("{:?}", invocation.command).contains("s3cret"), "{:?}", invocation.command);
    }
}

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn git_daemon() {
    let fixture = Fixture::new();
    fixture.repo("repos/x");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // The daemon itself, not through `git`: else ending it would leave it running.
    let exec_path = String::from_utf8(Command::new("git").arg("--exec-path").output().unwrap().stdout).unwrap();
    let child = Command::new(Path::new(exec_path.trim()).join("git-daemon"))
        .args(["--export-all", "--listen=127.0.0.1", &format!("--port={port}"), "--reuseaddr"])
        .arg(format!("--base-path={}", fixture.path("repos").display()))
        .env("PATH", format!("{}:{}", exec_path.trim(), std::env::var("PATH").unwrap()))
        .stderr(Stdio::null())
        .spawn();
    let _daemon = Daemon(child.unwrap());
    let url = format!("git://127.0.0.1:{port}");
    waiting::until("git daemon listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    follow(&fixture, &format!("{url}/x"), &GitAccess::default()).unwrap();
    assert_eq!(failure(&fixture, &format!("{url}/nothing"), &GitAccess::default()), GitFailure::NotFound);
}

#[test]
fn smart_http_without_and_with_a_token() {
    let fixture = Fixture::new();
    let repo = fixture.repo("repos/x");
    let open = HttpGit::start(&fixture.path("repos"), Manner::Open);
    follow(&fixture, &format!("{}/x", open.url), &GitAccess::default()).unwrap();
    assert_eq!(failure(&fixture, &format!("{}/nothing", open.url), &GitAccess::default()), GitFailure::NotFound);

    repo.commit("next");
    let guarded = HttpGit::start(&fixture.path("repos"), Manner::Guarded(OAUTH2.to_owned()));
    let url = format!("{}/x", guarded.url);
    follow(&fixture, &url, &token(&fixture, "s3cret\n")).unwrap();
    assert_eq!(failure(&fixture, &url, &GitAccess::default()), GitFailure::Unauthorised);
    assert_eq!(failure(&fixture, &url, &token(&fixture, "wrong-s3cret")), GitFailure::Unauthorised);
    assert_no_secret_in_arguments(&fixture);
}

#[test]
fn credentials_in_an_address_and_a_configured_user() {
    let fixture = Fixture::new();
    fixture.repo("repos/x");
    let guarded = HttpGit::start(&fixture.path("repos"), Manner::Guarded(ME.to_owned()));
    let host = guarded.url.strip_prefix("http://").unwrap();
    follow(&fixture, &format!("http://me:s3cret@{host}/x"), &GitAccess::default()).unwrap();
    let mirror = fs::read_to_string(fixture.path("mirror/config")).unwrap();
    assert!(!mirror.contains("s3cret"));
    follow(&fixture, &format!("http://me@{host}/x"), &token(&fixture, "s3cret")).unwrap();
    let named = {
        let mut it = token(&fixture, "s3cret");
        it.username = Some("me".to_owned());
        it
    };
    follow(&fixture, &format!("{}/x", guarded.url), &named).unwrap();
    assert_eq!(
        failure(&fixture, &format!("http://me:bad-s3cret@{host}/x"), &GitAccess::default()),
        GitFailure::Unauthorised
    );
    assert_no_secret_in_arguments(&fixture);
}

#[test]
fn a_token_goes_to_no_other_host_by_redirect_or_submodule() {
    let fixture = Fixture::new();
    let (top, sub) = (fixture.repo("repos/top"), fixture.repo("repos/sub"));
    let evil = HttpGit::start(&fixture.path("repos"), Manner::Guarded("Basic bm90aGluZw==".to_owned()));
    let access = token(&fixture, "s3cret");
    let redirecting = HttpGit::start(&fixture.path("repos"), Manner::Redirect(evil.url.clone()));
    assert_eq!(failure(&fixture, &format!("{}/sub", redirecting.url), &access), GitFailure::Unauthorised);
    assert_eq!(*evil.sent.lock().unwrap(), Vec::<String>::new());

    let guarded = HttpGit::start(&fixture.path("repos"), Manner::Guarded(OAUTH2.to_owned()));
    let url = format!("{}/top", guarded.url);
    top.submodule("../sub", "sub", &sub.tip("HEAD"));
    // Not even to the same host, for another repository than is said.
    let error = follow(&fixture, &url, &access).unwrap_err();
    assert_eq!(error.failure(), GitFailure::Unauthorised, "{error}");
    let access = {
        let mut it = access;
        it.credentials_for = vec![format!("{}/sub", guarded.url)];
        it
    };
    follow(&fixture, &url, &access).unwrap();
    top.submodule(&format!("{}/sub", evil.url), "sub", &sub.tip("HEAD"));
    let error = follow(&fixture, &url, &access).unwrap_err();
    assert_eq!(error.failure(), GitFailure::Unauthorised, "{error}");
    assert_eq!(*evil.sent.lock().unwrap(), Vec::<String>::new());

    top.submodule(&fixture.repo("private").url(), "sub", &sub.tip("HEAD"));
    let error = follow(&fixture, &url, &access).unwrap_err();
    assert_eq!(error.failure(), GitFailure::Protocol, "{error}");
}

#[test]
fn the_user_s_own_credential_helpers_serve_where_no_token_is_configured() {
    let fixture = Fixture::new();
    fixture.repo("repos/x");
    let guarded = HttpGit::start(&fixture.path("repos"), Manner::Guarded(ME.to_owned()));
    let helper = "[credential]\n helper = \"!f() { echo username=me; echo password=s3cret; }; f\"\n";
    fs::write(fixture.path("home/.gitconfig"), helper).unwrap();
    let url = format!("{}/x", guarded.url);
    follow(&fixture, &url, &GitAccess::default()).unwrap();
    assert_eq!(failure(&fixture, &url, &token(&fixture, "other")), GitFailure::Unauthorised);
}

#[test]
fn what_http_servers_say_is_told_apart() {
    let fixture = Fixture::new();
    for (status, expected) in [
        ("403 Forbidden", GitFailure::Unauthorised),
        ("404 Not Found", GitFailure::NotFound),
        ("429 Too Many Requests", GitFailure::RateLimited),
        ("500 Internal Server Error", GitFailure::ServerError),
        ("503 Service Unavailable", GitFailure::ServerError),
    ] {
        let server = HttpGit::start(Path::new("/nowhere"), Manner::Status(status));
        assert_eq!(failure(&fixture, &format!("{}/x", server.url), &GitAccess::default()), expected, "{status}");
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let closed = format!("http://127.0.0.1:{port}/x");
    assert_eq!(failure(&fixture, &closed, &GitAccess::default()), GitFailure::Unreachable);
    assert_eq!(failure(&fixture, &format!("git://127.0.0.1:{port}/x"), &GitAccess::default()), GitFailure::Unreachable);
    assert_eq!(failure(&fixture, "https://host.invalid/x", &GitAccess::default()), GitFailure::Dns);
    assert_eq!(failure(&fixture, "git://host.invalid/x", &GitAccess::default()), GitFailure::Dns);
    assert_eq!(failure(&fixture, "ssh://host.invalid/x", &GitAccess::default()), GitFailure::Dns);
    let plain = HttpGit::start(Path::new("/nowhere"), Manner::Open).url.replace("http:", "https:");
    assert_eq!(failure(&fixture, &format!("{plain}/x"), &GitAccess::default()), GitFailure::Tls);
}

#[test]
fn an_http_server_that_never_answers_is_left_at_the_deadline() {
    let mut fixture = Fixture::new();
    fixture.timeout = Duration::from_millis(500);
    let server = HttpGit::start(Path::new("/nowhere"), Manner::Silent);
    assert_eq!(failure(&fixture, &format!("{}/x", server.url), &GitAccess::default()), GitFailure::TimedOut);
}

#[test]
fn ssh_with_the_right_key_and_the_right_host_alone() {
    let fixture = Fixture::new();
    let repo = fixture.repo("repos/top");
    let sub = fixture.repo("repos/sub");
    repo.submodule("../sub", "sub", &sub.tip("HEAD"));
    let sshd = Sshd::start(&fixture.path("ssh d"));
    let url = sshd.url(&repo.path);
    let access = |key: &Path, hosts: &Path| {
        let mut it = GitAccess::default();
        it.ssh_key = Some(key.to_owned());
        it.known_hosts = Some(hosts.to_owned());
        it.credentials_for = vec![sshd.url(&sub.path)];
        it
    };
    follow(&fixture, &url, &access(&sshd.key, &sshd.known_hosts)).unwrap();
    assert!(fixture.path("slot/tree/sub/project.conf").exists());
    assert_eq!(failure(&fixture, &url, &access(&sshd.key, &sshd.wrong_hosts)), GitFailure::HostKey);
    let none = fixture.path("no hosts");
    fs::write(&none, "").unwrap();
    assert_eq!(failure(&fixture, &url, &access(&sshd.key, &none)), GitFailure::HostKey);
    assert_eq!(fs::read_to_string(&none).unwrap(), "", "an unknown host is not made known");
    assert_eq!(failure(&fixture, &url, &access(&sshd.other_key, &sshd.known_hosts)), GitFailure::Unauthorised);
    let gone = sshd.url(&fixture.path("repos/gone"));
    assert_eq!(failure(&fixture, &gone, &access(&sshd.key, &sshd.known_hosts)), GitFailure::NotFound);
    let error =
        fetcher_core::git::RemoteRepository::new(&url, &access(&sshd.key, &fixture.path("missing"))).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
}

#[test]
fn an_ssh_agent_serves_where_no_key_is_configured() {
    let mut fixture = Fixture::new();
    let repo = fixture.repo("repos/x");
    let sshd = Sshd::start(&fixture.path("sshd"));
    let socket = fixture.path("agent");
    let agent = Command::new("ssh-agent").args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn().unwrap();
    let _agent = Daemon(agent);
    waiting::for_socket(&socket);
    let mut add = Command::new("ssh-add");
    assert!(add.arg("-q").arg(&sshd.key).env("SSH_AUTH_SOCK", &socket).status().unwrap().success());
    let access = {
        let mut it = GitAccess::default();
        it.known_hosts = Some(sshd.known_hosts.clone());
        it
    };
    assert_eq!(failure(&fixture, &sshd.url(&repo.path), &access), GitFailure::Unauthorised);
    fixture.environment.set("SSH_AUTH_SOCK", &socket);
    follow(&fixture, &sshd.url(&repo.path), &access).unwrap();
}
