//! A dead man's switch: it hears of every run's start and end, and raises the alarm when it hears nothing. The pings are
//! those of healthchecks.io ("Pinging API").

use super::error::NotifyError;
use super::files::address;
use super::host::NotifierHost;
use super::http::{HttpMethod, Request};
use super::message::Message;
use super::wants::Wants;
use super::webhook::with_segment;
use super::{Beat, Notifier, Pulse};
use crate::config::HealthcheckConfig;
use crate::names::{RunId, digest};

pub(super) struct Healthcheck {
    pub(super) name: String,
    pub(super) wants: Wants,
    pub(super) config: HealthcheckConfig,
    pub(super) host: NotifierHost,
}

impl Notifier for Healthcheck {
    fn name(&self) -> &str {
        &self.name
    }

    /// It gets the pulse of every run; messages are for others.
    fn wants(&self) -> Wants {
        Wants { on: Vec::new(), ..self.wants.clone() }
    }

    fn send(&self, _: &Message) -> Result<(), NotifyError> {
        Ok(())
    }

    fn takes_pulse(&self) -> bool {
        true
    }

    fn pulse(&self, pulse: &Pulse) -> Result<(), NotifyError> {
        let url = address(self.config.url.as_ref(), self.config.url_file.as_deref())?;
        Request {
            method: HttpMethod::Post,
            url: &ping(url.expose(), pulse),
            headers: vec![("Content-Type".to_owned(), "text/plain; charset=utf-8".to_owned())],
            body: pulse.text.as_bytes(),
            ca_file: self.config.ca_file.as_deref(),
            environment: &self.host.environment,
            timeout: self.wants.timeout,
        }
        .send()
    }
}

/// The address of a ping.
fn ping(url: &str, pulse: &Pulse) -> String {
    let url = match pulse.beat {
        Beat::Started => with_segment(url, "start"),
        Beat::Good => url.to_owned(),
        Beat::Bad => with_segment(url, "fail"),
        // It is noted, and changes nothing.
        Beat::Stopped | Beat::Test => with_segment(url, "log"),
    };
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}rid={}", uuid(&pulse.host, &pulse.run))
}

/// The run's name as a UUID, which lets the switch know which end belongs to which start: version 8, of a digest (RFC
/// 9562, 5.8).
fn uuid(host: &str, run: &RunId) -> String {
    let hex = digest(format!("{host}/{run}").as_bytes());
    format!("{}-{}-8{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_are_those_of_the_api() {
        let pulse = |beat| Pulse { run: "r1".parse().unwrap(), host: "h".to_owned(), beat, text: String::new() };
        let id = uuid("h", &"r1".parse().unwrap());
        assert_eq!(id.len(), 36);
        assert_eq!(ping("https://hc/x", &pulse(Beat::Started)), format!("https://hc/x/start?rid={id}"));
        assert_eq!(ping("https://hc/x?create=1", &pulse(Beat::Good)), format!("https://hc/x?create=1&rid={id}"));
        assert_eq!(ping("https://hc/x", &pulse(Beat::Bad)), format!("https://hc/x/fail?rid={id}"));
        assert_eq!(ping("https://hc/x", &pulse(Beat::Stopped)), format!("https://hc/x/log?rid={id}"));
    }
}
