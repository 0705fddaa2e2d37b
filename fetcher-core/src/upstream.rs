//! What there is upstream: asked once a run, whoever wants to know, and told with what may be believed of it.
//!
//! Whoever wants to know what tracking a source would find asks an [`UpstreamQuestion`] of the run's [`Prober`]. It
//! answers each question once, many at a time and few at a time of one host, and joins the questions to one repository
//! into one request. An [`UpstreamAnswer`] without a state is no answer: then the source has to be tracked.

mod answer;
mod asking;
#[cfg(feature = "probe")]
mod asking_http;
#[cfg(feature = "probe")]
mod client;
mod failures;
mod git_daemon;
mod hosts;
mod page_memory;
mod prober;
mod protocol_v2;
#[cfg(feature = "probe")]
mod pypi;
mod question;
mod ref_listing;
#[cfg(feature = "probe")]
mod registry;
mod rot;
#[cfg(feature = "probe")]
mod smart_http;
mod uses;
#[cfg(feature = "probe")]
mod web;

pub use answer::{GitRef, ProbeCost, ProbeDoubt, RefList, UpstreamAnswer, UpstreamSigns, UpstreamState};
pub use prober::Prober;
pub use question::{RefSelection, UpstreamQuestion};
pub use rot::RotMemory;
pub(crate) use rot::rot_file;
pub use uses::{PinnedTag, UpstreamUse};
