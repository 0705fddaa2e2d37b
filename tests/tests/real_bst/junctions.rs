//! Junctions of the real BuildStream that cannot be had: who is told of what, and what is tried again.

use std::fs;

use fetcher_tests::bst;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::project::Project;
use fetcher_tests::scratch::Scratch;
use serde_json::Value;

fn config(project: &Project) -> String {
    format!(
        "[buildstream]\ncommand = ['{}']\nconfig = {{ scheduler = {{ network-retries = 0 }} }}\n\n[[project]]\nname = \"example\"\nurl = \"{}\"\n\
         targets = [\"all.bst\"]\nretries = 1\nretry-delay = \"1ms\"\nfetch = false\n",
        bst::bst().display(),
        project.url(),
    )
}

fn track(report: &Value) -> &Value {
    let stages = report["branches"][0]["stages"].as_array().expect("stages");
    stages.iter().find(|stage| stage["stage"] == "track").unwrap_or_else(|| panic!("{report:#}"))
}

/// Expects that tracking failed of this element alone, and of nothing that this program did itself.
#[track_caller]
fn failed_of(report: &Value, element: &str) {
    let track = track(report);
    assert_eq!(track["outcome"], "failed", "{track:#}");
    let failures = track["failures"].as_array().expect("failures");
    assert_eq!(failures.len(), 1, "{track:#}");
    let failure = &failures[0];
    assert_eq!((&failure["element"], &failure["stage"]), (&element.into(), &"track".into()), "{failure:#}");
    assert!(["not-found", "git", "network"].contains(&failure["kind"].as_str().expect("a kind")), "{failure:#}");
    assert_eq!(report["branches"][0]["outcome"], "failed");
}

#[test]
fn a_junction_that_cannot_be_had_fails_the_tracking_of_all_and_is_tried_again_with_all() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    let fetcher = Fetcher::new(&scratch).config(config(&project));
    // One has a ref and is fetched while the project is loaded; the other has none, and is tracked by its name first.
    for (hidden, element) in [("up/fixed", "fixed.bst"), ("up/sub", "sub.bst")] {
        let aside = scratch.path(&format!("{hidden}-hidden"));
        fs::rename(scratch.path(hidden), &aside).expect("an upstream to hide");
        fetcher.run(&["run"]).expect(4);
        failed_of(&fetcher.report(), element);
        assert_eq!(track(&fetcher.report())["attempts"], 2);
        fs::rename(aside, scratch.path(hidden)).expect("the upstream");
    }
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    let processed = track(&report)["elements"]["processed"].as_u64().expect("a count");
    assert!(processed >= 3, "all is tracked, and not the junctions alone: {report:#}");
}

#[test]
fn a_junction_behind_a_junction_is_told_with_the_true_reason() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    let deep = format!("kind: junction\nsources:\n- kind: git\n  url: up:nowhere\n  ref: {}\n", "1".repeat(40));
    project.sub.write("elements/deep.bst", &deep);
    project.sub.write("elements/lib.bst", "kind: stack\ndepends: ['deep.bst:lib.bst']\n");
    project.sub.commit("A junction to nowhere");
    let fetcher = Fetcher::new(&scratch).config(config(&project));
    fetcher.run(&["run"]).expect(4);
    failed_of(&fetcher.report(), "sub.bst:deep.bst");
}
