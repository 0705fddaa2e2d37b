//! The proof that the sources of elements are in the caches: every index has the entry, every storage every blob.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::client::{CacheClient, CacheError, DIGESTS_A_REQUEST};
use super::digest::ObjectDigest;
use super::index::source_root;
use super::local::{LARGEST_DIRECTORY, LocalGap, LocalSources, MOST_OBJECTS, SourceObjects, members};
use crate::cancel::Cancel;
use crate::config::SourceCacheConfig;
use crate::environment::Environment;
use crate::names::SourceKey;

/// How many requests are under way at once to one server.
const REQUESTS_AT_ONCE: usize = 16;
/// How often a wish to stop is looked for.
const CANCEL_INTERVAL: Duration = Duration::from_millis(100);

/// What is known of the sources of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceProof {
    /// Every cache that was asked has all of it.
    Proved,
    /// Something of it is missing.
    Missing {
        /// The address of the cache; `the local cache` for the one of this host.
        cache: String,
        /// Whether its index has no entry.
        index: bool,
        /// How many blobs are missing, the message of the index among them.
        blobs: u64,
    },
    /// An index has an entry that leads to other sources than those that the local cache has under the same key: who asks
    /// for them gets others.
    Elsewhere {
        /// The address of the cache.
        cache: String,
    },
    /// Something of it is there and is not what its name says, which only reading it shows.
    Damaged {
        /// The address of the cache; `the local cache` for the one of this host.
        cache: String,
        /// How many blobs.
        blobs: u64,
    },
    /// It cannot be told: neither the local cache nor the remote one says what belongs to it.
    Unknown {
        /// Why not.
        reason: String,
    },
}

impl SourceProof {
    /// Whether it was proved.
    pub fn is_proved(&self) -> bool {
        *self == SourceProof::Proved
    }
}

/// What a proof cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct ProofTotals {
    /// Different blobs that were asked for, over all servers.
    pub blobs: u64,
    /// Requests that were made.
    pub requests: u64,
    /// Seconds that it took.
    pub seconds: f64,
}

/// Asks caches what they have of the sources of this host's own cache.
///
/// ```no_run
/// use std::path::Path;
/// use fetcher_core::Cancel;
/// use fetcher_core::{SourceKey, pipeline::{CacheProver, }};
/// use fetcher_core::config::SourceCacheConfig;
///
/// let cache = SourceCacheConfig::new("https://cache.example.org:11002");
/// let key: SourceKey = "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945".parse()?;
/// let mut prover = CacheProver::new(Path::new("/var/cache/bst-fetcher/cachedir"));
/// let proofs = prover.prove_remote(&[cache], &[key], &Cancel::new())?;
/// assert!(proofs.values().all(|proof| proof.is_proved()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CacheProver {
    local: LocalSources,
    totals: ProofTotals,
    timeout: Option<Duration>,
    reads_contents: bool,
    environment: Environment,
}

impl std::fmt::Debug for CacheProver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheProver").finish_non_exhaustive()
    }
}

impl CacheProver {
    /// A prover that takes what belongs to sources from BuildStream's cache in `cachedir`, as far as that has it.
    pub fn new(cachedir: &Path) -> Self {
        Self {
            local: LocalSources::new(cachedir),
            totals: ProofTotals::default(),
            timeout: None,
            reads_contents: false,
            environment: Environment::empty(),
        }
    }

    /// Lets proofs read every byte of every blob, and compare it with its digest. Servers are asked whether they have a
    /// blob else, which says nothing of what is in it.
    #[must_use]
    pub fn reading_contents(mut self, reads_contents: bool) -> Self {
        self.reads_contents = reads_contents;
        self
    }

    /// Lets an environment say whose certificates are believed, by `SSL_CERT_FILE`, `CURL_CA_BUNDLE` or `GIT_SSL_CAINFO`:
    /// the name of a file in PEM. Without those it is this host's own file, or where there is none Mozilla's list. Caches
    /// with a `server-cert` of their own are believed by that alone.
    #[must_use]
    pub fn trusting(mut self, environment: &Environment) -> Self {
        self.environment = environment.clone();
        self
    }

