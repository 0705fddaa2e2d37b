//! What is tracked: what `select` means and no hold does.

use serde_json::{Value, json};

use super::fake_bst_memory::World;

/// The targets of the only call of a command.
fn targets(world: &World, command: &str) -> Vec<String> {
    let calls = world.fake.calls();
    let of_command: Vec<_> = calls.iter().filter(|call| call.command == command).collect();
    assert_eq!(of_command.len(), 1, "{calls:?}");
    of_command[0].targets().into_iter().map(str::to_owned).collect()
}

fn track_stage(report: &Value) -> &Value {
    let stages = report["branches"][0]["stages"].as_array().expect("stages");
    stages.iter().find(|stage| stage["stage"] == "track").expect("tracking")
}

const MOVED: &str = "track_ref() { ref=dddddddddddddddddddddddddddddddddddddddd; }";

#[test]
fn what_is_selected_is_tracked_alone_and_the_others_are_fetched_as_they_are() {
    let world = World::new(&[]);
    world.fake.now(MOVED);
    let fetcher = world.fetcher("select = { urls = [\"up:a\"] }");
    assert_eq!(world.asked(&fetcher, &["run"]), ["push", "track", "push"]);
    let track = world.fake.calls().into_iter().find(|call| call.command == "track").expect("tracking");
    assert_eq!((track.targets(), track.values("--deps")), (vec!["a.bst"], vec!["none"]));
    assert_eq!(world.fake.listings().len(), 1, "what the committed refs were listed for is enough");
    let report = fetcher.report();
    assert_eq!(report["outcome"], "ok");
    let not_selected = |name: &str| json!({ "element": name, "why": "not-selected" });
    let stage = track_stage(&report);
    assert_eq!(stage["left-out"], json!([not_selected("all.bst"), not_selected("b.bst")]), "{stage:#}");
    assert_eq!(report["branches"][0]["changes"].as_array().map(Vec::len), Some(1), "{report:#}");
    let told = fetcher.run(&["run", "--verbose"]).expect(0).to_string();
    assert!(told.contains("2 not selected"), "{told}");
}

#[test]
fn nothing_selected_is_no_failure_and_no_bst() {
    let world = World::new(&[]);
    let fetcher = world.fetcher("select = { kinds = [\"docker\"] }");
    assert_eq!(world.asked(&fetcher, &["run"]), ["push"]);
    let report = fetcher.report();
    let stage = track_stage(&report);
    assert_eq!((&stage["outcome"], &stage["skipped"]), (&"skipped".into(), &"nothing to track: 3 not selected".into()));
    assert_eq!(report["outcome"], "ok");
}

#[test]
fn all_that_is_selected_may_fail_and_the_others_are_still_pushed() {
    let world = World::new(&[]);
    world.fake.now("fails() { [ $command = track ] && text='HTTP Error 404: Not Found'; }");
    let fetcher = world.fetcher("refs = [\"tracked\"]\nselect = { elements = [\"a.bst\"] }");
    world.fake.forget();
    fetcher.run(&["run"]).expect(1);
    assert_eq!(world.fake.commands(), ["track", "push"]);
}

