//! Taking connections, and letting them end.

use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::client_connection::{ClientConnection, MemoryPools};
use super::connection_slots::{ConnectionSlot, ConnectionSlots};
use super::counters::ServeCounters;
use super::event::{ServeEvent, ServeEventSink};
use super::rate_limit::RateLimiter;
use super::request_guard::{CallerConnection, RequestGuard};
use super::tls::TlsReloader;

/// How long a client may take to begin to speak: TLS, then the preface of HTTP/2.
const BEGINNING: Duration = Duration::from_secs(10);

/// How much of an answer waits to be sent on one stream, in bytes.
const SEND_BUFFER: usize = 128 << 10;

/// The bytes that every HTTP/2 connection begins with (RFC 9113, 3.4).
const PREFACE: usize = 24;

/// How often a connection is asked whether its client takes what it asked for.
const EVERY: Duration = Duration::from_secs(1);

/// How long a client that is cut off has to hear of it.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a connection ends that others need the place of.
const MAKES_ROOM: &str = "others need its place, and its address has many or it was idle";

/// The side of the server that clients connect to.
pub(super) struct ConnectionListener {
    pub(super) guard: Arc<RequestGuard>,
    pub(super) buckets: RateLimiter,
    pub(super) tls: Option<Arc<TlsReloader>>,
    pub(super) pools: Arc<MemoryPools>,
    pub(super) places: Arc<ConnectionSlots>,
    pub(super) max_streams: u32,
    pub(super) counters: Arc<ServeCounters>,
    pub(super) events: ServeEventSink,
}

impl ConnectionListener {
    /// Takes connections until told to stop, then waits until they have ended; says how many had to be cut off.
    pub(super) async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        stop: watch::Receiver<bool>,
        patience: Duration,
    ) -> usize {
        let mut open = JoinSet::new();
        let mut asked = stop.clone();
        loop {
            while open.try_join_next().is_some() {}
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.take(&mut open, stream, peer, stop.clone()),
                    // Out of file descriptors, as a rule. Connections that end give some back.
                    Err(_) => sleep(Duration::from_millis(50)).await,
                },
                _ = asked.wait_for(|stop| *stop) => break,
            }
        }
        drop(listener);
        while open.try_join_next().is_some() {}
        (self.events)(ServeEvent::Draining { connections: open.len() });
        let all = async { while open.join_next().await.is_some() {} };
        if timeout(patience, all).await.is_ok() {
            return 0;
        }
        let left = open.len();
        open.shutdown().await;
        left
    }

    fn take(
        self: &Arc<Self>,
        open: &mut JoinSet<()>,
        stream: TcpStream,
        peer: SocketAddr,
        stop: watch::Receiver<bool>,
    ) {
        let peer = peer.ip().to_canonical();
        let link = self.pools.link(peer);
        match self.places.enter(&link, Instant::now()) {
            Some(place) => drop(open.spawn(Arc::clone(self).connection(stream, peer, link, stop, place))),
            None => self.refuse(peer, "there are too many connections".to_owned()),
        }
    }

    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        peer: IpAddr,
        link: Arc<ClientConnection>,
        stop: watch::Receiver<bool>,
        _place: ConnectionSlot,
    ) {
        let _counted = ConnectionGauge::new(Arc::clone(&self.counters));
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return self.speak(stream, peer, &link, stop).await };
        let Some(config) = tls.config() else {
            return self.refuse(peer, "nobody signs clients' certificates at present".to_owned());
        };
        let accepted = tokio::select! {
            accepted = timeout(BEGINNING, TlsAcceptor::from(config).accept(stream)) => accepted,
            () = link.evicted() => return self.close(peer, MAKES_ROOM),
        };
        match accepted {
            Ok(Ok(stream)) => self.speak(stream, peer, &link, stop).await,
            Ok(Err(error)) => self.refuse(peer, format!("no TLS: {error}")),
            Err(_) => self.refuse(peer, "no TLS came for ten seconds".to_owned()),
        }
    }

    async fn speak<S>(&self, stream: S, peer: IpAddr, link: &Arc<ClientConnection>, mut stop: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let caller = CallerConnection { address: peer, link: Arc::clone(link), bucket: self.buckets.of(link.peer) };
        let guard = Arc::clone(&self.guard);
        let service = service_fn(move |request| Arc::clone(&guard).answer(caller.clone(), request));
        let read = Arc::new(AtomicUsize::new(0));
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .max_concurrent_streams(self.max_streams)
            .max_header_list_size(16 << 10)
            .max_send_buf_size(SEND_BUFFER)
            .initial_stream_window_size(64 << 10)
            .initial_connection_window_size(1 << 20)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20));
        let stream = TokioIo::new(MeteredStream { stream, read: Arc::clone(&read) });
        let mut connection = pin!(http.serve_connection(stream, service));
        let silent = async {
            sleep(BEGINNING).await;
            if read.load(Relaxed) >= PREFACE {
                std::future::pending::<()>().await;
            }
        };
        let stopped = async { drop(stop.wait_for(|stop| *stop).await) };
        // What is wrong with a connection is the client's affair, and the client is told by HTTP/2.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = silent => return self.refuse(peer, "no HTTP/2 came for ten seconds".to_owned()),
            why = unwanted(link) => {
                self.close(peer, why);
                connection.as_mut().graceful_shutdown();
                let _ = timeout(FAREWELL, connection).await;
                return;
            }
            () = stopped => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }

    fn close(&self, peer: IpAddr, why: &str) {
        self.counters.closed();
        (self.events)(ServeEvent::Closed { peer, message: why.to_owned() });
    }

    fn refuse(&self, peer: IpAddr, message: String) {
        self.counters.refused();
        (self.events)(ServeEvent::Refused { peer, message });
    }
}

/// Waits until a connection has to be closed, and says why.
async fn unwanted(link: &ClientConnection) -> &'static str {
    let slow = async {
        while !link.is_too_slow(Instant::now()) {
            sleep(EVERY).await;
        }
    };
    tokio::select! {
        () = slow => "it does not take what it asked for",
        () = link.evicted() => MAKES_ROOM,
    }
}

/// An open connection, counted as long as it is.
struct ConnectionGauge(Arc<ServeCounters>);

impl ConnectionGauge {
    fn new(counters: Arc<ServeCounters>) -> Self {
        counters.connected();
        Self(counters)
    }
}

impl Drop for ConnectionGauge {
    fn drop(&mut self) {
        self.0.disconnected();
    }
}

/// A stream that knows how much was read from it.
struct MeteredStream<S> {
    stream: S,
    read: Arc<AtomicUsize>,
}

impl<S: AsyncRead + Unpin> AsyncRead for MeteredStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.read.fetch_add(buffer.filled().len() - before, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MeteredStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
