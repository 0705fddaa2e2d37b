//! What is called pushed is there: the stage `verify` of a run, with the real `bst` and the real buildbox-casd.

use std::fs;
use std::path::Path;

use bazel_remote_apis::build::bazel::remote::asset::v1::PushBlobRequest;
use bazel_remote_apis::build::bazel::remote::asset::v1::push_client::PushClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::Digest;
use fetcher_tests::cachedir::{SOURCE, hash, object_below};
use fetcher_tests::casd;
use fetcher_tests::client::Client;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::local_project::{ELEMENTS, LocalProject, content, pushed_to};
use fetcher_tests::scratch::Scratch;
use serde_json::{Value, json};

/// A stage of the only branch of a report.
pub(super) fn stage<'r>(report: &'r Value, name: &str, refs: &str) -> &'r Value {
    let stages = report["branches"][0]["stages"].as_array().expect("stages");
    let found = stages.iter().find(|stage| stage["stage"] == name && stage["refs"] == refs);
    found.unwrap_or_else(|| panic!("no {name} of {refs} refs: {report:#}"))
}

/// Removes the blob of a file from a cache.
pub(super) fn lose(cachedir: &Path, content: &str) {
    fs::remove_file(object_below(cachedir, &hash(content.as_bytes()))).expect("a blob");
}

/// What is called proved now, which a client with empty caches has got, all of it.
#[track_caller]
pub(super) fn what_is_proved_is_had(fetcher: &Fetcher<'_>) -> Value {
    let ended = fetcher.run(&["verify", "--clean-client", "--json"]);
    let report = ended.json();
    let branches = report["branches"].as_array().expect("branches");
    assert!(!branches.is_empty(), "{ended}");
    for branch in branches {
        assert!(branch["failure"].is_null(), "{branch:#}");
        assert_eq!(branch["fetched-by-client"], branch["proved"], "{branch:#}");
    }
    assert_eq!(ended.status(), i32::from(report["whole"] != true), "{ended}");
    branches[0]["proved"].clone()
}

/// A client with empty caches gets every element from the cache.
fn client_gets_everything(scratch: &Scratch, name: &str, url: &str) {
    let servers = format!("source-caches:\n  servers:\n  - url: {url}\n");
    let client = Client::new(scratch, name, &scratch.path("cache/checkouts/small/main/tree"), &servers);
    let said = client.fetch("all.bst");
    let pulled = said.lines().filter(|line| line.contains("Pulled source ")).count();
    assert!(pulled >= 4, "all but what is there by another element is pulled:\n{said}");
    assert!(!said.contains("does not have"), "{said}");
}

#[test]
fn what_was_pushed_is_proved_remembered_and_asked_anew_without_bst() {
    let scratch = Scratch::new();
    let project = LocalProject::new(&scratch);
    let cache = casd::source_cache(&scratch.path("remote"));
    let caches = pushed_to(cache.url(), "");
    let fetcher = Fetcher::new(&scratch).config(project.config("", &caches));
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    let verify = stage(&report, "verify", "committed");
    assert_eq!(verify["outcome"], "ok", "{verify:#}");
    assert_eq!(verify["proof"]["proved"], json!(ELEMENTS), "{verify:#}");
    assert_eq!(verify["proof"]["caches"], json!([cache.url()]));
    // Nine files, nine directories, and a message for each of the sources that differ: the stack's directory is empty.
    assert!(verify["proof"]["blobs"].as_u64() >= Some(9 + 9 + 4), "{verify:#}");
    assert!(verify["log"].as_str().is_some_and(|log| log.ends_with("committed-verify.log")), "{verify:#}");

    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    assert_eq!(stage(&report, "push", "committed")["outcome"], "skipped");
    let verify = stage(&report, "verify", "committed");
    assert_eq!((&verify["proof"]["remembered"], &verify["proof"]["requests"]), (&json!(5), &json!(0)), "{verify:#}");

    // What was proved too long ago is asked for, which needs no bst.
    let anew = Fetcher::new(&scratch).config(project.config("refresh-after = \"0s\"", &caches));
    anew.run(&["run"]).expect(0);
    let report = anew.report();
    assert_eq!(stage(&report, "push", "committed")["outcome"], "skipped", "{report:#}");
    let verify = stage(&report, "verify", "committed");
    assert_eq!(verify["proof"]["proved"], json!(ELEMENTS), "{verify:#}");
    assert!(verify["proof"]["requests"].as_u64() > Some(0), "{verify:#}");
    client_gets_everything(&scratch, "client", cache.url());
}

