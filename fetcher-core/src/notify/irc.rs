//! Messages on IRC: one connection for all of a run's.

use std::thread;
use std::time::{Duration, Instant};

use super::error::{DeliveryErrorKind, NotifyError};
use super::files::secret;
use super::host::NotifierHost;
use super::message::Notification;
use super::subscription::Subscription;
use super::{Notifier, render};
use crate::config::IrcConfig;

mod connection;
mod line;

use connection::{IrcConnection, IrcTrust};
use line::IrcLine;

/// The bytes of a line, its end included (RFC 1459, 2.3).
const LINE: usize = 512;
/// The most bytes that a server puts before a line of ours: `:nick!user@host `, with user names of 10 and host names of
/// 63 bytes; the nick is counted apart.
const PREFIX: usize = 1 + 1 + 11 + 1 + 63 + 1;
/// Lines that may go out at once, and the pause after each further one: servers throw out who floods them, after five
/// lines and one every two seconds as a rule (RFC 1459, 8.10).
const BURST: u32 = 4;
const PACE: Duration = Duration::from_secs(2);
/// How many names are tried where the wanted one is in use.
const NICKS: usize = 5;

pub(super) struct IrcNotifier {
    pub(super) name: String,
    pub(super) subscription: Subscription,
    pub(super) config: IrcConfig,
    pub(super) host: NotifierHost,
}

impl Notifier for IrcNotifier {
    fn name(&self) -> &str {
        &self.name
    }

    fn subscription(&self) -> Subscription {
        self.subscription.clone()
    }

    /// Connecting has its time, and then the message; and lines go out slowly.
    fn delivery_timeout(&self) -> Duration {
        let lines = u32::try_from(self.config.channels.len() * 4 + 2).unwrap_or(u32::MAX);
        self.subscription.timeout * 2 + PACE.saturating_mul(lines)
    }

    fn send(&self, message: &Notification) -> Result<(), NotifyError> {
        let mut result = Ok(());
        self.send_all(std::slice::from_ref(message), &mut |_, told| result = told);
        result
    }

    fn send_all(&self, messages: &[Notification], told: &mut dyn FnMut(usize, Result<(), NotifyError>)) {
        let mut session = match IrcSession::open(self) {
            Ok(session) => session,
            Err(error) => return told(0, Err(error)),
        };
        for (at, message) in messages.iter().enumerate() {
            session.connection.until = Instant::now() + self.subscription.timeout;
            let result = session.tell(&render::line(message), at);
            let goes_on = result
                .as_ref()
                .err()
                .is_none_or(|error| matches!(error.fault, DeliveryErrorKind::Refused | DeliveryErrorKind::InPart));
            told(at, result);
            if !goes_on {
                return;
            }
        }
        session.quit();
    }
}

/// A connection that is welcome.
struct IrcSession<'i> {
    irc: &'i IrcNotifier,
    connection: IrcConnection,
    nick: String,
    sent: u32,
}

impl<'i> IrcSession<'i> {
    fn open(irc: &'i IrcNotifier) -> Result<Self, NotifyError> {
        let until = Instant::now() + irc.subscription.timeout;
        let trusted = IrcTrust { environment: &irc.host.environment, ca_file: irc.config.ca_file.as_deref() };
        let connection = IrcConnection::open(&irc.config.server, trusted, until)?;
        let mut session = Self { irc, connection, nick: irc.config.nick.clone(), sent: 0 };
        session.register()?;
        if irc.config.join {
            session.join()?;
        }
        Ok(session)
    }

    /// Says who we are, and waits for the welcome.
    fn register(&mut self) -> Result<(), NotifyError> {
        let password = self.irc.config.password_file.as_deref().map(secret).transpose()?;
        let password = password.as_ref().map(crate::secret::Secret::expose).unwrap_or_default();
        let account = self.irc.config.sasl_username.clone();
        if account.is_some() {
            self.connection.write("CAP REQ :sasl")?;
        } else if !password.is_empty() {
            self.connection.write(&format!("PASS :{password}"))?;
        }
        let user = line::word(&self.irc.config.nick);
        self.connection.write(&format!("NICK {}", self.nick))?;
        self.connection.write(&format!("USER {user} 0 * :bst-fetcher"))?;
        let mut refused = 0;
        loop {
            let line = self.connection.read()?;
            match (line.command.as_str(), &account) {
                ("001", _) => {
                    // The server may have cut the name.
                    if let Some(nick) = line.parameters.first() {
                        self.nick.clone_from(nick);
                    }
                    return Ok(());
                }
                ("433" | "436" | "437", _) if refused < NICKS => {
                    refused += 1;
                    self.nick = format!("{}{}", self.irc.config.nick, "_".repeat(refused));
                    self.connection.write(&format!("NICK {}", self.nick))?;
                }
                ("CAP", Some(_)) if line.has("ACK") => self.connection.write("AUTHENTICATE PLAIN")?,
                ("CAP", Some(_)) if line.has("NAK") => return Err(denied(&line, "the server knows no SASL")),
                ("421" | "410", Some(_)) => return Err(denied(&line, "the server knows no SASL")),
                ("AUTHENTICATE", Some(account)) => {
                    for piece in line::sasl_plain(account, password) {
                        self.connection.write(&format!("AUTHENTICATE {piece}"))?;
                    }
                }
                // IRCv3's SASL 3.1: 903 is success; 902 and 904 to 908 are not.
                ("903", Some(_)) => self.connection.write("CAP END")?,
                ("902" | "904" | "905" | "906" | "907" | "908", _) => return Err(denied(&line, "the login failed")),
                ("464" | "465" | "463" | "432" | "431" | "433" | "436" | "437" | "ERROR", _) => {
                    return Err(denied(&line, "the server does not let us in"));
                }
                _ => {}
            }
        }
    }

