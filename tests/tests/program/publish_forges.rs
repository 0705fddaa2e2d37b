//! Requests by the interfaces of forges, by `AGit` and by Gerrit's references.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use fetcher_tests::published::{Publishing, kinds, publish_stage, statuses};
use fetcher_tests::rest_forge::{RestForge, RestRequest, Vendor};
use fetcher_tests::scratch::Scratch;

const BRANCH: &str = "bst-fetcher/main";
const TOKEN: &str = "s3cr3t-forge-token";

fn moved(digit: char) -> String {
    format!("track_ref() {{ [ $1 != a.bst ] || ref={}; }}\n", digit.to_string().repeat(40))
}

fn publish(scratch: &Scratch, forge: &str, rest: &RestForge, more: &str) -> String {
    scratch.write("forge.token", format!("{TOKEN}\n"));
    fs::set_permissions(scratch.path("forge.token"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("its mode");
    format!(
        "mode = \"merge-request\"\nforge = \"{forge}\"\napi-url = \"{}\"\ntoken-file = \"forge.token\"\n{more}",
        rest.url
    )
}

fn states(rest: &RestForge) -> Vec<String> {
    rest.requests().into_iter().map(|request| request.state).collect()
}

/// The life of a request: made once, brought up to date, left alone while it merges, closed, merged.
fn whole_life(vendor: Vendor, forge: &str) {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &moved('1'));
    let rest = RestForge::start(vendor, TOKEN);
    let labels = if vendor == Vendor::Gitea { "" } else { "labels = [\"update\"]" };
    let fetcher = publishing.fetcher(&publish(&scratch, forge, &rest, labels), "");
    fetcher.run(&["run"]).expect(0);
    assert_eq!(statuses(&fetcher), ["pushed"]);
    let [RestRequest { title, body, head, base, labels, .. }] = &rest.requests()[..] else {
        panic!("{:?}", rest.requests())
    };
    assert_eq!((&**title, &**head, &**base), ("Update a.bst", BRANCH, "main"));
    assert!(body.contains("| `a.bst` | `aaaaaaaaaaaa` | `111111111111` |"), "{body}");
    assert_eq!(labels.is_empty(), vendor == Vendor::Gitea);
    let url = fetcher.report()["branches"][0]["publication"]["requests"][0]["url"].clone();
    assert!(url.as_str().is_some_and(|url| url.ends_with("/1")), "{url}");

    // Again, without any memory: the same request, and nothing is said to it.
    fs::remove_dir_all(scratch.path("state")).expect("a directory");
    fetcher.run(&["run"]).expect(0);
    let changed = |rest: &RestForge| {
        rest.state
            .lock()
            .expect("its state")
            .asked
            .iter()
            .filter(|(method, _, _)| method == "PUT" || method == "PATCH")
            .count()
    };
    assert_eq!((statuses(&fetcher), rest.requests().len(), changed(&rest)), (vec!["open".to_owned()], 1, 0));

    // Upstream moves: the branch and the words follow.
    publishing.fake.now(&moved('2'));
    fetcher.run(&["run"]).expect(0);
    assert!(rest.requests()[0].body.contains("`222222222222`") && changed(&rest) == 1, "{:?}", rest.requests());
    assert!(publishing.element(BRANCH, "a").contains(&"2".repeat(40)));

    // A merge bot has it.
    rest.change(|state| state.requests[0].assignees.push("marge-bot".to_owned()));
    publishing.fake.now(&moved('3'));
    let tip = publishing.repo.tip(BRANCH);
    fetcher.run(&["run"]).expect(0);
    assert_eq!((statuses(&fetcher), publishing.repo.tip(BRANCH)), (vec!["merging".to_owned()], tip));

    // Somebody closes it: the same is not proposed again, with or without memory.
    rest.change(|state| state.requests[0].assignees.clear());
    fetcher.run(&["run"]).expect(0);
    rest.change(|state| "closed".clone_into(&mut state.requests[0].state));
    for _ in 0..2 {
        fetcher.run(&["run"]).expect(0);
        assert_eq!((statuses(&fetcher), states(&rest)), (vec!["closed".to_owned()], vec!["closed".to_owned()]));
        fs::remove_dir_all(scratch.path("state")).expect("a directory");
    }
    publishing.fake.now(&moved('4'));
    fetcher.run(&["run"]).expect(0);
    assert_eq!(
        (statuses(&fetcher), states(&rest)),
        (vec!["pushed".to_owned()], vec!["closed".to_owned(), "open".to_owned()])
    );

    publishing.repo.merge(&scratch, BRANCH, "main");
    rest.change(|state| "merged".clone_into(&mut state.requests[1].state));
    fetcher.run(&["run"]).expect(0);
    assert_eq!((statuses(&fetcher), publishing.repo.branches()), (vec!["merged".to_owned()], vec!["main".to_owned()]));
}

#[test]
fn github_requests_are_made_updated_closed_and_merged() {
    whole_life(Vendor::GitHub, "github");
}

#[test]
fn gitlab_requests_are_made_updated_closed_and_merged() {
    whole_life(Vendor::GitLab, "gitlab");
}

#[test]
fn gitea_requests_are_made_updated_closed_and_merged() {
    whole_life(Vendor::Gitea, "gitea");
}

#[test]
fn what_the_forge_says_conflicts_is_brought_up_to_date_though_a_merge_bot_has_it() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &moved('1'));
    let rest = RestForge::start(Vendor::GitLab, TOKEN);
    let fetcher = publishing.fetcher(&publish(&scratch, "gitlab", &rest, ""), "");
    fetcher.run(&["run"]).expect(0);
    rest.change(|state| state.requests[0].assignees.push("marge-bot".to_owned()));
    publishing.fake.now(&moved('2'));
    let tip = publishing.repo.tip(BRANCH);
    fetcher.run(&["run"]).expect(0);
    assert_eq!((statuses(&fetcher), publishing.repo.tip(BRANCH)), (vec!["merging".to_owned()], tip));
    // Its commits alone do not show it: the target has a rule of its own, say.
    rest.change(|state| state.requests[0].conflicts = true);
    fetcher.run(&["run"]).expect(0);
    assert_eq!(statuses(&fetcher), ["pushed"]);
    assert!(publishing.element(BRANCH, "a").contains(&"2".repeat(40)));
}

