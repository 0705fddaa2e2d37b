//! What is told over sequences of runs, and that nothing of it is lost.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fetcher_core::notify::{Notification, NotificationEvent, Notifier, NotifyError, render};
use fetcher_core::runner::OutputStream;
use fetcher_core::{Cancel, Config, Environment, Exit, Fetcher, Invocation, RunSelection, Runner};
use fetcher_tests::host::DeadPort;
use fetcher_tests::http::{Answer, Http};
use fetcher_tests::notified::{FAILS, Notified};
use fetcher_tests::waiting;
use rustix::process::{Pid, Signal, kill_process};

/// A webhook of this name that tells in JSON.
fn hook(name: &str, url: &str, more: &str) -> String {
    format!("[[notify]]\nkind = \"webhook\"\nname = \"{name}\"\nurl = \"{url}/\"\ntimeout = \"5s\"\n{more}\n")
}

/// What was told since the last time, a line each: event and title.
fn told(http: &Http) -> Vec<String> {
    let line = |json: serde_json::Value| {
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        format!("{} {}", text("event"), text("title"))
    };
    http.take().iter().map(|request| line(request.json())).collect()
}

/// A `bst` that says when it is in a stage, and then stays there.
const STAYS: &str = "before() { [ $command != track ] || { : >$scenario/there; sleep 600; }; }";

/// Starts a run that stays where it is, and waits until it is there.
fn stays(world: &Notified) -> Child {
    world.fake.now(STAYS);
    let child = world.fetcher().command(&["run"]).stderr(Stdio::null()).spawn().expect("the program starts");
    let there = world.fake.path("there");
    waiting::for_file(&there);
    fs::remove_file(there).expect("the sign");
    child
}

#[test]
fn a_failure_is_told_once_with_a_link_that_leads_somewhere() {
    let (mut world, http) = (Notified::new(&[], ""), Http::start([]));
    let site = world.scratch.path("site");
    world.general(&format!("base-url = \"https://f.example.org\"\npublish-dir = \"{}\"", site.display()));
    // The page has to be there when it is told.
    let looks = "case $$BST_FETCHER_URL in https://f.example.org/runs/*/logs/project/main/committed.push.html) \
                 test -s \"site/$${BST_FETCHER_URL#https://f.example.org/}\" ;; *) false ;; esac";
    let looks = format!("[[notify]]\nkind = \"command\"\non = [\"failure\"]\ncommand = [\"sh\", \"-c\", '{looks}']\n");
    world.notifiers(&(hook("a", &http.url, "") + &looks));
    world.works().expect(0);
    assert_eq!(told(&http), [""; 0]);
    let ended = world.fails().expect(1);
    assert!(!ended.stderr().contains("notifier"), "{ended}");
    assert_eq!(told(&http), ["failure [project (main)] failed in push: a.bst (unknown)"]);
    world.fails().expect(1);
    assert_eq!(told(&http), [""; 0]);
    world.works().expect(0);
    let recovery = told(&http);
    assert!(recovery.len() == 1 && recovery[0].starts_with("recovery [project (main)] works again"), "{recovery:?}");
}

#[test]
fn what_a_broken_notifier_could_not_tell_is_told_later_and_the_others_say_that_it_is_broken() {
    let (mut world, good) = (Notified::new(&[], ""), Http::start([]));
    let nobody = DeadPort::new();
    let dead = nobody.url();
    world.notifiers(&(hook("good", &good.url, "") + &hook("dead", &dead, "").replace("5s", "1s")));
    world.fails().expect(1);
    let report = world.fetcher().report();
    assert_eq!(report["failures"][0]["kind"], "notifier", "{report:#}");
    let first = told(&good);
    assert_eq!(first[0], "failure [project (main)] failed in push: a.bst (unknown)");
    assert!(first[1].contains("the notifier dead could not tell: cannot reach http://127.0.0.1"), "{first:?}");
    let ended = world.works().expect(1);
    assert!(ended.stderr().contains("the notifier dead could not tell"), "{ended}");
    assert_eq!(told(&good).len(), 1, "the recovery, and nothing more of the dead one");

    // It lives again, and hears of everything in order.
    let alive = Http::start([]);
    world.notifiers(&(hook("good", &good.url, "") + &hook("dead", &alive.url, "")));
    world.works().expect(0);
    let late = alive.take();
    let events: Vec<_> = late.iter().map(|request| request.json()).collect();
    assert_eq!(
        events.iter().map(|json| json["event"].as_str().unwrap_or("")).collect::<Vec<_>>(),
        ["failure", "recovery"]
    );
    for json in &events {
        assert_eq!(json["delayed"], true);
        assert!(json["text"].as_str().is_some_and(|text| text.contains("could not be sent before")), "{json:#}");
    }
    let over = told(&good);
    assert!(over.len() == 1 && over[0].contains("over after") && over[0].contains("dead"), "{over:?}");
    world.works().expect(0);
    assert!(alive.take().is_empty() && good.take().is_empty());
}

