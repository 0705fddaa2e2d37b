//! The local cache, served on loopback for a client of this host's own.

use std::path::PathBuf;

use crate::pipeline::{LocalCacheServing, LocalSourceCache};

/// The cache that a configuration's runs fill.
#[derive(Debug)]
pub(super) struct OwnCache {
    cachedir: PathBuf,
}

impl OwnCache {
    pub(super) fn of(cachedir: PathBuf) -> Self {
        Self { cachedir }
    }
}

#[cfg(not(feature = "serve"))]
impl LocalCacheServing for OwnCache {
    fn serve(&self) -> Result<LocalSourceCache, String> {
        let cachedir = self.cachedir.display();
        Err(format!(
            "nothing is pushed, and this program was built without the feature `serve`, which would serve {cachedir}"
        ))
    }
}

#[cfg(feature = "serve")]
mod serving {
    use std::thread::{self, JoinHandle};
    use std::time::Duration;

    use super::{LocalCacheServing, LocalSourceCache, OwnCache};
    use crate::cancel::Cancel;
    use crate::config::ServeConfig;
    use crate::serve::CacheServer;

    /// A server on a thread of its own, until it is dropped.
    struct RunningServer {
        cancel: Cancel,
        thread: Option<JoinHandle<()>>,
    }

    impl Drop for RunningServer {
        fn drop(&mut self) {
            self.cancel.cancel();
            if let Some(thread) = self.thread.take() {
                // Its client is over, and has told what it did not get.
                let _ = thread.join();
            }
        }
    }

    impl LocalCacheServing for OwnCache {
        fn serve(&self) -> Result<LocalSourceCache, String> {
            let config =
                ServeConfig { listen: "127.0.0.1:0".to_owned(), max_requests_per_second: 0, ..ServeConfig::default() };
            let failed = |why: &dyn std::fmt::Display| format!("the local cache cannot be served: {why}");
            let server = CacheServer::new(&config, &self.cachedir).map_err(|error| failed(&error))?;
            let bound = server.drain(Duration::ZERO).bind().map_err(|error| failed(&error))?;
            let url = format!("http://{}", bound.address());
            let cancel = Cancel::new();
            let stop = cancel.clone();
            let run = move || {
                // Where it cannot answer its client fetches nothing, and says so.
                let _ = bound.run(&stop);
            };
            let thread =
                thread::Builder::new().name("own-cache".to_owned()).spawn(run).map_err(|error| failed(&error))?;
            Ok(LocalSourceCache::new(url, RunningServer { cancel, thread: Some(thread) }))
        }
    }
}
