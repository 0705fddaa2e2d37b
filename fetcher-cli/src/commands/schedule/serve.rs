//! The units of systemd for `bst-fetcher serve`: a socket, and the service behind it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::quoting::{word, writable_path};

pub(super) const SERVICE: &str = "bst-fetcher-serve.service";
pub(super) const SOCKET: &str = "bst-fetcher-serve.socket";

/// What the units are made from. All paths are absolute.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServeUnits<'a> {
    /// The program.
    pub(super) program: &'a Path,
    /// The configuration file.
    pub(super) config: &'a Path,
    /// What the configuration needs to be read as by a run: directories, variables, credentials.
    pub(super) context: &'a str,
    /// The only directories that the service may touch: those with what is served.
    pub(super) touched: &'a [PathBuf],
    /// Address and port.
    pub(super) listen: &'a str,
    /// Address and port of the metrics.
    pub(super) metrics_listen: Option<&'a str>,
    /// Whether the units are the system's and not a user's own.
    pub(super) system: bool,
    /// As whom the system's service runs; none where that is root.
    pub(super) user: Option<&'a str>,
}

impl ServeUnits<'_> {
    /// The text of `bst-fetcher-serve.socket` (systemd.socket(5)). It keeps the port open while the service restarts.
    pub(super) fn socket(&self) -> String {
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
    pub(super) fn service(&self) -> String {
        let (program, config) = (word(self.program), word(self.config));
        let mut text = format!(
            "[Unit]\nDescription=Server of a BuildStream cache\nRequires={SOCKET}\nAfter={SOCKET}\n\n\
             [Service]\nType=exec\nExecStart={program} --config {config} serve\n{}\
             Restart=on-failure\nRestartSec=2\n\
             TimeoutStopSec=45\nLimitNOFILE=65536\nNoNewPrivileges=true\nRestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\n\
             SystemCallFilter=@system-service\nSystemCallArchitectures=native\nMemoryDenyWriteExecute=true\n\
             LockPersonality=true\nRestrictRealtime=true\n",
            self.context
        );
        if let Some(user) = self.user {
            let _ = writeln!(text, "User={user}\nCapabilityBoundingSet=");
        }
        if self.system {
            let mut touched = String::new();
            for path in self.touched {
                let _ = writeln!(touched, "ReadWritePaths=-{}", writable_path(path));
            }
            // It writes nothing but the times of what it gives away, which keep it from expiring.
            let _ = write!(
                text,
                "ProtectSystem=strict\n{touched}ProtectHome=read-only\nPrivateTmp=true\n\
                 PrivateDevices=true\nProtectClock=true\nProtectControlGroups=true\nProtectHostname=true\n\
                 ProtectKernelLogs=true\nProtectKernelModules=true\nProtectKernelTunables=true\nRestrictNamespaces=true\n\
                 RestrictSUIDSGID=true\nUMask=0077\n"
            );
        }
        text
    }
}

/// An address as `ListenStream` has it: systemd knows no names of hosts.
fn stream(address: &str) -> String {
    address.replace("localhost", "127.0.0.1")
}
