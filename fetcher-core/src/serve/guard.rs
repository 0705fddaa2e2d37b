//! What stands before every request: who asks, how often, and how many at once; and what is told of it afterwards.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::ServiceExt as _;

use super::calls::{Held, Subject};
use super::counters::Counters;
use super::event::{Access, Event, Events};
use super::limits::Bucket;
use super::tokens::Tokens;

/// The most bytes of an answer that are handed over at once.
const FRAME: usize = 64 << 10;

/// How long a request waits for its turn where very many are answered.
const PATIENCE: Duration = Duration::from_secs(10);

/// What all connections share.
pub(super) struct Guard {
    routes: Routes,
    tokens: Option<Arc<Tokens>>,
    turns: Arc<Semaphore>,
    counters: Arc<Counters>,
    events: Events,
}

impl Guard {
    pub(super) fn new(
        routes: Routes,
        tokens: Option<Arc<Tokens>>,
        at_once: usize,
        counters: Arc<Counters>,
        events: Events,
    ) -> Self {
        Self { routes, tokens, turns: Arc::new(Semaphore::new(at_once)), counters, events }
    }

    /// Answers a request.
    pub(super) async fn answer(
        self: Arc<Self>,
        peer: IpAddr,
        bucket: Option<Arc<Bucket>>,
        request: Request<Incoming>,
    ) -> Result<Response<Watched>, Infallible> {
        let began = Instant::now();
        let subject = Subject::default();
        let path = request.uri().path().chars().take(200).collect();
        let mut told =
            Told { guard: Arc::clone(&self), peer, path, subject, began, code: None, bytes: 0, held: Vec::new() };
        let answer = match self.admit(&request, bucket).await {
            Ok(turn) => {
                told.held.push(Holding::Turn(turn));
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(told.subject.clone());
                let Ok(answer) = self.routes.clone().oneshot(request).await;
                if is_too_large(answer.headers()) { too_large().into_http() } else { answer }
            }
            Err(status) => status.into_http(),
        };
        told.code = code(answer.headers());
        if let Some(held) = answer.extensions().get::<Held>() {
            told.held.push(Holding::Memory(Arc::clone(held)));
        }
        let (parts, body) = answer.into_parts();
        Ok(Response::from_parts(parts, Watched { body, rest: Bytes::new(), told }))
    }

    async fn admit(
        &self,
        request: &Request<Incoming>,
        bucket: Option<Arc<Bucket>>,
    ) -> Result<OwnedSemaphorePermit, Status> {
        // Whoever looks after the server has to know whether it lives, and no more than that.
        if let Some(tokens) = self.tokens.as_ref().filter(|_| !request.uri().path().starts_with("/grpc.health.v1.")) {
            tokens.check(request.headers())?;
        }
        if let Some(bucket) = bucket {
            match bucket.take(Instant::now()) {
                Some(wait) if wait.is_zero() => {}
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(Status::resource_exhausted("too many requests a second; ask more slowly")),
            }
        }
        match tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(turn) => turn.map_err(|_| Status::unavailable("the server ends")),
            Err(_) => Err(Status::unavailable("too many requests at once; try again")),
        }
    }
}

/// tonic says `OUT_OF_RANGE` of a message that is too large, where gRPC has `RESOURCE_EXHAUSTED` (statuscodes.md).
fn is_too_large(headers: &HeaderMap) -> bool {
    code(headers) == Some(Code::OutOfRange)
        && Status::from_header_map(headers).is_some_and(|status| status.message().contains("message length too large"))
}

fn too_large() -> Status {
    Status::resource_exhausted("the message is larger than 4 MiB; ask for less at once")
}

fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()))
}

/// What a request keeps until its answer is sent.
#[expect(dead_code, reason = "they are kept to be dropped")]
enum Holding {
    Turn(OwnedSemaphorePermit),
    Memory(Held),
}

/// An answer on its way out: cut into frames of bounded size, and told of at its end.
pub(super) struct Watched {
    body: Body,
    rest: Bytes,
    told: Told,
}

/// What is told of a request when it is over, however it ends.
struct Told {
    guard: Arc<Guard>,
    peer: IpAddr,
    path: String,
    subject: Subject,
    began: Instant,
    code: Option<Code>,
    bytes: u64,
    held: Vec<Holding>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => {
                        if let Some(code) = other.trailers_ref().and_then(code) {
                            self.told.code = Some(code);
                        }
                        return Poll::Ready(Some(Ok(other)));
                    }
                },
                Some(Err(status)) => {
                    self.told.code = Some(status.code());
                    return Poll::Ready(Some(Err(status)));
                }
                None => return Poll::Ready(None),
            }
        }
        let length = self.rest.len().min(FRAME);
        let data = self.rest.split_to(length);
        self.told.bytes += data.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        // An answer without a status at its end was given up by the client.
        let status = name(self.code.unwrap_or(Code::Cancelled));
        let time = self.began.elapsed();
        self.guard.counters.request(&self.path, status, self.bytes, time);
        let method = self.path.trim_start_matches('/').escape_default().to_string();
        let (peer, bytes, subject) = (self.peer, self.bytes, self.subject.take());
        (self.guard.events)(Event::Access(Access { peer, method, subject, status, bytes, time }));
    }
}

/// A status as gRPC's documentation writes it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