    /// What the proofs so far cost.
    pub fn totals(&self) -> ProofTotals {
        self.totals
    }

    /// Proves that the local cache itself has all blobs of sources, by their sizes.
    pub fn prove_local(&mut self, keys: &[SourceKey]) -> BTreeMap<SourceKey, SourceProof> {
        let began = Instant::now();
        let mut known: HashMap<ObjectDigest, bool> = HashMap::new();
        let mut whole: HashMap<ObjectDigest, bool> = HashMap::new();
        let mut proofs = BTreeMap::new();
        for key in keys {
            let missing = |index, blobs| SourceProof::Missing { cache: LOCAL.to_owned(), index, blobs };
            let proof = match self.local.objects_of(key.as_str()) {
                Ok(found) => {
                    let mut has =
                        |object: &&ObjectDigest| !*known.entry(**object).or_insert_with(|| self.local.has(**object));
                    match found.objects.iter().filter(&mut has).count() {
                        0 if self.reads_contents => damaged_here(&self.local, &found, &mut whole),
                        0 => SourceProof::Proved,
                        blobs => missing(false, blobs as u64),
                    }
                }
                Err(LocalGap::NoEntry) => missing(true, 0),
                Err(LocalGap::NoObject) => missing(false, 1),
                Err(LocalGap::Unreadable(error)) => SourceProof::Unknown { reason: error.to_string() },
            };
            proofs.insert(key.clone(), proof);
        }
        self.totals.blobs += known.len() as u64;
        self.totals.seconds += began.elapsed().as_secs_f64();
        proofs
    }

    /// The same as [`Self::prove_remote`], given up after some time.
    ///
    /// # Errors
    /// The same, and when the caches have not answered within that time.
    pub fn prove_remote_within(
        &mut self,
        timeout: Duration,
        caches: &[SourceCacheConfig],
        keys: &[SourceKey],
        cancel: &Cancel,
    ) -> Result<BTreeMap<SourceKey, SourceProof>, CacheError> {
        self.timeout = Some(timeout);
        let proofs = self.prove_remote(caches, keys, cancel);
        self.timeout = None;
        proofs
    }