#[test]
fn what_a_cache_lost_is_pushed_again_and_nothing_else() {
    let scratch = Scratch::new();
    let project = LocalProject::new(&scratch);
    let cache = casd::source_cache(&scratch.path("remote"));
    let caches = pushed_to(cache.url(), "");
    let fetcher = Fetcher::new(&scratch).config(project.config("refresh-after = \"0s\"", &caches));
    fetcher.run(&["run"]).expect(0);
    lose(&scratch.path("remote"), &content(1, "deep/b"));
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    let push = stage(&report, "push", "committed");
    assert_eq!(push["elements"]["total"], 5, "{push:#}");
    let log = scratch.path("state/runs").join(report["run"].as_str().expect("a run"));
    let log = fs::read_to_string(log.join(push["log"].as_str().expect("a log"))).expect("the log");
    assert!(log.lines().next().expect("a command").ends_with("--deps none -- e1.bst"), "{log}");
    let verify = stage(&report, "verify", "committed");
    assert_eq!((&verify["outcome"], &verify["proof"]["repaired"]), (&json!("ok"), &json!(1)), "{verify:#}");
    client_gets_everything(&scratch, "client", cache.url());
}

#[test]
fn a_cache_that_is_gone_proves_nothing_and_costs_no_push_when_it_is_back() {
    let scratch = Scratch::new();
    let project = LocalProject::new(&scratch);
    let cache = casd::source_cache(&scratch.path("remote"));
    let url = cache.url().to_owned();
    let more = "connection-config = { request-timeout = 5 }";
    let config = project.config("refresh-after = \"0s\"", &pushed_to(&url, more));
    let fetcher = Fetcher::new(&scratch).config(config);
    fetcher.run(&["run"]).expect(0);
    drop(cache);
    fetcher.run(&["run"]).expect(4);
    let report = fetcher.report();
    let verify = stage(&report, "verify", "committed");
    assert_eq!((&verify["outcome"], &verify["proof"]["proved"]), (&json!("failed"), &json!([])), "{verify:#}");
    assert_eq!(verify["failures"].as_array().map(Vec::len), Some(1), "{verify:#}");
    let failure = &verify["failures"][0];
    assert_eq!((&failure["kind"], &failure["actor"]), (&json!("cache-unreachable"), &json!("cache")), "{failure:#}");

    let _cache = casd::source_cache_at(&scratch.path("remote"), &url);
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    assert_eq!(stage(&report, "push", "committed")["outcome"], "skipped", "{report:#}");
    assert_eq!(stage(&report, "verify", "committed")["proof"]["proved"], json!(ELEMENTS));
    assert_eq!(what_is_proved_is_had(&fetcher), json!(ELEMENTS));
}

