//! The notifiers that a configuration names.

use std::ffi::OsString;
use std::sync::Arc;

use super::Notifier;
use super::command::CommandNotifier;
use super::host::NotifierHost;
use super::subscription::Subscription;
use crate::config::{NotifierConfig, NotifyTarget};

/// The notifier that a configuration means. What is wrong with it shows when it is to tell.
pub(crate) fn configured(config: &NotifierConfig, host: &NotifierHost) -> Arc<dyn Notifier> {
    let (name, subscription) = (config.name.clone(), Subscription::from(config));
    match &config.target {
        NotifyTarget::Command { command } => {
            let command = command.iter().map(OsString::from).collect();
            Arc::new(CommandNotifier { name, subscription, command, host: host.clone() })
        }
        #[cfg(feature = "email")]
        NotifyTarget::Email { server, username, password_file, ca_file, from, to } => {
            let login = username.clone().zip(password_file.clone());
            let (server, ca_file, from, to) = (server.clone(), ca_file.clone(), from.clone(), to.clone());
            Arc::new(super::email::EmailNotifier {
                name,
                subscription,
                server,
                login,
                ca_file,
                from,
                to,
                host: host.clone(),
            })
        }
        #[cfg(not(feature = "email"))]
        NotifyTarget::Email { .. } => Arc::new(UnavailableNotifier { name, subscription, feature: "email" }),
        #[cfg(feature = "irc")]
        NotifyTarget::Irc { server, nick, channels, join, sasl_username, password_file, ca_file } => {
            Arc::new(super::irc::IrcNotifier {
                name,
                subscription,
                server: server.clone(),
                nick: nick.clone(),
                targets: channels.clone(),
                join: *join,
                account: sasl_username.clone(),
                password_file: password_file.clone(),
                ca_file: ca_file.clone(),
            })
        }
        #[cfg(not(feature = "irc"))]
        NotifyTarget::Irc { .. } => Arc::new(UnavailableNotifier { name, subscription, feature: "irc" }),
        #[cfg(feature = "webhook")]
        NotifyTarget::Webhook { url, format, headers, secret_file, template, ca_file } => {
            Arc::new(super::webhook::WebhookNotifier {
                name,
                subscription,
                url: url.clone(),
                format: *format,
                headers: headers.clone(),
                secret_file: secret_file.clone(),
                template: template.clone(),
                ca_file: ca_file.clone(),
                environment: host.environment.clone(),
            })
        }
        #[cfg(feature = "webhook")]
        NotifyTarget::Healthcheck { url, ca_file } => Arc::new(super::healthcheck::HealthcheckNotifier {
            name,
            // It gets the heartbeats of every run; messages are for others.
            subscription: Subscription { on: Vec::new(), ..subscription },
            url: url.clone(),
            ca_file: ca_file.clone(),
            environment: host.environment.clone(),
        }),
        #[cfg(not(feature = "webhook"))]
        NotifyTarget::Webhook { .. } | NotifyTarget::Healthcheck { .. } => {
            Arc::new(UnavailableNotifier { name, subscription, feature: "webhook" })
        }
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
