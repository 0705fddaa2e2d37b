//! The program killed while it tells: nothing is lost, and what is told twice says so.

use std::fs;
use std::path::Path;

use fetcher_tests::notified::Notified;

/// The messages that were taken so far.
fn told(world: &Notified) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(world.scratch.path("told")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

fn notifier(script: &str) -> String {
    format!("[[notify]]\nkind = \"command\"\nname = \"c\"\ncommand = [\"sh\", \"-c\", '{script}']\n")
}

#[test]
fn what_may_have_been_told_before_a_kill_is_told_again_and_says_so() {
    let mut world = Notified::new(&[], "");
    // The program is its parent; it is killed when the message has arrived, and nobody could remember that yet.
    world.notifiers(&notifier("cat >>told; kill -9 $$PPID; sleep 1"));
    let temporary = world.scratch.path("tmp");
    fs::create_dir(&temporary).expect("a directory");
    let ended = |world: &Notified| world.fetcher().env("TMPDIR", temporary.display()).run(&["run", "--force"]);
    world.fake.now(fetcher_tests::notified::FAILS);
    assert_eq!(ended(&world).status(), 137);
    let first = told(&world);
    assert_eq!(first.len(), 1);
    assert_eq!(first[0]["again"], false);
    let left = files(&world.scratch.path("state/notify/tmp"));
    assert_eq!(left, [""; 0], "the message went through a pipe, and no file of it is left");
    assert!(files(&temporary).iter().all(|name| name.starts_with("bst-fetcher-")), "{:?}", files(&temporary));

    world.notifiers(&notifier("cat >>told"));
    ended(&world);
    let all = told(&world);
    let again: Vec<_> = all[1..].iter().filter(|message| message["id"] == first[0]["id"]).collect();
    assert_eq!(again.len(), 1, "{all:#?}");
    assert_eq!(again[0]["again"], true);
    for text in ["title", "line", "text"] {
        assert!(again[0][text].as_str().is_some_and(|text| text.contains("(again)")), "{text}: {:#}", again[0]);
    }
    let others = all[1..].iter().filter(|message| message["id"] != first[0]["id"]);
    assert!(others.clone().all(|message| message["again"] == false), "what is new says nothing of the sort: {all:#?}");
    assert_eq!(files(&world.scratch.path("state/notify/tmp")), [""; 0], "it is cleared");
    assert_eq!(files(&temporary), [""; 0]);

    let count = all.len();
    ended(&world);
    let known = told(&world)[count..].iter().filter(|message| message["event"] == "failure").count();
    assert_eq!(known, 0, "it is told once more, and then known");
}

#[test]
fn what_was_only_not_reached_is_late_and_not_again() {
    let mut world = Notified::new(&[], "");
    world.notifiers(&notifier("exit 75"));
    world.fails().expect(1);
    world.notifiers(&notifier("cat >>told"));
    world.fails().expect(1);
    let all = told(&world);
    let failure = all.iter().find(|message| message["event"] == "failure").expect("the failure");
    assert_eq!((&failure["delayed"], &failure["again"]), (&true.into(), &false.into()));
    assert!(!failure["title"].as_str().expect("a title").contains("again"), "{failure:#}");
}

#[test]
fn a_message_reaches_a_program_where_the_state_directory_cannot_be_written() {
    let mut world = Notified::new(&[], "");
    world.notifiers(&notifier("cat >>told"));
    for name in ["state", "cache"] {
        world.scratch.write(name, "not a directory\n");
    }
    world.fetcher().run(&["run"]).expect(3);
    assert_eq!(told(&world).len(), 1);
}
