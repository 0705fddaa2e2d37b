//! The notifiers that a configuration names.

use std::sync::Arc;

use super::Notifier;
use super::command::CommandNotifier;
use super::host::NotifierHost;
use super::subscription::Subscription;
use crate::config::{NotifierConfig, NotifyTarget};

/// The notifier that a configuration means. What is wrong with it shows when it is to tell.
pub(crate) fn configured(config: &NotifierConfig, host: &NotifierHost) -> Arc<dyn Notifier> {
    let (name, subscription, host) = (config.name.clone(), Subscription::from(config), host.clone());
    match config.target.clone() {
        NotifyTarget::Command(config) => Arc::new(CommandNotifier { name, subscription, config, host }),
        #[cfg(feature = "email")]
        NotifyTarget::Email(config) => Arc::new(super::email::EmailNotifier { name, subscription, config, host }),
        #[cfg(not(feature = "email"))]
        NotifyTarget::Email(_) => Arc::new(UnavailableNotifier { name, subscription, feature: "email" }),
        #[cfg(feature = "irc")]
        NotifyTarget::Irc(config) => Arc::new(super::irc::IrcNotifier { name, subscription, config, host }),
        #[cfg(not(feature = "irc"))]
        NotifyTarget::Irc(_) => Arc::new(UnavailableNotifier { name, subscription, feature: "irc" }),
        #[cfg(feature = "webhook")]
        NotifyTarget::Webhook(config) => Arc::new(super::webhook::WebhookNotifier { name, subscription, config, host }),
        #[cfg(feature = "webhook")]
        NotifyTarget::Healthcheck(config) => {
            Arc::new(super::healthcheck::HealthcheckNotifier { name, subscription, config, host })
        }
        #[cfg(feature = "webhook")]
        NotifyTarget::Zulip(config) => Arc::new(super::zulip::ZulipNotifier { name, subscription, config, host }),
        #[cfg(feature = "webhook")]
        NotifyTarget::CommitStatus(config) => {
            Arc::new(super::commit_status::CommitStatusNotifier { name, subscription, config, host })
        }
        #[cfg(not(feature = "webhook"))]
        NotifyTarget::Webhook(_)
        | NotifyTarget::Healthcheck(_)
        | NotifyTarget::Zulip(_)
        | NotifyTarget::CommitStatus(_) => Arc::new(UnavailableNotifier { name, subscription, feature: "webhook" }),
    }
}

/// A notifier for which the library was built without what it needs.
#[cfg(not(all(feature = "email", feature = "irc", feature = "webhook")))]
struct UnavailableNotifier {
    name: String,
    subscription: Subscription,
    feature: &'static str,
}

#[cfg(not(all(feature = "email", feature = "irc", feature = "webhook")))]
impl Notifier for UnavailableNotifier {
    fn name(&self) -> &str {
        &self.name
    }

    fn subscription(&self) -> Subscription {
        self.subscription.clone()
    }

    fn send(&self, _: &super::Notification) -> Result<(), super::NotifyError> {
        let message = format!("this program was built without its feature {:?}", self.feature);
        Err(super::NotifyError::new(
            super::DeliveryErrorKind::Setup,
            message,
            format!("build it with --features {}", self.feature),
        ))
    }
}