#[test]
fn what_is_held_is_not_tracked_and_everybody_sees_why() {
    let world = World::new(&[]);
    world.fake.now(MOVED);
    world.repo.write(".bstignore", "b.bst # waits for \u{1b}[31mred\n");
    world.repo.commit("Hold b");
    let hold = "[[project.hold]]\nelement = \"al*\"\nreason = \"a stack\"\nuntil = 2999-01-31";
    let fetcher = world.configured(&format!("publish-dir = \"{}\"", world.scratch.path("pages").display()), hold);
    assert_eq!(world.asked(&fetcher, &["run"]), ["push", "track", "push"]);
    assert_eq!(targets(&world, "track"), ["a.bst"]);
    let report = fetcher.report();
    let left_out = json!([
        { "element": "all.bst", "why": "held", "note": "a stack" },
        { "element": "b.bst", "why": "held", "note": "waits for red" },
    ]);
    assert_eq!(track_stage(&report)["left-out"], left_out, "{report:#}");
    let holds = json!([
        { "element": "al*", "reason": "a stack", "until": "2999-01-31", "origin": "configuration", "elements": ["all.bst"] },
        { "element": "b.bst", "reason": "waits for red", "origin": "bstignore", "elements": ["b.bst"] },
    ]);
    assert_eq!(report["branches"][0]["holds"], holds, "{report:#}");
    assert_eq!(fetcher.status()["branches"][0]["holds"], holds);
    let status = fetcher.run(&["status"]).expect(0).stdout();
    assert!(status.contains("held in project (main): al*: a stack (until 2999-01-31), 1 element\n"), "{status}");
    assert!(status.contains("held in project (main): b.bst: waits for red\n"), "{status}");
    let pages = |name: &str| std::fs::read_to_string(world.scratch.path("pages").join(name)).expect(name);
    assert!(pages("branches/project/main.html").contains("waits for red"));
    let json: Value = serde_json::from_str(&pages("status.json")).expect("status.json");
    assert_eq!(json["branches"][0]["holds"], holds, "{json:#}");
    // The hook of an upstream that names the element is no reason to track it.
    assert_eq!(world.asked(&fetcher, &["run", "--element", "b.bst"]), Vec::<String>::new());
    assert_eq!(fetcher.status()["branches"][0]["holds"], holds, "a run of one element forgets no other's hold");
    // Held no longer.
    world.repo.write(".bstignore", "# nothing\n");
    world.repo.commit("Hold nothing");
    let fetcher = world.fetcher("");
    world.asked(&fetcher, &["run"]);
    assert_eq!(targets(&world, "track"), ["all.bst"]);
    assert_eq!(fetcher.status()["branches"][0]["holds"], Value::Null);
}

#[test]
fn a_hold_that_expired_holds_no_more_and_is_told_once() {
    let world = World::new(&[]);
    let hold = "[[project.hold]]\nelement = \"a.bst\"\nreason = \"until the release\"\nuntil = 2020-02-29";
    let told = world.scratch.path("told");
    let notify = format!(
        "[[notify]]\nkind = \"command\"\ncommand = [\"/bin/sh\", \"-c\", \"cat >>'{}'\"]\non = [\"failure\"]\n",
        told.display()
    );
    let fetcher = world.fetcher(&format!("{hold}\n"));
    let text = std::fs::read_to_string(world.scratch.path("config.toml")).expect("the configuration");
    world.scratch.write("config.toml", text + "\n" + &notify);
    assert_eq!(world.asked(&fetcher, &["run"]), ["push", "track"]);
    assert_eq!(targets(&world, "track"), ["all.bst"]);
    let report = fetcher.report();
    let finding = &track_stage(&report)["findings"][0];
    assert_eq!((&finding["kind"], &finding["element"]), (&"hold-expired".into(), &"a.bst".into()), "{report:#}");
    assert_eq!(report["branches"][0]["outcome"], "ok");
    let message = std::fs::read_to_string(&told).expect("what was told");
    assert!(message.contains("the hold on a.bst (until the release) expired after 2020-02-29"), "{message}");
    world.asked(&fetcher, &["run"]);
    assert_eq!(track_stage(&fetcher.report())["findings"], json!([]));
    assert_eq!(std::fs::read_to_string(&told).expect("what was told"), message, "told once");
    let status = fetcher.run(&["status"]).expect(0).stdout();
    assert!(
        status.contains("no longer held in project (main): a.bst: until the release (expired 2020-02-29)"),
        "{status}"
    );
}

#[test]
fn a_listing_that_fails_lets_nothing_be_tracked_that_may_be_held() {
    let world = World::new(&[]);
    world.fake.now("before() { [ $command != show ] || { echo 'Error loading project' >&2; exit 255; }; }");
    let hold = "[[project.hold]]\nelement = \"a.bst\"\nreason = \"because\"";
    let fetcher = world.fetcher(hold);
    world.fake.forget();
    fetcher.run(&["run"]).expect(4);
    assert_eq!(world.fake.commands(), Vec::<String>::new());
    let report = fetcher.report();
    assert_eq!(track_stage(&report)["outcome"], "failed", "{report:#}");
}
