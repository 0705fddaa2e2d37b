//! What a checkout may cost: everything in a commit is somebody else's, and thirty small objects can be a tree of 10^10
//! files.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use git2::{ObjectType, Oid, Repository};

use super::child::Git;
use super::error::GitError;
use super::store::{MAX_OBJECT_BYTES, MirrorStore};
use crate::free_space::FreeSpace;

/// The most directories inside each other.
pub(super) const MAX_DEPTH: usize = 200;
/// The most files, links, directories and submodules of a checkout, submodules' own included. Chromium has 0.5 million.
const MAX_FILES: u64 = 1_000_000;
/// The most bytes of all their paths: what is remembered of a checkout is about that large.
const MAX_PATH_BYTES: u64 = 256 << 20;
/// The most bytes in the files of a checkout.
const MAX_BYTES: u64 = 64 << 30;
/// The most bytes of a file, which is held in memory to be written.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// How often the free space is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// What is left for one checkout.
pub(super) struct CheckoutBudget<'g> {
    git: Git<'g>,
    /// The address of the repository, for messages.
    url: String,
    until: Option<Instant>,
    looked: Option<Instant>,
    files: u64,
    path_bytes: u64,
    bytes: u64,
}

/// What a tree comes to, everything below it included.
#[derive(Debug, Clone, Copy, Default)]
struct TreeSize {
    files: u64,
    /// The bytes of the paths from the tree on.
    path_bytes: u64,
}

impl<'g> CheckoutBudget<'g> {
    /// The budget of a checkout that begins now: it may take as long as one exchange with the repository.
    pub(super) fn new(git: Git<'g>, url: &str) -> Self {
        let until = Instant::now().checked_add(git.timeout);
        Self { git, url: url.to_owned(), until, looked: None, files: 0, path_bytes: 0, bytes: 0 }
    }

    /// Sees whether to go on.
    ///
    /// # Errors
    /// When somebody cancelled, the time is over, or the disk runs full.
    pub(super) fn check(&mut self) -> Result<(), GitError> {
        if self.git.context.cancel.is_cancelled() {
            return Err(GitError::Cancelled);
        }
        let now = Instant::now();
        if self.until.is_some_and(|until| now >= until) {
            return Err(GitError::TimedOut { action: "check out", url: self.url.clone(), after: self.git.timeout });
        }
        if self.looked.is_none_or(|looked| now.duration_since(looked) >= LOOK_INTERVAL) {
            self.looked = Some(now);
            if let Some(shortage) = self.git.space.and_then(FreeSpace::shortage) {
                return Err(GitError::NoSpace(shortage));
            }
        }
        Ok(())
    }

    /// How git children of this checkout are run: none for longer than what is left of its time.
    pub(super) fn git(&self) -> Git<'g> {
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        Git { timeout: left.map_or(self.git.timeout, |left| left.min(self.git.timeout)), ..self.git }
    }

    /// Takes a whole tree before anything of it is written. Every tree is read once, however often it is used.
    pub(super) fn take_tree(
        &mut self,
        store: &MirrorStore,
        repository: &Repository,
        tree: Oid,
    ) -> Result<(), TreeError> {
        let size = self.tree_size(store, repository, tree, 0, &mut HashMap::new())?;
        self.files = self.files.saturating_add(size.files);
        self.path_bytes = self.path_bytes.saturating_add(size.path_bytes);
        if self.files > MAX_FILES {
            return Err(TreeError::Refused(format!("it has {} files, more than {MAX_FILES}", self.files)));
        }
        if self.path_bytes > MAX_PATH_BYTES {
            let most = MAX_PATH_BYTES >> 20;
            return Err(TreeError::Refused(format!("the names of its files take more than {most} MiB")));
        }
        Ok(())
    }

    /// Takes the bytes of a file.
    pub(super) fn take_bytes(&mut self, bytes: u64) -> Result<(), String> {
        self.bytes = self.bytes.saturating_add(bytes);
        if bytes > MAX_FILE_BYTES {
            return Err(format!("it is larger than {} MiB", MAX_FILE_BYTES >> 20));
        }
        if self.bytes > MAX_BYTES {
            return Err(format!("with it the checkout is larger than {} GiB", MAX_BYTES >> 30));
        }
        Ok(())
    }

    fn tree_size(
        &mut self,
        store: &MirrorStore,
        repository: &Repository,
        tree: Oid,
        depth: usize,
        known: &mut HashMap<Oid, TreeSize>,
    ) -> Result<TreeSize, TreeError> {
        if let Some(size) = known.get(&tree) {
            return Ok(*size);
        }
        self.check()?;
        if depth > MAX_DEPTH {
            return Err(TreeError::Refused(format!("it is more than {MAX_DEPTH} directories deep")));
        }
        if known.len() as u64 >= MAX_FILES {
            return Err(TreeError::Refused(format!("it has more than {MAX_FILES} directories")));
        }
        small_enough(store, repository, tree)?;
        let found = repository.find_tree(tree).map_err(|error| store.damage(&error))?;
        let mut size = TreeSize::default();
        for entry in &found {
            let name = entry.name_bytes().len() as u64;
            size.files = size.files.saturating_add(1);
            size.path_bytes = size.path_bytes.saturating_add(name);
            if entry.kind() == Some(ObjectType::Tree) {
                let inner = self.tree_size(store, repository, entry.id(), depth + 1, known)?;
                size.files = size.files.saturating_add(inner.files);
                let below = inner.files.saturating_mul(name + 1).saturating_add(inner.path_bytes);
                size.path_bytes = size.path_bytes.saturating_add(below);
            }
        }
        known.insert(tree, size);
        Ok(size)
    }
}

/// Why a tree is not taken.
pub(super) enum TreeError {
    /// It is too much, and this is the limit that it breaks.
    Refused(String),
    /// Something else.
    Git(GitError),
}

impl From<GitError> for TreeError {
    fn from(error: GitError) -> Self {
        Self::Git(error)
    }
}

/// Sees that a tree or a commit may be read into memory.
pub(super) fn small_enough(store: &MirrorStore, repository: &Repository, id: Oid) -> Result<(), TreeError> {
    let bytes = blob_size(store, repository, id)?;
    if bytes > MAX_OBJECT_BYTES {
        let most = MAX_OBJECT_BYTES >> 20;
        return Err(TreeError::Refused(format!("its object {id} is larger than {most} MiB")));
    }
    Ok(())
}

/// The bytes of an object, which is not read for that.
pub(super) fn blob_size(store: &MirrorStore, repository: &Repository, id: Oid) -> Result<u64, GitError> {
    let read = |odb: git2::Odb<'_>| Ok(odb.read_header(id)?.0 as u64);
    repository.odb().and_then(read).map_err(|error| store.damage(&error))
}

/// Where something of a checkout is told.
pub(super) fn shown(prefix: &std::path::Path) -> PathBuf {
    if prefix.as_os_str().is_empty() { PathBuf::from(".") } else { prefix.to_owned() }
}
