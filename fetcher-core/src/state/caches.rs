//! Whose the caches in a cache directory are.
//!
//! What one project's plugins write into BuildStream's cache another project believes by its key. So each trust has a
//! cache of its own, and mirrors of upstreams of its own. The first one has them where releases had them that knew of no
//! trust, `cachedir` and `sources`, which a file beside them says; the others have theirs in `trust/NAME`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::json_file::{JsonFile, StateError, StoredJson};
use crate::names::TrustName;

/// The directory of the trusts but the first.
pub(crate) const TRUSTS: &str = "trust";

/// Who has which caches of a cache directory.
#[derive(Debug, Clone)]
pub struct CacheLayout {
    cache_dir: PathBuf,
    first: Option<TrustName>,
}

/// The directories that projects of one trust share, and no others use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TrustDirectories {
    /// BuildStream's cache.
    pub cachedir: PathBuf,
    /// BuildStream's mirrors of upstreams: in it one directory for each worker.
    pub sources: PathBuf,
}

/// Whose `cachedir` and `sources` are.
#[derive(Debug, Serialize, Deserialize)]
struct CacheOwner {
    version: u32,
    trust: TrustName,
}

impl StoredJson for CacheOwner {
    const VERSION: u32 = 1;
    const WHAT: &'static str = "record of whose the cache is";
}

impl CacheLayout {
    /// What a cache directory says of itself, or that of a directory that says nothing.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn read(cache_dir: &Path) -> Result<Self, StateError> {
        let first = file(cache_dir).read()?.map(|owner: CacheOwner| owner.trust);
        Ok(Self { cache_dir: cache_dir.to_owned(), first })
    }

    /// The same, and what is to be told of what cannot be read, of which nothing is known then.
    pub fn look(cache_dir: &Path) -> (Self, Option<StateError>) {
        match Self::read(cache_dir) {
            Ok(layout) => (layout, None),
            Err(error) => (Self { cache_dir: cache_dir.to_owned(), first: None }, Some(error)),
        }
    }

    /// The same for whom alone may write there; a file that cannot be used is told, and nothing known.
    pub(crate) fn load(cache_dir: &Path) -> (Self, Option<StateError>) {
        let (owner, failure) = file(cache_dir).load();
        (Self { cache_dir: cache_dir.to_owned(), first: owner.map(|owner| owner.trust) }, failure)
    }

    /// Who has `cachedir`; none where that was said to nobody yet.
    pub fn first(&self) -> Option<&TrustName> {
        self.first.as_ref()
    }

    /// Gives `cachedir` and `sources` to a trust, as they are.
    pub(crate) fn give(&mut self, trust: &TrustName) -> Result<(), StateError> {
        file(&self.cache_dir).save(&CacheOwner { version: CacheOwner::VERSION, trust: trust.clone() })?;
        self.first = Some(trust.clone());
        Ok(())
    }

    /// Says that `cachedir` and `sources` are nobody's, for nothing is in them.
    pub(crate) fn take_back(&mut self) -> Result<(), StateError> {
        let file = file(&self.cache_dir);
        fs::remove_file(file.path()).map_err(StateError::io("remove", file.path()))?;
        self.first = None;
        Ok(())
    }

    /// The directories of a trust, which need not be there yet. Until it is said whose `cachedir` is, it is everybody's
    /// who has no other.
    pub fn of(&self, trust: &TrustName) -> TrustDirectories {
        let own = self.cache_dir.join(TRUSTS).join(trust.as_str());
        let is_first = match &self.first {
            Some(first) => first == trust,
            None => !own.is_dir(),
        };
        TrustDirectories::below(if is_first { &self.cache_dir } else { &own })
    }

    /// BuildStream's caches of these trusts, each with whose it is; they need not be there yet. Where several are one until
    /// the next run, that stands first, for all, and after it what each will have.
    pub fn caches(&self, trusts: &[TrustName]) -> Vec<(PathBuf, Vec<TrustName>)> {
        let old = TrustDirectories::below(&self.cache_dir).cachedir;
        // The run will give it to the first.
        let first = self.first.as_ref().or(trusts.first());
        let is_shared = self.first.is_none() && old.is_dir();
        let mut caches = Vec::new();
        for trust in trusts {
            if Some(trust) == first {
                let whose = if is_shared { trusts.to_vec() } else { vec![trust.clone()] };
                caches.insert(0, (old.clone(), whose));
            } else {
                caches.push((TrustDirectories::below(&self.own(trust)).cachedir, vec![trust.clone()]));
            }
        }
        caches
    }

    /// Where a trust's own directories are, unless it is the first.
    pub(crate) fn own(&self, trust: &TrustName) -> PathBuf {
        self.cache_dir.join(TRUSTS).join(trust.as_str())
    }
}

impl TrustDirectories {
    pub(crate) fn below(directory: &Path) -> Self {
        Self { cachedir: directory.join("cachedir"), sources: directory.join("sources") }
    }
}

fn file(cache_dir: &Path) -> JsonFile<CacheOwner> {
    JsonFile::at(cache_dir.join("cachedir.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_has_what_was_everybodys_and_others_have_their_own() {
        let directory = tempfile::tempdir().unwrap();
        let [a, b]: [TrustName; 2] = ["a", "b"].map(|name| name.parse().unwrap());
        let old = TrustDirectories::below(directory.path());
        let mut layout = CacheLayout::read(directory.path()).unwrap();
        let both = [a.clone(), b.clone()];
        let own = TrustDirectories::below(&layout.own(&b)).cachedir;
        let parted = vec![(old.cachedir.clone(), vec![a.clone()]), (own.clone(), vec![b.clone()])];
        assert_eq!(layout.caches(&both), parted);
        fs::create_dir_all(&old.cachedir).unwrap();
        let shared = vec![(old.cachedir.clone(), both.to_vec()), (own, vec![b.clone()])];
        assert_eq!(layout.caches(&both), shared);
        assert_eq!([layout.of(&a), layout.of(&b)], [old.clone(), old.clone()]);
        fs::create_dir_all(layout.own(&b)).unwrap();
        assert_eq!([layout.of(&a), layout.of(&b)], [old.clone(), TrustDirectories::below(&layout.own(&b))]);
        layout.give(&a).unwrap();
        assert_eq!(layout.caches(&[b.clone(), a.clone()]), parted);
        let layout = CacheLayout::read(directory.path()).unwrap();
        let c: TrustName = "c".parse().unwrap();
        assert_eq!(layout.first(), Some(&a));
        assert_eq!([layout.of(&a), layout.of(&c)], [old, TrustDirectories::below(&layout.own(&c))]);
    }

    #[test]
    fn a_record_of_a_newer_release_is_let_be_and_a_broken_one_is_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cachedir.json");
        fs::write(&path, r#"{"version": 9, "trust": "a"}"#).unwrap();
        let (mut layout, failure) = CacheLayout::load(directory.path());
        assert!(matches!(failure, Some(StateError::Newer { .. })));
        layout.give(&"b".parse().unwrap()).unwrap_err();
        for broken in ["{", r#"{"version": 1, "trust": "../../etc"}"#] {
            fs::write(&path, broken).unwrap();
            CacheLayout::read(directory.path()).unwrap_err();
            let (layout, failure) = CacheLayout::load(directory.path());
            assert!(matches!(failure, Some(StateError::SetAside { .. })) && layout.first().is_none());
        }
    }
}
