//! `kill -9` at many points of a run, evenly over all of it: nothing is lost, nothing is left behind.
//!
//! A hundred points by default; `KILL_POINTS=1000 cargo test -p fetcher-tests --test program kill_points` is the whole.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fetcher_tests::alive::alive;
use fetcher_tests::canary::files;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::http::{Http, Request};
use fetcher_tests::notified::{FAILS, Notified};
use serde_json::Value;

fn points() -> u32 {
    let set = std::env::var("KILL_POINTS").ok();
    set.map_or(100, |points| points.parse().expect("KILL_POINTS is a number"))
}

/// Files of ours that should be there for moments only.
fn leftovers(world: &Notified) -> Vec<String> {
    let root = world.scratch.root();
    let ours = ["state", "cache", "tmp"].map(|name| root.join(name));
    let name = |path: &Path| path.strip_prefix(root).expect("a path below").display().to_string();
    let moment = |name: &String| {
        let last = name.rsplit('/').next().unwrap_or_default();
        name.starts_with("tmp/")
            || name.contains("/run.new/")
            || name.contains("/run.old/")
            || last.starts_with(".tmp")
            || last.contains("tmp_")
    };
    ours.iter().flat_map(|directory| files(directory)).map(|path| name(&path)).filter(moment).collect()
}

/// What the hook was told of the project since the last time, the newest last.
fn told(http: &Http) -> Vec<String> {
    // What a kill cut off in the middle was not told.
    let whole = |request: &Request| {
        let length = request.headers.get("content-length").and_then(|length| length.parse().ok());
        length == Some(request.body.len())
    };
    let requests = http.take().into_iter().filter(whole).map(|request| request.json());
    let of_project = requests.filter(|json| json["title"].as_str().is_some_and(|title| title.starts_with("[project")));
    of_project.map(|json| json["event"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Every file of the memory can be read, and no report of a run is lost.
fn check_state(state: &Path, runs_before: usize, point: u32) -> usize {
    for file in files(state).iter().filter(|file| file.extension().is_some_and(|end| end == "json")) {
        let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        // Being written when it was killed; the next run clears it away.
        let broken = fs::read(file).is_ok_and(|text| serde_json::from_slice::<Value>(&text).is_err());
        assert!(hidden || !broken, "{} cannot be read after kill {point}", file.display());
    }
    let runs = fs::read_dir(state.join("runs")).into_iter().flatten().flatten().count();
    assert!(runs >= runs_before, "a run's directory was lost at kill {point}");
    for run in fs::read_dir(state.join("runs")).into_iter().flatten().flatten() {
        assert!(run.path().join("report.json").is_file(), "{} has no report after kill {point}", run.path().display());
    }
    runs
}

fn run(fetcher: &Fetcher<'_>, status: i32, point: u32) -> Duration {
    let began = Instant::now();
    let ended = fetcher.run(&["run"]);
    assert_eq!(ended.status(), status, "after kill {point}: {ended}");
    began.elapsed()
}

#[test]
fn killed_at_any_point_nothing_is_lost_and_nothing_left_behind() {
    let (mut world, http) = (Notified::new(&[], ""), Http::start([]));
    world.notifiers(&format!("[[notify]]\nkind = \"webhook\"\nurl = \"{}/\"\ntimeout = \"20s\"\n", http.url));
    fs::create_dir(world.scratch.path("tmp")).expect("a directory");
    world.fake.now("");
    let fetcher = world.fetcher().env("TMPDIR", world.scratch.path("tmp").display());
    let mut duration = run(&fetcher, 0, 0);
    let state = world.scratch.path("state");
    let (mut runs, points) = (1, points());
    for point in 0..points {
        let fails = point % 2 == 0;
        // Everything is to be fetched again: what every element's sources follow from is another.
        let conf = format!("name: fake\nmin-version: 2.0\nelement-path: elements\n# {point}\n");
        world.repo.write("project.conf", &conf);
        world.repo.commit("Another step");
        world.fake.now(if fails { FAILS } else { "" });
        let mut child = fetcher.command(&["run"]).stderr(Stdio::null()).spawn().expect("the program starts");
        // One after the other all parts of a run, the moments after its end too.
        thread::sleep(duration.mul_f64(1.1 * f64::from(point) / f64::from(points)));
        child.kill().expect("kill");
        let _ = child.wait();
        runs = check_state(&state, runs, point);

        // A killed run is told once on standard error, and is no failure.
        duration = run(&fetcher, i32::from(fails), point).min(duration * 2);
        runs = check_state(&state, runs, point);
        assert_eq!(alive(world.scratch.root()), Vec::<String>::new(), "after kill {point}");
        assert_eq!(leftovers(&world), Vec::<String>::new(), "after kill {point}");
        let news = told(&http);
        let expected = if fails { "failure" } else { "recovery" };
        assert!(news.last().is_some_and(|event| event == expected), "after kill {point}: {news:?}");
        let report = fetcher.report();
        assert_eq!(report["branches"][0]["outcome"], if fails { "partial" } else { "ok" }, "{report:#}");
        let branch = fs::read(state.join("branches/project/main.json")).expect("the memory");
        let branch: Value = serde_json::from_slice(&branch).expect("the memory");
        assert_eq!(
            branch["history"].as_array().and_then(|past| past.last()).map(|past| &past["run"]),
            Some(&report["run"])
        );
        let tip = fs::read_to_string(world.scratch.path("cache/checkouts/project/main/tree/project.conf"));
        assert_eq!(tip.expect("the checkout"), conf);
    }
    for run in fs::read_dir(state.join("runs")).expect("the runs").flatten() {
        let report: Value =
            serde_json::from_slice(&fs::read(run.path().join("report.json")).expect("a report")).expect("a report");
        assert!(report["finished"].is_string() || report["outcome"] == "interrupted", "{report:#}");
    }
    let mirrors = fs::read_dir(world.scratch.path("cache/mirrors")).expect("the mirrors").flatten();
    for mirror in mirrors.filter(|mirror| mirror.path().join("HEAD").is_file()) {
        let mut fsck = Command::new("git");
        fsck.env_clear()
            .envs(world.scratch.environment())
            .arg("--git-dir")
            .arg(mirror.path())
            .args(["fsck", "--strict"]);
        let said = fsck.output().expect("git");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    }
}
