//! The way out of a child's own network: a process beside it that hands connections on to a Unix socket of the host.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use serde::{Deserialize, Serialize};

use crate::runner::RELAY_PORT;

/// Where connections are handed on to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RelayTask {
    pub(super) socket: PathBuf,
}

/// Starts a relay with these arguments of the helper's. It listens already when this returns, and ends with the namespace
/// that it is in.
pub(super) fn start(arguments: Vec<OsString>) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, RELAY_PORT))?;
    let mut command = Command::new("/proc/self/exe");
    command.args(arguments).stdin(OwnedFd::from(listener)).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(drop)
}

impl RelayTask {
    /// Hands on what comes to the socket that is standard input. It returns only where that is none that listens.
    pub(super) fn serve(&self) -> io::Result<i32> {
        let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
        loop {
            let (client, _) = match listener.accept() {
                Err(error) if is_of_one_client(error.kind()) => continue,
                accepted => accepted?,
            };
            // Who finds nobody behind it is closed, as by a server that is down.
            if let Ok(host) = UnixStream::connect(&self.socket) {
                let _ = hand_on(client, host);
            }
        }
    }
}

fn is_of_one_client(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted)
}

/// Copies both ways, each on a thread of its own, until either side has said all.
fn hand_on(client: TcpStream, host: UnixStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (mut from, mut to) = (client.try_clone()?, host.try_clone()?);
    thread::Builder::new().spawn(move || {
        // A side that is gone ends the copy; there is nobody to tell.
        let ended = io::copy(&mut from, &mut to);
        let _ = to.shutdown(if ended.is_ok() { Shutdown::Write } else { Shutdown::Both });
    })?;
    let (mut from, mut to) = (host, client);
    thread::Builder::new().spawn(move || {
        let ended = io::copy(&mut from, &mut to);
        let _ = to.shutdown(if ended.is_ok() { Shutdown::Write } else { Shutdown::Both });
    })?;
    Ok(())
}
