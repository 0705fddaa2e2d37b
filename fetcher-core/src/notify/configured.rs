//! The notifiers that a configuration names.

use std::ffi::OsString;
use std::sync::Arc;

use super::Notifier;
use super::command::Program;
use super::host::NotifierHost;
use super::wants::Wants;
use crate::config::{NotifierConfig, NotifyTarget};

/// The notifier that a configuration means. What is wrong with it shows when it is to tell.
pub(crate) fn configured(config: &NotifierConfig, host: &NotifierHost) -> Arc<dyn Notifier> {
    let (name, wants) = (config.name.clone(), Wants::from(config));
    match &config.target {
        NotifyTarget::Command { command } => {
            let command = command.iter().map(OsString::from).collect();
            Arc::new(Program { name, wants, command, host: host.clone() })
        }
        #[cfg(feature = "email")]
        NotifyTarget::Email { server, username, password_file, ca_file, from, to } => {
            let login = username.clone().zip(password_file.clone());
            let (server, ca_file, from, to) = (server.clone(), ca_file.clone(), from.clone(), to.clone());
            Arc::new(super::email::Email { name, wants, server, login, ca_file, from, to, host: host.clone() })
        }
        #[cfg(not(feature = "email"))]
        NotifyTarget::Email { .. } => Arc::new(Missing { name, wants, feature: "email" }),
        #[cfg(feature = "irc")]
        NotifyTarget::Irc { server, nick, channels, join, sasl_username, password_file, ca_file } => {
            Arc::new(super::irc::Irc {
                name,
                wants,
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
        NotifyTarget::Irc { .. } => Arc::new(Missing { name, wants, feature: "irc" }),
        #[cfg(feature = "webhook")]
        NotifyTarget::Webhook { url, format, headers, secret_file, template, ca_file } => {
            Arc::new(super::webhook::Webhook {
                name,
                wants,
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
        NotifyTarget::Healthcheck { url, ca_file } => Arc::new(super::healthcheck::Healthcheck {
            name,
            // It feels the pulse of every run; messages are for others.
            wants: Wants { on: Vec::new(), ..wants },
            url: url.clone(),
            ca_file: ca_file.clone(),
            environment: host.environment.clone(),
        }),
        #[cfg(not(feature = "webhook"))]
        NotifyTarget::Webhook { .. } | NotifyTarget::Healthcheck { .. } => {
            Arc::new(Missing { name, wants, feature: "webhook" })
        }
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
