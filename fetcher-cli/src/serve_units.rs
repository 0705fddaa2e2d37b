//! The units of systemd for `bst-fetcher serve`: a socket, and the service behind it.

use std::fmt::Write as _;
use std::path::Path;

/// The name of both units, without `.service` and `.socket`.
pub(crate) const NAME: &str = "bst-fetcher-serve";

/// What the units are made from. All paths are absolute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServeUnits<'a> {
    /// The program.
    pub(crate) program: &'a Path,
    /// The configuration file, where it is not one that is found by itself.
    pub(crate) config: Option<&'a Path>,
    /// What is served; the only directory that the service may touch.
    pub(crate) cachedir: &'a Path,
    /// Address and port.
    pub(crate) listen: &'a str,
    /// Address and port of the metrics.
    pub(crate) metrics_listen: Option<&'a str>,
    /// Who owns the cache, for units of the system; none for units of a user's own.
    pub(crate) user: Option<&'a str>,
}

impl ServeUnits<'_> {
    /// The text of `bst-fetcher-serve.socket` (systemd.socket(5)). It keeps the port open while the service restarts.
    pub(crate) fn socket(&self) -> String {
        let listen = stream(self.listen);
        // The order tells the sockets apart: sd_listen_fds(3).
        let metrics =
            self.metrics_listen.map_or_else(String::new, |address| format!("ListenStream={}\n", stream(address)));
        format!(
            "[Unit]\nDescription=Socket of the server of a BuildStream cache\n\n\
             [Socket]\nListenStream={listen}\n{metrics}NoDelay=true\n\n[Install]\nWantedBy=sockets.target\n"
        )
    }

    /// The text of `bst-fetcher-serve.service` (systemd.service(5), systemd.exec(5)).
    pub(crate) fn service(&self) -> String {
        let mut command = quoted(self.program);
        if let Some(config) = self.config {
            let _ = write!(command, " --config {}", quoted(config));
        }
        let cachedir = quoted(self.cachedir);
        let mut text = format!(
            "[Unit]\nDescription=Server of a BuildStream cache\nRequires={NAME}.socket\nAfter={NAME}.socket\n\n\
             [Service]\nType=exec\nExecStart={command} serve {cachedir}\nRestart=on-failure\nRestartSec=2\n\
             TimeoutStopSec=45\nLimitNOFILE=65536\nNoNewPrivileges=true\nRestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\n\
             SystemCallFilter=@system-service\nSystemCallArchitectures=native\nMemoryDenyWriteExecute=true\n\
             LockPersonality=true\nRestrictRealtime=true\n"
        );
        if let Some(user) = self.user {
            // It writes nothing but the times of what it gives away, which keep it from expiring.
            let _ = write!(
                text,
                "User={user}\nProtectSystem=strict\nReadWritePaths={cachedir}\nProtectHome=read-only\nPrivateTmp=true\n\
                 PrivateDevices=true\nProtectClock=true\nProtectControlGroups=true\nProtectHostname=true\n\
                 ProtectKernelLogs=true\nProtectKernelModules=true\nProtectKernelTunables=true\nRestrictNamespaces=true\n\
                 RestrictSUIDSGID=true\nCapabilityBoundingSet=\nUMask=0077\n"
            );
        }
        text
    }
}

/// An address as `ListenStream` has it: systemd knows no names of hosts.
fn stream(address: &str) -> String {
    address.replace("localhost", "127.0.0.1")
}

/// A path as one word of a unit: systemd.syntax(7), and `%` and `$` as in systemd.unit(5) and systemd.service(5).
fn quoted(path: &Path) -> String {
    let text = path.display().to_string().replace('%', "%%").replace('$', "$$");
    if text.chars().all(|character| character.is_alphanumeric() || "/._-+@%$".contains(character)) {
        return text;
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
