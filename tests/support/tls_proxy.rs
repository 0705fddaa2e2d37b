//! Hosts of the internet that stand on loopback: a proxy that is each of them, with certificates of a test's authority.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::daemon::{Daemon, spawn};
use crate::scratch::Scratch;
use crate::tls::Tls;

const SCRIPT: &str = include_str!("tls_proxy.py");

/// The proxy; it ends when it is dropped.
pub struct TlsProxy {
    _daemon: Daemon,
    port: u16,
    tls: Tls,
}

impl TlsProxy {
    /// Lets a server of HTTP on loopback, by its address, be all these hosts over TLS.
    pub fn start(scratch: &Scratch, backend: &str, hosts: &[&str]) -> Self {
        let tls = Tls::of(scratch, "internet", hosts);
        let script = scratch.write("tls_proxy.py", SCRIPT);
        let port = backend.rsplit(':').next().expect("a port");
        let mut command = Command::new("python3");
        command.arg(script).arg(&tls.cert).arg(&tls.key).arg(port).args(hosts).stdout(Stdio::piped());
        let mut child = spawn(&mut command);
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("its first line");
        let port = line.trim().parse().unwrap_or_else(|_| panic!("the proxy gives no port: {line:?}"));
        Self { _daemon: Daemon::new(child), port, tls }
    }

    /// The environment by which programs reach the hosts and believe them: this one's names, requests' and OpenSSL's.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let (proxy, ca) = (format!("http://127.0.0.1:{}", self.port), self.tls.ca.display().to_string());
        vec![
            ("https_proxy", proxy),
            ("no_proxy", "127.0.0.1,localhost".to_owned()),
            ("REQUESTS_CA_BUNDLE", ca.clone()),
            ("SSL_CERT_FILE", ca),
        ]
    }
}
