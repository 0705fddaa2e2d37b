//! Caches behind sockets of this program's own, so that whoever uses them needs no token and no key.
//!
//! A `bst` in a sandbox runs a project's code, which reads all that `bst` can. So it is given sockets instead of caches:
//! what comes in on one is handed on to its cache, with the credentials that only this program has. Nothing is handed on
//! but what a client of a source cache asks for, and nothing that writes unless the command is one that pushes.

use std::convert::Infallible;
use std::fs;
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, future::BoxFuture, stream};
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, Response};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::server::{Connected, UdsConnectInfo};
use tonic::transport::{Channel, Server};
use tower::Service;

use super::client::{CacheError, endpoint, text_of, token};
use crate::config::SourceCacheConfig;
use crate::environment::Environment;
use crate::runner::ChildWatch;

/// How many connections one socket takes at once. A casd has a few.
const CONNECTIONS: usize = 64;
/// How many requests are under way on one connection.
const STREAMS: u32 = 128;
/// How much of a request or an answer is under way, in bytes: of a stream, and of a connection.
const WINDOWS: (u32, u32) = (1 << 20, 4 << 20);

/// How long a child may be under way before it is said which process it is, and how often that is looked at.
const START_TIMEOUT: Duration = Duration::from_secs(10);
const START_LOOK: Duration = Duration::from_millis(5);

/// What every client of a cache asks for.
const READS: [&str; 7] = [
    "/build.bazel.remote.execution.v2.Capabilities/GetCapabilities",
    "/build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs",
    "/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchReadBlobs",
    "/build.bazel.remote.execution.v2.ContentAddressableStorage/GetTree",
    "/google.bytestream.ByteStream/Read",
    "/build.bazel.remote.asset.v1.Fetch/FetchBlob",
    "/build.bazel.remote.asset.v1.Fetch/FetchDirectory",
];
/// What one asks for that pushes.
const WRITES: [&str; 5] = [
    "/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchUpdateBlobs",
    "/google.bytestream.ByteStream/Write",
    "/google.bytestream.ByteStream/QueryWriteStatus",
    "/build.bazel.remote.asset.v1.Push/PushBlob",
    "/build.bazel.remote.asset.v1.Push/PushDirectory",
];

/// Why there is no gateway.
#[derive(Debug, Error)]
pub(crate) enum GatewayError {
    /// A cache's configuration cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A socket cannot be made, or nobody can wait at it.
    #[error("no socket for a source cache can be had at {path}: {source}")]
    Socket {
        /// Where.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

/// One cache, and what is handed on to it.
#[derive(Debug, Clone)]
pub(crate) struct GatewayServer {
    /// The cache.
    pub(crate) cache: SourceCacheConfig,
    /// Where its socket is to be. What is there is removed.
    pub(crate) socket: PathBuf,
    /// Whether it may be written to.
    pub(crate) pushes: bool,
}

/// The sockets, until it is dropped.
#[derive(Debug)]
pub(crate) struct CredentialGateway {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    sockets: Vec<PathBuf>,
}

impl CredentialGateway {
    /// Listens for these caches; where a child is given, for that one and what it started alone. Tokens and certificates
    /// are read now.
    ///
    /// # Errors
    /// When one of those cannot be read, or a socket cannot be made.
    pub(crate) fn open(
        servers: &[GatewayServer],
        environment: &Environment,
        child: Option<&ChildWatch>,
    ) -> Result<Self, GatewayError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| GatewayError::Socket { path, source }
        };
        let place = servers.first().map_or(Path::new(""), |server| &server.socket);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed(place))?;
        let mut waiting = Vec::new();
        let mut sockets = Vec::new();
        for server in servers {
            let _inside = runtime.enter();
            let bind = || match fs::remove_file(&server.socket) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => UnixListener::bind(&server.socket),
            };
            let token = token(&server.cache)?;
            let token = token.and_then(|token| HeaderValue::from_bytes(token.as_encoded_bytes()).ok());
            let channel = endpoint(&server.cache, environment)?
                .initial_stream_window_size(WINDOWS.0)
                .initial_connection_window_size(WINDOWS.1)
                .connect_lazy();
            let forwarder = CacheForwarder { channel, token, pushes: server.pushes };
            waiting.push((forwarder, bind().map_err(failed(&server.socket))?));
            sockets.push(server.socket.clone());
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let child = child.cloned();
        let thread = std::thread::Builder::new().name("credential-gateway".to_owned()).spawn(move || {
            runtime.block_on(async {
                for (forwarder, listener) in waiting {
                    tokio::spawn(serve(forwarder, listener, child.clone()));
                }
                // Whoever is not done by then is gone.
                let _ = stopped.await;
            });
        });
        let thread = thread.map_err(failed(place))?;
        Ok(Self { stop: Some(stop), thread: Some(thread), sockets })
    }
}

