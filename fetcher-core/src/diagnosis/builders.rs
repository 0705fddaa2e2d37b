//! How a diagnosis is made: from what its kind means, and what is known beyond that.

use std::path::PathBuf;

use super::{Actor, Diagnosis, FailureKind, Location, Remedy, Retry};
use crate::names::{ElementName, Stage};

impl Diagnosis {
    /// A failure of no element and no stage, whose place is not known.
    pub fn new(
        kind: FailureKind,
        message: impl Into<String>,
        retry: Retry,
        actor: Actor,
        hint: impl Into<String>,
    ) -> Self {
        let (message, hint) = (message.into(), hint.into());
        let place = Location::default();
        Self { kind, element: None, stage: None, message, retry, actor, hint, place, allowed: false }
    }

    /// A failure of which no more is known than its kind says: who must act, what helps, whether to try again.
    ///
    /// ```
    /// use fetcher_core::diagnosis::{Actor, Diagnosis, FailureKind};
    ///
    /// let failure = Diagnosis::of_kind(FailureKind::Upload, "the disk is full").with_hint("make space");
    /// assert_eq!((failure.actor, failure.hint.as_str()), (Actor::Host, "make space"));
    /// ```
    pub fn of_kind(kind: FailureKind, message: impl Into<String>) -> Self {
        let Remedy { retry, actor, hint } = kind.remedy();
        Self::new(kind, message, retry, actor, hint)
    }

    /// The same of an element.
    #[must_use]
    pub fn with_element(self, element: impl Into<Option<ElementName>>) -> Self {
        Self { element: element.into(), ..self }
    }

    /// The same in a stage.
    #[must_use]
    pub fn with_stage(self, stage: impl Into<Option<Stage>>) -> Self {
        Self { stage: stage.into(), ..self }
    }

    /// The same at a place.
    #[must_use]
    pub fn with_place(self, place: Location) -> Self {
        Self { place, ..self }
    }

    /// The same in other words.
    #[must_use]
    pub fn with_message(self, message: impl Into<String>) -> Self {
        Self { message: message.into(), ..self }
    }

    /// The same with something else to do.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// The same, for somebody else to act.
    #[must_use]
    pub fn with_actor(self, actor: Actor) -> Self {
        Self { actor, ..self }
    }

    /// The same, with another word on whether to try again.
    #[must_use]
    pub fn with_retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }
}

impl Location {
    /// A file, whose line is not known.
    pub fn of_file(file: impl Into<PathBuf>) -> Self {
        Self { file: Some(file.into()), ..Self::default() }
    }

    /// An address, without credentials.
    pub fn of_url(url: impl Into<String>) -> Self {
        Self { url: Some(url.into()), ..Self::default() }
    }
}
