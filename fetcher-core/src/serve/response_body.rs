//! Requests on their way in and answers on their way out: how much they take, and how long.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;

use super::client_connection::{PacedAnswer, RequestPermit};
use super::shares::ShareHold;

/// How long a client may be waited for in all, beside the time for what it has sent or read.
const STALL: Duration = Duration::from_secs(30);

/// How fast a request has to be sent and an answer to be read at least, in bytes a second.
const LEAST_RATE: u64 = 4 << 10;

/// What a request may take in memory before it is counted, and in what steps it is, in bytes.
const STEP: usize = 64 << 10;

/// The most bytes of an answer that are handed over at once.
const FRAME: usize = 64 << 10;

/// A request and its answer, from the first's head until the last byte of the other was sent: what they take, and how
/// long the client lets the server wait.
#[derive(Debug)]
pub(super) struct ResponseBudget {
    asker: RequestPermit,
    held: Mutex<Vec<ShareHold>>,
    clock: Mutex<SendClock>,
}

impl ResponseBudget {
    pub(super) fn new(asker: RequestPermit) -> Arc<Self> {
        asker.link.begin();
        let clock = Mutex::new(SendClock::new());
        Arc::new(Self { asker, held: Mutex::default(), clock })
    }

    /// Keeps what was taken until the answer is sent.
    pub(super) fn hold(&self, hold: ShareHold) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(hold);
    }

    fn clock(&self) -> MutexGuard<'_, SendClock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PacedAnswer for ResponseBudget {
    fn is_too_slow(&self, now: Instant) -> bool {
        self.clock().is_too_slow(now)
    }
}

impl Drop for ResponseBudget {
    fn drop(&mut self) {
        self.asker.link.end();
    }
}

/// How long a client has made an answer wait.
#[derive(Debug, Clone, Copy)]
struct SendClock {
    waited: Duration,
    /// Since when it is the client that is waited for; none while it is the server.
    since: Option<Instant>,
    /// How many frames are handed over and not sent.
    unsent: usize,
    /// Whether there is nothing to hand over yet.
    working: bool,
    sent: u64,
}

impl SendClock {
    fn new() -> Self {
        Self { waited: Duration::ZERO, since: None, unsent: 0, working: true, sent: 0 }
    }

    fn change(&mut self, now: Instant, change: impl FnOnce(&mut Self)) {
        self.waited = self.waited(now);
        change(self);
        self.since = (self.unsent > 0 || !self.working).then_some(now);
    }

    fn waited(&self, now: Instant) -> Duration {
        self.waited + self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    fn is_too_slow(&self, now: Instant) -> bool {
        self.waited(now) > allowed(self.sent)
    }
}

/// How long a client may take for so many bytes.
fn allowed(bytes: u64) -> Duration {
    STALL + Duration::from_secs(bytes / LEAST_RATE)
}

/// An answer on its way out: cut into frames of bounded size, each of which is in memory until it is sent.
pub(super) struct ResponseBody {
    body: Body,
    answer: Arc<ResponseBudget>,
    rest: Bytes,
    /// What the rest takes.
    memory: Option<Arc<ShareHold>>,
    /// What is waited for, with the data that need it.
    waiting: Option<(Bytes, MemoryWait)>,
    /// The memory that was taken for all of the answer before it was made.
    paid: Option<Arc<ShareHold>>,
}

type MemoryWait = Pin<Box<dyn Future<Output = Result<ShareHold, Status>> + Send>>;

impl ResponseBody {
    pub(super) fn new(body: Body, answer: Arc<ResponseBudget>, paid: Option<Arc<ShareHold>>) -> Self {
        Self { body, answer, rest: Bytes::new(), memory: None, waiting: None, paid }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.waiting.is_none() && self.body.is_end_stream()
    }

