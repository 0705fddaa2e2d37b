//! A service and a timer for systemd.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fetcher_core::SelfUpdate;
use fetcher_core::config::UserConfigDirectory;
use fetcher_core::{Config, Environment};

use super::super::{CONFIGURATION, CommandContext, OK, SOME_FAILED, told};
use super::quoting::{word, writable_path};
use super::serve::{self, ServeUnits};
use crate::cli::SystemdArgs;
use crate::{eprint_line, output, renewal};

const MARK: &str = "# Written by `bst-fetcher schedule systemd`.";
const SERVICE: &str = "bst-fetcher.service";
const TIMER: &str = "bst-fetcher.timer";

pub(super) fn run(context: &CommandContext, args: &SystemdArgs) -> io::Result<u8> {
    let Some(directory) = directory(args.user, &context.environment) else {
        eprint_line("bst-fetcher: neither XDG_CONFIG_HOME nor HOME is set");
        return Ok(SOME_FAILED);
    };
    let systemctl = |words: &[&str]| {
        let manager = if args.user { "--user" } else { "--system" };
        super::succeed(context, &[&["systemctl", manager], words].concat())
    };
    let names = if args.serve { [serve::SOCKET, serve::SERVICE] } else { [TIMER, SERVICE] };
    if args.what.remove {
        return remove(&directory, names, &systemctl);
    }
    let config = match super::file(context) {
        Ok(config) => config,
        Err(status) => return Ok(status),
    };
    let units = if args.serve {
        let Some(texts) = serving(context, args, &config) else { return Ok(CONFIGURATION) };
        texts
    } else {
        [timer(args), service(context, args, &config)]
    };
    if !args.what.install {
        let mut out = output::exact();
        for (name, text) in names.into_iter().zip(units) {
            writeln!(out, "# {}\n{text}", directory.join(name).display())?;
        }
        return Ok(OK);
    }
    fs::create_dir_all(&directory)?;
    for (name, text) in names.into_iter().zip(units) {
        let path = directory.join(name);
        if !is_ours(&path)? {
            eprint_line(&format!(
                "bst-fetcher: {} is not from here, and stays as it is; move it away first",
                path.display()
            ));
            return Ok(SOME_FAILED);
        }
        fs::write(&path, text)?;
        writeln!(output::text(), "wrote {}", path.display())?;
    }
    systemctl(&["daemon-reload"])?;
    systemctl(&["enable", "--now", names[0]])?;
    Ok(OK)
}

fn remove(directory: &Path, names: [&str; 2], systemctl: &dyn Fn(&[&str]) -> io::Result<String>) -> io::Result<u8> {
    let paths = names.map(|name| directory.join(name));
    let there: Vec<&PathBuf> = paths.iter().filter(|path| path.exists()).collect();
    for path in &there {
        if !is_ours(path)? {
            eprint_line(&format!("bst-fetcher: {} is not from here, and stays as it is", path.display()));
            return Ok(SOME_FAILED);
        }
    }
    if there.is_empty() {
        return Ok(OK);
    }
    let stopped = systemctl(&["disable", "--now", names[0]]);
    for path in there {
        fs::remove_file(path)?;
        writeln!(output::text(), "removed {}", path.display())?;
    }
    stopped?;
    systemctl(&["daemon-reload"]).map(|_| OK)
}

/// Whether a file may be written: it is not there, or is one of ours.
fn is_ours(path: &Path) -> io::Result<bool> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.starts_with(MARK)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

fn directory(user: bool, environment: &Environment) -> Option<PathBuf> {
    if !user {
        return Some(PathBuf::from("/etc/systemd/system"));
    }
    // Beside the directory of our own configuration is that of systemd's (systemd.unit(5)).
    UserConfigDirectory::of(environment)?.directory().parent().map(|configuration| configuration.join("systemd/user"))
}

fn timer(args: &SystemdArgs) -> String {
    format!(
        "{MARK}\n[Unit]\nDescription=Fetch the sources of BuildStream projects time and again\n\n\
         [Timer]\nOnCalendar={}\nRandomizedDelaySec={}\nPersistent=true\n\n\
         [Install]\nWantedBy=timers.target\n",
        args.on_calendar, args.randomized_delay
    )
}

fn service(context: &CommandContext, args: &SystemdArgs, config: &Path) -> String {
    let program = renewal::program(&context.environment);
    // Where it cannot be read now, nothing is known of the variables that it names.
    let text = fs::read_to_string(config).unwrap_or_default();
    let mut unit = format!("{MARK}\n[Unit]\nDescription=Fetch the sources of BuildStream projects\n");
    if !args.user {
        unit.push_str("Wants=network-online.target\nAfter=network-online.target\n");
    }
    unit.push_str("\n[Service]\nType=oneshot\n");
    let _ = writeln!(unit, "ExecStart={} --config {} run --lock-wait 10m", word(&program), word(config));
    let user = user(args, &context.environment);
    if let Some(user) = &user {
        let _ = writeln!(unit, "User={user}");
    }
    unit.push_str(&surroundings(&text, args.user));
    unit.push_str(ENDING);
    if args.user {
        // A user's service manager cannot do more without a user namespace, in which nothing could become root.
        unit.push_str("NoNewPrivileges=yes\n");
    } else {
        unit.push_str(HARDENING);
        if user.is_some() {
            unit.push_str("CapabilityBoundingSet=\n");
        }
        writable(&mut unit, context, config);
    }
    unit
}

