//! A clock that was once ahead, and the bound on logs: what is the newest, and what goes first.

use std::fs;
use std::path::PathBuf;

use fetcher_tests::notified::Notified;
use serde_json::Value;

fn runs(world: &Notified) -> Vec<String> {
    let runs = fs::read_dir(world.scratch.path("state/runs")).expect("the runs");
    let mut runs: Vec<_> = runs.map(|run| run.expect("a run").file_name().into_string().expect("a name")).collect();
    runs.sort();
    runs
}

/// Makes it so that the only run was done by a clock years ahead; gives its name.
fn ahead(world: &Notified) -> String {
    let [run] = &runs(world)[..] else { panic!("{:?}", runs(world)) };
    let year: u32 = run[..4].parse().expect("a year");
    let (then, later) = (format!("{year}-"), format!("{}-", year + 5));
    let future = format!("{}{}", year + 5, &run[4..]);
    let directory = world.scratch.path("state");
    for file in [
        "branches/project/main.json",
        "elements/project/main/~.json",
        &format!("runs/{run}/report.json"),
        "metrics.json",
        "usage.json",
    ] {
        let path = directory.join(file);
        if let Ok(text) = fs::read_to_string(&path) {
            fs::write(&path, text.replace(run.as_str(), &future).replace(&format!("\"{then}"), &format!("\"{later}")))
                .expect("the file");
        }
    }
    fs::rename(directory.join("runs").join(run), directory.join("runs").join(&future)).expect("a rename");
    future
}

fn counter(world: &Notified, name: &str) -> f64 {
    let text = fs::read_to_string(world.scratch.path("metrics.prom")).expect("the metrics");
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a value")).sum()
}

#[test]
fn a_run_from_the_future_is_not_the_newest_for_ever() {
    let mut world = Notified::new(&[], "");
    let root = world.scratch.root().display().to_string();
    world.general(&format!("publish-dir = \"{root}/site\"\nmetrics-file = \"{root}/metrics.prom\""));
    world.fails().expect(1);
    let future = ahead(&world);
    let counted = counter(&world, "bst_fetcher_branch_runs_total");
    world.fake.now("fails() { [ $command = push ] && [ $1 = b.bst ] && text='HTTP Error 403: Forbidden'; }");
    world.fetcher().run(&["run", "--force"]).expect(1);
    let now = runs(&world).into_iter().find(|run| *run != future).expect("another run");
    let status = world.fetcher().status();
    assert_eq!(status["last-run"]["run"], now.as_str(), "{status:#}");
    let main = &status["branches"][0];
    for time in ["failing-since", "last-run", "last-failure"] {
        let at = main[time].as_str().expect(time);
        assert!(at[..4] <= now[..4], "{time} is {at}");
    }
    let logs = world.fetcher().run(&["logs", "project", "push"]).expect(0);
    assert!(logs.stdout().contains("403"), "{logs}");
    let page: Value =
        serde_json::from_slice(&fs::read(world.scratch.path("site/status.json")).expect("the page")).expect("JSON");
    assert_eq!(page["last-run"]["run"], now.as_str(), "{page:#}");
    assert!((counter(&world, "bst_fetcher_branch_runs_total") - counted - 1.0).abs() < 0.5, "it is counted, once");
}

#[test]
fn what_was_fetched_while_the_clock_was_ahead_is_fetched_again() {
    let world = Notified::new(&[], "");
    world.fetcher().run(&["run"]).expect(0);
    ahead(&world);
    world.fake.forget();
    world.fetcher().run(&["run"]).expect(0);
    assert!(world.fake.commands().contains(&"push".to_owned()), "{:?}", world.fake.commands());
    world.fake.forget();
    world.fetcher().run(&["run"]).expect(0);
    assert_eq!(world.fake.commands(), ["track"]);
}

#[test]
fn a_run_from_the_future_goes_when_its_time_is_over() {
    let mut world = Notified::new(&[], "");
    let root = world.scratch.root().display().to_string();
    world.general(&format!("publish-dir = \"{root}/site\""));
    world.works().expect(0);
    let future = ahead(&world);
    world.works().expect(0);
    assert!(runs(&world).contains(&future), "its time begins only now");
    world.general(&format!("publish-dir = \"{root}/site\"\nkeep-runs = \"1ms\""));
    world.works().expect(0);
    assert!(!runs(&world).contains(&future), "{:?}", runs(&world));
    world.works().expect(0);
    assert!(!world.scratch.path("site/runs").join(&future).exists(), "its pages go with it");
}

#[test]
fn logs_are_bounded_in_all_and_the_oldest_go_first() {
    let mut world = Notified::new(&[], "");
    let root = world.scratch.root().display().to_string();
    world.general(&format!("publish-dir = \"{root}/site\"\nkeep-logs = \"500K\""));
    world.fake.now("before() { [ $command != push ] || head -c 200000 /dev/zero | tr '\\0' '\\n' >&2; }");
    for _ in 0..4 {
        world.fetcher().run(&["run", "--force"]).expect(0);
    }
    let has = |base: &str, run: &str, file: &str| PathBuf::from(&root).join(base).join(run).join(file).exists();
    let all = runs(&world);
    assert_eq!(all.len(), 4, "reports are kept as long as ever");
    assert!(all.iter().all(|run| has("state/runs", run, "report.json")));
    let logs: Vec<_> = all.iter().map(|run| has("state/runs", run, "project")).collect();
    assert_eq!(logs, [false, false, true, true]);
    let pages: Vec<_> = all.iter().map(|run| has("site/runs", run, "logs")).collect();
    assert!(!pages[0] && pages[3], "the copies are bounded as well: {pages:?}");
    // The newest run keeps its own, however large.
    world.general(&format!("publish-dir = \"{root}/site\"\nkeep-logs = \"1K\""));
    world.fetcher().run(&["run", "--force"]).expect(0);
    let all = runs(&world);
    let logs: Vec<_> = all.iter().map(|run| has("state/runs", run, "project")).collect();
    assert_eq!(logs, [false, false, false, false, true]);
    let ended = world.fetcher().run(&["logs", "project", "push"]).expect(0);
    assert!(ended.stdout().len() > 200_000);
    world.fetcher().run(&["run", "--force"]).expect(0);
    let pages: Vec<_> = runs(&world).iter().map(|run| has("site/runs", run, "index.html")).collect();
    assert_eq!(pages.iter().filter(|there| **there).count(), 1, "{pages:?}");
}