    pub(super) fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = self.poll(context);
        self.answer.clock().change(Instant::now(), |clock| {
            clock.working = polled.is_pending();
            clock.unsent += usize::from(matches!(&polled, Poll::Ready(Some(Ok(frame))) if frame.is_data()));
        });
        polled
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        while self.rest.is_empty() {
            if let Some((data, waiting)) = &mut self.waiting {
                match ready!(waiting.as_mut().poll(context)) {
                    Ok(memory) => self.memory = Some(Arc::new(memory)),
                    Err(status) => return Poll::Ready(Some(Err(status))),
                }
                self.rest = std::mem::take(data);
                self.waiting = None;
                break;
            }
            let data = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return Poll::Ready(other),
            };
            if data.is_empty() {
                continue;
            }
            self.memory.clone_from(&self.paid);
            if self.memory.is_some() {
                self.rest = data;
            } else if let Some(memory) = self.answer.asker.memory_now(data.len()) {
                self.memory = Some(Arc::new(memory));
                self.rest = data;
            } else {
                let (asker, bytes) = (self.answer.asker.clone(), data.len());
                self.waiting = Some((data, Box::pin(async move { asker.memory(bytes).await })));
            }
        }
        let data = self.rest.split_to(self.rest.len().min(FRAME));
        let frame = SentFrame { data, answer: Arc::clone(&self.answer), _memory: self.memory.clone() };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(frame)))))
    }
}

/// A piece of an answer that was handed over; it is dropped once it is sent, or nobody wants it any more.
struct SentFrame {
    data: Bytes,
    answer: Arc<ResponseBudget>,
    _memory: Option<Arc<ShareHold>>,
}

impl AsRef<[u8]> for SentFrame {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for SentFrame {
    fn drop(&mut self) {
        self.answer.clock().change(Instant::now(), |clock| {
            clock.unsent -= 1;
            clock.sent += self.data.len() as u64;
        });
    }
}

/// A request on its way in: it has to come in time, and what is large counts as memory.
pub(super) struct RequestBody {
    body: Incoming,
    answer: Arc<ResponseBudget>,
    until: Pin<Box<Sleep>>,
    began: Instant,
    received: u64,
    /// How many bytes may come before there has to be more memory.
    free: usize,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, answer: Arc<ResponseBudget>) -> Self {
        let (began, until) = (Instant::now(), Box::pin(tokio::time::sleep(STALL)));
        Self { body, answer, until, began, received: 0, free: STEP }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            ready!(self.until.as_mut().poll(context));
            return Poll::Ready(Some(Err(Status::deadline_exceeded("the request did not come in time"))));
        };
        let Some(frame) = frame else { return Poll::Ready(None) };
        let frame = frame.map_err(|error| Status::from_error(Box::new(error)))?;
        let length = frame.data_ref().map_or(0, Bytes::len);
        while self.free < length {
            // Once as it comes, once as it is read.
            let Some(memory) = self.answer.asker.memory_now(2 * STEP) else {
                return Poll::Ready(Some(Err(Status::unavailable("too many large requests at once; try again"))));
            };
            self.answer.hold(memory);
            self.free += STEP;
        }
        self.free -= length;
        self.received += length as u64;
        let until = self.began + allowed(self.received);
        self.until.as_mut().reset(until.into());
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_time_counts_in_which_a_client_is_waited_for() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut clock = SendClock::new();
        assert!(!clock.is_too_slow(at(1000)), "the server is at work");
        let handed = |clock: &mut SendClock| {
            clock.working = false;
            clock.unsent += 1;
        };
        clock.change(at(1000), handed);
        assert!(!clock.is_too_slow(at(1030)));
        assert!(clock.is_too_slow(at(1031)), "nothing was read for 30 s");
        clock.change(at(1029), |clock| clock.working = true);
        assert!(clock.is_too_slow(at(1031)), "there is something to read, whatever comes next");
        clock.change(at(1029), |clock| {
            clock.unsent -= 1;
            clock.sent += 64 << 10;
        });
        assert!(!clock.is_too_slow(at(5000)), "the server is at work again");
        clock.change(at(5000), handed);
        assert!(!clock.is_too_slow(at(5017)), "64 KiB are worth 16 s");
        assert!(clock.is_too_slow(at(5018)));
    }

    #[test]
    fn a_slow_reader_is_one_below_the_least_rate() {
        for (rate, too_slow) in [(LEAST_RATE, false), (LEAST_RATE / 2, true)] {
            let (start, mut clock) = (Instant::now(), SendClock::new());
            let seconds = FRAME as u64 / rate;
            let mut slow = false;
            for frame in 0..100 {
                let now = start + Duration::from_secs(frame * seconds);
                clock.change(now, |clock| (clock.working, clock.unsent) = (false, 1));
                slow |= clock.is_too_slow(now + Duration::from_secs(seconds));
                clock.change(now + Duration::from_secs(seconds), |clock| {
                    (clock.working, clock.unsent) = (true, 0);
                    clock.sent += FRAME as u64;
                });
            }
            assert_eq!(slow, too_slow, "{rate} bytes a second");
        }
    }
}
