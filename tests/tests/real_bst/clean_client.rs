//! A client with empty caches: what it fetches from, and that it reaches no upstream.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use fetcher_tests::bst;
use fetcher_tests::cachedir::{hash, object_below};
use fetcher_tests::casd;
use fetcher_tests::daemon::Daemon;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::installed;
use fetcher_tests::local_project::{ELEMENTS, LocalProject, content, pushed_to};
use fetcher_tests::scratch::Scratch;
use serde_json::{Value, json};

use super::verify::{lose, stage};

/// What a client with empty caches comes to; `status` is the command's.
fn client(fetcher: &Fetcher<'_>, status: i32) -> Value {
    let ended = fetcher.run(&["verify", "--clean-client", "--json"]).expect(status);
    ended.json()["branches"].as_array().and_then(|branches| branches.last()).expect("a branch").clone()
}

#[test]
fn where_nothing_is_pushed_the_local_cache_is_served_to_the_client() {
    let scratch = Scratch::new();
    let project = LocalProject::new(&scratch);
    let fetcher = Fetcher::new(&scratch).config(project.config("clean-client-every = \"1s\"", ""));
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    let verify = stage(&report, "verify", "committed");
    // A tenth of what there is, at first.
    assert_eq!(verify["proof"]["fetched-by-client"].as_array().map(Vec::len), Some(1), "{verify:#}");

    let branch = client(&fetcher, 0);
    assert_eq!((&branch["fetched-by-client"], &branch["failure"]), (&json!(ELEMENTS), &Value::Null), "{branch:#}");
    assert_eq!(branch["caches"], json!(["the local cache"]));

    // The server answers for nothing that it does not have whole, whatever the sizes of files say.
    let object = object_below(&scratch.path("cache/cachedir"), &hash(content(2, "a").as_bytes()));
    let mut wrong = fs::read(&object).expect("a blob");
    wrong[0] ^= 1;
    fs::remove_file(&object).expect("a blob");
    fs::write(&object, wrong).expect("a blob");
    fetcher.run(&["verify"]).expect(0);
    let branch = client(&fetcher, 1);
    let missing: Vec<_> = branch["missing"].as_object().expect("elements").keys().collect();
    assert_eq!(missing, ["e2.bst"], "{branch:#}");
    lose(&scratch.path("cache/cachedir"), &content(1, "a"));
    assert_eq!(client(&fetcher, 1)["fetched-by-client"], json!(["all.bst", "e0.bst", "twin.bst"]));
}

/// A port that leads to a server and counts who comes.
fn counted(url: &str) -> (u16, Arc<AtomicUsize>) {
    let behind = url.rsplit('/').next().expect("an address").to_owned();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            counter.fetch_add(1, SeqCst);
            let server = TcpStream::connect(&behind).expect("the server");
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (mut from, mut to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    (port, count)
}

/// Leaves half of a file's blob, which a cache still says to have.
fn truncate(cachedir: &Path, content: &str) {
    let object = object_below(cachedir, &hash(content.as_bytes()));
    let half = content.as_bytes()[..content.len() / 2].to_vec();
    fs::remove_file(&object).expect("a blob");
    fs::write(&object, half).expect("a blob");
}

/// Fetches by a library that heeds neither proxies nor what git is allowed.
#[test]
fn in_a_network_of_its_own_a_client_reaches_the_caches_and_no_upstream() {
    const CONTENT: &str = "what upstream has, and what the cache is to have\n";
    installed::program("bwrap");
    let scratch = Scratch::new();
    let upstream = scratch.repo("up/e");
    upstream.write("file", CONTENT);
    let tip = upstream.commit("first");
    let git = Daemon::git(&scratch.path("up"));
    let (port, connections) = counted(git.url());
    let repo = scratch.repo("project");
    let conf = format!(
        "name: example\nmin-version: 2.0\nelement-path: elements\naliases:\n  up: git://127.0.0.1:{port}/\nplugins:\n- origin: pip\n  \
         package-name: buildstream-plugins-community\n  sources: [git_repo]\n"
    );
    repo.write("project.conf", &conf);
    let element = format!("kind: import\nsources:\n- kind: git_repo\n  url: up:e\n  track: main\n  ref: {tip}\n");
    repo.write("elements/e.bst", &element);
    repo.commit("A project");
    let cache = casd::source_cache(&scratch.path("remote"));
    let fetcher = |sandbox: &str| {
        Fetcher::new(&scratch).config(format!(
            "[sandbox]\n{sandbox}\n[buildstream]\ncommand = ['{}']\n[[project]]\nname = \"example\"\nurl = \"{}\"\n\
             targets = [\"e.bst\"]\ntrack = false\nretries = 0\n{}\n",
            bst::bst().display(),
            repo.url(),
            pushed_to(cache.url(), "")
        ))
    };
    let confined = fetcher("");
    confined.run(&["run"]).expect(0);
    let before = connections.load(SeqCst);
    assert!(before > 0, "it was fetched from upstream");

    let branch = client(&confined, 0);
    assert_eq!(branch["fetched-by-client"], json!(["e.bst"]), "{branch:#}");
    assert!(branch["isolation"].as_str().is_some_and(|how| how.contains("a network of its own")), "{branch:#}");

    // The cache still says to have it, so that only the client sees that it has not.
    truncate(&scratch.path("remote"), CONTENT);
    let branch = client(&confined, 1);
    assert!(branch["missing"]["e.bst"].is_string(), "{branch:#}");
    assert_eq!(connections.load(SeqCst), before, "upstream was reached: {branch:#}");

    // Without a sandbox there is no such network: upstream is reached, and that counts for nothing.
    confined.run(&["run", "--force"]).expect(0);
    let open = fetcher("mode = \"off\"");
    let before = connections.load(SeqCst);
    assert_eq!(client(&open, 0)["fetched-by-client"], json!(["e.bst"]));
    truncate(&scratch.path("remote"), CONTENT);
    let branch = client(&open, 1);
    assert!(branch["isolation"].as_str().is_some_and(|how| how.contains("its environment")), "{branch:#}");
    assert!(branch["missing"]["e.bst"].is_string(), "{branch:#}");
    assert!(connections.load(SeqCst) > before, "this is what a network of its own is for");
}
