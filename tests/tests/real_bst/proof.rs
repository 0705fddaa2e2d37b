//! The proof of what is in a remote cache, with the real `bst` that pushed and the real buildbox-casd.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fetcher_core::Cancel;
use fetcher_core::config::SourceCacheConfig;
use fetcher_core::{
    SourceKey,
    pipeline::{CacheError, CacheProver, SourceProof},
};
use fetcher_tests::cachedir::{hash, object_below};
use fetcher_tests::casd;
use fetcher_tests::client::Client;
use fetcher_tests::daemon::Daemon;
use fetcher_tests::scratch::Scratch;

/// A small project whose sources were pushed from a client's cache.
struct Pushed {
    scratch: Scratch,
    remote: Daemon,
    keys: BTreeMap<String, SourceKey>,
}

impl Pushed {
    fn new() -> Self {
        let scratch = Scratch::new();
        scratch.write("tree/project.conf", "name: small\nmin-version: 2.0\nelement-path: elements\n");
        let mut targets = Vec::new();
        for number in 0..3 {
            let element = format!("e{number}.bst");
            let text = format!("kind: import\nsources:\n- kind: local\n  path: files/{number}\n");
            scratch.write(&format!("tree/elements/{element}"), &text);
            for name in ["a", "deep/b", "deep/er/c"] {
                scratch.write(&format!("tree/files/{number}/{name}"), format!("{name} of {number}\n"));
            }
            targets.push(element);
        }
        scratch.write("tree/elements/stack.bst", "kind: stack\ndepends: [e0.bst, e1.bst, e2.bst]\n");
        targets.push("stack.bst".to_owned());
        let remote = casd::source_cache(&scratch.path("remote"));
        let mut pushed = Self { scratch, remote, keys: BTreeMap::new() };
        pushed.keys = pushed.push("pusher");
        assert_eq!(pushed.keys.keys().collect::<Vec<_>>(), targets.iter().collect::<Vec<_>>());
        pushed
    }

    /// Pushes everything, and gives the keys by element, as bst names them.
    fn push(&self, client: &str) -> BTreeMap<String, SourceKey> {
        let remotes = format!("logging:\n  key-length: 64\n{}", remotes(self.remote.url()));
        let client = Client::with_cache(&self.scratch, client, &self.scratch.path("tree"), &self.cachedir(), &remotes);
        let said = client.must(&["source", "push", "--deps", "all", "stack.bst"]);
        let key = |line: &str| {
            let key = line.split("Pushed data from source ").nth(1)?.split(' ').next()?.parse().ok()?;
            let element = line.split('[').nth(3)?.split(']').next()?.rsplit(':').next()?.trim();
            Some((element.to_owned(), key))
        };
        said.lines().filter_map(key).collect()
    }

    fn cachedir(&self) -> PathBuf {
        self.scratch.path("pushed-from")
    }

    fn cache(&self) -> SourceCacheConfig {
        let mut cache = SourceCacheConfig::new(self.remote.url());
        cache.push = true;
        cache
    }

    /// What is proved with one server, by element.
    fn prove(&self, cachedir: &Path) -> BTreeMap<&str, SourceProof> {
        let keys: Vec<_> = self.keys.values().cloned().collect();
        let proofs = CacheProver::new(cachedir).prove_remote(&[self.cache()], &keys, &Cancel::new());
        let proofs = proofs.expect("answers");
        self.keys.iter().map(|(element, key)| (element.as_str(), proofs[key].clone())).collect()
    }

    fn missing(&self, index: bool, blobs: u64) -> SourceProof {
        // No variant can be made outside of the library.
        let text = format!("Missing {{ cache: {:?}, index: {index}, blobs: {blobs} }}", self.remote.url());
        let found = self.prove(&self.cachedir()).into_values().find(|proof| format!("{proof:?}") == text);
        found.unwrap_or_else(|| panic!("no {text} in {:?}", self.prove(&self.cachedir())))
    }
}

/// Removes the blob of a file from a cache.
fn remove_file(cachedir: &Path, content: &str) {
    fs::remove_file(object_below(cachedir, &hash(content.as_bytes()))).expect("a blob");
}

fn remotes(url: &str) -> String {
    format!("source-caches:\n  servers:\n  - url: {url}\n    push: true\n")
}

