//! Each trust's own caches: who has which, and how one that projects shared becomes several.

use std::fs;
use std::io;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::callbacks::GuardedSink;
use super::space::disk_usage;
use super::{Fetcher, error_diagnoses};
use crate::atomic_file::sync_directory;
use crate::diagnosis::Diagnosis;
use crate::free_space::FreeSpace;
use crate::names::{ProjectName, TrustName};
use crate::own_directory::OwnDirectory;
use crate::report::Activity;
use crate::state::{CacheLayout, StateError, TRUSTS, TrustDirectories, UsageRegister};

/// The caches that projects share which trust each other, and no others see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SharedCaches {
    /// The projects' `trust`. There are several only where an older release left one cache for all, until the next run.
    pub trusts: Vec<TrustName>,
    /// The projects, in the configuration's order.
    pub projects: Vec<ProjectName>,
    /// BuildStream's cache, and its mirrors of upstreams. They need not be there yet.
    #[serde(flatten)]
    pub directories: TrustDirectories,
    /// How much space they take, in bytes.
    pub bytes: u64,
}

/// What belongs to a trust.
pub(super) const PARTS: [&str; 2] = ["cachedir", "sources"];

impl Fetcher {
    /// Whose the caches are; a dry run says it to nobody.
    pub(super) fn layout(
        &self,
        dry_run: bool,
        usage: &Mutex<UsageRegister>,
        events: &mut GuardedSink<'_>,
    ) -> (CacheLayout, Vec<Diagnosis>) {
        if !dry_run {
            return self.settle_caches(usage, events);
        }
        let (layout, unread) = CacheLayout::look(&self.config.cache_dir);
        (layout, unread.iter().map(StateError::diagnosis).collect())
    }

    /// Says whose the caches are. What releases left that knew of no trust goes to the first; the others get a copy, so
    /// that nothing is fetched again. Where that cannot be, all go on with the one, and it is told.
    fn settle_caches(
        &self,
        usage: &Mutex<UsageRegister>,
        events: &mut GuardedSink<'_>,
    ) -> (CacheLayout, Vec<Diagnosis>) {
        let (mut layout, unread) = CacheLayout::load(&self.config.cache_dir);
        let is_known =
            layout.first().is_some() || matches!(unread, Some(StateError::Newer { .. } | StateError::Io { .. }));
        let mut told: Vec<_> = unread.iter().map(StateError::diagnosis).collect();
        if is_known {
            return (layout, told);
        }
        let mut trusts = self.config.trusts();
        let elsewhere = usage.lock().unwrap_or_else(PoisonError::into_inner).trusts_elsewhere();
        trusts.extend(elsewhere.into_iter().filter(|trust| !self.config.trusts().contains(trust)));
        trusts.retain(|trust| !layout.own(trust).is_dir());
        let Some((first, others)) = trusts.split_first() else { return (layout, told) };
        let parted = if others.is_empty() { Ok(true) } else { self.part(&layout, others, events) };
        match parted {
            Ok(true) => told.extend(layout.give(first).err().map(|error| error.diagnosis())),
            // Whoever wanted to stop is not to wait for that; the next run goes on with it.
            Ok(false) => {}
            Err(error) => told.push(error_diagnoses::caches_shared(&trusts, &error.to_string())),
        }
        (layout, told)
    }

    /// Who shares caches with whom now, in the order of the projects, and how large those are, for which every file of theirs
    /// is looked at; and what of the cache directory's own record cannot be read. It needs no lock.
    pub fn caches(&self) -> (Vec<SharedCaches>, Option<StateError>) {
        let (layout, unread) = CacheLayout::look(&self.config.cache_dir);
        let mut caches: Vec<SharedCaches> = Vec::new();
        for project in &self.config.projects {
            let (trust, name) = (project.trust(), project.name.clone());
            let directories = layout.of(&trust);
            match caches.iter_mut().find(|known| known.directories == directories) {
                None => caches.push(SharedCaches { trusts: vec![trust], projects: vec![name], directories, bytes: 0 }),
                Some(known) => {
                    known.projects.push(name);
                    if !known.trusts.contains(&trust) {
                        known.trusts.push(trust);
                    }
                }
            }
        }
        for known in &mut caches {
            let TrustDirectories { cachedir, sources } = &known.directories;
            known.bytes = [cachedir, sources].iter().map(|path| disk_usage(path, &self.cancel)).sum();
        }
        (caches, unread)
    }

    /// Gives each of these trusts a copy of what is everybody's; says whether all have one.
    fn part(&self, layout: &CacheLayout, trusts: &[TrustName], events: &mut GuardedSink<'_>) -> io::Result<bool> {
        let Some(cache) = OwnDirectory::open(&self.config.cache_dir)? else { return Ok(true) };
        let parts: Vec<_> = PARTS.into_iter().map(|name| cache.below(name)).collect::<io::Result<Vec<_>>>()?;
        let parts: Vec<_> = PARTS.into_iter().zip(parts).filter_map(|(name, part)| Some((name, part?))).collect();
        if parts.is_empty() {
            return Ok(true);
        }
        // What cannot be told now is told with the next event.
        let _ = events.tell(Activity::PartingCaches);
        let copies = cache.make(TRUSTS)?;
        // A name of a trust does not begin so.
        let staged = |trust: &TrustName| format!(".{trust}");
        if !copies.shares_space() {
            let of_one: u64 = parts.iter().map(|(_, part)| disk_usage(part.path(), &self.cancel)).sum();
            let wanted = of_one.saturating_mul(trusts.len() as u64);
            let done = trusts.iter().map(|trust| disk_usage(&copies.path().join(staged(trust)), &self.cancel)).sum();
            self.room_for(wanted.saturating_sub(done))?;
        }
        let goes_on = || !self.cancel.is_cancelled() && self.free_space().shortage().is_none();
        for trust in trusts {
            let copy = copies.make(staged(trust))?;
            for (name, part) in &parts {
                if !part.copy_into(&copy.make(name)?, &goes_on)? {
                    self.room_for(0)?;
                    return Ok(false);
                }
            }
            copy.sync_file_system()?;
            fs::rename(copy.path(), layout.own(trust))?;
            sync_directory(&layout.own(trust))?;
        }
        Ok(true)
    }

    /// Sees that so many bytes may be written to the cache directory.
    fn room_for(&self, bytes: u64) -> io::Result<()> {
        let least = self.config.min_free_space.saturating_add(bytes);
        match FreeSpace::new([self.config.cache_dir.clone()], least).shortage() {
            None => Ok(()),
            Some(shortage) => {
                let (free, wanted) = (shortage.free >> 20, bytes >> 20);
                let text =
                    format!("a copy for each takes {wanted} MiB, and {free} MiB are free beside `min-free-space`");
                Err(io::Error::new(io::ErrorKind::StorageFull, text))
            }
        }
    }

    /// The directories with a `cachedir` and `sources` in them, as far as they are there: one for each trust.
    pub(super) fn homes_of_caches(&self) -> io::Result<Vec<OwnDirectory>> {
        let Some(cache) = OwnDirectory::open(&self.config.cache_dir)? else { return Ok(Vec::new()) };
        let mut homes = match cache.below(TRUSTS)? {
            Some(trusts) => trusts.directories()?.collect::<io::Result<Vec<_>>>()?,
            None => Vec::new(),
        };
        homes.push(cache);
        Ok(homes)
    }
}
