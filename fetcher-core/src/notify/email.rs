//! Mail, by SMTP or through the host's sendmail.

use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, SmtpTransport, Transport as _};

use super::error::{DeliveryErrorKind, NotifyError};
use super::files::{pem, secret};
use super::host::NotifierHost;
use super::message::Notification;
use super::subscription::Subscription;
use super::{Notifier, render, script};
use crate::address::AddressParts;
use crate::config::EmailConfig;
use crate::failure::phrases::services;
use crate::trust_store::TrustStore;

/// How long a server that cannot be reached or is busy is left alone before it is tried again.
const PAUSE: Duration = Duration::from_secs(2);

pub(super) struct EmailNotifier {
    pub(super) name: String,
    pub(super) subscription: Subscription,
    pub(super) config: EmailConfig,
    pub(super) host: NotifierHost,
}

impl Notifier for EmailNotifier {
    fn name(&self) -> &str {
        &self.name
    }

    fn subscription(&self) -> Subscription {
        self.subscription.clone()
    }

    fn send(&self, message: &Notification) -> Result<(), NotifyError> {
        let mail = self.mail(message)?;
        match self.config.server.strip_prefix("sendmail") {
            Some(path) => {
                let program = path.strip_prefix(':').unwrap_or("sendmail");
                let words = [program, "-i", "-f", &self.config.from, "--"].map(OsString::from);
                let command: Vec<_> = words.into_iter().chain(self.config.to.iter().map(OsString::from)).collect();
                script::run(&self.host, &command, &mail.formatted(), Vec::new(), self.subscription.timeout)
            }
            None => self.by_smtp(&mail, &message.host),
        }
    }
}

impl EmailNotifier {
    /// The name to log in with, and the file with its password.
    fn login(&self) -> Option<(&str, &Path)> {
        self.config.username.as_deref().zip(self.config.password_file.as_deref())
    }

