//! A certificate authority of a test's own, and a server's certificate that it signed.

use std::path::PathBuf;
use std::process::Command;

use crate::installed::program;
use crate::scratch::Scratch;

/// The files of both, PEM.
pub struct Tls {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The server's, for `localhost` and 127.0.0.1.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Tls {
    /// Makes them in a directory of the scratch directory.
    pub fn new(scratch: &Scratch, name: &str) -> Self {
        Self::of(scratch, name, &["localhost"])
    }

    /// The same for other hosts, and for 127.0.0.1.
    pub fn of(scratch: &Scratch, name: &str, hosts: &[&str]) -> Self {
        let file = |end: &str| scratch.path(&format!("{name}.{end}"));
        let tls = Self { ca: file("ca.crt"), cert: file("crt"), key: file("key") };
        let (ca_key, request) = (file("ca.key"), file("csr"));
        let names =
            scratch.write(&format!("{name}.ext"), format!("subjectAltName=DNS:{},IP:127.0.0.1\n", hosts.join(",DNS:")));
        let run = |arguments: &[&str], paths: &[(&str, &PathBuf)]| {
            let mut command = Command::new(program("openssl"));
            command.args(arguments);
            for (option, path) in paths {
                command.arg(option).arg(path);
            }
            let output = command.output().expect("openssl starts");
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        let fresh = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let ca = [&["req", "-x509", "-days", "2", "-subj", "/CN=authority of a test"][..], &fresh].concat();
        run(&ca, &[("-keyout", &ca_key), ("-out", &tls.ca)]);
        run(&[&["req", "-subj", "/CN=localhost"][..], &fresh].concat(), &[("-keyout", &tls.key), ("-out", &request)]);
        let sign = ["x509", "-req", "-days", "2", "-CAcreateserial"];
        run(
            &sign,
            &[("-in", &request), ("-CA", &tls.ca), ("-CAkey", &ca_key), ("-out", &tls.cert), ("-extfile", &names)],
        );
        tls
    }
}
