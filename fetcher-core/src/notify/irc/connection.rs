//! A connection to a server of IRC, plain or in TLS.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::super::error::{DeliveryErrorKind, NotifyError};
use super::super::files::pem;
use super::line::IrcLine;
use crate::address::AddressParts;
use crate::environment::Environment;
use crate::failure::phrases::services;
use crate::trust_store::TrustStore;

/// The most of a line that is read: 512 bytes and `IRCv3`'s 8,191 of tags.
const LONGEST: usize = 16 << 10;

trait IrcStream: Read + Write + Send {}
impl<T: Read + Write + Send> IrcStream for T {}

/// Whom a connection with TLS trusts: the host's authorities, and those of a file.
#[derive(Clone, Copy)]
pub(super) struct IrcTrust<'t> {
    pub(super) environment: &'t Environment,
    pub(super) ca_file: Option<&'t Path>,
}

/// A connection that answers every PING, and waits no longer than until a moment.
pub(super) struct IrcConnection {
    /// For its time-outs.
    socket: TcpStream,
    stream: Box<dyn IrcStream>,
    unread: Vec<u8>,
    server: String,
    pub(super) until: Instant,
}

impl IrcConnection {
    /// Connects to `irc://HOST:PORT` or `ircs://HOST:PORT`.
    pub(super) fn open(server: &str, trusted: IrcTrust, until: Instant) -> Result<Self, NotifyError> {
        let parts = AddressParts::of_url(server).unwrap_or_else(|| AddressParts::of_authority(server));
        let (tls, host) = (parts.scheme.is_none_or(|scheme| scheme == "ircs"), parts.bare_host());
        // RFC 7194: 6697 is the port of IRC in TLS.
        let port = parts.port().unwrap_or(if tls { 6697 } else { 6667 });
        let socket = dial(host, port, until).map_err(|error| unreachable(server, &error))?;
        let copy = socket.try_clone().map_err(|error| unreachable(server, &error))?;
        let stream: Box<dyn IrcStream> = if tls { Box::new(encrypted(host, trusted, copy)?) } else { Box::new(copy) };
        Ok(Self { socket, stream, unread: Vec::new(), server: server.to_owned(), until })
    }

    /// Sends a line. Nothing in it can end it early.
    pub(super) fn write(&mut self, line: &str) -> Result<(), NotifyError> {
        let mut bytes: Vec<u8> = line.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)).collect();
        bytes.extend_from_slice(b"\r\n");
        let written = self.in_time(|stream| stream.write_all(&bytes).and_then(|()| stream.flush()));
        written.map_err(|error| unreachable(&self.server, &error))
    }

    /// Waits for the next line that is no PING.
    pub(super) fn read(&mut self) -> Result<IrcLine, NotifyError> {
        loop {
            while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let bytes: Vec<u8> = self.unread.drain(..=end).collect();
                let line = IrcLine::parse(&String::from_utf8_lossy(&bytes));
                if line.command != "PING" {
                    return Ok(line);
                }
                self.write(&format!("PONG :{}", line.last()))?;
            }
            if self.unread.len() > LONGEST {
                let error = io::Error::new(io::ErrorKind::InvalidData, "a line without an end");
                return Err(unreachable(&self.server, &error));
            }
            let mut piece = [0; 4096];
            let read = self.in_time(|stream| match stream.read(&mut piece)? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                count => Ok(count),
            });
            let count = read.map_err(|error| unreachable(&self.server, &error))?;
            self.unread.extend_from_slice(&piece[..count]);
        }
    }

    fn in_time<T>(&mut self, work: impl FnOnce(&mut dyn IrcStream) -> io::Result<T>) -> io::Result<T> {
        let left = left(self.until)?;
        self.socket.set_read_timeout(Some(left))?;
        self.socket.set_write_timeout(Some(left))?;
        work(self.stream.as_mut())
    }
}

/// The time that is left.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Connects to the first of the host's addresses that answers.
fn dial(host: &str, port: u16, until: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(until)?) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn encrypted(
    host: &str,
    trusted: IrcTrust,
    socket: TcpStream,
) -> Result<StreamOwned<ClientConnection, TcpStream>, NotifyError> {
    let hint = "see `server` and `ca-file`: a file with certificates in PEM";
    let failed =
        |what: String| NotifyError::new(DeliveryErrorKind::Setup, format!("TLS cannot be set up: {what}"), hint);
    let mut roots = TrustStore::of(trusted.environment).roots();
    if let Some(path) = trusted.ca_file {
        let own = CertificateDer::pem_slice_iter(&pem(path)?).filter_map(Result::ok).collect::<Vec<_>>();
        if roots.add_parsable_certificates(own).0 == 0 {
            return Err(failed(format!("there is no certificate in {}", path.display())));
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(error.to_string()))?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(|error| failed(error.to_string()))?;
    Ok(StreamOwned::new(connection, socket))
}

fn unreachable(server: &str, error: &io::Error) -> NotifyError {
    let certificate = services::is_untrusted(error);
    let (fault, what, hint) = match error.kind() {
        _ if certificate => {
            let hint = "the server's certificate is not trusted: name its authority with `ca-file`";
            (DeliveryErrorKind::Denied, error.to_string(), hint)
        }
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            let hint = "see whether the server is up and quick enough, or raise `timeout`";
            (DeliveryErrorKind::Unreachable, "it does not answer in time".to_owned(), hint)
        }
        io::ErrorKind::UnexpectedEof => {
            let hint = "see why the server ends the connection; is it the port of TLS (`ircs`) or not (`irc`)?";
            (DeliveryErrorKind::Unreachable, "it ended the connection".to_owned(), hint)
        }
        _ => (
            DeliveryErrorKind::Unreachable,
            error.to_string(),
            "see whether the server is up and this host may reach it",
        ),
    };
    NotifyError::new(fault, format!("cannot talk to {server}: {what}"), hint)
}
