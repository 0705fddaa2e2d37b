//! What may become of caches, each time to the end: a client with empty caches gets all that is called proved.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use fetcher_tests::bst;
use fetcher_tests::casd;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::local_project::{ELEMENTS, LocalProject, content, pushed_to};
use fetcher_tests::scratch::Scratch;
use fetcher_tests::served::Served;
use serde_json::{Value, json};

use super::verify::{lose, stage, what_is_proved_is_had};

/// The stage `verify` of a run with this exit status.
#[track_caller]
fn run(fetcher: &Fetcher<'_>, status: i32) -> Value {
    fetcher.run(&["run"]).expect(status);
    stage(&fetcher.report(), "verify", "committed").clone()
}

/// A way to a cache that can be spoiled at any time.
#[derive(Clone)]
struct SpoiledWay {
    /// How many bytes it hands on to the cache before everything is cut off.
    bytes: Arc<AtomicUsize>,
    /// How many milliseconds each piece takes, either way.
    delay: Arc<AtomicU64>,
    url: String,
}

impl SpoiledWay {
    fn to(url: &str) -> Self {
        let behind = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let way = Self { bytes: Arc::new(AtomicUsize::new(usize::MAX)), delay: Arc::default(), url };
        let shared = way.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(&behind).expect("the cache");
                for (from, to, is_there) in [(&client, &server, true), (&server, &client, false)] {
                    let (from, to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
                    let way = shared.clone();
                    thread::spawn(move || way.hand_on(from, to, is_there));
                }
            }
        });
        way
    }

    fn hand_on(&self, mut from: TcpStream, mut to: TcpStream, is_there: bool) {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            thread::sleep(Duration::from_millis(self.delay.load(SeqCst)));
            let left = self.bytes.load(SeqCst);
            if left < count || to.write_all(&buffer[..count]).is_err() {
                break;
            }
            if is_there && left < usize::MAX {
                self.bytes.fetch_sub(count, SeqCst);
            }
        }
        let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
    }
}

#[test]
fn an_index_that_was_lost_is_written_anew() {
    let scratch = Scratch::new();
    let project = LocalProject::new(&scratch);
    let cache = casd::source_cache(&scratch.path("remote"));
    let url = cache.url().to_owned();
    let fetcher = Fetcher::new(&scratch).config(project.config("refresh-after = \"0s\"", &pushed_to(&url, "")));
    run(&fetcher, 0);
    drop(cache);
    fs::remove_dir_all(scratch.path("remote/assets")).expect("the index");
    let _cache = casd::source_cache_at(&scratch.path("remote"), &url);
    let said = fetcher.run(&["verify"]).expect(1);
    assert!(said.stdout().contains("0 of 5 proved") && said.stdout().contains("does not know them"), "{said}");
    assert_eq!(run(&fetcher, 0)["proof"]["repaired"], json!(5));
    assert_eq!(what_is_proved_is_had(&fetcher), json!(ELEMENTS));
}

#[test]
fn what_a_full_cache_refused_is_not_proved_and_the_rest_is() {
    let scratch = Scratch::new();
    let project = LocalProject::new(&scratch);
    project.repo.write("files/2/large", &"a line of many\n".repeat(20_000));
    project.repo.commit("Something large");
    let cache = casd::full_source_cache(&scratch.path("remote"));
    let fetcher = Fetcher::new(&scratch).config(project.config("", &pushed_to(cache.url(), "")));
    let verify = run(&fetcher, 1);
    let proved = verify["proof"]["proved"].as_array().expect("elements");
    assert!(!proved.contains(&json!("e2.bst")) && proved.contains(&json!("e1.bst")), "{verify:#}");
    let proved = what_is_proved_is_had(&fetcher);
    assert!(!proved.as_array().expect("elements").contains(&json!("e2.bst")), "{proved}");
}

#[test]
fn a_cache_that_dies_in_the_middle_of_a_push_has_the_rest_at_the_next_run() {
    let scratch = Scratch::new();
    let project = LocalProject::new(&scratch);
    let cache = casd::source_cache(&scratch.path("remote"));
    let way = SpoiledWay::to(cache.url());
    let config =
        project.config("", &pushed_to(&way.url, "connection-config = { request-timeout = 5, retry-limit = 0 }"));
    let fetcher = Fetcher::new(&scratch).config(config);
    way.bytes.store(6_000, SeqCst);
    let ended = fetcher.run(&["run"]);
    assert!([1, 4].contains(&ended.status()), "{ended}");
    let verify = stage(&fetcher.report(), "verify", "committed").clone();
    let proved = verify["proof"]["proved"].as_array().map_or(0, Vec::len);
    assert!(proved < ELEMENTS.len() && way.bytes.load(SeqCst) < 6_000, "{verify:#}");
    way.bytes.store(usize::MAX, SeqCst);
    assert_eq!(run(&fetcher, 0)["proof"]["proved"], json!(ELEMENTS));
    assert_eq!(what_is_proved_is_had(&fetcher), json!(ELEMENTS));
}