    /// Joins the channels; one that cannot be joined says so when a message is sent to it.
    fn join(&mut self) -> Result<(), NotifyError> {
        let channels: Vec<&String> =
            self.irc.config.channels.iter().filter(|target| line::is_channel(target)).collect();
        for channel in channels {
            self.pace();
            self.connection.write(&format!("JOIN {channel}"))?;
            loop {
                let line = self.connection.read()?;
                let about = line.parameters.iter().any(|parameter| parameter.eq_ignore_ascii_case(channel));
                match line.command.as_str() {
                    // The end of the names in the channel.
                    "366" if about => break,
                    "403" | "405" | "437" | "471" | "473" | "474" | "475" | "476" | "477" | "489" if about => {
                        let hint = "let it in, or set `join = false` where the channel takes messages from outside";
                        let message = format!("cannot join {channel}: {}", line.last());
                        return Err(NotifyError::new(DeliveryErrorKind::Denied, message, hint));
                    }
                    "ERROR" => return Err(ended(&line)),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Says a text everywhere, and waits until the server has taken it.
    fn tell(&mut self, text: &str, number: usize) -> Result<(), NotifyError> {
        for target in &self.irc.config.channels {
            let around = PREFIX + self.nick.len() + "PRIVMSG  :\r\n".len() + target.len();
            for piece in render::irc_lines(text, LINE.saturating_sub(around)) {
                self.pace();
                self.connection.write(&format!("PRIVMSG {target} :{piece}"))?;
            }
        }
        self.pace();
        let token = format!("told-{number}");
        self.connection.write(&format!("PING :{token}"))?;
        let mut refused: Vec<(String, String)> = Vec::new();
        loop {
            let line = self.connection.read()?;
            match line.command.as_str() {
                "PONG" if line.has(&token) => break,
                "ERROR" => return Err(ended(&line)),
                // No such nick or channel, cannot send to it, and the like: the one it is about comes before the words.
                "401" | "402" | "403" | "404" | "408" | "411" | "412" | "413" | "414" | "477" | "489" | "531"
                | "716" => {
                    let target = line.parameters.iter().rev().nth(1).cloned().unwrap_or_default();
                    if !refused.iter().any(|(known, _)| known.eq_ignore_ascii_case(&target)) {
                        refused.push((target, line.last().to_owned()));
                    }
                }
                _ => {}
            }
        }
        if refused.is_empty() {
            return Ok(());
        }
        let fault = if refused.len() < self.irc.config.channels.len() {
            DeliveryErrorKind::InPart
        } else {
            DeliveryErrorKind::Refused
        };
        let words: Vec<_> = refused.iter().map(|(target, words)| format!("{target}: {words}")).collect();
        let hint = "set `join = true`, let the nick speak there, or correct `channels`";
        Err(NotifyError::new(fault, format!("{} refuses: {}", self.irc.config.server, words.join("; ")), hint))
    }

    /// Waits where another line at once would be a flood.
    fn pace(&mut self) {
        self.sent += 1;
        if self.sent > BURST {
            thread::sleep(PACE);
            // The pause is ours, not the server's.
            self.connection.until += PACE;
        }
    }

    /// Leaves, and waits for the server to say goodbye, so that nothing said before is lost.
    fn quit(mut self) {
        self.connection.until = Instant::now() + Duration::from_secs(2);
        if self.connection.write("QUIT :told").is_ok() {
            while self.connection.read().is_ok_and(|line| line.command != "ERROR") {}
        }
    }
}

fn denied(line: &IrcLine, what: &str) -> NotifyError {
    let hint = "see `nick`, `sasl-username` and `password-file`, and whether the server bans this host";
    NotifyError::new(DeliveryErrorKind::Denied, format!("{what}: {} {}", line.command, line.last()), hint)
}

fn ended(line: &IrcLine) -> NotifyError {
    let hint = "see why the server throws us out; the next run tries again";
    NotifyError::new(DeliveryErrorKind::Unreachable, format!("the server ended the connection: {}", line.last()), hint)
}