#[test]
fn a_lost_answer_makes_no_second_request_and_refusals_are_told_apart() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &moved('1'));
    let rest = RestForge::start(Vendor::GitHub, TOKEN);
    let fetcher = publishing.fetcher(&publish(&scratch, "github", &rest, ""), "");
    rest.change(|state| state.loses_answers = true);
    fetcher.run(&["run"]).expect(1);
    assert_eq!(kinds(&publish_stage(&fetcher)["failures"]), ["network"]);
    rest.change(|state| state.loses_answers = false);
    fetcher.run(&["run"]).expect(0);
    assert_eq!((statuses(&fetcher), rest.requests().len()), (vec!["open".to_owned()], 1));

    let words = "{\"message\": \"no\"}".to_owned();
    for (status, kind) in [
        ("401 Unauthorized", "unauthorised"),
        ("403 Forbidden", "publish-denied"),
        ("404 Not Found", "publish-denied"),
        ("403 Forbidden\r\nRetry-After: 4000", "rate-limited"),
        ("429 Too Many\r\nRetry-After: 4000", "rate-limited"),
        ("502 Bad Gateway", "server-error"),
        ("200 OK", "server-error"),
    ] {
        rest.change(|state| state.first.push_back((status.to_owned(), words.clone())));
        let ended = fetcher.run(&["run"]).expect(1);
        assert_eq!(kinds(&publish_stage(&fetcher)["failures"]), [kind], "{status}");
        assert!(!ended.stderr().contains(TOKEN), "{ended}");
    }
    // It is waited for what a forge asks to be waited for.
    let delivery_timeout = ("429 Too Many\r\nRetry-After: 1".to_owned(), words.clone());
    rest.change(|state| state.first.extend([delivery_timeout.clone(), delivery_timeout]));
    fetcher.run(&["run"]).expect(0);
    // Garbage and endless lists are no requests.
    for answer in ["<html>", "[{\"number\": -1}]", "[[[[[[", "null", "{\"a\": 1}"] {
        rest.change(|state| state.first.push_back(("200 OK".to_owned(), answer.to_owned())));
        let ended = fetcher.run(&["run"]);
        assert!(matches!(ended.status(), 0 | 1) && rest.requests().len() == 1, "{answer}: {ended}");
    }
    let state = fs::read_to_string(scratch.path("state/publish/example/main.json")).expect("a text");
    assert!(!state.contains(TOKEN));
}

