//! Diagnoses on their way out: their words are those of programs and servers.

use super::{Diagnosis, HostReachability, Location, ProxyFailure};
use crate::names::ElementName;
use crate::secret::{Redact, Redactor};

impl Redact for Diagnosis {
    fn redacted(self, redactor: &Redactor) -> Self {
        let Self { kind, element, stage, message, retry, actor, hint, place, allowed } = self;
        let Location { file, line, column, url } = place;
        Self {
            kind,
            element: element.and_then(|name| redacted_element(&name, redactor)),
            stage,
            message: message.redacted(redactor),
            retry,
            actor,
            hint: hint.redacted(redactor),
            place: Location { file: file.redacted(redactor), line, column, url: url.redacted(redactor) },
            allowed,
        }
    }
}

impl Redact for HostReachability {
    fn redacted(self, redactor: &Redactor) -> Self {
        let Self { reached, unreached, proxy, proxy_not_passed } = self;
        let hosts = |hosts: std::collections::BTreeMap<String, u64>| {
            hosts.into_iter().map(|(host, times)| (host.redacted(redactor), times)).collect()
        };
        let proxy = proxy.map(|ProxyFailure { variable, address, reason }| ProxyFailure {
            variable,
            address: address.redacted(redactor),
            reason: reason.redacted(redactor),
        });
        Self { reached: hosts(reached), unreached: hosts(unreached), proxy, proxy_not_passed }
    }
}

/// A masked element's name; none in the case that what is left is no name.
pub(crate) fn redacted_element(name: &ElementName, redactor: &Redactor) -> Option<ElementName> {
    name.to_string().redacted(redactor).parse().ok()
}
