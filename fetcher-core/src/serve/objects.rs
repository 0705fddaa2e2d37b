//! The objects of the cache, each seen to be what its name says before it is given away.

use std::fs::File;
use std::io::{self, IoSliceMut, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{Advice, FileType, Stat};
use rustix::io::{ReadWriteFlags, preadv2};
use sha2::{Digest as _, Sha256};

use crate::file_state::FileState;

use super::bounded_cache::BoundedCache;
use super::event::{ServeEvent, ServeEventSink};
use crate::cas::digest::{ObjectDigest, Sha256Hash};
use crate::cas::rooted_dir::RootedDir;

/// What is given away at once, in bytes: a larger object is a stream of pieces of this size. With the heads that gRPC
/// and protobuf put before it, it is 64 KiB: one frame's worth.
pub(super) const PIECE: usize = (64 << 10) - 16;

/// How many objects' states are remembered; each takes about 140 bytes.
const STATES: usize = 160_000;

/// How old an object gets before its time is set anew. casd expires what was not used for longest, by that time.
const TOUCH_AFTER: Duration = Duration::from_secs(3600);

/// How many large objects are read through at once to see whether they are whole.
const HASHING: usize = 4;

/// Why an object cannot be given.
#[derive(Debug)]
pub(super) enum ReadError {
    /// It is not here, or not whole.
    Missing,
    /// It may be here, but not now: too many open files, say.
    Busy(io::Error),
}

/// The content of an object that was seen to be whole.
#[derive(Debug)]
pub(super) enum ObjectContent {
    /// A small one.
    Memory(Vec<u8>),
    /// A large one, open: it stays readable when it is removed from the cache.
    File(Arc<File>),
}

/// An object's file at the moment at which it was looked at.
#[derive(Debug, Clone, Copy)]
struct ObjectFile {
    state: FileState,
    /// Whether the file cannot change without its state telling of it.
    settled: bool,
}

/// What was found when a file was read through.
#[derive(Debug, Clone, Copy)]
struct ObjectCheck {
    state: FileState,
    whole: bool,
    settled: bool,
}

/// `cas/objects`.
pub(super) struct ObjectStore {
    root: RootedDir,
    /// Which states of which objects were read, and whether they were whole.
    states: BoundedCache<Sha256Hash, ObjectCheck>,
    hashing: [Mutex<()>; HASHING],
    events: ServeEventSink,
}

impl ObjectStore {
    pub(super) fn new(cachedir: &Path, events: ServeEventSink) -> Self {
        Self {
            root: RootedDir::new(cachedir.join("cas/objects")),
            states: BoundedCache::new(STATES),
            hashing: Default::default(),
            events,
        }
    }

    /// Opens an object for those who read it piece by piece.
    pub(super) fn open(&self, object: ObjectDigest) -> Result<ObjectContent, ReadError> {
        if object.size <= PIECE as u64 {
            return self.whole(object).map(ObjectContent::Memory);
        }
        let (file, look) = self.file(object)?;
        match self.known(object, look) {
            Some(true) => {}
            Some(false) => return Err(ReadError::Missing),
            None => self.read_through(object, &file, look)?,
        }
        self.keep(object, look);
        Ok(ObjectContent::File(Arc::new(file)))
    }

    /// Opens an object that was read before and is in memory still, without waiting for the disk; none where that is
    /// not possible, and [`Self::open`] has to be asked.
    pub(super) fn open_now(&self, object: ObjectDigest) -> Option<ObjectContent> {
        let file = self.root.file_now(&object.hash.path())?;
        let look = ObjectFile::at(&rustix::fs::fstat(&file).ok()?);
        if self.known(object, look) != Some(true) || look.state.size != object.size || look.is_old() {
            return None;
        }
        let file = File::from(file);
        if object.size > PIECE as u64 {
            return Some(ObjectContent::File(Arc::new(file)));
        }
        let mut content = vec![0; usize::try_from(object.size).ok()?];
        let read = preadv2(&file, &mut [IoSliceMut::new(&mut content)], 0, ReadWriteFlags::NOWAIT).ok()?;
        (read == content.len()).then_some(ObjectContent::Memory(content))
    }

    /// Reads a whole object, which has to be one that is known to be small.
    pub(super) fn whole(&self, object: ObjectDigest) -> Result<Vec<u8>, ReadError> {
        if object.size == 0 {
            return if object == ObjectDigest::of(b"") { Ok(Vec::new()) } else { Err(ReadError::Missing) };
        }
        let (mut file, look) = self.file(object)?;
        let known = self.known(object, look);
        if known == Some(false) {
            return Err(ReadError::Missing);
        }
        let size = usize::try_from(object.size).map_err(|_| ReadError::Missing)?;
        let mut content = vec![0; size];
        if let Err(error) = file.read_exact(&mut content) {
            return Err(self.unreadable(object, error));
        }
        if known.is_none() {
            self.judge(object, look, Sha256Hash::of(&content))?;
        }
        self.keep(object, look);
        Ok(content)
    }

    /// Whether an object could be given: there, and with the right size. Its content is looked at too where that was
    /// not done before and the time is not up.
    pub(super) fn check(&self, object: ObjectDigest, until: Instant) -> Result<(), ReadError> {
        if object.size == 0 {
            return self.whole(object).map(drop);
        }
        let stat = self.root.stat(&object.hash.path()).map_err(|error| self.unreadable(object, error))?;
        let look = self.right(object, &stat)?;
        match self.known(object, look) {
            Some(false) => return Err(ReadError::Missing),
            None if Instant::now() < until => return self.open(object).map(drop),
            Some(true) | None => {}
        }
        self.keep(object, look);
        Ok(())
    }

    fn file(&self, object: ObjectDigest) -> Result<(File, ObjectFile), ReadError> {
        let found: io::Result<(OwnedFd, Stat)> = self.root.file(&object.hash.path()).and_then(|file| {
            let stat = rustix::fs::fstat(&file)?;
            Ok((file, stat))
        });
        let (file, stat) = found.map_err(|error| self.unreadable(object, error))?;
        let look = self.right(object, &stat)?;
        Ok((file.into(), look))
    }

    /// The state of a file that has the right kind and size.
    fn right(&self, object: ObjectDigest, stat: &Stat) -> Result<ObjectFile, ReadError> {
        let look = ObjectFile::at(stat);
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(ReadError::Missing);
        }
        if look.state.size == object.size {
            return Ok(look);
        }
        // Who asks with a wrong size is wrong himself, as a rule: so it is told only where the file is wrong too.
        let real = ObjectDigest { hash: object.hash, size: look.state.size };
        if self.known(real, look).is_none()
            && let Ok((file, look)) = self.file(real)
        {
            let _ = self.read_through(real, &file, look);
        }
        Err(ReadError::Missing)
    }

    /// Whether a file in this state is known to be whole, or not to be. What was read of a file so soon after its last
    /// change that a further one might not show is not known.
    fn known(&self, object: ObjectDigest, look: ObjectFile) -> Option<bool> {
        self.verdict(object, look).filter(|verdict| verdict.settled).map(|verdict| verdict.whole)
    }

    fn verdict(&self, object: ObjectDigest, look: ObjectFile) -> Option<ObjectCheck> {
        self.states.get(&object.hash).filter(|verdict| verdict.state == look.state)
    }

    /// Reads all of a large object, one thread at a time for the same one.
    fn read_through(&self, object: ObjectDigest, file: &File, look: ObjectFile) -> Result<(), ReadError> {
        let turn = usize::from(object.hash.first_byte()) % HASHING;
        let _turn = self.hashing[turn].lock().unwrap_or_else(PoisonError::into_inner);
        match self.known(object, look) {
            Some(true) => return Ok(()),
            Some(false) => return Err(ReadError::Missing),
            None => {}
        }
        let _ = rustix::fs::fadvise(file, 0, None, Advice::Sequential);
        let mut hasher = Sha256::new();
        let mut piece = vec![0; PIECE];
        let mut offset = 0;
        loop {
            match file.read_at(&mut piece, offset) {
                Ok(0) => break,
                Ok(read) => {
                    hasher.update(&piece[..read]);
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.unreadable(object, error)),
            }
        }
        self.judge(object, look, Sha256Hash::finish(hasher))
    }

    fn judge(&self, object: ObjectDigest, look: ObjectFile, found: Sha256Hash) -> Result<(), ReadError> {
        let whole = found == object.hash;
        let told = self.verdict(object, look).is_some_and(|verdict| !verdict.whole);
        let ObjectFile { state, settled } = look;
        self.states.insert(object.hash, ObjectCheck { state, whole, settled }, 1);
        if whole {
            return Ok(());
        }
        if !told {
            (self.events)(ServeEvent::Corrupt { path: self.root.path().join(object.hash.path()), size: state.size });
        }
        Err(ReadError::Missing)
    }

    fn unreadable(&self, object: ObjectDigest, error: io::Error) -> ReadError {
        match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => ReadError::Missing,
            Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE | rustix::io::Errno::NOMEM) => {
                ReadError::Busy(error)
            }
            _ => {
                let path = self.root.path().join(object.hash.path());
                (self.events)(ServeEvent::Unreadable { path, message: error.to_string() });
                ReadError::Missing
            }
        }
    }

    /// Keeps an object from expiring, where this user may do that. The new time is a change like any other; so that it
    /// costs no reading, what was known of the file is known of it after that too. It is looked at right before and
    /// right after: a change by somebody else shows in the one, or in any later look.
    fn keep(&self, object: ObjectDigest, look: ObjectFile) {
        if !look.is_old() {
            return;
        }
        let name = object.hash.path();
        let now = || self.root.stat(&name).map(|stat| ObjectFile::at(&stat));
        let known = now().is_ok_and(|before| self.known(object, before) == Some(true) && before.state == look.state);
        if self.root.touch(&name).is_ok()
            && known
            && let Ok(ObjectFile { state, .. }) = now()
            && (state.inode, state.size) == (look.state.inode, look.state.size)
        {
            self.states.insert(object.hash, ObjectCheck { state, whole: true, settled: true }, 1);
        }
    }
}

impl ObjectFile {
    #[expect(
        clippy::unnecessary_cast,
        clippy::cast_sign_loss,
        clippy::cast_possible_wrap,
        reason = "the fields have other types on other machines"
    )]
    fn at(stat: &Stat) -> Self {
        let state = FileState {
            inode: stat.st_ino as u64,
            size: stat.st_size as u64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        };
        Self { state, settled: state.is_settled(SystemTime::now()) }
    }

    /// Whether it is time to set the file's time anew.
    fn is_old(self) -> bool {
        self.state.age(SystemTime::now()).is_some_and(|age| age >= TOUCH_AFTER)
    }
}