#[test]
fn a_slow_notifier_holds_up_nobody() {
    let (mut world, good) = (Notified::new(&[], ""), Http::start([]));
    let slow = Http::start(vec![Answer::Silence; 20]);
    world.notifiers(&(hook("slow", &slow.url, "").replace("5s", "2s") + &hook("good", &good.url, "")));
    let ended = world.fails().expect(1);
    let (first, second) = (slow.take().remove(0), good.take().remove(0));
    assert_eq!(second.json()["event"], "failure");
    assert!(second.at < first.at + Duration::from_secs(2), "it waited for the slow one");
    assert!(ended.stderr().contains("the notifier slow could not tell"), "{ended}");
}

#[test]
fn one_cause_on_many_branches_is_one_message() {
    let names: Vec<String> = (0..12).map(|n| format!("release/{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut world, http, some) = (Notified::new(&names, ""), Http::start([]), Http::start([]));
    let filtered = hook("some", &some.url, "branches = [\"release/0*\"]\nprojects = [\"proj*\"]");
    world.notifiers(&(hook("a", &http.url, "") + &filtered));
    world.fails().expect(1);
    assert_eq!(
        told(&http),
        ["failure [project (main, release/00, release/01 and 10 more)] failed in push: a.bst (unknown)"]
    );
    let topics = some.take().remove(0).json()["topics"].as_array().map(Vec::len);
    assert_eq!(topics, Some(10), "those that it wants");
}

#[test]
fn a_project_that_cannot_be_listed_is_told_and_so_is_its_recovery() {
    let (mut world, http) = (Notified::new(&[], ""), Http::start([]));
    world.notifiers(&hook("a", &http.url, ""));
    world.works().expect(0);
    fs::rename(world.scratch.path("project"), world.scratch.path("away")).expect("a rename");
    world.works().expect(4);
    let first = told(&http);
    assert!(first.len() == 1 && first[0].starts_with("failure [project] failed in checkout: "), "{first:?}");
    fs::rename(world.scratch.path("away"), world.scratch.path("project")).expect("a rename");
    world.works().expect(0);
    let second = told(&http);
    assert!(second.len() == 1 && second[0].starts_with("recovery [project] works again"), "{second:?}");
}

#[test]
fn a_killed_run_is_told_once_at_the_next_ones_start() {
    let (mut world, http) = (Notified::new(&[], ""), Http::start([]));
    world.notifiers(&hook("a", &http.url, ""));
    let mut child = stays(&world);
    child.kill().and_then(|()| child.wait()).expect("its end");
    assert_eq!(told(&http), [""; 0]);
    // The one that tells is killed too: that is no news.
    let mut child = stays(&world);
    let first = told(&http);
    assert!(first.len() == 1 && first[0].contains("ended without a word"), "{first:?}");
    child.kill().and_then(|()| child.wait()).expect("its end");
    world.works().expect(0);
    assert_eq!(told(&http), [""; 0]);
    let mut child = stays(&world);
    child.kill().and_then(|()| child.wait()).expect("its end");
    world.works().expect(0);
    assert_eq!(told(&http).len(), 1, "another one");
}

#[test]
fn a_stopped_run_tells_nothing_but_that_it_was_stopped() {
    let (mut world, http, health) = (Notified::new(&[], ""), Http::start([]), Http::start([]));
    let check = format!("[[notify]]\nkind = \"healthcheck\"\nurl = \"{}/x\"\n", health.url);
    world.notifiers(&(hook("a", &http.url, "on = [\"always\"]") + &check));
    let mut child = stays(&world);
    kill_process(Pid::from_child(&child), Signal::INT).expect("a signal");
    child.wait().expect("its end");
    assert_eq!(told(&http), [""; 0]);
    let pings: Vec<_> =
        health.take().iter().map(|request| request.target.split('?').next().map(str::to_owned)).collect();
    assert_eq!(pings, [Some("/x/start".to_owned()), Some("/x/log".to_owned())]);
}

#[test]
fn a_lock_that_is_held_for_too_long_is_told_once() {
    let (mut world, http) = (Notified::new(&[], ""), Http::start([]));
    world.notifiers(&hook("a", &http.url, ""));
    let mut child = stays(&world);
    world.fetcher().run(&["run"]).expect(75);
    assert_eq!(told(&http), [""; 0], "it is young");
    world.general("lock-alarm-after = \"1s\"");
    let mut first = Vec::new();
    waiting::until("the lock is old", || {
        world.fetcher().run(&["run"]).expect(75);
        first = told(&http);
        !first.is_empty()
    });
    assert!(
        first.len() == 1 && first[0].contains("another run holds") && first[0].contains("(lock-held)"),
        "{first:?}"
    );
    world.fetcher().run(&["run"]).expect(75);
    assert_eq!(told(&http), [""; 0]);
    kill_process(Pid::from_child(&child), Signal::INT).expect("a signal");
    child.wait().expect("its end");
    world.works().expect(0);
    let over = told(&http);
    assert!(over.len() == 1 && over[0].contains("over after") && over[0].contains("another run holds"), "{over:?}");
}

#[test]
fn a_state_directory_that_cannot_be_used_is_told_and_remembered_elsewhere() {
    let (mut world, http) = (Notified::new(&[], ""), Http::start([]));
    world.notifiers(&hook("a", &http.url, ""));
    // A file in its place, for root may write everywhere.
    let state = world.scratch.write("state", "not a directory\n");
    for expected in [1, 0] {
        let ended = world.fetcher().run(&["run"]).expect(3);
        let said = told(&http);
        assert_eq!(said.len(), expected, "{said:?} {ended}");
        assert!(said.iter().all(|line| line.contains("cannot make") && line.contains("state")), "{said:?}");
    }
    fs::remove_file(state).expect("a file");
    world.works().expect(0);
}

#[test]
fn secrets_are_in_no_message_and_in_no_memory() {
    let (mut world, http) = (Notified::new(&[], ""), Http::start([]));
    world.scratch.write("hook.secret", "a-secret-of-hooks\n");
    world.notifiers(&hook("a", &http.url, "secret-file = \"hook.secret\""));
    world.fake.now("fails() { [ $command = push ] && [ $1 = a.bst ] && text='got a-secret-of-\u{1b}[31mhooks and https://u:pw1234@h/'; }");
    world.fetcher().run(&["run", "--force"]).expect(1);
    let body = http.take().remove(0).body;
    assert!(body.contains("***") && !body.contains("a-secret-of-hooks") && !body.contains("pw1234"), "{body}");
    let memory = fs::read_to_string(world.scratch.path("state/notify/a.json")).expect("the memory");
    assert!(memory.contains("project/main") && !memory.contains("a-secret-of-hooks"), "{memory}");
}

/// A notifier of a program that embeds the library.
struct Own(Arc<Mutex<Vec<String>>>);

impl Notifier for Own {
    fn name(&self) -> &'static str {
        "a name with spaces"
    }

    fn send(&self, message: &Notification) -> Result<(), NotifyError> {
        self.0.lock().expect("the lines").push(render::line(message));
        assert_ne!(message.event, NotificationEvent::Recovery, "a bug in a notifier");
        Ok(())
    }
}

struct Panics;

impl Runner for Panics {
    fn run(
        &self,
        _: &Invocation,
        _: &Cancel,
        _: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<Exit, fetcher_core::runner::RunnerError> {
        panic!("a bug in a runner")
    }
}

#[test]
fn a_program_may_add_a_notifier_and_tell_of_what_no_run_reports() {
    let (mut world, http) = (Notified::new(&[], ""), Http::start([]));
    world.notifiers(&hook("a", &http.url, ""));
    world.fake.now(FAILS);
    let _ = world.fetcher();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let environment: Environment = world.scratch.environment().into_iter().collect();
    let fetcher = || {
        let config = Config::load(world.scratch.path("config.toml"), &environment).expect("a configuration");
        Fetcher::new(config, environment.clone()).notifier(Box::new(Own(Arc::clone(&lines))))
    };
    let run = |fetcher: &Fetcher| {
        fetcher.run(
            &{
                let mut it = RunSelection::all();
                it.force = true;
                it
            },
            &mut |_| {},
        )
    };
    run(&fetcher()).expect("a run");
    assert_eq!((lines.lock().expect("the lines").len(), told(&http).len()), (1, 1));

    // Its runner panics, which is told as the branch's failure; and the program says that it panicked itself.
    let broken = fetcher().runner(Panics);
    let report = run(&broken).expect("a run");
    assert!(!report.outcome.is_good() && report.finished.is_some(), "{report:#?}");
    let said = told(&http);
    assert!(said.iter().any(|line| line.contains("a bug in a runner")), "{said:?}");
    for expected in [1, 0] {
        assert_eq!(broken.tell_panic("a bug in the program"), []);
        let said = told(&http);
        assert_eq!(said.len(), expected, "{said:?}");
        assert!(said.iter().all(|line| line.contains("a bug in the program")), "{said:?}");
    }

    // A notifier that panics ends nobody, and is told by the others.
    world.fake.now("");
    let report = run(&fetcher()).expect("a run");
    let failure = report.failures.iter().find(|failure| failure.kind == fetcher_core::diagnosis::FailureKind::Notifier);
    assert!(failure.is_some_and(|failure| failure.message.contains("it panicked: ")), "{:#?}", report.failures);
    let said = told(&http);
    assert!(said.iter().any(|line| line.contains("recovery [project (main)] works again")), "{said:?}");
    assert!(said.iter().any(|line| line.contains("a name with spaces could not tell")), "{said:?}");
    assert!(!Path::new("state/notify").join("a name with spaces.json").exists());
}
