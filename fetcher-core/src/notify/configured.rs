//! The notifiers that a configuration names.

use std::sync::Arc;

use super::Notifier;
use super::command::Program;
use super::host::NotifierHost;
use super::wants::Wants;
use crate::config::{NotifierConfig, NotifyTarget};

/// The notifier that a configuration means. What is wrong with it shows when it is to tell.
pub(crate) fn configured(config: &NotifierConfig, host: &NotifierHost) -> Arc<dyn Notifier> {
    let (name, wants, host) = (config.name.clone(), Wants::from(config), host.clone());
    match config.target.clone() {
        NotifyTarget::Command(config) => Arc::new(Program { name, wants, config, host }),
        #[cfg(feature = "email")]
        NotifyTarget::Email(config) => Arc::new(super::email::Email { name, wants, config, host }),
        #[cfg(not(feature = "email"))]
        NotifyTarget::Email(_) => Arc::new(Missing { name, wants, feature: "email" }),
        #[cfg(feature = "irc")]
        NotifyTarget::Irc(config) => Arc::new(super::irc::Irc { name, wants, config }),
        #[cfg(not(feature = "irc"))]
        NotifyTarget::Irc(_) => Arc::new(Missing { name, wants, feature: "irc" }),
        #[cfg(feature = "webhook")]
        NotifyTarget::Webhook(config) => Arc::new(super::webhook::Webhook { name, wants, config, host }),
        #[cfg(feature = "webhook")]
        NotifyTarget::Healthcheck(config) => Arc::new(super::healthcheck::Healthcheck { name, wants, config, host }),
        #[cfg(feature = "webhook")]
        NotifyTarget::Zulip(config) => Arc::new(super::zulip::ZulipNotifier { name, wants, config, host }),
        #[cfg(feature = "webhook")]
        NotifyTarget::CommitStatus(config) => {
            Arc::new(super::commit_status::CommitStatusNotifier { name, wants, config, host })
        }
        #[cfg(not(feature = "webhook"))]
        NotifyTarget::Webhook(_)
        | NotifyTarget::Healthcheck(_)
        | NotifyTarget::Zulip(_)
        | NotifyTarget::CommitStatus(_) => Arc::new(Missing { name, wants, feature: "webhook" }),
    }
}

/// A notifier for which the library was built without what it needs.
#[cfg(not(all(feature = "email", feature = "irc", feature = "webhook")))]
struct Missing {
    name: String,
    wants: Wants,
    feature: &'static str,
}

#[cfg(not(all(feature = "email", feature = "irc", feature = "webhook")))]
impl Notifier for Missing {
    fn name(&self) -> &str {
        &self.name
    }

    fn wants(&self) -> Wants {
        self.wants.clone()
    }

    fn send(&self, _: &super::Message) -> Result<(), super::NotifyError> {
        let message = format!("this program was built without its feature {:?}", self.feature);
        Err(super::NotifyError::new(super::Fault::Setup, message, format!("build it with --features {}", self.feature)))
    }
}
