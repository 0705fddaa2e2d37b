//! How sources are probed and what is remembered of tracking them, for people to see.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::memory::{RememberedRefs, TrackingMemory};
use super::source_probes::{ProbePlanner, SourceProbe};
use crate::bst::inventory::Inventory;
use crate::bst::project_files::ProjectFiles;
use crate::config::{ProbeConfig, ProjectConfig};
use crate::names::{ElementName, digest};
use crate::secret::{Redact, Redactor};
use crate::upstream::UpstreamQuestion;

/// How an element's sources are probed, and what is remembered of tracking it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ElementProbing {
    /// Its sources, in the order of its file; empty where it is not probed.
    pub sources: Vec<SourceProbing>,
    /// Why it is not probed, and so always tracked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub always_tracked: Option<String>,
    /// What tracking found, the latest last.
    pub remembered: Vec<RememberedRefs>,
}

/// How one source is probed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SourceProbing {
    /// Its kind.
    pub kind: String,
    /// How its ref comes to change.
    pub way: ProbeWay,
    /// What is asked of its upstream; none where nobody is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<UpstreamQuestion>,
}

/// How a source's ref comes to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProbeWay {
    /// Tracking never changes it.
    Pinned,
    /// It follows from the sources before it.
    Derived,
    /// Its upstream is asked.
    Asked,
    /// Its upstream is asked, and not believed, for a probe of this kind was wrong.
    Distrusted,
}

/// How the elements of a checkout are probed that are in a listing. `None` for the memory: nothing is remembered.
pub(crate) fn overview(
    checkout: &Path,
    (config, project): (&ProbeConfig, &ProjectConfig),
    inventory: &Inventory,
    memory: Option<&TrackingMemory>,
) -> BTreeMap<ElementName, ElementProbing> {
    let files = ProjectFiles::new(checkout);
    let planner = ProbePlanner::new(&files, &config.kinds);
    let declared = digest(format!("{:?}", config.kinds).as_bytes());
    let of_track = project.buildstream.config.contains_key("track");
    let mut remembered = memory.map(TrackingMemory::remembered).unwrap_or_default();
    let mut elements = BTreeMap::new();
    for known in &inventory.elements {
        let remembered = remembered.remove(&known.name).unwrap_or_default();
        let mut probing = ElementProbing { sources: Vec::new(), always_tracked: None, remembered };
        match planner.each(&known.name, known.sources.as_deref()) {
            _ if of_track => probing.always_tracked = Some("`track` is in `buildstream.config`".to_owned()),
            Err(reason) => probing.always_tracked = Some(reason.as_str().to_owned()),
            Ok(sources) => {
                let trusted = |kind: &str| memory.is_none_or(|memory| memory.trusts(kind, &declared));
                probing.sources = sources
                    .into_iter()
                    .map(|(definition, probe)| {
                        let (way, question) = match probe {
                            SourceProbe::Pinned => (ProbeWay::Pinned, None),
                            SourceProbe::Derived => (ProbeWay::Derived, None),
                            SourceProbe::Asked(asked) if trusted(&definition.kind) => {
                                (ProbeWay::Asked, Some(asked.question))
                            }
                            SourceProbe::Asked(asked) => (ProbeWay::Distrusted, Some(asked.question)),
                        };
                        SourceProbing { kind: definition.kind, way, question }
                    })
                    .collect();
            }
        }
        elements.insert(known.name.clone(), probing);
    }
    elements
}

impl SourceProbing {
    /// It in words.
    pub fn words(&self) -> String {
        let url = self.question.as_ref().map(UpstreamQuestion::url).unwrap_or_default();
        match self.way {
            ProbeWay::Pinned => "tracking never changes it".to_owned(),
            ProbeWay::Derived => "follows from the sources before it".to_owned(),
            ProbeWay::Asked => format!("asks {url}"),
            ProbeWay::Distrusted => format!("always tracked, for a probe of this kind was wrong; asks {url}"),
        }
    }
}

impl Redact for ElementProbing {
    fn redacted(self, redactor: &Redactor) -> Self {
        let source = |source: SourceProbing| {
            let SourceProbing { kind, way, question } = source;
            SourceProbing { kind: kind.redacted(redactor), way, question: question.redacted(redactor) }
        };
        let refs = |known: RememberedRefs| {
            let RememberedRefs { tracked, refs } = known;
            let masked = |(file, place, value): (PathBuf, String, String)| {
                (file.redacted(redactor), place.redacted(redactor), value.redacted(redactor))
            };
            RememberedRefs { tracked, refs: refs.into_iter().map(masked).collect() }
        };
        let Self { sources, always_tracked, remembered } = self;
        let (sources, remembered) =
            (sources.into_iter().map(source).collect(), remembered.into_iter().map(refs).collect());
        Self { sources, always_tracked, remembered }
    }
}
