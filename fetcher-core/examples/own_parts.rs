//! A program that embeds the fetcher with a runner and a notifier of its own: the runner tells of each command and leaves
//! the running to this machine; the notifier prints.
//!
//! ```text
//! cargo run -p fetcher-core --example own_parts -- config.toml
//! ```

use std::error::Error;
use std::path::Path;

use fetcher_core::notify::{Notification, Notifier, NotifyError, render};
use fetcher_core::runner::{OutputStream, RunnerError};
use fetcher_core::{
    Cancel, Config, Environment, Exit, Fetcher, Invocation, LocalRunner, RunReport, RunSelection, Runner,
};

struct Telling(LocalRunner);

impl Runner for Telling {
    fn run(
        &self,
        invocation: &Invocation,
        cancel: &Cancel,
        output: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<Exit, RunnerError> {
        println!("in {}: {:?}", invocation.directory.display(), invocation.command);
        self.0.run(invocation, cancel, output)
    }
}

struct Screen;

impl Notifier for Screen {
    fn name(&self) -> &'static str {
        "screen"
    }
    fn send(&self, notification: &Notification) -> Result<(), NotifyError> {
        println!("{}", render::line(notification));
        Ok(())
    }
}

pub(crate) fn run(config: &Path, environment: Environment) -> Result<RunReport, Box<dyn Error>> {
    let config = Config::load(config, &environment)?;
    let runner = Telling(LocalRunner::new(config.state_dir.as_os_str()));
    let fetcher = Fetcher::new(config, environment).runner(runner).notifier(Screen);
    Ok(fetcher.run(&RunSelection::all(), &mut |_| {})?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("name a configuration file")?;
    let report = run(Path::new(&path), Environment::of_this_process())?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
