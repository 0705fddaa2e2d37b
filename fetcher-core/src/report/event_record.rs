//! Events with their time, for who writes them down or sends them on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::clock::Clock;

/// An event and when it was told. As JSON it is one object, with `at`, `event` and `data`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventRecord {
    /// When the sink of events got it.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl EventRecord {
    /// A sink of events that gives each to `sink` with its time by `clock`.
    ///
    /// ```
    /// use fetcher_core::report::EventRecord;
    /// use fetcher_core::{Event, SystemClock};
    ///
    /// let mut lines = Vec::new();
    /// let mut sink = EventRecord::sink(&SystemClock, |record| lines.push(serde_json::to_string(&record)));
    /// sink(Event::Note("waiting".to_owned()));
    /// drop(sink);
    /// let record: EventRecord = serde_json::from_str(lines[0].as_ref().unwrap())?;
    /// assert_eq!(record.event, Event::Note("waiting".to_owned()));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn sink<'s>(clock: &'s dyn Clock, mut sink: impl FnMut(EventRecord) + 's) -> impl FnMut(Event) + 's {
        move |event| sink(EventRecord { at: clock.now(), event })
    }
}
