//! The metrics over HTTP: one page, for Prometheus.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use super::client_connection::MemoryPools;
use super::connection_slots::ConnectionSlots;
use super::counters::ServeCounters;

/// How many look at once.
const CONNECTIONS: usize = 16;

/// How long a connection lives.
const LIFE: Duration = Duration::from_secs(60);

/// Serves the page until the runtime ends.
pub(super) async fn serve(listener: TcpListener, counters: Arc<ServeCounters>, pools: Arc<MemoryPools>) {
    let places = ConnectionSlots::new(CONNECTIONS);
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let link = pools.link(peer.ip());
        let Some(place) = places.enter(&link, Instant::now()) else { continue };
        let counters = Arc::clone(&counters);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(&request, &counters);
                async move { Ok::<_, Infallible>(answer) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
            let connection = timeout(LIFE, http.serve_connection(TokioIo::new(stream), service));
            tokio::select! {
                _ = connection => {}
                () = link.evicted() => {}
            }
            drop(place);
        });
    }
}

fn answer(request: &Request<Incoming>, counters: &ServeCounters) -> Response<Full<Bytes>> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, counters.render()),
        (&Method::GET | &Method::HEAD, _) => (StatusCode::NOT_FOUND, "the metrics are at /metrics\n".to_owned()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "there is nothing to change here\n".to_owned()),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