    /// Proves that remote caches have sources: that each server which keeps an index has an entry for every key, and
    /// each that keeps blobs every blob. Elements without any source are proved like all others.
    ///
    /// # Errors
    /// When a server cannot be used, cannot be reached, refuses, or answers wrongly: nothing is proved then. And when
    /// somebody asks to stop.
    pub fn prove_remote(
        &mut self,
        caches: &[SourceCacheConfig],
        keys: &[SourceKey],
        cancel: &Cancel,
    ) -> Result<BTreeMap<SourceKey, SourceProof>, CacheError> {
        let began = Instant::now();
        let failed = |error: std::io::Error| CacheError::Config {
            url: caches.first().map(|cache| cache.url.clone()).unwrap_or_default(),
            message: format!("no connection can be made: {error}"),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let timeout = self.timeout.unwrap_or(Duration::MAX);
        let proofs = runtime.block_on(async {
            tokio::select! {
                proofs = self.ask(caches, keys) => proofs,
                () = cancelled(cancel) => Err(CacheError::Interrupted),
                () = elapsed(timeout) => Err(CacheError::Unreachable {
                    url: caches.first().map(|cache| cache.url.clone()).unwrap_or_default(),
                    message: format!("timed out after {} s", timeout.as_secs()),
                }),
            }
        });
        self.totals.seconds += began.elapsed().as_secs_f64();
        proofs
    }

    async fn ask(
        &mut self,
        caches: &[SourceCacheConfig],
        keys: &[SourceKey],
    ) -> Result<BTreeMap<SourceKey, SourceProof>, CacheError> {
        let is = |cache: &&SourceCacheConfig, kind: &str| cache.kind.as_deref().is_none_or(|k| k == "all" || k == kind);
        let clients = |kind| -> Result<Vec<_>, CacheError> {
            caches
                .iter()
                .filter(|cache| is(cache, kind))
                .map(|cache| CacheClient::new(cache, &self.environment))
                .collect()
        };
        let (indexes, storages) = (clients("index")?, clients("storage")?);
        let mut proofs: BTreeMap<_, _> = keys.iter().map(|key| (key.clone(), SourceProof::Proved)).collect();
        let mut entries: HashMap<SourceKey, HashSet<ObjectDigest>> = HashMap::new();
        for index in &indexes {
            self.totals.requests += keys.len() as u64;
            let asked =
                stream::iter(keys).map(|key| async move { Ok((key, index.source_message(key.as_str()).await?)) });
            let mut asked = asked.buffer_unordered(REQUESTS_AT_ONCE);
            while let Some((key, entry)) = asked.try_next().await? {
                match entry {
                    Some(message) => {
                        let here = self.local.message_of(key.as_str());
                        if here.is_some_and(|here| here != message) && proofs[key].is_proved() {
                            let cache = index.url().to_owned();
                            proofs.insert(key.clone(), SourceProof::Elsewhere { cache });
                        }
                        entries.entry(key.clone()).or_default().insert(message);
                    }
                    None => note_missing(&mut proofs, key, index.url(), true, 0),
                }
            }
        }
        let wanted = self.objects(&storages, keys, &entries, &mut proofs).await?;
        let unique: HashSet<ObjectDigest> = wanted.values().flat_map(SourceObjects::all).collect();
        // The empty blob is nowhere, and everywhere.
        let unique: Vec<ObjectDigest> = unique.into_iter().filter(|object| object.size > 0).collect();
        for storage in &storages {
            let missing = self.missing(storage, &unique).await?;
            let mut damaged = HashSet::new();
            if self.reads_contents {
                let there: Vec<_> = unique.iter().filter(|object| !missing.contains(object)).copied().collect();
                damaged.extend(storage.damaged(&there).await?);
            }
            if missing.is_empty() && damaged.is_empty() {
                continue;
            }
            for (key, objects) in &wanted {
                let of_it =
                    |set: &HashSet<ObjectDigest>| objects.all().filter(|object| set.contains(object)).count() as u64;
                let (lost, bad) = (of_it(&missing), of_it(&damaged));
                if lost > 0 {
                    note_missing(&mut proofs, key, storage.url(), false, lost);
                } else if bad > 0 && proofs.get(key).is_some_and(SourceProof::is_proved) {
                    let cache = storage.url().to_owned();
                    proofs.insert(key.clone(), SourceProof::Damaged { cache, blobs: bad });
                }
            }
        }
        Ok(proofs)
    }

    /// Which of the objects a storage does not have.
    async fn missing(
        &mut self,
        storage: &CacheClient,
        objects: &[ObjectDigest],
    ) -> Result<HashSet<ObjectDigest>, CacheError> {
        self.totals.blobs += objects.len() as u64;
        self.totals.requests += objects.len().div_ceil(DIGESTS_A_REQUEST) as u64;
        let asked = stream::iter(objects.chunks(DIGESTS_A_REQUEST)).map(|chunk| storage.missing(chunk));
        let missing: Vec<Vec<ObjectDigest>> = asked.buffer_unordered(REQUESTS_AT_ONCE).try_collect().await?;
        Ok(missing.into_iter().flatten().collect())
    }

    /// What the sources of each key consist of: by the local cache where the index has the same message, else by the
    /// storage itself, whose answers are checked by their digests.
    async fn objects(
        &mut self,
        storages: &[CacheClient],
        keys: &[SourceKey],
        entries: &HashMap<SourceKey, HashSet<ObjectDigest>>,
        proofs: &mut BTreeMap<SourceKey, SourceProof>,
    ) -> Result<BTreeMap<SourceKey, SourceObjects>, CacheError> {
        let mut wanted = BTreeMap::new();
        for key in keys {
            let local = self.local.objects_of(key.as_str());
            let messages: Vec<ObjectDigest> = match (entries.get(key), &local) {
                (Some(entries), _) => entries.iter().copied().collect(),
                (None, Ok(found)) => vec![found.message],
                (None, Err(_)) => Vec::new(),
            };
            for message in &messages {
                match &local {
                    Ok(found) if found.message == *message => drop(wanted.insert(key.clone(), found.clone())),
                    _ => match self.remote_objects(storages, *message).await? {
                        Some(found) => drop(wanted.insert(key.clone(), found)),
                        None => note_missing(proofs, key, storages.first().map_or("", CacheClient::url), false, 1),
                    },
                }
            }
            if messages.is_empty() && proofs.get(key).is_some_and(SourceProof::is_proved) {
                let reason = "no index was asked, and the local cache does not know it".to_owned();
                proofs.insert(key.clone(), SourceProof::Unknown { reason });
            }
        }
        Ok(wanted)
    }

    /// What sources consist of that another one pushed; none where something of it is nowhere.
    async fn remote_objects(
        &mut self,
        storages: &[CacheClient],
        message: ObjectDigest,
    ) -> Result<Option<SourceObjects>, CacheError> {
        let Some(content) = self.read_anywhere(storages, &[message]).await?.remove(&message) else { return Ok(None) };
        let Some(root) = source_root(&content) else { return Ok(None) };
        let mut found = HashSet::from([root]);
        let mut level = vec![root];
        while !level.is_empty() {
            if level.iter().any(|directory| directory.size > LARGEST_DIRECTORY) || found.len() > MOST_OBJECTS {
                return Ok(None);
            }
            let mut contents = self.read_anywhere(storages, &level).await?;
            let mut below = Vec::new();
            for directory in level {
                let Some(content) = contents.remove(&directory) else { return Ok(None) };
                let Ok((files, directories)) = members(&content) else { return Ok(None) };
                found.extend(files);
                below.extend(directories.into_iter().filter(|directory| found.insert(*directory)));
            }
            level = below;
        }
        Ok(Some(SourceObjects { message, objects: found.into_iter().collect::<Vec<_>>().into() }))
    }

    /// The contents of objects, from whichever storage has them; those that none has are left out.
    async fn read_anywhere(
        &mut self,
        storages: &[CacheClient],
        objects: &[ObjectDigest],
    ) -> Result<HashMap<ObjectDigest, Vec<u8>>, CacheError> {
        let mut contents = HashMap::new();
        let mut rest: Vec<ObjectDigest> = objects.to_vec();
        if rest.contains(&ObjectDigest::of(b"")) {
            contents.insert(ObjectDigest::of(b""), Vec::new());
            rest.retain(|object| object.size > 0);
        }
        for storage in storages {
            self.totals.requests += 1;
            contents.extend(storage.read(&rest).await?);
            rest.retain(|object| !contents.contains_key(object));
        }
        Ok(contents)
    }
}

/// How the cache of this host is called in a [`SourceProof`].
const LOCAL: &str = "the local cache";

impl SourceObjects {
    fn all(&self) -> impl Iterator<Item = ObjectDigest> + '_ {
        std::iter::once(self.message).chain(self.objects.iter().copied())
    }
}

