//! What asking upstreams came to.

use serde::{Deserialize, Serialize};

use crate::diagnosis::Diagnosis;
use crate::secret::{Redact, Redactor};

/// What a run asked of upstreams, by their hosts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ProbeReport {
    /// For how long something was waited for that had been asked.
    pub seconds: f64,
    /// The hosts, by name.
    pub hosts: Vec<HostProbes>,
}

/// What one host was asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct HostProbes {
    /// The host, with its port where that is not the usual one; empty for what is on this machine.
    pub host: String,
    /// How many questions it was asked.
    pub asked: u64,
    /// How many of them it answered so that it may be believed.
    pub answered: u64,
    /// How many of its answers may not be believed.
    pub doubted: u64,
    /// How many requests that took.
    pub requests: u64,
    /// How many bytes of answers were read.
    pub bytes: u64,
    /// For how long requests were under way, all added up.
    pub seconds: f64,
    /// Why it was asked no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Diagnosis>,
}

impl ProbeReport {
    /// How many questions were asked.
    pub fn asked(&self) -> u64 {
        self.hosts.iter().map(|host| host.asked).sum()
    }

    /// How many of them were answered so that it may be believed.
    pub fn answered(&self) -> u64 {
        self.hosts.iter().map(|host| host.answered).sum()
    }

    /// How many answers may not be believed.
    pub fn doubted(&self) -> u64 {
        self.hosts.iter().map(|host| host.doubted).sum()
    }

    /// How many questions were not answered.
    pub fn failed(&self) -> u64 {
        self.asked().saturating_sub(self.answered() + self.doubted())
    }

    /// How many bytes of answers were read.
    pub fn bytes(&self) -> u64 {
        self.hosts.iter().map(|host| host.bytes).sum()
    }
}

impl Redact for ProbeReport {
    fn redacted(self, redactor: &Redactor) -> Self {
        let host = |host: HostProbes| {
            let HostProbes { host, asked, answered, doubted, requests, bytes, seconds, failure } = host;
            let (host, failure) = (host.redacted(redactor), failure.redacted(redactor));
            HostProbes { host, asked, answered, doubted, requests, bytes, seconds, failure }
        };
        let Self { seconds, hosts } = self;
        Self { seconds, hosts: hosts.into_iter().map(host).collect() }
    }
}
