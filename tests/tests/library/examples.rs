//! The library's example programs, each run on real repositories and a fake bst.

use std::fs;
use std::path::PathBuf;

use fetcher_core::diagnosis::{Actor, FailureKind};
use fetcher_core::report::{ElementOutcome, Outcome};
use fetcher_core::{Config, ElementName, Environment, RunReport, Stage};
use fetcher_tests::fake::{FakeBst, upstream};
use fetcher_tests::scratch::Scratch;

/// An example's file, without its `main`, which only reads the command line.
macro_rules! example {
    ($($name:ident: $path:literal),*) => {$(
        #[expect(dead_code, reason = "its main is for the command line")]
        #[path = $path]
        mod $name;
    )*};
}

example!(
    config_in_code: "../../../fetcher-core/examples/config_in_code.rs",
    diagnose_log: "../../../fetcher-core/examples/diagnose_log.rs",
    from_tokio: "../../../fetcher-core/examples/from_tokio.rs",
    git_alone: "../../../fetcher-core/examples/git_alone.rs",
    one_branch: "../../../fetcher-core/examples/one_branch.rs",
    own_parts: "../../../fetcher-core/examples/own_parts.rs",
    own_stage: "../../../fetcher-core/examples/own_stage.rs"
);

struct World {
    scratch: Scratch,
    fake: FakeBst,
    environment: Environment,
    config: PathBuf,
}

impl World {
    fn new(scenario: &str) -> Self {
        let scratch = Scratch::new();
        upstream(&scratch, &[]);
        let fake = FakeBst::new(&scratch, scenario);
        let root = scratch.root().display();
        let text = format!(
            "[fetcher]\nstate-dir = \"{root}/state\"\ncache-dir = \"{root}/cache\"\nmin-free-space = \"1M\"\n{}\n\
             [[project]]\nurl = \"{root}/project\"\ntargets = [\"all.bst\"]\nretries = 0\npush = false\nverify = false\n",
            fake.config()
        );
        let config = scratch.write("config.toml", text);
        let environment = scratch.environment().into_iter().collect();
        Self { scratch, fake, environment, config }
    }

    fn load(&self) -> Config {
        Config::load(&self.config, &self.environment).expect("a configuration")
    }

    fn environment(&self) -> Environment {
        self.environment.clone()
    }
}

fn element(name: &str) -> ElementName {
    name.parse().expect("an element's name")
}

fn stages(report: &RunReport) -> Vec<(String, Outcome)> {
    let of_branch = |stage: &fetcher_core::report::StageReport| (stage.title(), stage.outcome);
    report.branches.iter().flat_map(|branch| branch.stages.iter().map(of_branch)).collect()
}

#[test]
fn a_program_leaves_tracking_out_and_adds_a_stage_of_its_own() {
    let world = World::new("fails() { [ $command = fetch ] && [ $1 = b.bst ] && text='HTTP Error 404: Not Found'; }");
    let report = own_stage::run(&world.config, world.environment()).expect("a report");
    assert_eq!(world.fake.commands(), ["fetch"], "nothing is tracked");
    let branch = &report.branches[0];
    let [checkout, fetch, licences] = &branch.stages[..] else { panic!("{branch:#?}") };
    assert_eq!((checkout.stage, checkout.outcome), (Stage::Checkout, Outcome::Ok));
    assert_eq!((fetch.stage, fetch.outcome), (Stage::Fetch, Outcome::Partial));
    assert_eq!(fetch.results.of(&element("a.bst")), Some(ElementOutcome::Done));
    assert_eq!(fetch.results.of(&element("b.bst")), Some(ElementOutcome::Failed));
    assert_eq!(fetch.failures[0].kind, FailureKind::NotFound);
    assert_eq!(licences.stage, Stage::custom("licences").expect("a name"));
    assert_eq!((licences.outcome, licences.elements.failed), (Outcome::Failed, 3), "{licences:#?}");
    assert_eq!(branch.outcome, Outcome::Partial);
    // It is a report like the others, read by whoever reads those.
    let path = world.scratch.path(&format!("state/runs/{}/report.json", report.run));
    let written: RunReport = serde_json::from_str(&fs::read_to_string(path).expect("a report")).expect("a report");
    assert_eq!(written.branches[0].stages[2].stage, licences.stage);
    assert!(fetch.log.is_some(), "logs are kept");
    // Nothing is left, and whoever comes next has the directories.
    assert!(!world.scratch.path("state/current.json").exists());
    let report = own_parts::run(&world.config, world.environment()).expect("a report");
    assert!(report.failures.is_empty(), "{report:#?}");
}

