//! What text means by its kind: pure functions from text to a checked value, or to why it is refused.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use globset::Glob;
use jiff::{Span, SpanRelativeTo, civil};
use toml::value::Datetime;

use crate::address::AddressParts;
use crate::names::{BranchName, ElementName, NameError, ProjectName};

use super::super::keys::{MinimumDuration, ValueKind};
use super::super::value::ConfigValue;
use super::{ValueRejection, suggest};

/// The value of a kind that needs nothing but its text.
pub(super) fn parse(kind: &ValueKind, text: String) -> Result<ConfigValue, ValueRejection> {
    match kind {
        ValueKind::Time(least) => duration(&text, *least).map(|time| ConfigValue::Time(time, text)),
        ValueKind::Size => size(&text).map(|bytes| ConfigValue::Size(bytes, text)),
        ValueKind::Word(words) if !words.contains(&text.as_str()) => Err(suggest::unknown_word(&text, words)),
        ValueKind::BoolOr(words) if !words.contains(&text.as_str()) => {
            refuse(format!("it has to be {}", kind.words()), "write true and false without quotes")
        }
        ValueKind::InnerPath => inner_path(&text).map(ConfigValue::Path),
        ValueKind::Url(schemes) => url(&text, schemes).map(|()| ConfigValue::Text(text)),
        ValueKind::MailServer => mail_server(&text).map(|()| ConfigValue::Text(text)),
        ValueKind::Listen => listen(&text).map(|()| ConfigValue::Text(text)),
        ValueKind::Mail => mail(&text).map(|()| ConfigValue::Text(text)),
        ValueKind::IrcName => irc_name(&text).map(|()| ConfigValue::Text(text)),
        ValueKind::Name => plain_name(&text).map(|()| ConfigValue::Text(text)),
        ValueKind::Element => name(text.parse::<ElementName>()).map(|()| ConfigValue::Text(text)),
        ValueKind::Branch => name(text.parse::<BranchName>()).map(|()| ConfigValue::Text(text)),
        ValueKind::Branches => branches(&text).map(|()| ConfigValue::Text(text)),
        ValueKind::Glob => glob(&text).map(|()| ConfigValue::Text(text)),
        ValueKind::Variable => variable(&text).map(|()| ConfigValue::Text(text)),
        ValueKind::Version => version(&text).map(|()| ConfigValue::Text(text)),
        _ => Ok(ConfigValue::Text(text)),
    }
}

fn refuse<T>(message: impl Into<String>, advice: impl Into<String>) -> Result<T, ValueRejection> {
    Err((message.into(), advice.into()))
}

pub(super) fn not_empty(text: &str) -> Result<(), ValueRejection> {
    if text.is_empty() { refuse("it is empty", "give it a value, or remove the key") } else { Ok(()) }
}

pub(super) fn printable(text: &str) -> Result<(), ValueRejection> {
    if text.chars().any(char::is_control) {
        return refuse("it holds a control character, such as a line end", "remove it");
    }
    Ok(())
}

/// A duration such as `90s`, `15m`, `2h 30m` or `30d`; days have 24 hours, weeks 7 days.
fn duration(text: &str, least: MinimumDuration) -> Result<Duration, ValueRejection> {
    let units = "use units from seconds to weeks, as in \"90s\", \"15m\", \"2h 30m\" or \"30d\"";
    let Ok(span) = text.parse::<Span>() else { return refuse("it is no duration", units) };
    if span.get_years() != 0 || span.get_months() != 0 {
        return refuse("years and months have no fixed length", "write it in days, as in \"30d\"");
    }
    let time = span.to_duration(SpanRelativeTo::days_are_24_hours());
    let Some(time) = time.ok().and_then(|time| Duration::try_from(time).ok()) else {
        return refuse("a duration cannot be negative", units);
    };
    if least == MinimumDuration::Second && time < Duration::from_secs(1) {
        return refuse("it has to be a second at least", units);
    }
    Ok(time)
}

