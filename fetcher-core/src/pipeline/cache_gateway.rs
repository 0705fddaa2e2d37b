//! The only way out for a client that is to reach caches and nothing else: a proxy (CONNECT, RFC 9110, 9.3.6) on a Unix
//! socket, which leads to these hosts and ports alone. TLS goes through it from end to end.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream, ToSocketAddrs as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::address::AddressParts;
use crate::config::SourceCacheConfig;

/// How many bytes the head of a request may have.
const LARGEST_HEAD: usize = 8 << 10;
/// How long a client may take to say where it wants to go, and the way there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How many connections there are at once, at most.
const MAX_CONNECTIONS: u64 = 64;

/// Such a proxy, until it is dropped.
#[derive(Debug)]
pub(super) struct CacheGateway {
    socket: PathBuf,
    state: Arc<GatewayState>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct GatewayState {
    /// `host:port`, as clients write it.
    allowed: BTreeSet<String>,
    is_over: AtomicBool,
    open: AtomicU64,
    reached: AtomicU64,
}

impl CacheGateway {
    /// Listens at a path where nothing else is.
    ///
    /// # Errors
    /// When there can be no socket or no thread.
    pub(super) fn open(socket: &Path, caches: &[SourceCacheConfig]) -> io::Result<Self> {
        match fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(socket)?;
        let state = GatewayState {
            allowed: caches.iter().filter_map(|cache| authority(&cache.url)).collect(),
            is_over: AtomicBool::new(false),
            open: AtomicU64::new(0),
            reached: AtomicU64::new(0),
        };
        let state = Arc::new(state);
        let shared = Arc::clone(&state);
        let thread =
            thread::Builder::new().name("cache-gateway".to_owned()).spawn(move || accept(&listener, &shared))?;
        Ok(Self { socket: socket.to_owned(), state, thread: Some(thread) })
    }

    /// How many connections to caches were made by this way.
    pub(super) fn reached(&self) -> u64 {
        self.state.reached.load(SeqCst)
    }
}

impl Drop for CacheGateway {
    fn drop(&mut self) {
        self.state.is_over.store(true, SeqCst);
        // It waits for the next client, which this is. Where nobody can get there it is left alone.
        if UnixStream::connect(&self.socket).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
        // It is in a temporary directory, and goes with that at the latest.
        let _ = fs::remove_file(&self.socket);
    }
}

/// `host:port` of an address of gRPC's; none where it is no address of a host.
fn authority(url: &str) -> Option<String> {
    let parts = AddressParts::of_url(url)?;
    let port = match parts.scheme? {
        "http" | "grpc" => 80,
        "https" | "grpcs" => 443,
        _ => return None,
    };
    let host = parts.authority.to_ascii_lowercase();
    Some(if parts.host() == parts.authority { format!("{host}:{port}") } else { host })
}

fn accept(listener: &UnixListener, state: &Arc<GatewayState>) {
    while let Ok((client, _)) = listener.accept() {
        if state.is_over.load(SeqCst) {
            return;
        }
        if state.open.load(SeqCst) >= MAX_CONNECTIONS {
            continue;
        }
        state.open.fetch_add(1, SeqCst);
        let shared = Arc::clone(state);
        let served = thread::Builder::new().name("cache-gateway".to_owned()).spawn(move || {
            // A client that goes, or a cache that does, ends it; bst tells of it.
            let _ = serve(client, &shared);
            shared.open.fetch_sub(1, SeqCst);
        });
        if served.is_err() {
            state.open.fetch_sub(1, SeqCst);
        }
    }
}

fn serve(mut client: UnixStream, state: &GatewayState) -> io::Result<()> {
    client.set_read_timeout(Some(CONNECT_TIMEOUT))?;
    let head = head(&mut client)?;
    let Some(target) = target(&head).filter(|target| state.allowed.contains(target)) else {
        return client.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
    };
    let Ok(cache) = connect(&target) else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n");
    };
    state.reached.fetch_add(1, SeqCst);
    client.set_read_timeout(None)?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut from, mut to) = (client.try_clone()?, cache.try_clone()?);
    let back = thread::Builder::new().name("cache-gateway".to_owned()).spawn(move || {
        let ended = io::copy(&mut from, &mut to);
        let _ = to.shutdown(if ended.is_ok() { Shutdown::Write } else { Shutdown::Both });
    })?;
    let (mut from, mut to) = (cache, client);
    let ended = io::copy(&mut from, &mut to);
    let _ = to.shutdown(if ended.is_ok() { Shutdown::Write } else { Shutdown::Both });
    let _ = back.join();
    ended.map(drop)
}

