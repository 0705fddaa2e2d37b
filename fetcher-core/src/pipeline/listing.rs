//! Asking bst what a project consists of, where that is not remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Instant;

use super::command::follow;
use super::log::StageLog;
use super::stage_runner::{LEAST_TIME, StageRequest, StageRunner};
use crate::bst::dialect::ElementSelection;
use crate::bst::inventory::{Inventory, InventoryReader, is_told_sources};
use crate::bst::messages::{ElementState, LogParser};
use crate::diagnosis::{Diagnoser, Diagnosis, FailureKind, Retry};
use crate::names::{ElementName, Refs, Stage};
use crate::report::Activity;
use crate::runner::Exit;
use crate::secret::Redact as _;
use crate::state::{ElementMemory, RememberedInventory};

/// The name of a listing's log.
pub(super) const LISTING_LOG: &str = "show";

/// Why there is no listing.
pub(super) enum NotListed {
    /// A junction has no ref, so that nothing can be loaded.
    NoRef(ElementName),
    /// bst could not.
    Failed(Vec<Diagnosis>),
}

impl StageRunner<'_, '_> {
    /// The elements of the checkout as it is now: remembered, where the listing follows from the same `inputs`.
    pub(super) fn inventory(
        &mut self,
        refs: Refs,
        inputs: String,
        memory: &mut ElementMemory,
    ) -> Result<Inventory, NotListed> {
        self.inventory_in(inputs, &mut memory.of_mut(refs).inventory)
    }

    /// The elements before they are tracked: those of the tip. Where bst cannot list these, it lists what the checkout has by
    /// now, with junctions that were tracked first, or with another option set: that is not what the tip has.
    pub(super) fn inventory_to_track(&mut self, memory: &mut ElementMemory) -> Result<Inventory, NotListed> {
        let committed = self.listing_inputs(&[]);
        let is_known = memory.committed.inventory.as_ref().is_some_and(|known| known.inputs == committed);
        let moved = match self.ref_changes() {
            _ if is_known => Vec::new(),
            Ok(changes) => changes.iter().map(|change| format!("{change:?}")).collect(),
            Err(error) => vec![error],
        };
        if moved.is_empty() {
            return self.inventory(Refs::Committed, committed, memory);
        }
        self.inventory_in(self.listing_inputs(&moved), &mut memory.to_track)
    }

    fn inventory_in(
        &mut self,
        inputs: String,
        memory: &mut Option<RememberedInventory>,
    ) -> Result<Inventory, NotListed> {
        let now = self.context.clock.now();
        let known = memory.as_ref().filter(|known| {
            known.inputs == inputs && now.duration_since(known.at).unsigned_abs() < self.pipeline.refresh_after
        });
        let inventory = if let Some(known) = known {
            known.inventory.clone()
        } else {
            let inventory = self.ask_until_told()?;
            *memory = Some(RememberedInventory { inputs, at: now, inventory: inventory.clone() });
            inventory
        };
        self.listed = inventory.elements.iter().map(|known| (known.name.clone(), state(known.has_refs))).collect();
        self.junctions.extend(inventory.elements.iter().flat_map(|known| known.name.junctions()));
        Ok(inventory)
    }

    /// Asks until bst tells, cannot tell, or the time is over.
    fn ask_until_told(&mut self) -> Result<Inventory, NotListed> {
        let project = self.pipeline.project;
        let until = Instant::now() + project.timeout;
        let mut tries = 0;
        loop {
            tries += 1;
            let asked = self.ask_for_inventory(until);
            let Err(NotListed::Failed(failures)) = &asked else { return asked };
            let may_pass = |failure: &Diagnosis| match failure.retry {
                Retry::Yes => true,
                Retry::Once => tries == 1,
                Retry::No => false,
            };
            let wait = project.retry_delay.saturating_mul(1 << (tries - 1).min(10));
            let has_time = Instant::now() + wait + LEAST_TIME < until;
            if tries > project.retries || !failures.iter().any(may_pass) || !has_time {
                return asked;
            }
            self.tell(Activity::WaitingToRetry);
            if self.context.cancel.wait(wait) {
                return asked;
            }
        }
    }

