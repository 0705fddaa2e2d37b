//! Directories: whether they can be written, and how much space they have.

use std::fs;
use std::path::{Path, PathBuf};

use super::{HostCheck, Preflight};

const MIB: u64 = 1 << 20;

impl Preflight<'_> {
    pub(super) fn places(&self) -> Vec<HostCheck> {
        let config = &self.fetcher.config;
        let mut checks: Vec<_> = [("state-dir", &config.state_dir), ("cache-dir", &config.cache_dir)]
            .into_iter()
            .map(|(name, path)| writable(name, path).map_or_else(|problem| problem, |()| self.space(name, path)))
            .collect();
        let beside = config.metrics_file.as_deref().and_then(Path::parent).map(PathBuf::from);
        let written = [("publish-dir", config.publish_dir.clone()), ("metrics-file", beside)];
        let shown = |(name, path): (&str, Option<PathBuf>)| {
            let path = path?;
            Some(
                writable(name, &path)
                    .map_or_else(|problem| problem, |()| HostCheck::ok(name, path.display().to_string())),
            )
        };
        checks.extend(written.into_iter().filter_map(shown));
        checks
    }

    fn space(&self, name: &str, path: &Path) -> HostCheck {
        let wanted = self.fetcher.config.min_free_space;
        let found = match rustix::fs::statvfs(path) {
            Ok(found) => found,
            Err(error) => return HostCheck::warn(name, format!("{}: {error}", path.display()), "see df(1)"),
        };
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        let text = format!("{}: {} MiB free, {} MiB wanted", path.display(), free / MIB, wanted / MIB);
        if free < wanted {
            let hint = "make space there, or lower `fetcher.min-free-space`";
            return HostCheck::fail(name, text, hint);
        }
        // Some file systems have no fixed number, and say 0 of 0.
        if found.f_files > 0 && found.f_favail < found.f_files / 100 {
            let hint = "few inodes are left there (df -i): remove files, or make a file system with more";
            return HostCheck::warn(name, format!("{text}, {} inodes left", found.f_favail), hint);
        }
        HostCheck::ok(name, text)
    }
}

/// Sees that files can be written in a directory, which is made where it is missing.
fn writable(name: &str, path: &Path) -> Result<(), HostCheck> {
    let tried = fs::create_dir_all(path).and_then(|()| tempfile::tempfile_in(path));
    tried.map(drop).map_err(|error| {
        let hint = "make it writable for the user that runs this, or name another one in `[fetcher]`";
        HostCheck::fail(name, format!("{}: {error}", path.display()), hint)
    })
}
