//! `git://`: asking `git daemon`, in version 2 of the protocol.

use std::io::{self, BufReader, Read, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use super::answer::{ProbeCost, ProbeDoubt};
use super::protocol_v2::{Packet, RepositoryRequest, daemon_request, read_packet};
use super::ref_listing::MAX_LISTING;
use crate::cancel::Cancel;
use crate::diagnosis::FailureKind;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How often it is looked whether the run is to end.
const TICK: Duration = Duration::from_millis(250);
/// What a server may say of itself, in packets.
const MAX_CAPABILITIES: usize = 1000;

/// Why there is no answer.
pub(super) enum DaemonError {
    /// It could not be asked, and would not be by git either.
    Failed(FailureKind, ProbeDoubt, String),
    /// It answered in another way: git may understand it.
    Other,
}

/// Asks a repository.
pub(super) fn ask<T>(
    url: &str,
    request: &RepositoryRequest<'_, T>,
    cancel: &Cancel,
    cost: &mut ProbeCost,
) -> Result<T, DaemonError> {
    let rest = url.strip_prefix("git://").ok_or(DaemonError::Other)?;
    let (authority, path) = rest.split_at(rest.find('/').ok_or(DaemonError::Other)?);
    if authority.contains('@') || rest.contains(|c: char| c.is_control()) {
        return Err(DaemonError::Other);
    }
    let began = Instant::now();
    cost.requests += 1;
    let answered = exchange(authority, path, request, cancel, cost);
    cost.seconds += began.elapsed().as_secs_f64();
    answered
}

fn exchange<T>(
    authority: &str,
    path: &str,
    request: &RepositoryRequest<'_, T>,
    cancel: &Cancel,
    cost: &mut ProbeCost,
) -> Result<T, DaemonError> {
    let stream = connect(authority)?;
    let other = |_| DaemonError::Other;
    stream.set_read_timeout(Some(TICK)).map_err(other)?;
    stream.set_write_timeout(Some(REQUEST_TIMEOUT)).map_err(other)?;
    (&stream).write_all(&daemon_request(path, authority)).map_err(other)?;
    let bounded = BoundedReader { stream: &stream, until: Instant::now() + REQUEST_TIMEOUT, cancel, left: MAX_LISTING };
    let mut reader = BufReader::new(bounded);
    let said = converse(&stream, &mut reader, request);
    cost.bytes += MAX_LISTING - reader.get_ref().left;
    let failed = |doubt, what: &str| DaemonError::Failed(FailureKind::TimeOut, doubt, format!("{authority}: {what}"));
    match said {
        Ok(said) => said.ok_or(DaemonError::Other),
        Err(_) if cancel.is_cancelled() => Err(failed(ProbeDoubt::Cancelled, "the run was stopped")),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(failed(ProbeDoubt::Failed, "no answer in time")),
        // What git makes of it is told.
        Err(_) => Err(DaemonError::Other),
    }
}

fn connect(authority: &str) -> Result<TcpStream, DaemonError> {
    let failed = |kind, what: String| DaemonError::Failed(kind, ProbeDoubt::Failed, format!("{authority}: {what}"));
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let named = if has_port { authority.to_owned() } else { format!("{authority}:9418") };
    let addresses = named.to_socket_addrs();
    let addresses =
        addresses.map_err(|error| failed(FailureKind::Dns, format!("the host's name cannot be resolved: {error}")))?;
    let mut last = failed(FailureKind::Dns, "the host has no address".to_owned());
    for address in addresses.take(4) {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = failed(FailureKind::Network, error.to_string()),
        }
    }
    Err(last)
}

/// The conversation: what the server can do, and then its answer. None where it speaks another version.
fn converse<T>(
    mut stream: &TcpStream,
    reader: &mut dyn Read,
    request: &RepositoryRequest<'_, T>,
) -> io::Result<Option<T>> {
    if read_packet(reader)? != Packet::Data(b"version 2\n".to_vec()) {
        return Ok(None);
    }
    for _ in 0..MAX_CAPABILITIES {
        if read_packet(reader)? == Packet::Flush {
            stream.write_all(&request.body)?;
            return (request.read)(reader);
        }
    }
    Ok(None)
}

/// Reads what comes, up to a time and a size.
struct BoundedReader<'s> {
    stream: &'s TcpStream,
    until: Instant,
    cancel: &'s Cancel,
    left: u64,
}

impl Read for BoundedReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.left == 0 || self.cancel.is_cancelled() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if Instant::now() >= self.until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
            match self.stream.read(&mut buffer[..most]) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Ok(read) => {
                    self.left -= read as u64;
                    return Ok(read);
                }
                Err(error) => return Err(error),
            }
        }
    }
}
