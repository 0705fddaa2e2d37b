//! A program that embeds the fetcher with a runner of its own: here one that tells of each command and leaves the
//! running to this machine. A container's or a cluster's runner would take its place.
//!
//! ```text
//! cargo run -p fetcher-core --example own_runner -- config.toml
//! ```

use std::error::Error;
use std::path::Path;

use fetcher_core::runner::{OutputStream, RunnerError};
use fetcher_core::{Cancel, Config, Environment, Exit, Fetcher, Invocation, LocalRunner, Runner, Selection};

struct Telling(LocalRunner);

impl Runner for Telling {
    fn run(
        &self,
        invocation: &Invocation,
        cancel: &Cancel,
        output: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<Exit, RunnerError> {
        println!("in {}: {:?}", invocation.directory.display(), invocation.command);
        let exit = self.0.run(invocation, cancel, output)?;
        println!("  ended with {exit:?}");
        Ok(exit)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("name a configuration file")?;
    let environment = Environment::of_this_process();
    let config = Config::load(Path::new(&path), &environment)?;
    let local = LocalRunner::new(config.state_dir.as_os_str());
    let report = Fetcher::new(config, environment).runner(Telling(local)).run(&Selection::all(), &mut |_| {})?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
