//! Who is asked whether sources are there: the remote caches that are pushed to, or the local one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use crate::cancel::Cancel;
use crate::config::SourceCacheConfig;
use crate::diagnosis::Diagnosis;
use crate::environment::Environment;
use crate::names::SourceKey;

#[cfg(feature = "cas")]
use crate::cas::{CacheError, CacheProver, SourceProof};
#[cfg(feature = "cas")]
use crate::diagnosis::{FailureKind, Location};

/// Where sources have to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProofTarget {
    /// In every one of these caches.
    Remote(Vec<SourceCacheConfig>),
    /// In the cache of this host.
    Local,
}

impl ProofTarget {
    /// The caches, as reports name them.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            ProofTarget::Remote(caches) => caches.iter().map(|cache| cache.url.clone()).collect(),
            ProofTarget::Local => vec!["the local cache".to_owned()],
        }
    }
}

/// What the caches say of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeyAnswer {
    /// All of it is there.
    Proved,
    /// Something is missing, in words.
    #[cfg_attr(not(feature = "cas"), expect(dead_code, reason = "nobody can be asked"))]
    Missing(String),
}

/// Asks, and keeps what it was told.
pub(super) struct SourceProver {
    target: ProofTarget,
    timeout: Duration,
    answers: BTreeMap<SourceKey, KeyAnswer>,
    #[cfg(feature = "cas")]
    prover: CacheProver,
}

impl SourceProver {
    /// Who asks the caches, each question taking at most so long. `cachedir` is that of this host.
    pub(super) fn new(target: ProofTarget, cachedir: &Path, timeout: Duration) -> Self {
        #[cfg(not(feature = "cas"))]
        let _ = cachedir;
        Self {
            target,
            timeout,
            answers: BTreeMap::new(),
            #[cfg(feature = "cas")]
            prover: CacheProver::new(cachedir),
        }
    }

    /// Lets it read every byte of every blob.
    #[cfg(feature = "cas")]
    pub(super) fn reading_contents(self, reads_contents: bool) -> Self {
        Self { prover: self.prover.reading_contents(reads_contents), ..self }
    }

    /// Lets an environment say whose certificates are believed.
    #[cfg(feature = "cas")]
    pub(super) fn trusting(self, environment: &Environment) -> Self {
        Self { prover: self.prover.trusting(environment), ..self }
    }

    #[cfg(not(feature = "cas"))]
    pub(super) fn trusting(self, _: &Environment) -> Self {
        self
    }

    #[cfg(not(feature = "cas"))]
    pub(super) fn reading_contents(self, _: bool) -> Self {
        self
    }

    /// Whether this build of the library can ask at all.
    pub(super) fn can_ask() -> bool {
        cfg!(feature = "cas")
    }

    pub(super) fn target(&self) -> &ProofTarget {
        &self.target
    }

    /// What was answered of a key; none where it was not asked about, or nobody could be asked.
    pub(super) fn answer(&self, key: &SourceKey) -> Option<&KeyAnswer> {
        self.answers.get(key)
    }

    /// Forgets what was missing, for something is done about it.
    pub(super) fn forget_missing(&mut self) {
        self.answers.retain(|_, answer| *answer == KeyAnswer::Proved);
    }

    /// Forgets what was answered of keys, for something was done about them.
    pub(super) fn forget(&mut self, keys: &BTreeSet<SourceKey>) {
        self.answers.retain(|key, _| !keys.contains(key));
    }

    /// The blobs that were asked for and the requests that it took, so far.
    #[cfg(feature = "cas")]
    pub(super) fn cost(&self) -> (u64, u64) {
        let totals = self.prover.totals();
        (totals.blobs, totals.requests)
    }

    #[cfg(not(feature = "cas"))]
    pub(super) fn cost(&self) -> (u64, u64) {
        (0, 0)
    }

