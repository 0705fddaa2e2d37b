//! `bst-fetcher serve`

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;

use fetcher_core::config::ServeConfig;
use fetcher_core::fetcher::CacheLayout;
use fetcher_core::serve::{CacheServer, ServeError, ServeEvent, ServedDirectory};
use fetcher_core::{Cancel, Config, TrustName};
use listenfd::ListenFd;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use super::{CONFIGURATION, CommandContext, OK, SOME_FAILED, USAGE};
use crate::cli::ServeArgs;
use crate::output::{self, eprint_line, say_json};
use crate::signals;

/// What is served.
enum ServeSubject {
    /// A directory that somebody named, which is to be there.
    Named(PathBuf),
    /// The fetcher's own caches, which the first run makes.
    Own(Vec<ServedDirectory>),
}

pub(crate) fn run(context: &CommandContext, args: &ServeArgs) -> io::Result<u8> {
    let (config, subject) = match settings(context, args) {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    if args.print_client_config {
        output::exact().write_all(client_config(&config, args.url.as_deref()).as_bytes())?;
        return Ok(OK);
    }
    let Some(subject) = subject else {
        eprint_line("bst-fetcher: no configuration says what to serve; name a directory: bst-fetcher serve CACHEDIR");
        return Ok(USAGE);
    };
    let cancel = Cancel::new();
    // A server that was told to end and did has done what it was told: the signal is no failure.
    let _caught = signals::listen(cancel.clone())?;
    raise_file_limit();
    match start(context, &config, subject).and_then(|bound| bound.run(&cancel)) {
        Ok(()) => Ok(OK),
        Err(error) => {
            eprint_line(&format!("bst-fetcher: {error}"));
            Ok(match error {
                ServeError::Listen { .. } | ServeError::Runtime(_) => SOME_FAILED,
                // The cache, the address, the tokens, the certificate, and what the library may add.
                _ => CONFIGURATION,
            })
        }
    }
}

/// What is configured, with what the command line says on top; and what to serve, if anything says so.
fn settings(context: &CommandContext, args: &ServeArgs) -> Result<(ServeConfig, Option<ServeSubject>), u8> {
    // Without a configuration the cache of any BuildStream can be served; one that is there has to be good.
    let found = Config::discover(context.config.as_deref(), &context.environment).is_ok();
    let (mut serve, own) = if found {
        let config = context.config()?;
        let own = caches(&config);
        (config.serve, Some(ServeSubject::Own(own)))
    } else {
        (ServeConfig::default(), None)
    };
    if let Some(listen) = &args.listen {
        serve.listen.clone_from(listen);
    }
    let named = args.cachedir.clone().or_else(|| serve.cachedir.clone());
    Ok((serve, named.map(ServeSubject::Named).or(own)))
}

/// The fetcher's own caches.
fn caches(config: &Config) -> Vec<ServedDirectory> {
    let (layout, unread) = CacheLayout::look(&config.cache_dir);
    if let Some(error) = unread {
        eprint_line(&format!("bst-fetcher: warning: {error}"));
    }
    let caches = layout.caches(&config.trusts());
    // A name for the only one would hide it from clients that name another.
    let is_named = caches.len() > 1;
    let served = |(cachedir, trusts): (PathBuf, Vec<TrustName>)| {
        let names = trusts.into_iter().filter(|_| is_named).map(String::from);
        ServedDirectory::new(cachedir, names.collect())
    };
    caches.into_iter().map(served).collect()
}

fn start(
    context: &CommandContext,
    config: &ServeConfig,
    subject: ServeSubject,
) -> Result<fetcher_core::serve::BoundServer, ServeError> {
    let log = ServeLog { json: context.json_log, access: !context.quiet };
    let server = match subject {
        ServeSubject::Named(cachedir) => CacheServer::new(config, &cachedir),
        ServeSubject::Own(directories) => CacheServer::for_all(config, directories),
    };
    let mut server = server?.events(move |event| log.take(&event));
    // sd_listen_fds(3): the first socket is the server's, the second, if there is one, that of the metrics.
    let mut handed = ListenFd::from_env();
    if let Ok(Some(listener)) = handed.take_tcp_listener(0) {
        server = server.listener(listener);
    }
    if let Ok(Some(listener)) = handed.take_tcp_listener(1) {
        server = server.metrics_listener(listener);
    }
    server.bind()
}

/// Each stream has a file open; the soft limit is 1024, as a rule, for programs that use select(2).
fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // With less the server works too, for fewer streams at once.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// The server's events on standard error.
struct ServeLog {
    json: bool,
    /// Whether requests are told of, and what is not out of the ordinary.
    access: bool,
}

impl ServeLog {
    fn take(&self, event: &ServeEvent) {
        if event.is_ordinary() && !self.access {
            return;
        }
        let now = jiff::Timestamp::now();
        if self.json {
            let mut line = json!(event);
            line["time"] = json!(now);
            say_json(&line);
        } else {
            eprint_line(&output::in_one_line(&format!("{now:.3} {event}")));
        }
    }
}

/// What a user of BuildStream puts into `buildstream.conf`.
fn client_config(config: &ServeConfig, url: Option<&str>) -> String {
    let url = url.map_or_else(|| url_of(config), str::to_owned);
    let mut auth = String::new();
    if config.tls.is_some() {
        auth.push_str("      server-cert: /path/to/ca.crt      # who signed the server's certificate, if no public authority did\n");
    }
    if config.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some()) {
        auth.push_str("      client-cert: /path/to/client.crt\n      client-key: /path/to/client.key\n");
    }
    if config.access_tokens.is_some() {
        auth.push_str("      access-token: /path/to/token      # a file with one of the server's tokens\n");
    }
    let mut entry = format!("  - url: {url}\n");
    if let Some(name) = config.instance_names.first() {
        let _ = writeln!(entry, "    instance-name: {}", json!(name));
    }
    entry.push_str("    push: false\n");
    if !auth.is_empty() {
        let _ = write!(entry, "    auth:\n{auth}");
    }
    format!(
        "# For ~/.config/buildstream.conf of those who fetch.\nsource-caches:\n  servers:\n{entry}artifacts:\n  servers:\n{entry}"
    )
}

fn url_of(config: &ServeConfig) -> String {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let (host, port) = config.listen.rsplit_once(':').unwrap_or((&config.listen, "11001"));
    // A server that listens everywhere is known to others by its name.
    let host = match host {
        "0.0.0.0" | "[::]" => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        host => host.to_owned(),
    };
    format!("{scheme}://{host}:{port}")
}
