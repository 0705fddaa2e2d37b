//! Runs the stages on one branch of one project and prints what happens, without a lock, a state or a report's files.
//!
//! ```text
//! cargo run -p fetcher-core --example one_branch -- URL [BRANCH]
//! ```

use std::error::Error;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use fetcher_core::bst::version::BstVersion;
use fetcher_core::bst::{Bst, child_environment};
use fetcher_core::config::DiskFiles;
use fetcher_core::git::Git;
use fetcher_core::names::Refs;
use fetcher_core::pipeline::PipelineDirectories;
use fetcher_core::state::ElementMemory;
use fetcher_core::{Cancel, Config, Environment, LocalRunner, Pipeline, Project, Redactor, SystemClock};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let url = args.next().ok_or("name a project's git repository, and a branch if you like")?;
    let wanted: Vec<String> = args.collect();

    let scratch = tempfile::tempdir()?;
    let environment = Environment::of_this_process();
    let runner = LocalRunner::new(scratch.path().as_os_str());
    let cancel = Cancel::new();

    // The project as a configuration would have it.
    let text = format!("[[project]]\nname = 'project'\nurl = {url:?}\nbranches = {wanted:?}\n");
    let config = Config::parse(&text, &scratch.path().join("config.toml"), &DiskFiles, &environment)?;

    // Which branches are there, and a working tree of the first one that is wanted.
    let timeout = Duration::from_secs(600);
    let git = Git { runner: &runner, environment: &environment, cancel: &cancel, timeout, space: None };
    let project = Project::new(&config.projects[0], scratch.path(), git)?;
    let fetched = project.fetch(&project.list()?.tips)?;
    let branch = fetched.branches.first().ok_or("there is no such branch")?;
    let checkout = branch.checkout()?;
    println!("{} is at {}", branch.name(), branch.commit());

    let command = vec![OsString::from("bst")];
    let children = child_environment(&environment, &[]);
    let version = BstVersion::probe(&command, Path::new("/"), children, &runner, &cancel)?;

    let pipeline = Pipeline {
        project: project.config(),
        branch: branch.name(),
        commit: branch.commit(),
        bst: &Bst { command, version },
        runner: &runner,
        environment: &environment,
        redactor: &Redactor::default(),
        clock: &SystemClock,
        directories: PipelineDirectories {
            project: checkout.directory,
            cachedir: scratch.path().join("cachedir"),
            sourcedir: scratch.path().join("sources"),
            temporary: scratch.path().join("tmp"),
            objects: Some(branch.project().objects()),
            run: scratch.path().to_owned(),
            logs: scratch.path().join("logs"),
        },
        prepared: None,
        one_at_a_time: None,
        refresh_after: Duration::ZERO,
        probing: None,
        done_in_run: None,
        clean_client_every: None,
        local_cache: None,
    };
    // What people build today, and then what tracking finds.
    let mut memory = ElementMemory::default();
    for refs in [Refs::Committed, Refs::Tracked] {
        let stages = pipeline.run(refs, None, &mut memory, &cancel, &mut |event| println!("{event:?}"));
        println!("{}", serde_json::to_string_pretty(&stages)?);
    }
    Ok(())
}