#[test]
fn what_is_fetched_and_pushed_nowhere_is_proved_in_the_local_cache() {
    let scratch = Scratch::new();
    let project = LocalProject::new(&scratch);
    let fetcher = Fetcher::new(&scratch).config(project.config("refresh-after = \"0s\"", ""));
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    let verify = stage(&report, "verify", "committed");
    assert_eq!(verify["proof"]["proved"], json!(ELEMENTS), "{verify:#}");
    assert_eq!(verify["proof"]["caches"], json!(["the local cache"]));

    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    assert_eq!(stage(&report, "fetch", "committed")["outcome"], "skipped", "what is there needs no bst: {report:#}");
    assert_eq!(stage(&report, "verify", "committed")["proof"]["proved"], json!(ELEMENTS), "{report:#}");

    // A file would come back when bst lists the elements, for it comes from the checkout.
    let keys = keys_in_the_log(&scratch, &report);
    fs::remove_file(scratch.path("cache/cachedir/elementsources").join(&keys["e2.bst"])).expect("an entry");
    fetcher.run(&["verify"]).expect(1);
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    let verify = stage(&report, "verify", "committed");
    assert_eq!((&verify["outcome"], &verify["proof"]["repaired"]), (&json!("ok"), &json!(1)), "{report:#}");
    assert_eq!(what_is_proved_is_had(&fetcher), json!(ELEMENTS));
}

#[test]
fn verify_asks_whatever_was_proved_before_and_ends_with_1_where_something_is_missing() {
    let scratch = Scratch::new();
    let project = LocalProject::new(&scratch);
    let cache = casd::source_cache(&scratch.path("remote"));
    let fetcher = Fetcher::new(&scratch).config(project.config("", &pushed_to(cache.url(), "")));
    fetcher.run(&["verify"]).expect(2);
    fetcher.run(&["run"]).expect(0);
    let whole = fetcher.run(&["verify", "small/main", "--json"]).expect(0).json();
    assert_eq!((&whole["whole"], &whole["branches"][0]["proved"]), (&json!(true), &json!(ELEMENTS)), "{whole:#}");

    // Whether a file is there is all that a cache is asked; its bytes are read on demand.
    let object = object_below(&scratch.path("remote"), &hash(content(2, "a").as_bytes()));
    let mut wrong = fs::read(&object).expect("a blob");
    wrong[0] ^= 1;
    fs::remove_file(&object).expect("a blob");
    fs::write(&object, wrong).expect("a blob");
    fetcher.run(&["verify"]).expect(0);
    let ended = fetcher.run(&["verify", "--contents", "--json"]).expect(1);
    let what = ended.json()["branches"][0]["missing"].clone();
    let why = what["e2.bst"].as_str().expect("a reason");
    assert!(what.as_object().is_some_and(|what| what.len() == 1) && why.contains("not what their names say"), "{what}");
    fetcher.run(&["verify", "--contents", "--element", "e1.bst"]).expect(0);

    lose(&scratch.path("remote"), &content(1, "deep/b"));
    let said = fetcher.run(&["verify"]).expect(1);
    assert!(said.stdout().contains("4 of 5 proved") && said.stdout().contains("e1.bst: "), "{said}");
    // The file that is wrong in the cache is one of the checkout's, where a client has it from.
    assert_eq!(what_is_proved_is_had(&fetcher), json!(["all.bst", "e0.bst", "e2.bst", "twin.bst"]));
    fetcher.run(&["verify", "small/other"]).expect(2);
}

#[test]
fn a_client_with_empty_caches_gets_a_share_in_a_run_and_everything_on_demand() {
    let scratch = Scratch::new();
    let project = LocalProject::new(&scratch);
    let cache = casd::source_cache(&scratch.path("remote"));
    let caches = pushed_to(cache.url(), "");
    let fetcher = Fetcher::new(&scratch).config(project.config("clean-client-every = \"1s\"", &caches));
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    let verify = stage(&report, "verify", "committed");
    // A tenth of what there is, at first.
    assert_eq!(verify["proof"]["fetched-by-client"].as_array().map(Vec::len), Some(1), "{verify:#}");

    let whole = fetcher.run(&["verify", "--clean-client", "--json"]).expect(0).json();
    assert_eq!(whole["branches"][0]["fetched-by-client"], json!(ELEMENTS), "{whole:#}");
    assert!(whole["branches"][0]["isolation"].is_string(), "{whole:#}");
}

