//! The folder that a web server serves: what in it is ours, how pages get there, and how they go.
//!
//! Two sorts of files say what is ours: the site's manifest names the pages of branches and the runs, and each run's
//! own names its logs. Both are written before the files that they name, so that nothing is left behind by a process
//! that is killed in between; nothing that they do not name is ever touched.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::atomic_file::{aside, write_atomic};
use crate::json_file::{JsonFile, StateError, StoredJson};
use crate::links::PageAddress;
use crate::names::RunId;
use crate::report::{Outcome, RunReport};

/// The manifests' name; a web server may serve them, there is nothing in them that the pages have not.
const MANIFEST: &str = ".bst-fetcher.json";

/// What the site's manifest holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct SiteManifest {
    version: u32,
    /// The name that the feed is known by, for ever.
    pub(super) site: String,
    /// The pages of branches, by address.
    pub(super) pages: BTreeMap<PageAddress, PageEntry>,
    /// The runs that have pages.
    pub(super) runs: BTreeMap<RunId, RunEntry>,
    /// The digest of what the feed was made from.
    pub(super) feed: String,
}

impl StoredJson for SiteManifest {
    const VERSION: u32 = 1;
    const WHAT: &'static str = "manifest of the status pages";
}

/// A branch that has a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct PageEntry {
    /// The branch's name in full.
    pub(super) name: String,
    /// When it was seen that the branch is no more, or when a run last spoke of it.
    pub(super) gone: Option<Timestamp>,
}

/// A run that has pages.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct RunEntry {
    /// The report that its page was made from; none while it is not made yet.
    pub(super) report: Option<ContentStamp>,
    /// Whether the run went on then.
    pub(super) running: bool,
    /// What the other pages say of it; none where the report could not be read.
    pub(super) summary: Option<PublishedRun>,
    /// How much its published logs take.
    #[serde(default)]
    pub(super) bytes: u64,
}

/// What the list of runs says of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct PublishedRun {
    pub(super) started: Timestamp,
    pub(super) finished: Option<Timestamp>,
    pub(super) outcome: Outcome,
    /// How many branches it worked on, and how many of these ended badly.
    pub(super) branches: u64,
    pub(super) bad: u64,
    /// How many failures it had that are no branch's.
    pub(super) failures: u64,
}

impl From<&RunReport> for PublishedRun {
    fn from(report: &RunReport) -> Self {
        Self {
            started: report.started,
            finished: report.finished,
            outcome: report.outcome,
            branches: report.branches.len() as u64,
            bad: report.branches.iter().filter(|branch| !branch.outcome.is_good()).count() as u64,
            failures: report.failures.len() as u64,
        }
    }
}

/// By what a changed file is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ContentStamp {
    bytes: u64,
    /// Nanoseconds since 1970 of the last modification.
    changed: u64,
    /// Seconds since 1970, and nanoseconds, of the last change of any kind (`ctime`), which nobody can put back. What was
    /// published before it was remembered is made once more.
    #[serde(default)]
    touched: (i64, i64),
}

impl ContentStamp {
    /// The stamp of a file; none where there is no such file, or it cannot be looked at: then it is not shown.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let changed = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos().try_into().ok()?;
        Some(Self { bytes: metadata.len(), changed, touched: (metadata.ctime(), metadata.ctime_nsec()) })
    }
}

/// What a run's own manifest holds: its logs, by the address of their page.
pub(super) type PublishedLogs = BTreeMap<PageAddress, Option<LogEntry>>;

/// A published log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct LogEntry {
    /// The file that it was made from.
    pub(super) source: ContentStamp,
    pub(super) lines: u64,
    pub(super) bytes: u64,
    /// The first line that tells of a failure.
    pub(super) failure: Option<u64>,
}

/// The folder, and what is known to be in it.
#[derive(Debug)]
pub(super) struct SiteDirectory<'a> {
    directory: &'a Path,
    pub(super) manifest: SiteManifest,
    /// The manifest as it is on the disk; none where there is none.
    on_disk: Option<SiteManifest>,
    /// The pages that were written, in their order.
    pub(super) written: Vec<String>,
    /// How many pages were already what they should be.
    pub(super) unchanged: usize,
    /// How many files were removed.
    pub(super) removed: usize,
    /// What could not be removed.
    pub(super) unremoved: Vec<FileError>,
}

/// A file or directory that could not be written, read or removed.
pub(super) type FileError = (PathBuf, io::Error);

impl<'a> SiteDirectory<'a> {
    /// Opens the folder, making it where it is not there. Where it has no manifest, but something else that pages
    /// would overwrite, that is an `AlreadyExists`. A broken manifest was ours: it is set aside, which is given too, and
    /// pages are made again.
    pub(super) fn open(directory: &'a Path) -> Result<(Self, Option<StateError>), FileError> {
        make_directory(directory)?;
        let (on_disk, broken) = JsonFile::<SiteManifest>::at(directory.join(MANIFEST)).load();
        if on_disk.is_none() && broken.is_none() {
            let ours = [PageAddress::index(), PageAddress::feed(), PageAddress::status(), PageAddress::upstreams()];
            let names = ours.iter().map(PageAddress::path).chain(["runs", "branches", "projects"]);
            if let Some(foreign) = names.map(|name| directory.join(name)).find(|path| path.symlink_metadata().is_ok()) {
                return Err((foreign, io::ErrorKind::AlreadyExists.into()));
            }
        }
        let mut manifest = on_disk.clone().unwrap_or_default();
        manifest.version = SiteManifest::VERSION;
        if broken.is_some() {
            manifest.runs = found_runs(&directory.join("runs"))?;
        }
        let (written, unremoved) = (Vec::new(), Vec::new());
        let site = Self { directory, manifest, on_disk, written, unchanged: 0, removed: 0, unremoved };
        Ok((site, broken))
    }