    /// Asks about those of the keys that were not asked about yet.
    ///
    /// # Errors
    /// When a cache cannot be asked or answers wrongly: nothing is known of any of them then. None in the case that
    /// somebody wants to stop.
    #[cfg(feature = "cas")]
    pub(super) fn ask(&mut self, keys: &BTreeSet<SourceKey>, cancel: &Cancel) -> Result<(), Option<Diagnosis>> {
        let keys: Vec<_> = keys.iter().filter(|key| !self.answers.contains_key(*key)).cloned().collect();
        if keys.is_empty() {
            return Ok(());
        }
        let proofs = match &self.target {
            ProofTarget::Local => self.prover.prove_local(&keys),
            ProofTarget::Remote(caches) => {
                self.prover.prove_remote_within(self.timeout, caches, &keys, cancel).map_err(|error| failure(&error))?
            }
        };
        self.answers.extend(proofs.into_iter().map(|(key, proof)| (key, answer(proof))));
        Ok(())
    }

    #[cfg(not(feature = "cas"))]
    pub(super) fn ask(&mut self, _: &BTreeSet<SourceKey>, _: &Cancel) -> Result<(), Option<Diagnosis>> {
        let _ = self.timeout;
        Ok(())
    }
}

#[cfg(feature = "cas")]
fn answer(proof: SourceProof) -> KeyAnswer {
    match proof {
        SourceProof::Proved => KeyAnswer::Proved,
        SourceProof::Missing { cache, index: true, .. } => KeyAnswer::Missing(format!("{cache} does not know them")),
        SourceProof::Missing { cache, index: false, blobs: 1 } => {
            KeyAnswer::Missing(format!("{cache} lacks a blob of them"))
        }
        SourceProof::Missing { cache, index: false, blobs } => {
            KeyAnswer::Missing(format!("{cache} lacks {blobs} blobs of them"))
        }
        SourceProof::Elsewhere { cache } => {
            KeyAnswer::Missing(format!("{cache} has other sources under the same key than this host"))
        }
        SourceProof::Damaged { cache, blobs } => {
            KeyAnswer::Missing(format!("{cache} has {blobs} blobs of them that are not what their names say"))
        }
        SourceProof::Unknown { reason } => KeyAnswer::Missing(reason),
    }
}

/// Why nothing can be proved; none where somebody wants to stop.
#[cfg(feature = "cas")]
fn failure(error: &CacheError) -> Option<Diagnosis> {
    let (kind, url) = match error {
        CacheError::Config { url, .. } => (FailureKind::Configuration, url),
        CacheError::Unreachable { url, .. } => (FailureKind::CacheUnreachable, url),
        CacheError::Refused { url, .. } => (FailureKind::CacheDenied, url),
        CacheError::Wrong { url, .. } => (FailureKind::CacheWrong, url),
        CacheError::Interrupted => return None,
    };
    let message = format!("nothing can be proved to be in the source cache: {error}");
    Some(Diagnosis::of_kind(kind, message).with_place(Location::of_url(url)))
}

#[cfg(all(test, feature = "cas"))]
mod tests {
    use super::*;
    use crate::diagnosis::Actor;

    #[test]
    fn a_cache_that_cannot_prove_anything_is_told_by_what_is_wrong_with_it() {
        let (url, message) = ("http://cache:1".to_owned(), "words".to_owned());
        let kinds = [
            CacheError::Config { url: url.clone(), message: message.clone() },
            CacheError::Unreachable { url: url.clone(), message: message.clone() },
            CacheError::Refused { url: url.clone(), message: message.clone() },
            CacheError::Wrong { url, message },
        ]
        .map(|error| failure(&error).map(|failure| (failure.kind, failure.actor)));
        let expected = [
            (FailureKind::Configuration, Actor::Host),
            (FailureKind::CacheUnreachable, Actor::Cache),
            (FailureKind::CacheDenied, Actor::Cache),
            (FailureKind::CacheWrong, Actor::Cache),
        ];
        assert_eq!(kinds, expected.map(Some));
        assert_eq!(failure(&CacheError::Interrupted), None);
    }
}