/// The socket of the server and the service behind it; none where the configuration cannot be used, which is told.
fn serving(context: &CommandContext, args: &SystemdArgs, config: &Path) -> Option<[String; 2]> {
    let environment = if args.user { context.environment.clone() } else { with_directories(&context.environment) };
    let loaded = Config::load(config, &environment).map_err(|error| told(&error)).ok()?;
    let touched = match loaded.serve.cachedir {
        Some(cachedir) => vec![cachedir],
        None => ["cachedir", "trust"].map(|name| loaded.cache_dir.join(name)).to_vec(),
    };
    let text = fs::read_to_string(config).unwrap_or_default();
    let user = user(args, &context.environment);
    let units = ServeUnits {
        program: &renewal::program(&context.environment),
        config,
        context: &surroundings(&text, args.user),
        touched: &touched,
        listen: &loaded.serve.listen,
        metrics_listen: loaded.serve.metrics_listen.as_deref(),
        system: !args.user,
        user: user.as_deref(),
    };
    Some([units.socket(), units.service()].map(|text| format!("{MARK}\n{text}")))
}

/// What makes the configuration mean the same in every unit.
fn surroundings(text: &str, user: bool) -> String {
    let mut lines = DIRECTORIES.to_owned();
    let environment_file = if user { "%E/bst-fetcher/environment" } else { "/etc/bst-fetcher/environment" };
    let _ = writeln!(lines, "# Variables that the configuration names, as in NAME=value, and proxies.");
    let _ = writeln!(lines, "EnvironmentFile=-{environment_file}");
    credentials(&mut lines, text, user);
    lines
}

/// As whom the system's service runs; none where that is root.
fn user(args: &SystemdArgs, environment: &Environment) -> Option<String> {
    if args.user {
        return None;
    }
    let of = |name: &str| environment.get(name).map(|name| name.to_string_lossy().into_owned());
    let own = rustix::process::geteuid();
    let caller = if own.is_root() { of("SUDO_USER") } else { Some(of("USER").unwrap_or(own.as_raw().to_string())) };
    args.run_as.clone().or(caller).filter(|name| name != "root")
}

const DIRECTORIES: &str = "\
# $STATE_DIRECTORY and $CACHE_DIRECTORY, which hold where the configuration names no state-dir and cache-dir. Other
# commands see the same with, say, STATE_DIRECTORY=/var/lib/bst-fetcher bst-fetcher status
StateDirectory=bst-fetcher
CacheDirectory=bst-fetcher
RuntimeDirectory=bst-fetcher
ConfigurationDirectory=bst-fetcher
";

const ENDING: &str = "\
# Status 75: another run is under way.
SuccessExitStatus=75
# SIGTERM is for the program alone, which ends its children in order; they may need some time.
KillMode=mixed
TimeoutStopSec=2min
Nice=10
";

/// What bst and the tools of its plugins do not need. Missing on purpose, since bubblewrap or plugins would fail:
/// `RestrictNamespaces=`, `ProtectKernelTunables=`, `ProtectKernelLogs=` (under either the kernel lets nobody mount a
/// `/proc`), `ProtectProc=`, `PrivateDevices=`, `RestrictSUIDSGID=`,
/// `MemoryDenyWriteExecute=`.
const HARDENING: &str = "\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelModules=yes
RestrictRealtime=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
# Metadata services of clouds, which projects' code is not to ask. Where this host's name server has such an address, add
# it: IPAddressAllow=169.254.169.254
IPAddressDeny=169.254.0.0/16 fe80::/10
";

/// The credentials that the configuration names, or how it would.
fn credentials(unit: &mut String, text: &str, user: bool) {
    let store = if user { "%E/credstore" } else { "/etc/credstore" };
    let name_of =
        |rest: &str| rest.split(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c))).next().map(str::to_owned);
    let names: BTreeSet<String> = text.split("${CREDENTIALS_DIRECTORY}/").skip(1).filter_map(name_of).collect();
    for name in names.iter().filter(|name| !name.is_empty()) {
        let _ = writeln!(unit, "LoadCredential={name}:{store}/{name}");
    }
    if names.is_empty() {
        let _ = writeln!(unit, "# A secret of which the configuration says \"${{CREDENTIALS_DIRECTORY}}/NAME\":");
        let _ = writeln!(unit, "# LoadCredential=NAME:{store}/NAME");
    }
}

/// What has to be writable: the clone of the configuration, what the configuration names, and the directory of a program
/// that follows its configuration. Where that cannot be read
/// (a variable may be set in the service alone), it is left to be added by hand.
fn writable(unit: &mut String, context: &CommandContext, config: &Path) {
    let mut paths = BTreeSet::new();
    paths.extend(SelfUpdate::work_tree(config));
    if let Ok(config) = Config::load(config, &with_directories(&context.environment)) {
        let own = |path: &Path| !path.starts_with(STATE) && !path.starts_with(CACHE);
        paths.extend(config.publish_dir.clone());
        if !config.self_update.binary.is_empty() {
            let program = renewal::program(&context.environment);
            paths.extend(program.parent().map(Path::to_owned));
        }
        paths.extend(config.metrics_file.as_deref().and_then(Path::parent).map(Path::to_owned));
        paths.extend([config.state_dir, config.cache_dir].into_iter().filter(|path| own(path)));
    }
    for path in paths {
        let _ = writeln!(unit, "ReadWritePaths=-{}", writable_path(&path));
    }
}

const STATE: &str = "/var/lib/bst-fetcher";
const CACHE: &str = "/var/cache/bst-fetcher";

/// The environment as the service has it.
fn with_directories(environment: &Environment) -> Environment {
    let mut environment = environment.clone();
    environment.set("STATE_DIRECTORY", STATE);
    environment.set("CACHE_DIRECTORY", CACHE);
    environment
}
