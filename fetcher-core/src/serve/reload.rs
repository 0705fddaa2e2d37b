//! Files that are read again when they change: tokens and certificates.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::file_state::FileState;

use super::error::ServeError;
use super::event::{ServeEvent, ServeEventSink};
use super::reread::RereadResult;
use super::tls::TlsReloader;
use super::tokens::AccessTokens;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// The files, and what is made from them.
pub(super) struct FileReloader {
    pub(super) tokens: Option<Arc<AccessTokens>>,
    pub(super) tls: Option<Arc<TlsReloader>>,
    pub(super) events: ServeEventSink,
}

impl FileReloader {
    /// Looks at the files for ever.
    pub(super) async fn watch(self) {
        let Self { tokens, tls, events } = self;
        let mut sources = Vec::new();
        if let Some(tokens) = tokens {
            let paths = vec![tokens.path().to_owned()];
            sources.push(ReloadSource::new(paths, Box::new(move |before| tokens.read_again(before))));
        }
        if let Some(tls) = tls {
            sources.push(ReloadSource::new(tls.paths(), Box::new(move |before| tls.read_again(before))));
        }
        while !sources.is_empty() {
            tokio::time::sleep(EVERY).await;
            let events = Arc::clone(&events);
            let looked = tokio::task::spawn_blocking(move || {
                for source in &mut sources {
                    source.look(&events);
                }
                sources
            });
            // The runtime is at its end where this does not come back.
            let Ok(back) = looked.await else { return };
            sources = back;
        }
    }
}

/// Reads again, told whether there was nothing the last time.
type ReloadAction = Box<dyn Fn(bool) -> Result<RereadResult, ServeError> + Send>;

/// Files that one thing is made from.
struct ReloadSource {
    paths: Vec<PathBuf>,
    read: ReloadAction,
    /// Their states when they were read; none where they have to be read again in any case.
    seen: Option<Vec<Option<FileState>>>,
    /// Whether there was nothing in them the last time.
    empty: bool,
    /// What could not be used the last time, which is told once.
    trouble: Option<String>,
}

impl ReloadSource {
    fn new(paths: Vec<PathBuf>, read: ReloadAction) -> Self {
        // What was written between the first reading and the first look is found by reading once more.
        Self { paths, read, seen: None, empty: false, trouble: None }
    }

    fn look(&mut self, events: &ServeEventSink) {
        let now = SystemTime::now();
        // Before they are read: what is written later has another state.
        let states: Vec<_> = self.paths.iter().map(|path| state(path)).collect();
        if self.seen.as_ref() == Some(&states) {
            return;
        }
        let changed = self.seen.as_ref().and_then(|seen| states.iter().zip(seen).position(|(now, seen)| now != seen));
        let settled = states.iter().flatten().all(|state| state.is_settled(now));
        self.seen = settled.then_some(states);
        let Some(path) = self.paths.get(changed.unwrap_or(0)).cloned() else { return };
        let read = (self.read)(self.empty);
        self.empty = matches!(read, Ok(RereadResult::Empty));
        if self.empty {
            self.seen = None;
        }
        let trouble = read.as_ref().err().map(ToString::to_string);
        let told = trouble == self.trouble;
        self.trouble.clone_from(&trouble);
        match read {
            Ok(RereadResult::Same | RereadResult::Empty) => {}
            Ok(RereadResult::New) => events(ServeEvent::Reloaded { path }),
            Ok(RereadResult::Revoked) => events(ServeEvent::Revoked { path }),
            Err(_) if told => {}
            Err(error) => events(ServeEvent::ReloadFailed { path, message: error.to_string() }),
        }
    }
}

fn state(path: &Path) -> Option<FileState> {
    fs::metadata(path).ok().map(|metadata| FileState::of(&metadata))
}
