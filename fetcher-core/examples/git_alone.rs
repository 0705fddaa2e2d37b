//! Git alone: a mirror of the branches that match, and a working tree of each that is exactly its tip.
//!
//! ```text
//! cargo run -p fetcher-core --example git_alone -- URL PATTERN DIRECTORY
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fetcher_core::git::{Git, GitAccess, GitError, Mirror, RemoteRepository, select};
use fetcher_core::{Cancel, Environment, RunContext, Stage};

pub(crate) fn run(
    url: &str,
    pattern: &str,
    directory: &Path,
    environment: &Environment,
) -> Result<Vec<PathBuf>, GitError> {
    let cancel = Cancel::new();
    let git = Git::new(RunContext::new(environment, &cancel), Duration::from_secs(600));
    let mirror = Mirror::new(git, &directory.join("mirror"), RemoteRepository::new(url, &GitAccess::default())?);
    let chosen = select(&[pattern.to_owned()], &[], &mirror.remote_refs()?)?;
    let mut trees = Vec::new();
    for tip in mirror.fetch(&chosen.tips)?.tips {
        let slot = directory.join("checkouts").join(tip.branch.slug());
        trees.push(mirror.checkout(&slot, &tip.commit, Some(&directory.join("submodules")))?.path);
    }
    Ok(trees)
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, pattern, directory] = &args[..] else { return Err("name a url, a pattern and a directory".into()) };
    let trees = run(url, pattern, Path::new(directory), &Environment::of_this_process());
    // What to do about it is in the diagnosis.
    for tree in trees.map_err(|error| error.diagnosis(Stage::Checkout))? {
        println!("{}", tree.display());
    }
    Ok(())
}