#[test]
fn one_run_at_a_time_has_the_directories() {
    let world = World::new("");
    let fetcher = fetcher_core::Fetcher::new(world.load(), world.environment());
    let workspace = fetcher.workspace().expect("a workspace");
    let refused = own_stage::run(&world.config, world.environment()).expect_err("they are held");
    assert!(refused.to_string().contains("process"), "{refused}");
    drop(workspace);
    own_stage::run(&world.config, world.environment()).expect("they are free");
}

#[test]
fn a_branch_is_worked_on_step_by_step() {
    let world = World::new("track_ref() { ref=dddddddddddddddddddddddddddddddddddddddd; }");
    let name = "main".parse().expect("a branch");
    let report = one_branch::run(world.load(), world.environment(), Some(&name)).expect("a report");
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    let titles: Vec<String> = stages(&report).into_iter().map(|(title, _)| title).collect();
    let of = |refs| ["fetch", "push", "verify"].map(|stage| format!("{stage} ({refs})"));
    let expected = [vec!["checkout".to_owned()], of("committed").into(), vec!["track".into()], of("tracked").into()];
    assert_eq!(titles, expected.concat());
    let changed: Vec<_> = report.branches[0].changes.iter().map(|change| change.change.element.as_str()).collect();
    assert_eq!(changed, ["a.bst", "b.bst"]);
    let missing = "elsewhere".parse().expect("a branch");
    assert!(one_branch::run(world.load(), world.environment(), Some(&missing)).is_err());
}

#[test]
fn a_run_has_its_own_runner_and_notifier() {
    let world = World::new("");
    let report = own_parts::run(&world.config, world.environment()).expect("a report");
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert!(world.scratch.path("state/notify").exists(), "what the notifier was told is remembered");
}

#[test]
fn a_log_is_diagnosed_alone() {
    let log = fs::File::open("../fixtures/bst-logs/git-http-404-track.txt").expect("a log");
    let found = diagnose_log::run(log).expect("diagnoses");
    assert_eq!((found.failures[0].kind, found.failures[0].actor), (FailureKind::NotFound, Actor::Project));
    let text = found.failures[0].to_string();
    assert!(text.contains("not-found: ") && text.contains(&found.failures[0].hint), "{text}");
}

#[test]
fn git_is_used_alone() {
    let world = World::new("");
    let (url, place) = (world.scratch.path("project").display().to_string(), world.scratch.path("git"));
    let trees = git_alone::run(&url, "ma*", &place, &world.environment).expect("trees");
    assert_eq!(trees.len(), 1);
    assert!(trees[0].join("project.conf").is_file());
    let gone = git_alone::run("/nowhere/at/all", "*", &place, &world.environment).expect_err("no repository");
    assert_eq!(gone.diagnosis(Stage::Checkout).kind, FailureKind::NotFound);
}

#[test]
fn asynchronous_code_has_events_with_their_time_and_stops_a_run() {
    let world = World::new("");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut lines = Vec::new();
    let tell = |record| lines.push(serde_json::to_value(&record).expect("JSON"));
    let work = from_tokio::run(&world.config, world.environment(), std::future::pending(), tell);
    assert_eq!(runtime.block_on(work).expect("a report").outcome, Outcome::Ok);
    assert_eq!(lines.first().expect("events")["event"], "run-started");
    assert_eq!(lines.last().expect("events")["event"], "run-finished");
    assert!(lines.windows(2).all(|pair| pair[0]["at"].as_str() <= pair[1]["at"].as_str()));

    // Stopped while bst fetches, which would take for ever.
    world.fake.now("before() { [ $command != fetch ] || while :; do sleep 1; done; }");
    fs::remove_dir_all(world.scratch.path("state")).expect("the memory");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut stop = Some(stop);
    let tell = |record: fetcher_core::report::EventRecord| {
        if matches!(record.event, fetcher_core::Event::StageStarted { stage: Stage::Fetch, .. }) {
            stop.take().into_iter().for_each(|stop| stop.send(()).expect("somebody waits"));
        }
    };
    let stopped = async { stopped.await.unwrap_or_default() };
    let work = from_tokio::run(&world.config, world.environment(), stopped, tell);
    assert_eq!(runtime.block_on(work).expect("a report").outcome, Outcome::Interrupted);
}

#[test]
fn a_configuration_is_built_in_code() {
    let world = World::new("");
    let url = world.scratch.path("project").display().to_string();
    let program = fs::canonicalize("../fixtures/fake-bst/bst").expect("the fake bst").display().to_string();
    let scenario = world.scratch.path("scenario");
    let command = vec![program, "--scenario".to_owned(), scenario.display().to_string()];
    let mut config = config_in_code::config(&url, Some(command), None, &world.environment).expect("a configuration");
    config.projects[0].sandbox.write.push(scenario);
    config.projects[0].verify = false;
    let report = config_in_code::run(config, world.environment(), world.scratch.root()).expect("a report");
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert_eq!(world.fake.commands(), ["fetch", "track"]);
}
