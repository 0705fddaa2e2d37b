//! What a test needs of the machine, made by the test: nothing here depends on what the machine happens to have.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
use tempfile::TempDir;

use crate::scratch::Scratch;

/// An address on loopback where nobody listens, and nobody can for as long as this lives.
pub struct DeadPort {
    port: u16,
    _socket: OwnedFd,
}

impl Default for DeadPort {
    fn default() -> Self {
        Self::new()
    }
}

impl DeadPort {
    /// One of its own.
    pub fn new() -> Self {
        let held = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&held, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address: SocketAddr = getsockname(&held).expect("its name").try_into().expect("an address of IP");
        Self { port: address.port(), _socket: held }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// The machine's programs but these: a directory with links to all others, for `PATH`.
pub fn path_without(scratch: &Scratch, hidden: &[&str]) -> PathBuf {
    let directory = scratch.path("path");
    fs::create_dir(&directory).expect("a directory");
    let path = std::env::var_os("PATH").expect("PATH is set");
    for place in std::env::split_paths(&path) {
        for program in fs::read_dir(place).into_iter().flatten().flatten() {
            if !hidden.iter().any(|hidden| program.file_name() == *hidden) {
                // The first of a name is the one that counts.
                let _ = symlink(program.path(), directory.join(program.file_name()));
            }
        }
    }
    directory
}

/// A temporary directory in which programs can be started: not in `/tmp` where that forbids it.
pub fn temporary(prefix: &str) -> TempDir {
    let usual = std::env::temp_dir();
    let forbids = |path: &Path| statvfs(path).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::NOEXEC));
    let mut builder = tempfile::Builder::new();
    let made = if forbids(&usual) {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/t");
        fs::create_dir_all(&own).expect("target/t");
        builder.prefix(prefix).tempdir_in(own.canonicalize().expect("target/t"))
    } else {
        builder.prefix(prefix).tempdir()
    };
    made.expect("a temporary directory")
}
