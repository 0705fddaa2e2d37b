//! The stages of a pipeline one by one, for a program that leaves one out, repeats one, or adds one of its own.

use std::collections::BTreeSet;
use std::time::Instant;

use super::command::follow;
use super::listing::{LISTING_LOG, NotListed};
use super::log::StageLog;
use super::remaining_work::ElementInputs;
use super::stage_runner::{StageRequest, StageRunner, refs_of};
use super::verify::Verification;
use super::{Pipeline, results};
use crate::bst::dialect::{BstAction, ElementSelection, any_arguments};
use crate::bst::inventory::Inventory;
use crate::bst::messages::LogParser;
use crate::config::VariantConfig;
use crate::diagnosis::{Diagnoser, Diagnosis, FailureKind};
use crate::names::{ElementName, Refs, Stage};
use crate::report::{Event, Outcome, StageReport};
use crate::runner::{Exit, OutputStream, OutputTail};
use crate::secret::Redact as _;
use crate::state::ElementMemory;

/// How much of what a command of a session prints is given back, in bytes: the end of it.
const OUTPUT_BYTES: usize = 16 << 20;

/// What a stage of a session is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ElementChoice {
    /// All that the project's configuration asks for.
    #[default]
    Configured,
    /// These elements, without their dependencies. Where there are none, there is nothing to do.
    Named(BTreeSet<ElementName>),
}

impl FromIterator<ElementName> for ElementChoice {
    fn from_iter<I: IntoIterator<Item = ElementName>>(elements: I) -> Self {
        Self::Named(elements.into_iter().collect())
    }
}

impl From<&BTreeSet<ElementName>> for ElementChoice {
    fn from(elements: &BTreeSet<ElementName>) -> Self {
        Self::Named(elements.clone())
    }
}

impl From<&[ElementName]> for ElementChoice {
    fn from(elements: &[ElementName]) -> Self {
        elements.iter().cloned().collect()
    }
}

/// What a command of a session came to ([`PipelineSession::bst`]).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BstOutput {
    /// How it ended.
    pub exit: Exit,
    /// What it printed on its standard output, with secrets masked; of more than 16 MiB the end.
    pub stdout: String,
    /// What it failed of, by its messages; none where it ended well.
    pub failures: Vec<Diagnosis>,
}

/// A pipeline at work on its checkout, a stage at a time.
///
/// A stage does what it is asked for, also where that was done before: only [`PipelineSession::run`] leaves out what the
/// memory knows. A stage that fails is data in its report, which has a result for each element. What is fetched, pushed and
/// verified are the committed refs until something was tracked, and from then on the tracked ones.
pub struct PipelineSession<'s, 'p> {
    pipeline: &'s Pipeline<'p>,
    work: StageRunner<'s, 'p>,
    configured: ElementSelection,
    memory: ElementMemory,
    reports: Vec<StageReport>,
}

impl std::fmt::Debug for PipelineSession<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PipelineSession").field("pipeline", self.pipeline).finish_non_exhaustive()
    }
}

impl<'p> Pipeline<'p> {
    /// Begins a session with the options of `variant` over the project's. What `events` gets names the pipeline's project
    /// and branch, with secrets masked.
    ///
    /// # Errors
    /// When the pipeline's directories cannot be made and written.
    pub fn session<'s>(
        &'s self,
        variant: Option<&'s VariantConfig>,
        events: impl FnMut(Event) + 's,
    ) -> Result<PipelineSession<'s, 'p>, Diagnosis> {
        let work = StageRunner::new(self, Refs::Committed, variant, events)
            .map_err(|failure| failure.redacted(self.context.redactor))?;
        let (memory, reports) = (ElementMemory::default(), Vec::new());
        Ok(PipelineSession { pipeline: self, configured: work.elements.clone(), work, memory, reports })
    }
}