/// A date without a time.
pub(super) fn date(written: &Datetime) -> Result<ConfigValue, ValueRejection> {
    let advice = "write a date alone, as in 2027-01-31";
    let (Some(date), None) = (written.date, written.time) else { return refuse("it is no date alone", advice) };
    let (Ok(year), Ok(month), Ok(day)) = (date.year.try_into(), date.month.try_into(), date.day.try_into()) else {
        return refuse("it is no date", advice);
    };
    civil::Date::new(year, month, day).map(ConfigValue::Date).or_else(|_| refuse("there is no such day", advice))
}

/// A size in the units of BuildStream, powers of 1024 (`_parse_size` in `buildstream/utils.py`, as of 2.8.1).
fn size(text: &str) -> Result<u64, ValueRejection> {
    let advice = "write a whole number with K, M, G or T (powers of 1024), as in \"10G\"";
    if text.ends_with('%') {
        return refuse("a share of the disk is not understood here", advice);
    }
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let power = match &text[digits.len()..] {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return refuse("it is no size", advice),
    };
    let Ok(number) = digits.parse::<u64>() else { return refuse("it is no size", advice) };
    number.checked_mul(1024_u64.pow(power)).ok_or_else(|| ("it is larger than any disk".to_owned(), advice.to_owned()))
}

fn inner_path(text: &str) -> Result<PathBuf, ValueRejection> {
    let path = Path::new(text);
    let inside = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if inside {
        return Ok(path.to_owned());
    }
    refuse("it leaves the repository", "write it relative to the repository's top, without \"..\"")
}

/// Checks an address; what is between scheme and path may hold no password, and has to have a host.
pub(super) fn url(text: &str, schemes: &[&str]) -> Result<(), ValueRejection> {
    let forms: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}:{}", rest_of(scheme))).collect();
    let known = format!("write it as {}", forms.join(" or "));
    let Some((scheme, rest)) = text.split_once(':') else { return refuse("it is no address", known) };
    if !schemes.contains(&scheme) {
        return refuse("it does not begin with a scheme that is understood here", known);
    }
    if scheme == "unix" {
        return Ok(());
    }
    let Some(rest) = rest.strip_prefix("//") else { return refuse("it is no address", known) };
    authority(rest, &known)
}

/// What comes after a scheme, in words.
fn rest_of(scheme: &str) -> &'static str {
    if scheme == "unix" { "/PATH" } else { "//HOST…" }
}

fn authority(rest: &str, known: &str) -> Result<(), ValueRejection> {
    let parts = AddressParts::of_authority(rest);
    let (user, host) = (parts.user_info.unwrap_or_default(), parts.authority);
    if user.contains(':') {
        return refuse(
            "it holds a password, which would end in logs",
            "put the password into a file and name that file",
        );
    }
    if host.is_empty() || host.starts_with(':') {
        return refuse("it has no host", known);
    }
    if host.starts_with('-') || user.starts_with('-') || rest.contains(char::is_whitespace) {
        return refuse("it is no address: a name in it begins with '-', or it holds a space", known);
    }
    let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
    if port.is_some_and(|port| !port.is_empty() && port.parse::<u16>().is_err()) {
        return refuse("its port is no number up to 65535", known);
    }
    Ok(())
}

/// Checks where a git repository is; gives whether it is a path.
pub(super) fn repository(text: &str) -> Result<bool, ValueRejection> {
    const SCHEMES: [&str; 5] = ["https", "http", "ssh", "git", "file"];
    let advice = "use https, http, ssh, git, file, user@host:path, or a path relative to this file";
    let before_path = text.split('/').next().unwrap_or_default();
    if before_path.contains("::") {
        return refuse("git's remote helpers are not used, for they run any program", advice);
    }
    if text.starts_with('-') {
        return refuse("it begins with '-'", advice);
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return match scheme {
            "file" => Ok(false),
            scheme if SCHEMES.contains(&scheme) => match authority(rest, advice) {
                Err((message, _)) if message.contains("password") => {
                    refuse(message, "put it into a file, and name the file: git = { token-file = \"…\" }")
                }
                result => result.map(|()| false),
            },
            _ => refuse("its scheme is not supported", advice),
        };
    }
    match before_path.split_once(':') {
        Some((host, _)) if host.is_empty() || host.contains(char::is_whitespace) || host.contains("@-") => {
            refuse("it is no address", advice)
        }
        Some(_) => Ok(false),
        None => Ok(true),
    }
}

