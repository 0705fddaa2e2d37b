//! What stands before every request: who asks, how often, and how many at once; and what is told of it afterwards.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::ServiceExt as _;

use super::call_context::{HeldMemory, RequestSubject};
use super::client_connection::{ClientConnection, PacedAnswer, RequestPermit};
use super::counters::ServeCounters;
use super::event::{AccessRecord, ServeEvent, ServeEventSink};
use super::rate_limit::TokenBucket;
use super::response_body::{RequestBody, ResponseBody, ResponseBudget};
use super::tokens::AccessTokens;
use crate::cas::digest::Sha256Hash;

/// What all connections share.
pub(super) struct RequestGuard {
    routes: Routes,
    tokens: Option<Arc<AccessTokens>>,
    counters: Arc<ServeCounters>,
    events: ServeEventSink,
}

/// Whose connection a request came by.
#[derive(Clone)]
pub(super) struct CallerConnection {
    pub(super) address: IpAddr,
    pub(super) link: Arc<ClientConnection>,
    pub(super) bucket: Option<Arc<TokenBucket>>,
}

impl RequestGuard {
    pub(super) fn new(
        routes: Routes,
        tokens: Option<Arc<AccessTokens>>,
        counters: Arc<ServeCounters>,
        events: ServeEventSink,
    ) -> Self {
        Self { routes, tokens, counters, events }
    }

    /// Answers a request.
    pub(super) async fn answer(
        self: Arc<Self>,
        caller: CallerConnection,
        request: Request<Incoming>,
    ) -> Result<Response<MeteredBody>, Infallible> {
        let began = Instant::now();
        let subject = RequestSubject::default();
        let path = request.uri().path().chars().take(200).collect();
        let peer = caller.address;
        let mut told = PendingRecord { guard: Arc::clone(&self), peer, path, subject, began, code: None, bytes: 0 };
        let token = self.token(&request);
        let asker = RequestPermit { link: Arc::clone(&caller.link), token: token.as_ref().ok().copied().flatten() };
        let answer = ResponseBudget::new(asker.clone());
        let response = match self.admit(token.map(drop), caller.bucket, &asker, &answer).await {
            Ok(()) => {
                let mut request = request.map(|body| Body::new(RequestBody::new(body, Arc::clone(&answer))));
                request.extensions_mut().insert(told.subject.clone());
                request.extensions_mut().insert(asker);
                let Ok(response) = self.routes.clone().oneshot(request).await;
                if is_too_large(response.headers()) { too_large().into_http() } else { response }
            }
            Err(status) => status.into_http(),
        };
        told.code = code(response.headers());
        let (mut parts, body) = response.into_parts();
        let held = parts.extensions.remove::<HeldMemory>();
        caller.link.watch(Arc::downgrade(&answer) as Weak<dyn PacedAnswer>);
        let sending = ResponseBody::new(body, answer, held);
        Ok(Response::from_parts(parts, MeteredBody { sending, told }))
    }

    /// The digest of a request's token, where there have to be tokens.
    fn token(&self, request: &Request<Incoming>) -> Result<Option<Sha256Hash>, Status> {
        // Whoever looks after the server has to know whether it lives, and no more than that.
        let asked = self.tokens.as_ref().filter(|_| !request.uri().path().starts_with("/grpc.health.v1."));
        asked.map(|tokens| tokens.check(request.headers())).transpose()
    }

    async fn admit(
        &self,
        known: Result<(), Status>,
        bucket: Option<Arc<TokenBucket>>,
        asker: &RequestPermit,
        answer: &ResponseBudget,
    ) -> Result<(), Status> {
        known?;
        if let Some(bucket) = bucket {
            match bucket.take(Instant::now()) {
                Some(wait) if wait.is_zero() => {}
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(Status::resource_exhausted("too many requests a second; ask more slowly")),
            }
        }
        answer.hold(asker.turn().await?);
        Ok(())
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

/// An answer on its way out, told of at its end.
pub(super) struct MeteredBody {
    sending: ResponseBody,
    told: PendingRecord,
}

/// What is told of a request when it is over, however it ends.
struct PendingRecord {
    guard: Arc<RequestGuard>,
    peer: IpAddr,
    path: String,
    subject: RequestSubject,
    began: Instant,
    code: Option<Code>,
    bytes: u64,
}

impl http_body::Body for MeteredBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = ready!(self.sending.poll_frame(context));
        match &polled {
            Some(Ok(frame)) => {
                self.told.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                if let Some(code) = frame.trailers_ref().and_then(code) {
                    self.told.code = Some(code);
                }
            }
            Some(Err(status)) => self.told.code = Some(status.code()),
            None => {}
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.sending.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Drop for PendingRecord {
    fn drop(&mut self) {
        // An answer without a status at its end was given up by the client.
        let status = name(self.code.unwrap_or(Code::Cancelled));
        let time = self.began.elapsed();
        self.guard.counters.request(&self.path, status, self.bytes, time);
        let method = self.path.trim_start_matches('/').escape_default().to_string();
        let (peer, bytes, subject) = (self.peer, self.bytes, self.subject.take());
        (self.guard.events)(ServeEvent::Access(AccessRecord { peer, method, subject, status, bytes, time }));
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
