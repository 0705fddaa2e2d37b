//! A program that leaves tracking out and has a stage of its own: which elements name no licence.
//!
//! ```text
//! cargo run -p fetcher-core --example own_stage -- config.toml
//! ```

use std::error::Error;
use std::path::Path;

use fetcher_core::pipeline::ElementChoice;
use fetcher_core::report::ElementOutcome;
use fetcher_core::{Config, Environment, Fetcher, RunReport, Stage};

pub(crate) fn run(config: &Path, environment: Environment) -> Result<RunReport, Box<dyn Error>> {
    let fetcher = Fetcher::new(Config::load(config, &environment)?, environment);
    let workspace = fetcher.workspace()?;
    let mut reports = Vec::new();
    for project in workspace.projects()? {
        for branch in project.fetch(&project.list()?.tips)?.branches {
            let open = workspace.open(&branch)?;
            let pipeline = open.pipeline();
            let mut session = open.session(&pipeline, |event| println!("{event:?}"))?;
            session.fetch(ElementChoice::Configured);
            session.custom(Stage::custom("licences")?, |session, report| {
                let listed = session.bst(["show", "--deps", "all", "--format", "%{name} %{public}"])?;
                for (element, public) in listed.stdout.lines().filter_map(|line| line.split_once(' ')) {
                    let has = if public.contains("licence") { ElementOutcome::Done } else { ElementOutcome::Failed };
                    element.parse().into_iter().for_each(|name| report.results.enter(name, has));
                }
                report.failures.extend(listed.failures);
                Ok(())
            });
            reports.push(open.report(session.finish()));
        }
    }
    Ok(workspace.finish(reports)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("name a configuration file")?;
    let report = run(Path::new(&path), Environment::of_this_process())?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