#[test]
fn an_app_of_githubs_asks_for_a_token_with_what_its_key_has_signed() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &moved('1'));
    let rest = RestForge::start(Vendor::GitHub, TOKEN);
    let key = scratch.path("app.pem");
    let openssl = |arguments: &[&str]| {
        let done = Command::new("openssl").args(arguments).current_dir(scratch.root()).output().expect("openssl");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    openssl(&["genrsa", "-traditional", "-out", "app.pem", "2048"]);
    openssl(&["rsa", "-in", "app.pem", "-pubout", "-out", "public.pem"]);
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("its mode");
    let text = format!(
        "mode = \"merge-request\"\nforge = \"github\"\napi-url = \"{}\"\n\
         app = {{ id = 7, installation = 8, private-key = \"app.pem\" }}",
        rest.url
    );
    // Who pushes has to have the App's token, too.
    let guarded = publishing.repo.guarded_url("Basic eC1hY2Nlc3MtdG9rZW46czNjcjN0LWZvcmdlLXRva2Vu");
    let fetcher = publishing.fetcher(&format!("{text}\npush-url = \"{guarded}\""), "");
    fetcher.run(&["run"]).expect(0);
    assert_eq!(rest.requests().len(), 1);
    let jwt = rest.state.lock().expect("its state").web_tokens.clone();
    assert_eq!(jwt.len(), 1, "one token for all that is asked");
    let (content, signature) = jwt[0].rsplit_once('.').expect("three parts");
    scratch.write("content", content);
    scratch.write(
        "signature.b64",
        signature.replace('-', "+").replace('_', "/") + &"=".repeat((4 - signature.len() % 4) % 4),
    );
    openssl(&["base64", "-d", "-A", "-in", "signature.b64", "-out", "signature"]);
    openssl(&["dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "content"]);
}

#[test]
fn what_is_to_merge_by_itself_is_set_to_and_once_more_where_that_failed() {
    for (vendor, forge) in [(Vendor::GitHub, "github"), (Vendor::GitLab, "gitlab"), (Vendor::Gitea, "gitea")] {
        let scratch = Scratch::new();
        let publishing = Publishing::new(&scratch, &moved('1'));
        let rest = RestForge::start(vendor, TOKEN);
        rest.change(|state| state.refuses_auto_merge = true);
        let fetcher = publishing.fetcher(&publish(&scratch, forge, &rest, "auto-merge = true"), "");
        fetcher.run(&["run"]).expect(1);
        assert_eq!(kinds(&publish_stage(&fetcher)["failures"]), ["request-refused"], "{forge}");
        assert_eq!((rest.requests().len(), rest.requests()[0].auto_merge), (1, false), "{forge}");
        rest.change(|state| state.refuses_auto_merge = false);
        fetcher.run(&["run"]).expect(0);
        assert_eq!((rest.requests().len(), rest.requests()[0].auto_merge), (1, true), "{forge}");
        // It is at work: nothing is pushed to it.
        let tip = publishing.repo.tip(BRANCH);
        publishing.fake.now(&moved('2'));
        fetcher.run(&["run"]).expect(0);
        if vendor == Vendor::Gitea {
            // Its interface does not tell of it.
            assert_eq!(statuses(&fetcher), ["pushed"]);
        } else {
            assert_eq!((statuses(&fetcher), publishing.repo.tip(BRANCH)), (vec!["merging".to_owned()], tip), "{forge}");
        }
    }
}

#[test]
fn gerrit_gets_a_change_for_each_commit_with_an_id_that_stays() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &moved('1'));
    publishing.repo.git(&["config", "receive.procReceiveRefs", "refs/for"]);
    publishing.repo.hook("proc-receive", GERRIT);
    let fetcher = publishing.fetcher("mode = \"merge-request\"\nforge = \"gerrit\"\nassignees = [\"al\"]", "");
    let changes = || publishing.repo.git(&["for-each-ref", "--format=%(refname) %(subject)", "refs/changes"]);
    let log = || fs::read_to_string(publishing.repo.path().join("gerrit")).unwrap_or_default();
    fetcher.run(&["run"]).expect(0);
    assert_eq!(log(), "refs/for/main%topic=bst-fetcher/main,r=al\n");
    let change = changes();
    assert!(change.starts_with("refs/changes/I") && change.ends_with("a.bst: update to 111111111111"), "{change}");
    // Without memory it is pushed again, and that there is nothing new is no failure.
    fs::remove_dir_all(scratch.path("state")).expect("a directory");
    fetcher.run(&["run"]).expect(0);
    assert_eq!((statuses(&fetcher), log().lines().count(), changes()), (vec!["unknown".to_owned()], 2, change.clone()));
    publishing.fake.now(&moved('2'));
    fetcher.run(&["run"]).expect(0);
    assert_eq!(changes(), change.replace("111111111111", "222222222222"), "another patch set of the same change");
    assert_eq!(publishing.repo.branches(), ["main"]);
}

