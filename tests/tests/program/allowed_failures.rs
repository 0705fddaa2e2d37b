//! What may fail is told, shown, and not counted.

use std::fs;

use serde_json::Value;

use super::fake_bst_memory::World;

/// What a notifier was told, from its beginning: the messages as text.
const NOTIFIER: &str = "[[notify]]\nkind = \"command\"\ncommand = [\"sh\", \"-c\", \"cat >>told\"]\n";

/// A scenario in which `a.bst` cannot be fetched.
const DEAD: &str = "fails() { [ $command = fetch ] && [ $1 = a.bst ] && text='HTTP Error 404: Not Found'; }";

fn stage<'r>(report: &'r Value, name: &str) -> &'r Value {
    let stages = report["branches"][0]["stages"].as_array().expect("stages");
    stages.iter().find(|stage| stage["stage"] == name).expect("the stage")
}

#[test]
fn an_element_that_may_fail_is_told_and_shown_and_not_counted() {
    let world = World::new(&[]);
    world.fake.now(DEAD);
    let fetcher = world.configured(
        "publish-dir = \"site\"\nmetrics-file = \"metrics.prom\"",
        "allow-failure = { elements = [\"a.*\"] }",
    );
    let ended = fetcher.run(&["run", "-v"]).expect(0);
    assert!(ended.stderr().contains("a.bst: HTTP Error 404: Not Found [not-found, allowed to fail]"), "{ended}");
    assert!(ended.stderr().contains("fetch (committed): partial (allowed)"), "{ended}");
    let report = fetcher.report();
    assert_eq!((&report["outcome"], &report["branches"][0]["outcome"]), (&"ok".into(), &"ok".into()), "{report:#}");
    for name in ["fetch", "push"] {
        let stage = stage(&report, name);
        assert_eq!((&stage["outcome"], &stage["allowed"]), (&"partial".into(), &true.into()), "{stage:#}");
        assert_eq!(stage["failures"], Value::Array(Vec::new()));
    }
    let finding = &stage(&report, "fetch")["findings"][0];
    assert_eq!((&finding["element"], &finding["allowed"]), (&"a.bst".into(), &true.into()));
    let state = fetcher.status()["branches"][0].clone();
    assert_eq!((&state["failing-since"], &state["history"][0]["allowed"]), (&Value::Null, &1.into()), "{state:#}");
    let shown = fetcher.run(&["status"]).expect(0).stdout();
    assert!(shown.contains("ok, 1 allowed to fail"), "{shown}");
    let read = |name: &str| fs::read_to_string(world.scratch.path(name)).expect("a file");
    assert!(read("site/index.html").contains("1 failure allowed"), "{}", read("site/index.html"));
    assert!(
        read("metrics.prom").contains("bst_fetcher_branch_allowed_failures{project=\"project\",branch=\"main\"} 1\n")
    );
    // It is tried again in every run.
    world.fake.now("");
    assert_eq!(world.asked(&fetcher, &["run"]), ["push", "track"]);
    assert_eq!(fetcher.status()["branches"][0]["history"][1]["allowed"], Value::Null);
}

#[test]
fn what_else_fails_beside_counts() {
    let world = World::new(&[]);
    world.fake.now("fails() { [ $command = fetch ] && [ $1 != all.bst ] && text='HTTP Error 404: Not Found'; }");
    let fetcher = world.fetcher("allow-failure = { elements = [\"a.bst\"] }");
    fetcher.run(&["run"]).expect(1);
    let report = fetcher.report();
    let fetch = stage(&report, "fetch");
    assert_eq!(
        (&fetch["failures"][0]["element"], &fetch["findings"][0]["element"]),
        (&"b.bst".into(), &"a.bst".into())
    );
    assert_eq!(fetch["allowed"], Value::Null, "{fetch:#}");
}

#[test]
fn what_ends_at_the_first_failure_leaves_out_what_may_not_fail() {
    let world = World::new(&[]);
    world.fake.now(DEAD);
    let fetcher = world.fetcher("on-error = \"quit\"\nallow-failure = { elements = [\"a.bst\"] }");
    fetcher.run(&["run"]).expect(4);
    assert_eq!(stage(&fetcher.report(), "fetch")["allowed"], Value::Null);
}