#[test]
fn a_slow_cache_is_waited_for_and_one_that_is_too_slow_proves_nothing() {
    let scratch = Scratch::new();
    let project = LocalProject::new(&scratch);
    let cache = casd::source_cache(&scratch.path("remote"));
    let way = SpoiledWay::to(cache.url());
    let config = project.config("", &pushed_to(&way.url, "connection-config = { request-timeout = 5 }"));
    let fetcher = Fetcher::new(&scratch).config(config);
    way.delay.store(40, SeqCst);
    assert_eq!(run(&fetcher, 0)["proof"]["proved"], json!(ELEMENTS));
    assert_eq!(what_is_proved_is_had(&fetcher), json!(ELEMENTS));
    way.delay.store(6_000, SeqCst);
    let asked = fetcher.run(&["verify", "--json"]).expect(1).json();
    let branch = &asked["branches"][0];
    assert_eq!((&branch["failure"]["kind"], &branch["proved"]), (&json!("cache-unreachable"), &json!([])), "{asked:#}");
}

#[test]
fn what_expired_here_is_asked_for_all_the_same_and_pushed_again_where_it_is_gone_there_too() {
    let scratch = Scratch::new();
    let project = LocalProject::new(&scratch);
    let cache = casd::source_cache(&scratch.path("remote"));
    let fetcher = Fetcher::new(&scratch).config(project.config("refresh-after = \"0s\"", &pushed_to(cache.url(), "")));
    run(&fetcher, 0);
    for lost in ["cas/objects", "elementsources", "source_protos"] {
        fs::remove_dir_all(scratch.path("cache/cachedir").join(lost)).expect("a part of the local cache");
    }
    // The cache itself says what belongs to the sources.
    assert_eq!(what_is_proved_is_had(&fetcher), json!(ELEMENTS));
    lose(&scratch.path("remote"), &content(1, "a"));
    fetcher.run(&["verify"]).expect(1);
    assert_eq!(run(&fetcher, 0)["proof"]["repaired"], json!(1));
    assert_eq!(what_is_proved_is_had(&fetcher), json!(ELEMENTS));
}

#[test]
fn a_host_that_fetches_from_a_server_of_this_program_has_all_of_it_itself() {
    let (there, here) = (Scratch::new(), Scratch::new());
    let project = LocalProject::new(&there);
    let origin = Fetcher::new(&there).config(project.config("", ""));
    run(&origin, 0);
    let served = Served::start(&origin, &[]);
    let caches = format!("[[project.source-caches]]\nurl = \"{}\"\n", served.url());
    let fetcher = Fetcher::new(&here).config(project.config("refresh-after = \"0s\"", &caches));
    let verify = run(&fetcher, 0);
    assert_eq!(verify["proof"]["caches"], json!(["the local cache"]), "{verify:#}");
    assert_eq!(what_is_proved_is_had(&fetcher), json!(ELEMENTS));
    let log = fs::read_to_string(log_of(&here, &fetcher.report(), "fetch")).expect("the log");
    assert!(log.contains("Pulled source "), "{log}");

    // What both lost comes from the checkout again; a server that lost it says that it is not there.
    lose(&there.path("cache/cachedir"), &content(1, "a"));
    lose(&here.path("cache/cachedir"), &content(1, "a"));
    fetcher.run(&["verify"]).expect(1);
    assert_eq!(run(&fetcher, 0)["proof"]["proved"], json!(ELEMENTS));
    assert_eq!(what_is_proved_is_had(&fetcher), json!(ELEMENTS));
}

fn log_of(scratch: &Scratch, report: &Value, name: &str) -> std::path::PathBuf {
    let log = stage(report, name, "committed")["log"].as_str().expect("a log").to_owned();
    scratch.path("state/runs").join(report["run"].as_str().expect("a run")).join(log)
}

/// The releases between which bst's messages, its configuration and its way of asking caches changed.
#[test]
fn older_releases_are_proved_in_the_same_way() {
    for release in ["2.0.1", "2.4.1"] {
        let scratch = Scratch::new();
        let project = LocalProject::new(&scratch);
        let cache = casd::source_cache(&scratch.path("remote"));
        let (new, old) = (bst::bst(), bst::bst_of_release(release));
        let config = |more: &str| {
            let config = project.config("refresh-after = \"0s\"", more);
            config.replace(&new.display().to_string(), &old.display().to_string())
        };
        let fetcher = Fetcher::new(&scratch).config(config(&pushed_to(cache.url(), "")));
        assert_eq!(run(&fetcher, 0)["proof"]["proved"], json!(ELEMENTS), "{release}");
        assert_eq!(what_is_proved_is_had(&fetcher), json!(ELEMENTS), "{release}");
        lose(&scratch.path("remote"), &content(1, "deep/b"));
        fetcher.run(&["verify"]).expect(1);
        assert_eq!(run(&fetcher, 0)["proof"]["repaired"], json!(1), "{release}");
        assert_eq!(what_is_proved_is_had(&fetcher), json!(ELEMENTS), "{release}");

        // The same where nothing is pushed: keys are named, and a client served, as with a newer one.
        let local = Scratch::new();
        let fetcher = Fetcher::new(&local).config(config(""));
        assert_eq!(run(&fetcher, 0)["proof"]["proved"], json!(ELEMENTS), "{release}");
        assert_eq!(what_is_proved_is_had(&fetcher), json!(ELEMENTS), "{release}");
    }
}