/// Speaks the protocol of gitprotocol-pack(5), "proc-receive", as Gerrit behaves: a change by its `Change-Id`.
const GERRIT: &str = r#"#!/usr/bin/env python3
import re, subprocess, sys

def read():
    size = int(sys.stdin.buffer.read(4), 16)
    return None if size == 0 else sys.stdin.buffer.read(size - 4)

def write(line=None):
    data = b"0000" if line is None else b"%04x" % (len(line) + 4) + line
    sys.stdout.buffer.write(data)

def git(*arguments):
    return subprocess.run(["git", *arguments], capture_output=True, text=True).stdout.strip()

read()
while read() is not None:
    pass
write(b"version=1\n")
write()
sys.stdout.buffer.flush()
commands = []
while (line := read()) is not None:
    commands.append(line.decode().split())
for old, new, ref in commands:
    with open("gerrit", "a") as log:
        log.write(ref + "\n")
    changed = False
    for commit in git("rev-list", new, "^refs/heads/main").split():
        change = "refs/changes/" + re.findall("^Change-Id: (I[0-9a-f]{40})$", git("log", "-1", "--format=%B", commit), re.M)[0]
        changed |= git("rev-parse", "-q", "--verify", change) != commit
        git("update-ref", change, commit)
    write(b"ok %s\n" % ref.encode() if changed else b"ng %s no new changes\n" % ref.encode())
write()
sys.stdout.buffer.flush()
"#;

#[test]
fn agit_makes_a_request_of_a_push_and_forces_only_what_is_its_own() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &moved('1'));
    // Git's own `proc-receive` as Gitea's: a push to refs/for/BASE becomes refs/pull/1/head.
    publishing.repo.git(&["config", "receive.procReceiveRefs", "refs/for"]);
    publishing.repo.hook("proc-receive", AGIT);
    let fetcher = publishing.fetcher("mode = \"merge-request\"\nforge = \"gitea\"", "");
    fetcher.run(&["run"]).expect(0);
    let head = || publishing.repo.git(&["rev-parse", "refs/pull/1/head"]);
    let log = || fs::read_to_string(publishing.repo.path().join("agit")).unwrap_or_default();
    assert!(log().contains("topic=bst-fetcher/main") && log().contains("title=Update a.bst"), "{}", log());
    assert_eq!(publishing.repo.branches(), ["main"]);
    let first = head();
    fetcher.run(&["run"]).expect(0);
    assert_eq!((statuses(&fetcher), head()), (vec!["unknown".to_owned()], first.clone()));
    fs::remove_dir_all(scratch.path("state")).expect("a directory");
    fetcher.run(&["run"]).expect(0);
    assert_eq!((statuses(&fetcher), head()), (vec!["unknown".to_owned()], first), "the same commit is no error");

    publishing.fake.now(&moved('2'));
    fs::remove_file(publishing.repo.path().join("agit")).expect("a file");
    fetcher.run(&["run"]).expect(0);
    assert!(log().contains("force-push=true"), "{}", log());
    let seen: BTreeSet<_> = [head()].into();
    assert!(publishing.repo.git(&["show", "refs/pull/1/head:elements/a.bst"]).contains(&"2".repeat(40)), "{seen:?}");

    // Another host, which remembers nothing, finds it by its commits.
    fs::remove_dir_all(scratch.path("state")).expect("a directory");
    publishing.fake.now(&moved('3'));
    fetcher.run(&["run"]).expect(0);
    assert_eq!(statuses(&fetcher), ["pushed"]);
    assert!(publishing.repo.git(&["show", "refs/pull/1/head:elements/a.bst"]).contains(&"3".repeat(40)));
    // And so it finds what somebody has added.
    publishing.repo.git(&["branch", "theirs", "refs/pull/1/head"]);
    let human = publishing.repo.clone_of(&scratch, "human", "theirs");
    human.write("README", "mine\n");
    human.commit("Mine");
    human.git(&["push", "--quiet", "origin", "theirs"]);
    publishing.repo.git(&["update-ref", "refs/pull/1/head", "theirs"]);
    publishing.repo.git(&["branch", "-D", "theirs"]);
    fs::remove_dir_all(scratch.path("state")).expect("a directory");
    publishing.fake.now(&moved('4'));
    fetcher.run(&["run"]).expect(0);
    assert_eq!((statuses(&fetcher), head()), (vec!["paused".to_owned()], human.git(&["rev-parse", "HEAD"])));
}

