//! A dead man's switch: it hears of every run's start and end, and raises the alarm when it hears nothing. The pings are
//! those of healthchecks.io ("Pinging API").

use super::error::NotifyError;
use super::files::address;
use super::host::NotifierHost;
use super::http::{HttpMethod, HttpRequest};
use super::message::Notification;
use super::subscription::Subscription;
use super::webhook::with_segment;
use super::{Heartbeat, Notifier, RunPhase};
use crate::config::HealthcheckConfig;
use crate::names::{RunId, digest};

pub(super) struct HealthcheckNotifier {
    pub(super) name: String,
    pub(super) subscription: Subscription,
    pub(super) config: HealthcheckConfig,
    pub(super) host: NotifierHost,
}

impl Notifier for HealthcheckNotifier {
    fn name(&self) -> &str {
        &self.name
    }

    /// It gets the pulse of every run; messages are for others.
    fn subscription(&self) -> Subscription {
        Subscription { on: Vec::new(), ..self.subscription.clone() }
    }

    fn send(&self, _: &Notification) -> Result<(), NotifyError> {
        Ok(())
    }

    fn wants_heartbeat(&self) -> bool {
        true
    }

    fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<(), NotifyError> {
        let url = address(self.config.url.as_ref(), self.config.url_file.as_deref())?;
        HttpRequest {
            method: HttpMethod::Post,
            url: &ping(url.expose(), heartbeat),
            headers: vec![("Content-Type".to_owned(), "text/plain; charset=utf-8".to_owned())],
            body: heartbeat.text.as_bytes(),
            ca_file: self.config.ca_file.as_deref(),
            environment: &self.host.environment,
            timeout: self.subscription.timeout,
        }
        .send()
    }
}

/// The address of a ping.
fn ping(url: &str, heartbeat: &Heartbeat) -> String {
    let url = match heartbeat.phase {
        RunPhase::Started => with_segment(url, "start"),
        RunPhase::Good => url.to_owned(),
        RunPhase::Bad => with_segment(url, "fail"),
        // It is noted, and changes nothing.
        RunPhase::Stopped | RunPhase::Test => with_segment(url, "log"),
    };
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}rid={}", uuid(&heartbeat.host, &heartbeat.run))
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
        let heartbeat =
            |phase| Heartbeat { run: "r1".parse().unwrap(), host: "h".to_owned(), phase, text: String::new() };
        let id = uuid("h", &"r1".parse().unwrap());
        assert_eq!(id.len(), 36);
        assert_eq!(ping("https://hc/x", &heartbeat(RunPhase::Started)), format!("https://hc/x/start?rid={id}"));
        assert_eq!(
            ping("https://hc/x?create=1", &heartbeat(RunPhase::Good)),
            format!("https://hc/x?create=1&rid={id}")
        );
        assert_eq!(ping("https://hc/x", &heartbeat(RunPhase::Bad)), format!("https://hc/x/fail?rid={id}"));
        assert_eq!(ping("https://hc/x", &heartbeat(RunPhase::Stopped)), format!("https://hc/x/log?rid={id}"));
    }
}
