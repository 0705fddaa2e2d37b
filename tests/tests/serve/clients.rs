//! `serve` with the real BuildStream as client: nothing was ever pushed from the caches that are served.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use fetcher_tests::bst;
use fetcher_tests::cachedir::{hash, incompressible, object_below};
use fetcher_tests::client::{Client, remotes, same};
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::project::{ELEMENTS, Project};
use fetcher_tests::scratch::Scratch;
use fetcher_tests::served::Served;

/// A configuration with the real `bst`, and no remote cache at all.
fn config(project: &Project) -> String {
    format!(
        "[buildstream]\ncommand = ['{}']\n\n[[project]]\nname = \"example\"\nurl = \"{}\"\ntargets = [\"all.bst\"]\n",
        bst::bst().display(),
        project.url()
    )
}

fn tree(scratch: &Scratch) -> PathBuf {
    scratch.path("cache/checkouts/example/main/tree")
}

fn cachedir(scratch: &Scratch) -> PathBuf {
    scratch.path("cache/cachedir")
}

#[test]
fn sources_and_artifacts_come_from_a_cache_that_was_never_pushed_from_with_upstream_gone() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    let fetcher = Fetcher::new(&scratch).config(config(&project));
    // Started before there is anything, and never told of what comes.
    let served = Served::start(&fetcher, &[]);
    fetcher.run(&["run"]).expect(0);
    let own = Client::with_cache(&scratch, "own", &tree(&scratch), &cachedir(&scratch), "");
    own.must(&["build", "all.bst"]);
    project.hide_upstreams(&scratch);

    let remotes = remotes(&served.url(), "    instance-name: any/name\n");
    let client = Client::new(&scratch, "client", &tree(&scratch), &remotes);
    // Junctions first: bst asks no remote cache for them while it loads.
    for element in ["sub.bst", "fixed.bst", "all.bst"] {
        client.fetch(element);
    }
    // bst works on the served cache at the same time.
    for element in ELEMENTS {
        same(&own.sources(element), &client.sources(element));
    }
    let said = client.must(&["artifact", "pull", "--deps", "all", "all.bst"]);
    assert!(said.contains("Pull Queue: processed 7, skipped 0, failed 0"), "{said}");
    for element in ["git.bst", "tar.bst", "local.bst", "sub.bst:lib.bst"] {
        same(&own.artifact(element), &client.artifact(element));
    }
    assert!(served.of_kind("corrupt").is_empty() && served.of_kind("unreadable").is_empty());
}

#[test]
fn new_sources_are_served_while_rounds_of_track_and_fetch_go_on() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    let fetcher = Fetcher::new(&scratch).config(config(&project));
    fetcher.run(&["run"]).expect(0);
    let served = Served::start(&fetcher, &[]);
    let (rounds, done) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..4 {
                project.hello.write("round", &format!("round {round}\n"));
                project.hello.commit("Another round");
                fetcher.run(&["run"]).expect(0);
                let copy =
                    Client::with_cache(&scratch, &format!("own-{round}"), &tree(&scratch), &cachedir(&scratch), "");
                rounds.send((round, copy)).expect("a round");
            }
            drop(rounds);
        });
        for (round, own) in done {
            let project = scratch.path(&format!("own-{round}/project"));
            let remotes = remotes(&served.url(), "");
            let client = Client::new(&scratch, &format!("client-{round}"), &project, &remotes).without_upstreams();
            client.fetch("git.bst");
            let (here, there) = (client.sources("git.bst"), own.sources("git.bst"));
            same(&there, &here);
            let text = fs::read_to_string(here.join("git/round")).expect("the file of the round");
            assert_eq!(text, format!("round {round}\n"));
        }
    });
}

#[test]
fn what_was_removed_or_corrupted_is_missing_and_clients_go_upstream() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    let fetcher = Fetcher::new(&scratch).config(config(&project));
    fetcher.run(&["run"]).expect(0);
    let served = Served::start(&fetcher, &[]);
    let remotes = remotes(&served.url(), "");
    // The content of hello.c, which git.bst has.
    let content = "int main(void) { return 0; }\n";
    let hash = hash(content.as_bytes());
    let object = object_below(&cachedir(&scratch), &hash);
    assert_eq!(fs::read_to_string(&object).expect("the object"), content);

    for (name, damage) in [("corrupted", Some("int main(void) { return 1; }\n")), ("removed", None)] {
        fs::remove_file(&object).expect("it was there");
        if let Some(other) = damage {
            fs::write(&object, other).expect("another content");
        }
        let alone = Client::new(&scratch, &format!("{name}-alone"), &tree(&scratch), &remotes).without_upstreams();
        let (succeeded, said) = alone.bst(&["source", "fetch", "git.bst"]);
        assert!(!succeeded && said.contains("does not have source"), "{name}: {said}");
        let client = Client::new(&scratch, name, &tree(&scratch), &remotes);
        client.fetch("git.bst");
        let text = fs::read_to_string(client.sources("git.bst").join("git/hello.c")).expect("the file");
        assert_eq!(text, content);
        // Others are served all the same.
        Client::new(&scratch, &format!("{name}-tar"), &tree(&scratch), &remotes).without_upstreams().fetch("tar.bst");
    }
    let told = served.of_kind("corrupt");
    assert_eq!(told.len(), 1, "once for each state of a file: {told:?}");
    assert_eq!(told[0]["path"], object.to_str().expect("a path"));
}

#[test]
fn a_server_that_is_killed_in_the_middle_of_a_transfer_costs_a_client_no_more_than_another_try() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    scratch.write("files/big-1/data", incompressible(96 << 20));
    let mut tar = Command::new("tar");
    tar.args(["-C", "files", "-cf", "files/big.tar", "big-1"]).current_dir(scratch.root());
    assert!(tar.status().expect("tar").success());
    project.repo.write("elements/big.bst", "kind: import\nsources:\n- kind: tar\n  url: files:big.tar\n");
    project.repo.commit("A large source");
    let fetcher = Fetcher::new(&scratch).config(config(&project).replace("all.bst", "big.bst"));
    fetcher.run(&["run"]).expect(0);
    let served = Served::start(&fetcher, &[]);
    let address = format!("--listen={}", served.address());
    // Otherwise it tries for a minute.
    let quick = "    connection-config:\n      retry-limit: 1\n      retry-delay: 100\n      request-timeout: 30\n";
    let remotes = remotes(&served.url(), quick);
    let client = Client::new(&scratch, "client", &tree(&scratch), &remotes).without_upstreams();
    let cut_off = thread::scope(|scope| {
        let fetch = scope.spawn(|| client.bst(&["source", "fetch", "big.bst"]));
        let until = Instant::now() + Duration::from_secs(60);
        while size(&scratch.path("client/cache")) < 4 << 20 {
            assert!(Instant::now() < until && !fetch.is_finished(), "nothing was transferred");
            thread::sleep(Duration::from_millis(1));
        }
        served.kill();
        fetch.join().expect("the client")
    });
    assert!(!cut_off.0, "it was to be cut off: {}", cut_off.1);
    let _served = Served::start(&fetcher, &[&address]);
    client.fetch("big.bst");
    let data = client.sources("big.bst").join("big/data");
    assert_eq!(fs::metadata(data).expect("the file").len(), 96 << 20);
}

/// The bytes of all files below a directory.
fn size(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(of).sum()
}
