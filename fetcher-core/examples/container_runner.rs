//! A runner whose children run in containers, by podman or docker. The image has `bst` and git; the directories that a child
//! needs are mounted under the paths that they have here.
//!
//! ```text
//! cargo run -p fetcher-core --example container_runner -- config.toml podman registry.example.org/bst:2.8
//! ```

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fetcher_core::runner::{OutputStream, RunnerError, output};
use fetcher_core::{Cancel, Config, Environment, Exit, Fetcher, Invocation, LocalRunner, RunSelection, Runner};

pub(crate) struct ContainerRunner {
    /// podman, or docker.
    pub(crate) engine: OsString,
    pub(crate) image: OsString,
    pub(crate) local: LocalRunner,
    /// How many containers there were.
    pub(crate) count: AtomicU64,
}

impl ContainerRunner {
    /// The engine's command line for an invocation.
    fn command(&self, invocation: &Invocation, name: &OsStr) -> Vec<OsString> {
        let mut command: Vec<OsString> = vec![self.engine.clone()];
        command.extend(["run", "--rm", "--init", "--interactive", "--network", "host", "--name"].map(OsString::from));
        command.extend([name.to_owned(), "--workdir".into(), invocation.directory.clone().into()]);
        // Only the names: the engine takes the values from its own environment, so that no secret is in an argument.
        command.extend(invocation.environment.keys().flat_map(|variable| ["--env".into(), variable.clone()]));
        let mut mount = |path: &PathBuf, mode: &str| {
            // An engine would make what is not there, as a directory.
            if path.exists() {
                let mut volume = path.clone().into_os_string();
                volume.push(":");
                volume.push(path);
                volume.push(mode);
                command.extend(["--volume".into(), volume]);
            }
        };
        let access = &invocation.access;
        access.write.iter().chain([&invocation.directory]).for_each(|path| mount(path, ""));
        access.read.iter().filter(|path| !access.write.contains(path)).for_each(|path| mount(path, ":ro"));
        command.push(self.image.clone());
        command.extend(invocation.command.iter().cloned());
        command
    }
}

impl Runner for ContainerRunner {
    fn run(
        &self,
        invocation: &Invocation,
        cancel: &Cancel,
        sink: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<Exit, RunnerError> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let name = OsString::from(format!("bst-fetcher-{}-{number}", std::process::id()));
        let mut inner = invocation.clone();
        inner.command = self.command(invocation, &name);
        let ended = self.local.run(&inner, cancel, sink);
        let (program, directory) = (invocation.command[0].clone(), invocation.directory.clone());
        match ended {
            Ok(Exit::TimedOut | Exit::Cancelled | Exit::NoSpace { .. }) => {
                // The engine's client has ended; what it started may not have.
                let remove = [&*self.engine, OsStr::new("rm"), OsStr::new("--force"), &name];
                let remove = Invocation::new(remove, "/").environment(invocation.environment.clone());
                output(&self.local, &remove, &Cancel::new(), 1000)?;
            }
            // What engines say of themselves (podman-run(1)).
            Ok(Exit::Status(125)) => {
                let reason = format!("{} could not start a container", self.engine.display());
                return Err(RunnerError::Unavailable { program, reason });
            }
            Ok(Exit::Status(127)) => {
                let source = std::io::Error::new(std::io::ErrorKind::NotFound, "the image does not have it");
                return Err(RunnerError::Start { program, directory, source });
            }
            Err(RunnerError::Start { source, .. }) => {
                let reason = format!("{}: {source}", self.engine.display());
                return Err(RunnerError::Unavailable { program, reason });
            }
            _ => {}
        }
        ended
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [config, engine, image] = &args[..] else { return Err("name a configuration, an engine and an image".into()) };
    let environment = Environment::of_this_process();
    let config = Config::load(Path::new(config), &environment)?;
    let local = LocalRunner::new(config.state_dir.as_os_str());
    let (engine, image, count) = (engine.clone(), image.clone(), AtomicU64::new(0));
    let runner = ContainerRunner { engine, image, local, count };
    let report = Fetcher::new(config, environment).runner(runner).run(&RunSelection::all(), &mut |_| {})?;
    println!("{}", report.outcome);
    Ok(())
}
