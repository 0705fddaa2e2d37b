//! A configuration that is built in code, without any file.
//!
//! ```text
//! cargo run -p fetcher-core --example config_in_code -- URL CACHE
//! ```

use std::error::Error;
use std::path::Path;

use fetcher_core::config::{BuildStreamTool, ProjectConfig, PushMode, SourceCacheConfig};
use fetcher_core::{Config, Environment, Fetcher, RunReport, RunSelection};

pub(crate) fn config(
    url: &str,
    bst: Option<Vec<String>>,
    cache: Option<&str>,
    environment: &Environment,
) -> Result<Config, Box<dyn Error>> {
    let mut project = ProjectConfig::new(url)?;
    project.branches = vec!["main".to_owned(), "release/*".to_owned()];
    project.retries = 1;
    if let Some(command) = bst {
        project.buildstream.tool = BuildStreamTool::Command(command);
    }
    match cache {
        Some(url) => {
            let mut cache = SourceCacheConfig::new(url);
            cache.push = true;
            project.source_caches = vec![cache];
        }
        None => project.push = PushMode::Never,
    }
    Ok(Config::new(environment)?.project(project))
}

pub(crate) fn run(mut config: Config, environment: Environment, top: &Path) -> Result<RunReport, Box<dyn Error>> {
    config.state_dir = top.join("state");
    config.cache_dir = top.join("cache");
    let fetcher = Fetcher::new(config, environment);
    Ok(fetcher.run(&RunSelection::all(), &mut |event| println!("{event:?}"))?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let url = args.next().ok_or("name a project's git repository, and a source cache if you like")?;
    let environment = Environment::of_this_process();
    let config = config(&url, None, args.next().as_deref(), &environment)?;
    let report = run(config, environment, &std::env::current_dir()?)?;
    println!("{}", report.outcome);
    Ok(())
}