#[test]
fn what_is_gone_from_the_remote_cache_is_missing_and_the_rest_is_proved() {
    let pushed = Pushed::new();
    assert!(pushed.prove(&pushed.cachedir()).values().all(SourceProof::is_proved));
    // Without anything local the remote itself says what belongs to it.
    assert!(pushed.prove(&pushed.scratch.path("empty")).values().all(SourceProof::is_proved));

    remove_file(&pushed.scratch.path("remote"), "deep/er/c of 1\n");
    for cachedir in [pushed.cachedir(), pushed.scratch.path("empty")] {
        let proofs = pushed.prove(&cachedir);
        let proved: Vec<_> =
            proofs.iter().filter(|(_, proof)| proof.is_proved()).map(|(element, _)| *element).collect();
        assert_eq!(proved, ["e0.bst", "e2.bst", "stack.bst"]);
        assert_eq!(proofs["e1.bst"], pushed.missing(false, 1));
    }
    // Nothing but a push of the same elements mends it, and bst does not say that it did.
    pushed.push("again");
    assert!(pushed.prove(&pushed.cachedir()).values().all(SourceProof::is_proved));
}

#[test]
fn an_index_without_an_entry_and_one_that_leads_elsewhere_are_seen() {
    let pushed = Pushed::new();
    let other = Pushed::new();
    let keys: Vec<_> = pushed.keys.values().cloned().collect();
    let storage = {
        let mut it = pushed.cache();
        it.kind = Some("storage".to_owned());
        it
    };
    let index = {
        let mut it = other.cache();
        it.kind = Some("index".to_owned());
        it
    };
    let proofs =
        CacheProver::new(&pushed.cachedir()).prove_remote(&[index.clone(), storage.clone()], &keys, &Cancel::new());
    assert!(proofs.expect("answers").values().all(SourceProof::is_proved), "the same sources have the same digests");

    let empty = casd::source_cache(&pushed.scratch.path("empty-index"));
    let index = {
        let mut it = index;
        it.url = empty.url().to_owned();
        it
    };
    let proofs = CacheProver::new(&pushed.cachedir()).prove_remote(&[index, storage], &keys, &Cancel::new());
    let proofs = proofs.expect("answers");
    assert!(proofs.values().all(|proof| matches!(proof, SourceProof::Missing { index: true, .. })), "{proofs:?}");
}

#[test]
fn the_local_cache_is_proved_in_the_same_way() {
    let pushed = Pushed::new();
    let keys: Vec<_> = pushed.keys.values().cloned().collect();
    let prove = || CacheProver::new(&pushed.cachedir()).prove_local(&keys);
    assert!(prove().values().all(SourceProof::is_proved));
    remove_file(&pushed.cachedir(), "a of 2\n");
    let proofs = prove();
    let missing: Vec<_> = proofs.iter().filter(|(_, proof)| !proof.is_proved()).map(|(key, _)| key).collect();
    assert_eq!(missing, [&pushed.keys["e2.bst"]]);
}

#[test]
fn a_cache_that_cannot_be_asked_proves_nothing() {
    let pushed = Pushed::new();
    let keys: Vec<_> = pushed.keys.values().cloned().collect();
    let prove = |cache: SourceCacheConfig| {
        CacheProver::new(&pushed.cachedir()).prove_remote(&[cache], &keys, &Cancel::new()).expect_err("no proof")
    };
    let nobody = {
        let mut it = pushed.cache();
        it.url = "http://127.0.0.1:9".to_owned();
        it
    };
    let error = prove(nobody);
    assert!(matches!(error, CacheError::Unreachable { .. }), "{error:?}");
    let instance = {
        let mut it = pushed.cache();
        it.instance_name = Some("nope".to_owned());
        it
    };
    let error = prove(instance);
    assert!(matches!(error, CacheError::Refused { .. }) && error.to_string().contains("nope"), "{error:?}");
    let cancel = Cancel::new();
    cancel.cancel();
    let stopped = CacheProver::new(&pushed.cachedir()).prove_remote(&[pushed.cache()], &keys, &cancel);
    assert!(matches!(stopped, Ok(_) | Err(CacheError::Interrupted)));
}