#[test]
fn an_index_that_leads_elsewhere_is_seen_and_put_right() {
    let scratch = Scratch::new();
    let project = LocalProject::new(&scratch);
    let cache = casd::source_cache(&scratch.path("remote"));
    let caches = pushed_to(cache.url(), "");
    let fetcher = Fetcher::new(&scratch).config(project.config("refresh-after = \"0s\"", &caches));
    fetcher.run(&["run"]).expect(0);
    let keys = keys_in_the_log(&scratch, &fetcher.report());
    let (mine, other) = (&keys["e1.bst"], &keys["e2.bst"]);
    assert_ne!(mine, other);
    lead_elsewhere(cache.url(), mine, &scratch.path("cache/cachedir/elementsources").join(other));
    let ended = fetcher.run(&["verify"]).expect(1);
    assert!(ended.stdout().contains("e1.bst: ") && ended.stdout().contains("other sources"), "{ended}");
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    let verify = stage(&report, "verify", "committed");
    assert_eq!((&verify["outcome"], &verify["proof"]["repaired"]), (&json!("ok"), &json!(1)), "{verify:#}");
    assert_eq!(what_is_proved_is_had(&fetcher), json!(ELEMENTS));
}

/// The keys that the log of the stage names, by element.
fn keys_in_the_log(scratch: &Scratch, report: &Value) -> std::collections::BTreeMap<String, String> {
    let verify = stage(report, "verify", "committed");
    let log = scratch.path("state/runs").join(report["run"].as_str().expect("a run"));
    let log = fs::read_to_string(log.join(verify["log"].as_str().expect("a log"))).expect("the log");
    let words =
        log.lines().filter_map(|line| line.strip_prefix("proved ")).map(|line| line.split(' ').collect::<Vec<_>>());
    words.map(|words| (words[1].to_owned(), words[0].to_owned())).collect()
}

/// Lets a cache's index lead from a key to the message in a file.
fn lead_elsewhere(url: &str, key: &str, message: &Path) {
    let content = fs::read(message).expect("an entry");
    let size_bytes = i64::try_from(content.len()).expect("a size");
    let request = PushBlobRequest {
        uris: vec![format!("{SOURCE}{key}")],
        blob_digest: Some(Digest { hash: hash(&content), size_bytes }),
        ..PushBlobRequest::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut client = PushClient::connect(url.to_owned()).await.expect("a connection");
        client.push_blob(request).await.expect("an entry");
    });
}

#[test]
fn split_caches_with_instance_names_are_each_asked_for_what_they_keep() {
    let scratch = Scratch::new();
    let project = LocalProject::new(&scratch);
    let index = casd::source_cache_with_instance(&scratch.path("index"), "the/index");
    let storage = casd::source_cache_with_instance(&scratch.path("storage"), "the/storage");
    let caches = [
        pushed_to(index.url(), "type = \"index\"\ninstance-name = \"the/index\""),
        pushed_to(storage.url(), "type = \"storage\"\ninstance-name = \"the/storage\""),
    ];
    let fetcher = Fetcher::new(&scratch).config(project.config("refresh-after = \"0s\"", &caches.concat()));
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    let verify = stage(&report, "verify", "committed");
    assert_eq!(verify["proof"]["caches"], json!([index.url(), storage.url()]), "{verify:#}");
    assert_eq!(verify["proof"]["proved"], json!(ELEMENTS), "{verify:#}");
    fetcher.run(&["verify", "--clean-client"]).expect(0);

    lose(&scratch.path("storage"), &content(1, "a"));
    let said = fetcher.run(&["verify"]).expect(1);
    assert!(said.stdout().contains(&format!("e1.bst: {} lacks a blob", storage.url())), "{said}");
    fetcher.run(&["run"]).expect(0);
    assert_eq!(what_is_proved_is_had(&fetcher), json!(ELEMENTS));
}