impl<'p> PipelineSession<'_, 'p> {
    /// Takes what is known of the elements from before ([`PipelineSession::finish`]).
    #[must_use]
    pub fn memory(mut self, memory: ElementMemory) -> Self {
        self.memory = memory;
        self
    }

    /// The pipeline at work: its project, its directories.
    pub fn pipeline(&self) -> &Pipeline<'p> {
        self.pipeline
    }

    /// Asks bst for the elements of the checkout as it is now, those that the configuration asks for.
    ///
    /// # Errors
    /// With what bst failed of.
    pub fn inventory(&mut self) -> Result<Inventory, Vec<Diagnosis>> {
        self.choose(&ElementChoice::Configured);
        let listed = self.listed();
        listed.map_err(|reason| match reason {
            NotListed::Failed(failures) => failures.redacted(self.pipeline.context.redactor),
            NotListed::NoRef(junction) => {
                let message = format!("{junction} has no ref, and nothing can be loaded without");
                vec![Diagnosis::of_kind(FailureKind::JunctionNoRef, message).with_element(junction)]
            }
        })
    }

    /// Does the library's own stages for some refs, as [`Pipeline::run`]: what the memory knows to be done is left out.
    pub fn run(&mut self, refs: Refs) -> Vec<StageReport> {
        self.choose(&ElementChoice::Configured);
        self.work.turn_to(refs);
        let reports = match refs {
            Refs::Committed => self.pipeline.committed(&mut self.work, &mut self.memory),
            Refs::Tracked => self.pipeline.tracked(&mut self.work, &mut self.memory),
        };
        reports.into_iter().map(|report| self.keep(report)).collect()
    }

    /// Looks for new refs of elements and writes them into the checkout; not of what the project's `select` and its holds
    /// leave out.
    pub fn track(&mut self, elements: impl Into<ElementChoice>) -> StageReport {
        self.work.turn_to(Refs::Tracked);
        if !self.choose(&elements.into()) {
            return self.skipped(Stage::Track, NOTHING);
        }
        let before = self.work.ref_changes().unwrap_or_default();
        let (report, _) = self.pipeline.track(&mut self.work, &before, &mut self.memory);
        self.keep(report)
    }

    /// Gets the sources of elements into the local cache.
    pub fn fetch(&mut self, elements: impl Into<ElementChoice>) -> StageReport {
        self.sources(Stage::Fetch, BstAction::Fetch, &elements.into())
    }

    /// Hands the sources of elements to the source caches of the project; what is not in the local cache is fetched on the
    /// way.
    pub fn push(&mut self, elements: impl Into<ElementChoice>) -> StageReport {
        match self.pipeline.pushes() {
            Ok(()) => self.sources(Stage::Push, BstAction::Push, &elements.into()),
            Err(reason) => self.skipped(Stage::Push, reason),
        }
    }

    /// Asks the source caches for what was pushed, or the local one where nothing is pushed, whether all of it is there; has
    /// bst do once more what is not.
    pub fn verify(&mut self, elements: impl Into<ElementChoice>) -> StageReport {
        let elements = elements.into();
        if !self.choose(&elements) {
            return self.skipped(Stage::Verify, NOTHING);
        }
        let (work, memory) = (&mut self.work, &mut self.memory);
        let mut verification = Verification::new(work);
        let mut scope: BTreeSet<ElementName> = memory.of(work.refs).done.keys().cloned().collect();
        if let ElementChoice::Named(names) = &elements {
            scope.retain(|element| names.contains(element));
        }
        let inputs = ElementInputs::new(work, &[]);
        verification.name_keys(work, &inputs, memory, scope.clone());
        for (element, known) in &mut memory.of_mut(work.refs).done {
            known.key = known.key.take().or_else(|| work.source_keys.get(element).cloned());
        }
        let report = verification.finish_scope(work, scope, memory, &mut []);
        self.told(report)
    }

    /// Does a stage of the calling program's own. `work` gets the session, for [`PipelineSession::bst`] above all, and the
    /// report, in which it enters results, failures and notes; how the stage ended follows from these. The report is told
    /// and kept like those of the library's own stages.
    ///
    /// ```no_run
    /// # use fetcher_core::{Stage, pipeline::PipelineSession, report::ElementOutcome};
    /// # fn show(session: &mut PipelineSession<'_, '_>) -> Result<(), Box<dyn std::error::Error>> {
    /// session.custom(Stage::custom("licences")?, |session, report| {
    ///     let listed = session.bst(["show", "--deps", "all", "--format", "%{name} %{license}"])?;
    ///     report.failures.extend(listed.failures);
    ///     for line in listed.stdout.lines().filter(|line| line.ends_with(' ')) {
    ///         if let Ok(element) = line.trim_end().parse() {
    ///             report.results.enter(element, ElementOutcome::Failed);
    ///         }
    ///     }
    ///     Ok(())
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn custom(
        &mut self,
        stage: Stage,
        work: impl FnOnce(&mut Self, &mut StageReport) -> Result<(), Diagnosis>,
    ) -> StageReport {
        self.work.announce(stage, 1);
        let began = Instant::now();
        let mut report = self.report(stage);
        report.attempts = 1;
        if let Err(failure) = work(self, &mut report) {
            report.failures.push(failure);
        }
        report.seconds = began.elapsed().as_secs_f64();
        for failure in &mut report.failures {
            failure.stage = Some(stage);
        }
        conclude(&mut report, self.work.context.cancel.is_cancelled());
        self.told(report)
    }

    /// Runs `bst` with these arguments in the checkout, with the configuration and the options of the pipeline, once and
    /// within the project's time-out. A `bst` that fails is data in the result; its log is kept beside those of the
    /// stages.
    ///
    /// # Errors
    /// When it could not be run at all.
    pub fn bst<W: Into<String>>(&mut self, arguments: impl IntoIterator<Item = W>) -> Result<BstOutput, Diagnosis> {
        let work = &mut self.work;
        let until = Instant::now() + self.pipeline.project.timeout;
        let conf = work.conf_path();
        let words = arguments.into_iter().map(Into::into);
        let arguments = any_arguments(&work.global(&conf.to_string_lossy()), words);
        // Without a log what it says is in the result all the same.
        let mut log =
            StageLog::open(&work.log_path(LOG), self.pipeline.context.redactor).unwrap_or_else(|_| StageLog::none());
        log.write(format!("$ bst {}\n", arguments.join(" ")).as_bytes());
        let (mut parser, mut diagnoser) = (LogParser::default(), Diagnoser::new(None));
        let mut stdout = OutputTail::new(OUTPUT_BYTES);
        let (turn, invocation) = work.invocation(arguments, until);
        let invocation = invocation.apart();
        let context = self.pipeline.context;
        let ended = follow(Stage::Other, || {
            context.runner.run(&invocation, context.cancel, &mut |stream, bytes| {
                log.write(bytes);
                match stream {
                    OutputStream::Stdout => stdout.push(bytes),
                    OutputStream::Stderr => parser.push(bytes, &mut |item| diagnoser.take(&item)),
                }
            })
        });
        drop(turn);
        parser.finish(&mut |item| diagnoser.take(&item));
        let of_no_stage = |failure: Diagnosis| failure.with_stage(None);
        let exit = ended.map_err(|failure| of_no_stage(failure).redacted(self.pipeline.context.redactor))?;
        let mut failures = diagnoser.finish(exit).failures;
        if failures.is_empty() && !exit.is_success() {
            failures.push(results::unexplained(exit));
        }
        let failures = failures.redacted(self.pipeline.context.redactor);
        let stdout = stdout.text().into_owned().redacted(self.pipeline.context.redactor);
        Ok(BstOutput { exit, stdout, failures })
    }

    /// The reports of the stages so far.
    pub fn reports(&self) -> &[StageReport] {
        &self.reports
    }

    /// Ends the session; gives the reports of its stages, and what is known of the elements now, for the next session on the
    /// same branch.
    pub fn finish(self) -> (Vec<StageReport>, ElementMemory) {
        (self.reports, self.memory)
    }

    /// Has the next stage be about these elements; says whether there are any.
    fn choose(&mut self, elements: &ElementChoice) -> bool {
        self.work.elements = match elements {
            ElementChoice::Configured => self.configured.clone(),
            ElementChoice::Named(names) => {
                self.work.junctions.extend(names.iter().flat_map(ElementName::junctions));
                StageRequest::named(names.clone()).elements
            }
        };
        *elements != ElementChoice::Named(BTreeSet::new())
    }

    fn listed(&mut self) -> Result<Inventory, NotListed> {
        match self.work.refs {
            Refs::Committed => {
                let inputs = self.work.listing_inputs(&[]);
                self.work.inventory(Refs::Committed, inputs, &mut self.memory)
            }
            Refs::Tracked => self.pipeline.inventory_as_tracked(&mut self.work, &mut self.memory, &BTreeSet::new()),
        }
    }

    fn sources(&mut self, stage: Stage, action: BstAction, elements: &ElementChoice) -> StageReport {
        if !self.choose(elements) {
            return self.skipped(stage, NOTHING);
        }
        let (request, missing, inventory) = match elements {
            ElementChoice::Named(names) => (StageRequest::named(names.clone()), BTreeSet::new(), None),
            ElementChoice::Configured => match self.listed() {
                Ok(inventory) => {
                    let (elements, missing) = self.work.resolved_elements();
                    (StageRequest::everything(elements), missing, Some(inventory))
                }
                Err(reason) => return self.not_listed(stage, reason),
            },
        };
        let work = &mut self.work;
        if missing.len() == work.listed.len() && !missing.is_empty() {
            return self.skipped(stage, "no element has a ref");
        }
        let mut reports = self.pipeline.sources(work, &[stage], action, &request, None);
        super::sources::note_left_out(work.refs, &mut reports, &missing);
        // What was fetched alone is not done where it is to be pushed.
        if stage == Stage::Push || self.pipeline.pushes().is_err() {
            let inventories: Vec<_> = inventory.iter().collect();
            let inputs = ElementInputs::new(work, &inventories);
            work.remember(work.refs, stage, None, &inputs, &mut self.memory);
        }
        let report = reports.remove(0);
        self.told(report)
    }

    /// The report of a stage that did not begin, for nobody knows what there is.
    fn not_listed(&mut self, stage: Stage, reason: NotListed) -> StageReport {
        match reason {
            NotListed::NoRef(junction) => {
                let reason = format!("{junction} has no ref, and nothing can be loaded without");
                self.skipped(stage, &reason)
            }
            NotListed::Failed(failures) => {
                let mut report = self.report(stage);
                report.attempts = 1;
                report.log = self.work.kept_log(LISTING_LOG);
                let of_stage = |failure: Diagnosis| failure.with_stage(stage);
                report.failures = failures.into_iter().map(of_stage).collect();
                conclude(&mut report, self.work.context.cancel.is_cancelled());
                self.told(report)
            }
        }
    }

    fn report(&self, stage: Stage) -> StageReport {
        let variant = self.work.variant.map(|variant| variant.name.clone());
        let refs = refs_of(stage, self.work.refs);
        StageReport { refs, ..StageReport::new(stage, variant, self.pipeline.context.clock.now()) }
    }

    fn skipped(&mut self, stage: Stage, reason: &str) -> StageReport {
        let report = self.pipeline.skipped(self.work.variant, self.work.refs, stage, reason);
        self.told(report)
    }

    /// Tells of a stage's end and keeps its report.
    fn told(&mut self, report: StageReport) -> StageReport {
        let report = self.pipeline.finish(report, &mut self.work);
        self.keep(report)
    }

    fn keep(&mut self, report: StageReport) -> StageReport {
        let report = report.redacted(self.pipeline.context.redactor);
        self.reports.push(report.clone());
        report
    }
}

/// Why nothing is done for no elements.
const NOTHING: &str = "no elements were named";
/// The name of the log of a session's own commands.
const LOG: &str = "bst";

/// How a stage ended, by what is in its report.
fn conclude(report: &mut StageReport, interrupted: bool) {
    let (failed, good) = (&report.results.failed, report.results.done.len() + report.results.nothing_to_do.len());
    report.outcome = match (interrupted, report.failures.is_empty() && failed.is_empty(), good) {
        (true, _, _) => Outcome::Interrupted,
        (false, true, _) if report.skipped.is_some() => Outcome::Skipped,
        (false, true, _) => Outcome::Ok,
        (false, false, 0) => Outcome::Failed,
        (false, false, _) => Outcome::Partial,
    };
    let counts = &mut report.elements;
    if counts.total == 0 {
        counts.processed = report.results.done.len() as u64;
        counts.skipped = report.results.nothing_to_do.len() as u64;
        counts.failed = report.results.failed.len() as u64;
        counts.total = counts.processed + counts.skipped + counts.failed;
    }
}
