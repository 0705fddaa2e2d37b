//! What pages said when they were read last, by the tag that their server knows them by.

#![cfg_attr(not(feature = "probe"), allow(dead_code, reason = "pages are read with it alone"))]

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::answer::UpstreamState;
use super::question::UpstreamQuestion;
use crate::json_file::{JsonFile, StateError, StoredJson};

/// No more pages than these are remembered.
const MAX_PAGES: usize = 20_000;
/// No more answers of one page than these.
const MAX_ANSWERS: usize = 10_000;

/// A page with what it answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct KnownPage {
    etag: String,
    answers: Vec<(UpstreamQuestion, UpstreamState)>,
}

/// The pages as they are written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredPages {
    version: u32,
    pages: BTreeMap<String, KnownPage>,
}

impl StoredJson for StoredPages {
    const VERSION: u32 = 1;
    const WHAT: &'static str = "memory of upstreams' pages";
}

/// The pages that are known, by address.
#[derive(Debug, Default)]
pub(super) struct PageMemory(Mutex<BTreeMap<String, KnownPage>>);

impl PageMemory {
    /// What a file of the memory holds, and what is wrong with it where it cannot be used.
    pub(super) fn read(file: &JsonFile<StoredPages>) -> (Self, Option<StateError>) {
        let (stored, failure) = file.load();
        (Self(Mutex::new(stored.map(|stored| stored.pages).unwrap_or_default())), failure)
    }

    /// Writes it for the next run.
    ///
    /// # Errors
    /// When it cannot be written, or is from a newer release.
    pub(super) fn save(&self, file: &JsonFile<StoredPages>) -> Result<(), StateError> {
        file.save(&StoredPages { version: StoredPages::VERSION, pages: self.lock().clone() })
    }

    /// A page's tag and what it answered, where all questions are known by it.
    pub(super) fn known(&self, url: &str, questions: &[UpstreamQuestion]) -> Option<(String, Vec<UpstreamState>)> {
        let pages = self.lock();
        let page = pages.get(url)?;
        let state = |asked: &UpstreamQuestion| {
            page.answers.iter().find(|(question, _)| question == asked).map(|(_, state)| state.clone())
        };
        Some((page.etag.clone(), questions.iter().map(state).collect::<Option<_>>()?))
    }

    /// Remembers what a page answered.
    pub(super) fn learn(
        &self,
        url: &str,
        etag: Option<&str>,
        questions: &[UpstreamQuestion],
        states: &[Option<UpstreamState>],
    ) {
        let mut pages = self.lock();
        let Some(etag) = etag.filter(|_| questions.len() <= MAX_ANSWERS && pages.len() < MAX_PAGES) else {
            pages.remove(url);
            return;
        };
        let answers = questions.iter().cloned().zip(states.iter().cloned());
        let answers = answers.filter_map(|(question, state)| Some((question, state?))).collect();
        pages.insert(url.to_owned(), KnownPage { etag: etag.to_owned(), answers });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, KnownPage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