#[test]
fn an_option_set_that_may_fail_counts_for_nothing() {
    let world = World::new(&[]);
    world.fake.now("fails() { case $(tail -n 1 \"$scenario/calls\") in *risc*) text='HTTP Error 404: Not Found' ;; *) return 1 ;; esac; }");
    let variants = "variants = [{ name = \"x86\", options = { arch = \"x86\" } }, { name = \"riscv\", options = { arch = \"risc\" } }]";
    fetcher_and_outcomes(&world, &format!("{variants}\nallow-failure = {{ variants = [\"riscv\"] }}"), 0, "ok");
    fetcher_and_outcomes(&world, &format!("{variants}\nallow-failure = {{ variants = [\"x86\"] }}"), 1, "partial");
    // Nothing that counts was got.
    world.fake.now("fails() { text='HTTP Error 404: Not Found'; }");
    fetcher_and_outcomes(&world, &format!("{variants}\nallow-failure = {{ variants = [\"riscv\"] }}"), 4, "failed");
}

fn fetcher_and_outcomes(world: &World, more: &str, status: i32, outcome: &str) {
    let fetcher = world.fetcher(more);
    let ended = fetcher.run(&["run", "--force"]).expect(status);
    assert_eq!(fetcher.report()["branches"][0]["outcome"], outcome, "{ended}");
}

#[test]
fn a_project_that_may_fail_may_fail_as_a_whole() {
    let world = World::new(&[]);
    world.fake.now("before() { [ $command != version ] || return 0; session=Load; refuse 'Could not find element a.bst'; exit 255; }");
    fetcher_and_outcomes(&world, "allow-failure = true", 0, "ok");
    let fetcher = world.fetcher("branches = [\"nowhere\"]\nallow-failure = true");
    let ended = fetcher.run(&["run"]).expect(0);
    assert!(ended.stderr().contains("allowed to fail"), "{ended}");
    let other = "[[project]]\nname = \"other\"\nurl = \"project\"\ntargets = [\"all.bst\"]\nretries = 0\n";
    let fetcher = world.fetcher(&format!("allow-failure = true\n{other}"));
    fetcher.run(&["run"]).expect(1);
}

#[test]
fn what_is_of_this_host_or_of_a_cache_counts_all_the_same() {
    let world = World::new(&[]);
    let fetcher = world.fetcher("allow-failure = true");
    world
        .fake
        .now("fails() { [ $command = push ] && text='PushDirectory failed with status RESOURCE_EXHAUSTED: quota exceeded'; }");
    let ended = fetcher.run(&["run"]);
    assert_eq!(ended.status(), 1, "{ended}");
    let missing =
        world.fetcher("allow-failure = true\n[project.buildstream]\ncommand = [\"sh\", \"-c\", \"exit 1\"]\n");
    missing.run(&["run"]).expect(4);
}

#[test]
fn a_junction_that_keeps_all_from_loading_is_no_failure_of_its_own() {
    let world = World::new(&[]);
    let refusal = "before() { [ $command = track ] || return 0; session=Load
        say FAILURE fetch sub.bst 'HTTP Error 404: Not Found'; refuse 'sub.bst: Subproject has no sources'; exit 255; }";
    world.fake.now(refusal);
    let fetcher = world.fetcher("allow-failure = { elements = [\"sub.bst\"] }");
    let ended = fetcher.run(&["run"]).expect(1);
    assert_eq!(stage(&fetcher.report(), "track")["allowed"], Value::Null, "{ended}");
}

#[test]
fn what_may_fail_is_told_as_such_once() {
    let world = World::new(&[]);
    world.fake.now(DEAD);
    let fetcher = world.configured("", &format!("allow-failure = {{ elements = [\"a.bst\"] }}\n{NOTIFIER}"));
    let told = || fs::read_to_string(world.scratch.path("told")).unwrap_or_default();
    fetcher.run(&["run"]).expect(0);
    assert!(told().contains("failed, and may, in fetch: a.bst (not-found)"), "{}", told());
    assert!(told().contains("not-found: a.bst, fetch, allowed to fail"), "{}", told());
    let once = told();
    fetcher.run(&["run"]).expect(0);
    assert_eq!(told(), once);
}