/// Whether all that is here of sources is what it says; `whole` is what was read before.
fn damaged_here(local: &LocalSources, found: &SourceObjects, whole: &mut HashMap<ObjectDigest, bool>) -> SourceProof {
    let mut is_bad = |object: &&ObjectDigest| !*whole.entry(**object).or_insert_with(|| local.is_whole(**object));
    match found.objects.iter().filter(&mut is_bad).count() as u64 {
        0 => SourceProof::Proved,
        blobs => SourceProof::Damaged { cache: LOCAL.to_owned(), blobs },
    }
}

/// Notes that a cache lacks something; what was noted of an earlier one stands.
fn note_missing(proofs: &mut BTreeMap<SourceKey, SourceProof>, key: &SourceKey, cache: &str, index: bool, blobs: u64) {
    if proofs.get(key).is_some_and(SourceProof::is_proved) {
        proofs.insert(key.clone(), SourceProof::Missing { cache: cache.to_owned(), index, blobs });
    }
}

async fn elapsed(timeout: Duration) {
    match Instant::now().checked_add(timeout) {
        Some(until) => tokio::time::sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}

async fn cancelled(cancel: &Cancel) {
    while !cancel.is_cancelled() {
        tokio::time::sleep(CANCEL_INTERVAL).await;
    }
}