impl Drop for CredentialGateway {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say but that it panicked, and it is over either way.
            let _ = thread.join();
        }
        for socket in &self.sockets {
            // The child may have removed it; the directory goes with the run.
            let _ = fs::remove_file(socket);
        }
    }
}

/// Waits for somebody who may come in: with Landlock alone a socket's path keeps nobody out.
async fn accept(listener: &UnixListener, child: Option<&ChildWatch>) -> io::Result<UnixStream> {
    loop {
        let (stream, _) = listener.accept().await?;
        let Some(child) = child else { return Ok(stream) };
        let since = Instant::now();
        // The child may be there before it is said which it is.
        while !child.is_started() && since.elapsed() < START_TIMEOUT {
            tokio::time::sleep(START_LOOK).await;
        }
        if stream.peer_cred().is_ok_and(|peer| peer.pid().is_some_and(|process| child.has(process))) {
            return Ok(stream);
        }
    }
}

async fn serve(forwarder: CacheForwarder, listener: UnixListener, child: Option<ChildWatch>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let connections = stream::unfold((listener, places, child), |(listener, places, child)| async move {
        let place = Arc::clone(&places).acquire_owned().await.ok()?;
        let accepted = accept(&listener, child.as_ref()).await;
        if accepted.is_err() {
            // Out of files as a rule: others may end meanwhile.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let held = accepted.map(|stream| HeldConnection { stream, _place: place });
        Some((held, (listener, places, child)))
    });
    let server = Server::builder()
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1);
    // The client notices that nobody listens; there is nobody else to tell.
    let _ = server.serve_with_incoming(forwarder, connections).await;
}

/// Hands requests on.
#[derive(Clone)]
struct CacheForwarder {
    channel: Channel,
    token: Option<HeaderValue>,
    pushes: bool,
}

impl Service<Request<Body>> for CacheForwarder {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let refusal = if READS.contains(&path) || (self.pushes && WRITES.contains(&path)) {
            None
        } else if WRITES.contains(&path) {
            Some(Status::permission_denied("this command does not push, and may not write to the cache"))
        } else {
            Some(Status::unimplemented("this is not handed on to a source cache"))
        };
        if let Some(refusal) = refusal {
            return async move { Ok(refusal.into_http()) }.boxed();
        }
        // Nobody but this program says who asks.
        request.headers_mut().remove(AUTHORIZATION);
        if let Some(token) = &self.token {
            request.headers_mut().insert(AUTHORIZATION, token.clone());
        }
        let mut channel = self.channel.clone();
        async move {
            let answer = match poll_fn(|context| channel.poll_ready(context)).await {
                Ok(()) => channel.call(request).await,
                Err(error) => Err(error),
            };
            Ok(answer.unwrap_or_else(|error| unreachable(&error).into_http()))
        }
        .boxed()
    }
}

/// What a client of gRPC's own says of a server that it cannot reach, which is what messages are known by.
fn unreachable(error: &tonic::transport::Error) -> Status {
    Status::unavailable(format!("failed to connect to all addresses; last error: {}", text_of(error)))
}

/// A connection with its place among those that may be open.
struct HeldConnection {
    stream: UnixStream,
    _place: OwnedSemaphorePermit,
}

impl Connected for HeldConnection {
    type ConnectInfo = UdsConnectInfo;

    fn connect_info(&self) -> UdsConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for HeldConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for HeldConnection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
