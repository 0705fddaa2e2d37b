//! A real sshd on loopback that knows one key.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::thread;
use std::time::Duration;

const SSHD: &str = "/usr/sbin/sshd";

/// A running sshd; it ends with this value.
pub struct Sshd {
    child: Child,
    /// Where it listens.
    pub port: u16,
    /// A private key that it lets in.
    pub key: PathBuf,
    /// A private key that it does not let in.
    pub other_key: PathBuf,
    /// A file with its host key.
    pub known_hosts: PathBuf,
    /// A file with another host key for its address.
    pub wrong_hosts: PathBuf,
}

impl Sshd {
    /// Starts one with keys of its own in a directory.
    pub fn start(directory: &Path) -> Self {
        install();
        fs::create_dir_all(directory).expect("a directory");
        let [host, other_host, key, other_key] =
            ["host", "other host", "user key's", "other key"].map(|name| keygen(&directory.join(name)));
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let public = |key: &Path| fs::read_to_string(format!("{}.pub", key.display())).expect("a public key");
        let authorized = directory.join("authorized_keys");
        fs::write(&authorized, public(&key)).expect("authorized keys");
        let hosts = |name: &str, key: &Path| {
            let path = directory.join(name);
            fs::write(&path, format!("[127.0.0.1]:{port} {}", public(key))).expect("known hosts");
            path
        };
        let (known_hosts, wrong_hosts) = (hosts("known hosts 100%", &host), hosts("wrong hosts", &other_host));
        let config = directory.join("sshd_config");
        let text = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey \"{}\"\nAuthorizedKeysFile \"{}\"\nStrictModes no\nUsePAM no\n\
             PidFile none\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n",
            host.display(),
            authorized.display()
        );
        fs::write(&config, text).expect("a configuration");
        drop(fs::create_dir_all("/run/sshd"));
        let log = fs::File::create(directory.join("log")).expect("a log");
        let mut command = Command::new(SSHD);
        command.arg("-D").arg("-e").arg("-f").arg(&config).stdin(Stdio::null()).stderr(log);
        let child = command.spawn().expect("sshd");
        let sshd = Self { child, port, key, other_key, known_hosts, wrong_hosts };
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return sshd;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("sshd does not listen: {}", fs::read_to_string(directory.join("log")).unwrap_or_default());
    }

    /// The address of a repository on this machine through it.
    pub fn url(&self, path: &Path) -> String {
        let user = String::from_utf8(Command::new("id").arg("-un").output().expect("id").stdout).expect("a name");
        format!("ssh://{}@127.0.0.1:{}{}", user.trim(), self.port, path.display())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn keygen(path: &Path) -> PathBuf {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path);
    assert!(command.status().expect("ssh-keygen").success());
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("permissions");
    path.to_owned()
}

/// Installs Debian's sshd where it is missing and that can be done. Without one these tests fail.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if !Path::new(SSHD).exists() {
            let script = "apt-get update && apt-get install -y --no-install-recommends openssh-server openssh-client";
            let output = Command::new("sh").args(["-c", script]).env("DEBIAN_FRONTEND", "noninteractive").output();
            let output = output.expect("sh");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(Path::new(SSHD).exists(), "install openssh-server, which the tests of ssh need: {said}");
        }
    });
}
