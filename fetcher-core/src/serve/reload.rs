//! Files that are read again when they change: tokens and certificates.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::config::ServeTls;

use super::connections::Certificates;
use super::error::ServeError;
use super::event::{Event, Events};
use super::tls;
use super::tokens::Tokens;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// By what a changed file is known.
type Stamp = Option<(u64, u64, i64, i64)>;

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
}

/// The files, and what is made from them.
pub(super) struct Reload {
    pub(super) tokens: Option<Arc<Tokens>>,
    pub(super) tls: Option<(ServeTls, Certificates)>,
    pub(super) events: Events,
}

impl Reload {
    fn paths(&self) -> Vec<PathBuf> {
        let tokens = self.tokens.iter().map(|tokens| tokens.path().to_owned());
        let tls =
            self.tls.iter().flat_map(|(files, _)| [Some(&files.cert), Some(&files.key), files.client_ca.as_ref()]);
        tokens.chain(tls.flatten().cloned()).collect()
    }

    /// Looks at the files for ever.
    pub(super) async fn watch(self) {
        let paths = self.paths();
        let mut seen: Vec<Stamp> = paths.iter().map(|path| stamp(path)).collect();
        let this = Arc::new(self);
        while !paths.is_empty() {
            tokio::time::sleep(EVERY).await;
            let (paths, before, this) = (paths.clone(), seen.clone(), Arc::clone(&this));
            let looked = tokio::task::spawn_blocking(move || {
                let now: Vec<Stamp> = paths.iter().map(|path| stamp(path)).collect();
                let changed = paths.iter().zip(&now).zip(&before).filter(|((_, now), before)| now != before);
                let changed: Vec<_> = changed.map(|((path, _), _)| path.as_path()).collect();
                this.again(&changed);
                now
            });
            if let Ok(now) = looked.await {
                seen = now;
            }
        }
    }

    fn again(&self, changed: &[&Path]) {
        if let Some(tokens) = &self.tokens
            && changed.contains(&tokens.path())
        {
            self.tell(tokens.path(), tokens.read_again());
        }
        if let Some((files, certificates)) = &self.tls
            && let Some(path) = [Some(&files.cert), Some(&files.key), files.client_ca.as_ref()]
                .into_iter()
                .flatten()
                .find(|path| changed.contains(&path.as_path()))
        {
            let read = tls::read(files).map(|config| {
                *certificates.write().unwrap_or_else(PoisonError::into_inner) = config;
            });
            self.tell(path, read);
        }
    }

    fn tell(&self, path: &Path, done: Result<(), ServeError>) {
        let path = path.to_owned();
        (self.events)(match done {
            Ok(()) => Event::Reloaded { path },
            Err(error) => Event::ReloadFailed { path, message: error.to_string() },
        });
    }
}