    /// Where a page's file is.
    pub(super) fn file(&self, page: &str) -> PathBuf {
        self.directory.join(page)
    }

    /// Whether a page is there.
    pub(super) fn has(&self, page: &PageAddress) -> bool {
        self.file(page.path()).exists()
    }

    /// Puts a page in its place, if it is not what is there already.
    pub(super) fn write(&mut self, page: &str, content: &[u8]) -> Result<(), FileError> {
        let path = self.file(page);
        if fs::read(&path).is_ok_and(|there| there == content) {
            self.unchanged += 1;
            return Ok(());
        }
        self.make_parents(page)?;
        write_atomic(&path, content).map_err(|error| (path, error))?;
        self.written.push(page.to_owned());
        Ok(())
    }

    /// Makes the directories that a page lies in.
    pub(super) fn make_parents(&self, page: &str) -> Result<(), FileError> {
        for (slash, _) in page.match_indices('/') {
            make_directory(&self.directory.join(&page[..slash]))?;
        }
        Ok(())
    }

    /// Writes the site's manifest, if it changed.
    pub(super) fn save(&mut self) -> Result<(), FileError> {
        if self.on_disk.as_ref() != Some(&self.manifest) {
            let file = JsonFile::at(self.file(MANIFEST));
            file.save(&self.manifest).map_err(|error| (file.path().to_owned(), io::Error::other(error)))?;
            self.on_disk = Some(self.manifest.clone());
        }
        Ok(())
    }

    /// The logs of a run that are published, or were about to be.
    pub(super) fn logs(&self, run: &RunId) -> PublishedLogs {
        // Where that cannot be read they are published again, under the same names.
        let json = fs::read(self.file(&run_manifest(run))).unwrap_or_default();
        serde_json::from_slice(&json).unwrap_or_default()
    }

    /// Writes down the logs of a run.
    pub(super) fn save_logs(&self, run: &RunId, logs: &PublishedLogs) -> Result<(), FileError> {
        let name = run_manifest(run);
        self.make_parents(&name)?;
        let path = self.file(&name);
        let json = serde_json::to_vec(logs).map_err(|error| (path.clone(), error.into()))?;
        write_atomic(&path, &json).map_err(|error| (path, error))
    }

    /// How much the published logs of a run take.
    pub(super) fn size(&self, logs: &PublishedLogs) -> u64 {
        let size = |name: &str| self.file(name).metadata().map_or(0, |file| file.len());
        logs.keys().map(|page| size(page.path()).saturating_add(size(&text_beside(page)))).fold(0, u64::saturating_add)
    }

    /// Removes the pages of a run.
    pub(super) fn remove_run(&mut self, run: &RunId) {
        self.remove(PageAddress::run(run).path());
        for page in self.logs(run).keys() {
            self.remove(page.path());
            self.remove(&text_beside(page));
        }
        self.remove(&run_manifest(run));
        self.manifest.runs.remove(run);
    }

    /// Removes a file that we made, what was begun of it, and the directories that it leaves empty.
    pub(super) fn remove(&mut self, page: &str) {
        let path = self.file(page);
        let inside = Path::new(page).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !inside {
            return;
        }
        for path in [aside(&path), path] {
            match fs::remove_file(&path) {
                Ok(()) => self.removed += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.unremoved.push((path, error)),
            }
        }
        for (slash, _) in page.rmatch_indices('/') {
            // One that is not empty holds something that stays.
            if fs::remove_dir(self.directory.join(&page[..slash])).is_err() {
                break;
            }
        }
    }
}

/// The name of the text beside a log's page.
pub(super) fn text_beside(page: &PageAddress) -> String {
    format!("{}.txt", page.path().strip_suffix(".html").unwrap_or(page.path()))
}

fn run_manifest(run: &RunId) -> String {
    format!("runs/{run}/{MANIFEST}")
}

/// The runs that have pages, by their own manifests.
fn found_runs(directory: &Path) -> Result<BTreeMap<RunId, RunEntry>, FileError> {
    let failed = |error| (directory.to_owned(), error);
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries.map_err(failed)?,
    };
    let mut runs = BTreeMap::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let run: Option<RunId> = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(run) = run.filter(|_| entry.path().join(MANIFEST).is_file()) {
            runs.insert(run, RunEntry::default());
        }
    }
    Ok(runs)
}

/// Makes a directory that a web server can read, whatever the umask; one that is there stays as it is.
fn make_directory(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755)))
        .map_err(|error| (path.to_owned(), error))
}