    fn mail(&self, message: &Notification) -> Result<lettre::Message, NotifyError> {
        let mail = render::mail(message);
        let (from, to) =
            (address(&self.config.from)?, self.config.to.iter().map(|to| address(to)).collect::<Result<Vec<_>, _>>()?);
        let envelope = Envelope::new(Some(from.clone()), to.clone()).map_err(|error| unmade(&error))?;
        let mut builder = lettre::Message::builder()
            .from(Mailbox::new(Some("bst-fetcher".to_owned()), from))
            .subject(mail.subject)
            .message_id(Some(mail.message_id))
            .date_now()
            .envelope(envelope);
        for to in to {
            builder = builder.to(Mailbox::new(None, to));
        }
        if let Some(last) = mail.references.last() {
            builder = builder.in_reply_to(last.clone()).references(mail.references.join(" "));
        }
        let raw = |name, value: &str| HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned());
        // So that no holiday answers it (RFC 3834), and filters find it.
        builder = builder.raw_header(raw("Auto-Submitted", "auto-generated"));
        builder = builder.raw_header(raw("X-BST-Fetcher-Event", message.event.as_str()));
        let parts =
            MultiPart::alternative().singlepart(SinglePart::plain(mail.text)).singlepart(SinglePart::html(mail.html));
        builder.multipart(parts).map_err(|error| unmade(&error))
    }

    fn by_smtp(&self, mail: &lettre::Message, host: &str) -> Result<(), NotifyError> {
        let until = Instant::now() + self.subscription.timeout;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Err(error) = self.transport(left, host)?.send(mail) else { return Ok(()) };
            // What was answered for good, or took all the time, is not tried again now.
            let again = !error.is_permanent() && !error.is_tls() && !slow(&error) && !error.is_client();
            if !again || PAUSE >= until.saturating_duration_since(Instant::now()) {
                return Err(self.explain(&error));
            }
            thread::sleep(PAUSE);
        }
    }

    fn transport(&self, timeout: Duration, name: &str) -> Result<SmtpTransport, NotifyError> {
        let server = &self.config.server;
        let parts = AddressParts::of_url(server).unwrap_or_else(|| AddressParts::of_authority(server));
        let (scheme, bare, port) = (parts.scheme.unwrap_or("smtp"), parts.bare_host(), parts.port());
        // Nobody listens in between on the way to this host itself.
        let near = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let (tls, usual_port) = match scheme {
            "smtps" => (Tls::Wrapper(self.tls(bare)?), 465),
            "smtp+starttls" => (Tls::Required(self.tls(bare)?), 587),
            _ if near => (Tls::None, 25),
            // A password is never sent for everybody to read.
            _ if self.login().is_some() => (Tls::Required(self.tls(bare)?), 587),
            _ => (Tls::Opportunistic(self.tls(bare)?), 25),
        };
        let mut builder = SmtpTransport::builder_dangerous(bare)
            .port(port.unwrap_or(usual_port))
            .tls(tls)
            .timeout(Some(timeout.max(Duration::from_millis(1))));
        if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')) {
            builder = builder.hello_name(ClientId::Domain(name.to_owned()));
        }
        if let Some((username, password_file)) = self.login() {
            let password = secret(password_file)?;
            builder = builder.credentials(Credentials::new(username.to_owned(), password.expose().to_owned()));
        }
        Ok(builder.build())
    }

    fn tls(&self, host: &str) -> Result<TlsParameters, NotifyError> {
        let unusable = |error: &lettre::transport::smtp::Error| {
            let message = format!("TLS cannot be set up: {error}");
            NotifyError::new(DeliveryErrorKind::Setup, message, "see `server` and `ca-file`")
        };
        let mut builder = TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::None);
        for certificate in TrustStore::of(&self.host.environment).usable_certificates() {
            // Those that cannot be read have been left out.
            let certificate = Certificate::from_der(certificate.to_vec()).map_err(|error| unusable(&error))?;
            builder = builder.add_root_certificate(certificate);
        }
        if let Some(path) = &self.config.ca_file {
            let certificate = Certificate::from_pem(&pem(path)?).map_err(|_| {
                let hint = "correct `ca-file`: a file with certificates in PEM";
                NotifyError::new(
                    DeliveryErrorKind::Setup,
                    format!("there are no certificates in {}", path.display()),
                    hint,
                )
            })?;
            builder = builder.add_root_certificate(certificate);
        }
        builder.build().map_err(|error| unusable(&error))
    }

    fn explain(&self, error: &lettre::transport::smtp::Error) -> NotifyError {
        let mut message = format!("{}: {error}", self.config.server);
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            let text = inner.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            cause = inner.source();
        }
        let code = error.status().map(u16::from).unwrap_or_default();
        let (fault, hint) = if error.is_tls() || services::is_untrusted_mail_server(&message) {
            (
                DeliveryErrorKind::Denied,
                "the server's certificate is not trusted, or has another name: name its authority with `ca-file`",
            )
        } else if matches!(code, 530 | 534 | 535 | 538) || services::is_mail_login(&message) {
            // RFC 4954, 4.
            (DeliveryErrorKind::Denied, "correct `username` and what is in `password-file`")
        } else if error.is_permanent() {
            (
                DeliveryErrorKind::Refused,
                "the server refuses it for good: see `from`, `to`, and what the server lets through",
            )
        } else if error.is_client() {
            (
                DeliveryErrorKind::Denied,
                "the server lacks what is asked of it (STARTTLS, a way to log in): see `server` and `username`",
            )
        } else if slow(error) {
            (DeliveryErrorKind::Unreachable, "the server is too slow: see whether it is up, or raise `timeout`")
        } else {
            (
                DeliveryErrorKind::Unreachable,
                "see whether the server is up and takes mail from this host; the next run tries again",
            )
        };
        NotifyError::new(fault, message, hint)
    }
}

/// Whether time was over; what the operating system says of a socket's time-out the crate does not know.
fn slow(error: &lettre::transport::smtp::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let kind = inner.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)) {
            return true;
        }
        cause = inner.source();
    }
    error.is_timeout()
}

fn address(text: &str) -> Result<Address, NotifyError> {
    text.parse().map_err(|error| {
        NotifyError::new(
            DeliveryErrorKind::Setup,
            format!("{text:?} is no mail address: {error}"),
            "correct `from` and `to`",
        )
    })
}

fn unmade(error: &dyn std::fmt::Display) -> NotifyError {
    NotifyError::new(
        DeliveryErrorKind::Refused,
        format!("the mail cannot be made: {error}"),
        "report this to the authors of bst-fetcher",
    )
}

#[cfg(test)]
mod tests;