/// Speaks the protocol of gitprotocol-pack(5), "proc-receive", in the shell.
const AGIT: &str = r#"#!/usr/bin/env python3
import os, subprocess, sys

def read():
    size = int(sys.stdin.buffer.read(4), 16)
    return None if size == 0 else sys.stdin.buffer.read(size - 4)

def write(line=None):
    data = b"0000" if line is None else b"%04x" % (len(line) + 4) + line
    sys.stdout.buffer.write(data)

caps = read().split(b"\0")[1]
while read() is not None:
    pass
write(b"version=1\0push-options\n")
write()
sys.stdout.buffer.flush()
commands, options = [], []
while (line := read()) is not None:
    commands.append(line.decode().split())
if b"push-options" in caps:
    while (line := read()) is not None:
        options.append(line.decode())
with open("agit", "a") as log:
    log.write("\n".join(options) + "\n")
head = "refs/pull/1/head"
for old, new, ref in commands:
    known = subprocess.run(["git", "rev-parse", "-q", "--verify", head], capture_output=True, text=True).stdout.strip()
    if known == new:
        write(b"ng %s new commit is the same with old commit\n" % ref.encode())
        continue
    behind = subprocess.run(["git", "merge-base", "--is-ancestor", head, new], stderr=subprocess.DEVNULL).returncode
    if known and behind and "force-push=true" not in options:
        write(b"ng %s request `force-push` push option\n" % ref.encode())
        continue
    subprocess.run(["git", "update-ref", head, new], check=True)
    sys.stderr.write("Visit the existing pull request:\n  http://forge.example.org/group/project/pulls/1\n")
    write(b"ok %s\n" % ref.encode())
write()
sys.stdout.buffer.flush()
"#;

#[test]
fn commits_are_signed_with_ssh_and_openpgp_and_are_the_same_again() {
    for kind in ["ssh", "openpgp"] {
        let scratch = Scratch::new();
        let publishing = Publishing::new(&scratch, &moved('1'));
        let run = |command: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-ec", command]).current_dir(scratch.root()).env("HOME", scratch.path("home"));
            let done = shell.output().expect("sh");
            assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
        };
        if kind == "ssh" {
            run("ssh-keygen -q -t ed25519 -N '' -f key; echo \"fetcher@example.org $(cat key.pub)\" >signers");
        } else {
            run("mkdir -m 700 gpg; export GNUPGHOME=$PWD/gpg; \
                 gpg -q --batch --passphrase '' --quick-gen-key 'F <fetcher@example.org>' ed25519 sign never; \
                 gpg -q --batch --export-secret-keys --armor >key; chmod 600 key");
        }
        let fetcher = publishing.fetcher("mode = \"branch\"\nsigning-key = \"key\"", "");
        fetcher.run(&["run"]).expect(0);
        let tip = publishing.repo.tip(BRANCH);
        let path = publishing.repo.path().display().to_string();
        if kind == "ssh" {
            run(&format!("git -C {path} -c gpg.ssh.allowedSignersFile=$PWD/signers verify-commit {BRANCH}"));
        } else {
            run(&format!("GNUPGHOME=$PWD/gpg git -C {path} verify-commit {BRANCH}"));
        }
        fs::remove_dir_all(scratch.path("state")).expect("a directory");
        fetcher.run(&["run"]).expect(0);
        assert_eq!((statuses(&fetcher), publishing.repo.tip(BRANCH)), (vec!["open".to_owned()], tip), "{kind}");
    }
}
