//! A read-only server on a local cache of BuildStream's: sources and artifacts for others, without pushing anything.
//!
//! Unchanged BuildStream 2.x clients name it in `source-caches` and `artifacts`. It speaks what they ask for: the
//! Remote Asset API's `Fetch`, and of the Remote Execution API `Capabilities`, `ContentAddressableStorage` and
//! `ByteStream`, beside gRPC's health and reflection services.
//!
//! What it says yes to it has: an asset is answered only if its whole tree is there, an object only after its content
//! was seen to be what its name says. It reads the cache's files anew for each request, so that it needs to be told
//! nothing of what `bst` does to the cache meanwhile. It writes nothing; it only sets the time of what it gives away,
//! for by that time objects expire.
//!
//! ```no_run
//! use std::path::Path;
//! use fetcher_core::{Cancel, config::ServeConfig, serve::CacheServer};
//!
//! let cachedir = Path::new("/home/me/.cache/buildstream");
//! let server = CacheServer::new(&ServeConfig::default(), cachedir)?.events(|event| eprintln!("{event}")).bind()?;
//! println!("url: http://{}", server.address());
//! let cancel = Cancel::new(); // another thread may call cancel.cancel()
//! server.run(&cancel)?;
//! # Ok::<(), fetcher_core::serve::ServeError>(())
//! ```

mod assets;
mod bounded_cache;
mod bytestream;
mod cache;
mod call_context;
mod capabilities;
mod cas;
mod client_connection;
mod connection_slots;
mod connections;
mod counters;
mod error;
mod event;
mod file_age;
mod metrics_page;
mod objects;
mod rate_limit;
mod reload;
mod request_guard;
mod reread;
mod resource;
mod response_body;
mod server;
mod shares;
mod tls;
mod tokens;
mod trees;

pub use cache::ServedDirectory;
pub use error::ServeError;
pub use event::{AccessRecord, ServeEvent, ServeEventSink};
pub use server::{BoundServer, CacheServer};
