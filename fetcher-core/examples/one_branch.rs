//! Branch, checkout and pipeline one by one: what people build today, and then what tracking finds.
//!
//! ```text
//! cargo run -p fetcher-core --example one_branch -- URL [BRANCH]
//! ```

use std::error::Error;

use fetcher_core::Refs;
use fetcher_core::config::ProjectConfig;
use fetcher_core::{BranchName, Config, Environment, Fetcher, RunReport};

pub(crate) fn run(
    config: Config,
    environment: Environment,
    wanted: Option<&BranchName>,
) -> Result<RunReport, Box<dyn Error>> {
    let fetcher = Fetcher::new(config, environment);
    let workspace = fetcher.workspace()?;
    let project = workspace.projects()?.remove(0);
    let listing = project.fetch(&project.list()?.tips)?;
    let is_wanted = |branch: &&fetcher_core::Branch<'_>| wanted.is_none_or(|name| branch.name() == name);
    let branch = listing.branches.iter().find(is_wanted).ok_or("there is no such branch")?;

    let open = workspace.open(branch)?;
    println!("{} is at {} in {}", branch.name(), branch.commit(), open.directory().display());
    let pipeline = open.pipeline();
    let mut session = open.session(&pipeline, |event| println!("{event:?}"))?;
    for refs in [Refs::Committed, Refs::Tracked] {
        for stage in session.run(refs) {
            println!("{}: {}", stage.title(), stage.outcome);
        }
    }
    let report = open.report(session.finish());
    drop(open);
    Ok(workspace.finish(vec![report])?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let url = args.next().ok_or("name a project's git repository, and a branch if you like")?;
    let wanted = args.next().map(BranchName::try_from).transpose()?;
    let environment = Environment::of_this_process();
    let mut project = ProjectConfig::new(&url)?;
    project.branches = wanted.iter().map(ToString::to_string).collect();
    let config = Config::new(&environment)?.project(project);
    let report = run(config, environment, wanted.as_ref())?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