    /// Asks `bst show`. A source without a ref makes it fail where sources are asked for: then those of the others are.
    fn ask_for_inventory(&mut self, until: Instant) -> Result<Inventory, NotListed> {
        let mut log =
            StageLog::open(&self.log_path(LISTING_LOG), self.context.redactor).unwrap_or_else(|_| StageLog::none());
        let everything = self.elements.clone();
        let sources = is_told_sources(&self.pipeline.bst.version);
        let failures = match self.show(&everything, sources, &mut log, until) {
            Ok(inventory) => return Ok(inventory),
            Err(failures) => failures,
        };
        let no_ref = |failure: &&Diagnosis| failure.kind == FailureKind::JunctionNoRef;
        if let Some(junction) = failures.iter().find(no_ref).and_then(|failure| failure.element.clone()) {
            return Err(NotListed::NoRef(junction));
        }
        if !sources || self.context.cancel.is_cancelled() {
            return Err(NotListed::Failed(failures));
        }
        let mut inventory = self.show(&everything, false, &mut log, until).map_err(NotListed::Failed)?;
        let with_refs: BTreeSet<_> =
            inventory.elements.iter().filter(|known| known.has_refs).map(|known| known.name.clone()).collect();
        if !with_refs.is_empty()
            && let Ok(told) = self.show(&StageRequest::named(with_refs).elements, true, &mut log, until)
        {
            let mut told: BTreeMap<_, _> = told.elements.into_iter().map(|known| (known.name, known.sources)).collect();
            for element in &mut inventory.elements {
                element.sources = told.remove(&element.name).flatten();
            }
        }
        Ok(inventory)
    }

    /// Asks `bst show` for the elements and their states, where no stage told of them; says whether it could.
    pub(super) fn list(&mut self, log: &mut StageLog, until: Instant) -> bool {
        let elements = self.elements.clone();
        let Ok(inventory) = self.show(&elements, false, log, until) else { return false };
        for known in inventory.elements {
            self.junctions.extend(known.name.junctions());
            self.listed.insert(known.name, state(known.has_refs));
        }
        true
    }

    fn show(
        &mut self,
        elements: &ElementSelection,
        sources: bool,
        log: &mut StageLog,
        until: Instant,
    ) -> Result<Inventory, Vec<Diagnosis>> {
        self.tell(Activity::ListingElements);
        let mut reader = InventoryReader::new(marker(), sources);
        let conf = self.conf_path();
        let conf = conf.to_string_lossy();
        let arguments = self.pipeline.bst.dialect().show_arguments(&self.global(&conf), elements, &reader.format());
        log.write(format!("$ bst {}\n", arguments.join(" ")).as_bytes());
        let (mut parser, mut diagnoser) = (LogParser::default(), Diagnoser::new(Some(Stage::Fetch)));
        let child = self.child(arguments, None, until).map_err(|failure| vec![failure])?;
        let context = self.context;
        let ended = follow(Stage::Fetch, || {
            child.run(context, &mut |bytes| {
                log.write(bytes);
                reader.push(bytes);
                parser.push(bytes, &mut |item| diagnoser.take(&item));
            })
        });
        drop(child);
        parser.finish(&mut |item| diagnoser.take(&item));
        match ended {
            Ok(exit) if exit.is_success() => Ok(reader.finish().redacted(self.context.redactor)),
            Ok(exit) => Err(reasons(diagnoser, exit)),
            Err(failure) => Err(vec![failure]),
        }
    }
}

/// Why a listing could not be had.
fn reasons(diagnoser: Diagnoser, exit: Exit) -> Vec<Diagnosis> {
    let mut failures = diagnoser.finish(exit).failures;
    if failures.is_empty() {
        failures.push(super::results::unexplained(exit));
    }
    let of_stage = |failure: Diagnosis| failure.with_stage(Stage::Fetch);
    failures.into_iter().map(of_stage).collect()
}

fn state(has_refs: bool) -> ElementState {
    if has_refs { ElementState::Waiting } else { ElementState::NoReference }
}

/// What begins an element's line: no project can foresee it.
fn marker() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}
