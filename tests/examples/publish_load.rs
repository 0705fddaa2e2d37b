//! Measures what publishing takes: a commit for each of many elements, pushed to a repository on this machine.
//!
//! `cargo run --release -p fetcher-tests --example publish_load`

use std::fs;
use std::process::Command;

use fetcher_core::{Config, Environment, Fetcher, RunSelection, Stage};
use fetcher_tests::fake::FakeBst;
use fetcher_tests::scratch::Scratch;

const ELEMENTS: usize = 300;

fn main() {
    let scratch = Scratch::new();
    let repo = scratch.repo("project");
    repo.write("project.conf", "name: fake\nmin-version: 2.0\nelement-path: elements\n");
    let reference = "a".repeat(40);
    for number in 0..ELEMENTS {
        let source = format!("sources:\n- kind: git\n  url: up:n{number}\n  track: main\n  ref: {reference}\n");
        repo.write(&format!("elements/n{number}.bst"), &format!("kind: import\n{source}"));
    }
    repo.commit("A project");
    let root = scratch.root().display();
    let target = format!("{root}/published.git");
    repo.git(&["clone", "--quiet", "--bare", ".", &target]);
    for (digit, what) in [('1', "all of them new"), ('1', "nothing new"), ('2', "all of them changed")] {
        let fake = FakeBst::new(&scratch, &format!("track_ref() {{ ref={}; }}\n", digit.to_string().repeat(40)));
        let text = format!(
            "[fetcher]\nstate-dir = \"{root}/state\"\ncache-dir = \"{root}/cache\"\nmin-free-space = \"1M\"\n{}\
             [[project]]\nurl = \"{target}\"\nbranches = [\"main\"]\n[project.publish]\nmode = \"branch\"\n",
            fake.config()
        );
        fs::write(scratch.path("config.toml"), text).expect("a configuration");
        let environment: Environment = scratch.environment().into_iter().collect();
        let config = Config::load(scratch.path("config.toml"), &environment).expect("a configuration");
        let fetcher = Fetcher::new(config, environment);
        let report = fetcher.run(&RunSelection::all(), &mut |_| ()).expect("a run");
        let stage = report.branches[0].stages.iter().find(|stage| stage.stage == Stage::Publish).expect("a stage");
        assert!(stage.failures.is_empty(), "{:#?}", stage.failures);
        let mut count = Command::new("git");
        count.args(["-C", &target, "rev-list", "--count", "main..bst-fetcher/main"]);
        let commits = String::from_utf8(count.output().expect("git").stdout).expect("a number");
        println!("{what}: {} commits, {:.2} s", commits.trim(), stage.seconds);
    }
}