/// A project's name from where its repository is.
pub(in super::super) fn name_from_url(url: &str) -> Option<&str> {
    let last = url.trim_end_matches('/').rsplit(['/', ':']).next()?;
    let name = last.strip_suffix(".git").unwrap_or(last);
    (!name.is_empty()).then_some(name)
}

fn mail_server(text: &str) -> Result<(), ValueRejection> {
    if text == "sendmail" || text.strip_prefix("sendmail:").is_some_and(|path| path.starts_with('/')) {
        return Ok(());
    }
    let refusal = |(message, _)| {
        let advice = "write smtp://, smtps:// or smtp+starttls:// with host and port, or sendmail, or sendmail:/PATH";
        (message, advice.to_owned())
    };
    url(text, &["smtp", "smtps", "smtp+starttls"]).map_err(refusal)
}

fn listen(text: &str) -> Result<(), ValueRejection> {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_is_good = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')),
    };
    if host_is_good && port.parse::<u16>().is_ok() {
        return Ok(());
    }
    refuse("it is no address with a port", "write it like \"127.0.0.1:11001\" or \"[::1]:11001\"")
}

fn mail(text: &str) -> Result<(), ValueRejection> {
    match text.rsplit_once('@') {
        Some((person, host)) if !person.is_empty() && !host.is_empty() && !text.contains([' ', ',', '<', '>']) => {
            Ok(())
        }
        _ => refuse("it is no mail address", "write it like \"ops@example.org\", one address each"),
    }
}

fn irc_name(text: &str) -> Result<(), ValueRejection> {
    if text.contains([' ', ',', '\u{7}', ':']) {
        return refuse("IRC allows no space, comma or colon in it", "write one name each, as in \"#builds\"");
    }
    Ok(())
}

/// Checks the name of a project, a variant or a notifier: one rule for all.
fn plain_name(text: &str) -> Result<(), ValueRejection> {
    match text.parse::<ProjectName>() {
        Ok(_) => Ok(()),
        Err(error) => refuse(format!("it is no name to use here: {}", error.reason), "choose another name"),
    }
}

fn name<T>(parsed: Result<T, NameError>) -> Result<(), ValueRejection> {
    parsed.map(drop).map_err(|error| {
        (format!("it is no {}: {}", error.kind, error.reason), format!("choose another {}", error.kind))
    })
}

fn branches(text: &str) -> Result<(), ValueRejection> {
    if let Some(short) = text.strip_prefix("refs/heads/").or_else(|| text.strip_prefix("origin/")) {
        return refuse("branches are named without what git puts before them", format!("write {short:?}"));
    }
    if text.contains(['*', '?', '[', '{']) { glob(text) } else { name(text.parse::<BranchName>()) }
}

fn glob(text: &str) -> Result<(), ValueRejection> {
    match Glob::new(text) {
        Ok(_) => Ok(()),
        Err(error) => refuse(
            format!("it is no glob: {}", error.kind()),
            "use * for any text, ? for a character, [a-z] for one of some, {a,b} for either",
        ),
    }
}

pub(super) fn variable(text: &str) -> Result<(), ValueRejection> {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if first && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(());
    }
    refuse("it is no name of an environment variable", "use letters, digits and '_' alone")
}

fn version(text: &str) -> Result<(), ValueRejection> {
    if semver::Version::parse(text).is_ok() {
        return Ok(());
    }
    refuse("it is no version", "write it with three numbers, as in \"0.2.0\"")
}

/// Checks a name in a table of names: of a project option, or of a header.
pub(super) fn map_key(of: &ValueKind, name: &str) -> Result<(), ValueRejection> {
    if let ValueKind::Header = of {
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(token) {
            return refuse("it is no name of a header", "use letters, digits and '-'");
        }
        return Ok(());
    }
    variable(name)
        .map_err(|_| ("it is no name of an option".to_owned(), "use letters, digits and '_' alone".to_owned()))
}