/// What a client sends before it has an answer, with the empty line at its end.
fn head(client: &mut UnixStream) -> io::Result<Vec<u8>> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= LARGEST_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        client.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
    }
    Ok(head)
}

/// Where a request wants to go; none where it is no CONNECT.
fn target(head: &[u8]) -> Option<String> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    Some(line.strip_prefix("CONNECT ")?.split(' ').next()?.to_ascii_lowercase())
}

fn connect(target: &str) -> io::Result<TcpStream> {
    let mut failed = io::ErrorKind::AddrNotAvailable.into();
    for address in target.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(cache) => {
                cache.set_nodelay(true)?;
                return Ok(cache);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn cache(url: &str) -> SourceCacheConfig {
        SourceCacheConfig { url: url.to_owned(), ..SourceCacheConfig::default() }
    }

    /// What a gateway answers to a request, up to the end of its head.
    fn answer(socket: &Path, request: &str) -> (String, UnixStream) {
        let mut client = UnixStream::connect(socket).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let head = head(&mut client).unwrap_or_default();
        (String::from_utf8(head).unwrap(), client)
    }

    #[test]
    fn it_leads_to_the_caches_and_nowhere_else() {
        let directory = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, other) = (listener.local_addr().unwrap().port(), other.local_addr().unwrap().port());
        let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let echo = thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut said = [0; 5];
            client.read_exact(&mut said).unwrap();
            client.write_all(&said).unwrap();
        });
        let socket = directory.path().join("s");
        let caches = [cache(&format!("http://127.0.0.1:{port}/x")), cache(&format!("http://LOCALHOST:{dead}"))];
        let gateway = CacheGateway::open(&socket, &caches).unwrap();
        let said = |request: &str| answer(&socket, request).0.lines().next().unwrap_or_default().to_owned();
        assert_eq!(said(&format!("CONNECT 127.0.0.1:{other} HTTP/1.1\r\n\r\n")), "HTTP/1.1 403 Forbidden");
        assert_eq!(said(&format!("GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n")), "HTTP/1.1 403 Forbidden");
        assert_eq!(said(&format!("CONNECT localhost:{dead} HTTP/1.1\r\n\r\n")), "HTTP/1.1 502 Bad Gateway");
        assert_eq!(said(&"x".repeat(LARGEST_HEAD + 4)), "");
        assert_eq!(gateway.reached(), 0);
        let (head, mut client) = answer(&socket, &format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\nhost: x\r\n\r\n"));
        assert_eq!(head, "HTTP/1.1 200 Connection established\r\n\r\n");
        client.write_all(b"hello").unwrap();
        let mut back = [0; 5];
        client.read_exact(&mut back).unwrap();
        assert_eq!((&back, gateway.reached()), (b"hello", 1));
        echo.join().unwrap();
        drop(gateway);
        assert!(!socket.exists());
    }

    #[test]
    fn addresses_have_ports_and_small_letters() {
        let of = |url| authority(url).unwrap_or_default();
        assert_eq!(of("https://Cache.example.org/x"), "cache.example.org:443");
        assert_eq!(of("http://cache:11001"), "cache:11001");
        assert_eq!(of("grpc://[::1]:9"), "[::1]:9");
        assert_eq!(of("http://[::1]"), "[::1]:80");
        assert_eq!(of("unix:/run/cache"), "");
    }
}
