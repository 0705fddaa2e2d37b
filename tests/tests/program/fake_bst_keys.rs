//! The keys by which caches are asked: how many bst names, and how many it ought to.

use fetcher_tests::fake::{FakeBst, upstream};
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::scratch::Scratch;
use serde_json::{Value, json};

fn verify(fetcher: &Fetcher<'_>) -> Value {
    let report = fetcher.report();
    let stages = report["branches"][0]["stages"].as_array().expect("stages").clone();
    stages.into_iter().find(|stage| stage["stage"] == "verify").unwrap_or_else(|| panic!("{report:#}"))
}

#[test]
fn where_messages_and_summary_do_not_agree_nothing_is_called_proved() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, "names_key() { [ $1 != b.bst ]; }");
    let fetcher = Fetcher::new(&scratch).config(format!(
        "{}\n[[project]]\nurl = \"project\"\ntargets = [\"all.bst\"]\nretries = 0\ntrack = false\n",
        fake.config()
    ));
    fetcher.run(&["run"]).expect(1);
    let stage = verify(&fetcher);
    let failures = stage["failures"].as_array().expect("failures");
    assert_eq!((&stage["proof"]["proved"], failures.len()), (&json!([]), 1), "{stage:#}");
    let message = failures[0]["message"].as_str().expect("a message");
    assert!(message.contains("2 elements") && message.contains("counts 3"), "{message}");
    let asked = fetcher.run(&["verify", "--json"]).expect(1).json();
    assert_eq!(asked["branches"][0]["proved"], json!([]), "{asked:#}");

    // One more than there are tells as much.
    fake.now("names_key() { [ $command = fetch ] || say INFO src-push more.bst \"Pushed data from source $no_sources -> x\"; }");
    fetcher.run(&["run", "--force"]).expect(1);
    assert_eq!(verify(&fetcher)["proof"]["proved"], json!([]));

    fake.now("");
    fetcher.run(&["run"]).expect(0);
    let stage = verify(&fetcher);
    assert_eq!(stage["proof"]["proved"], json!(["a.bst", "all.bst", "b.bst"]), "{stage:#}");
    fetcher.run(&["verify"]).expect(0);
}
