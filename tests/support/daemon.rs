//! Servers on loopback that other programs are: git daemon and Python's file server.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// A server; its whole process group ends when it is dropped.
pub struct Daemon {
    child: Child,
    url: String,
}

impl Daemon {
    /// `git daemon`, for every repository below a directory.
    pub fn git(root: &Path) -> Self {
        on_free_port("git", |port| {
            let mut command = Command::new("git");
            command.args(["daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1"]);
            command.arg(format!("--port={port}")).arg(format!("--base-path={}", root.display()));
            command
        })
    }

    /// `python3 -m http.server`, for the files of a directory.
    pub fn files(root: &Path) -> Self {
        let mut command = Command::new("python3");
        command.args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0", "--directory"]).arg(root);
        let mut child = spawn(command.stdout(Stdio::piped()));
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("its first line");
        // Serving HTTP on 127.0.0.1 port 41234 (http://127.0.0.1:41234/) ...
        let url = line.split(['(', ')']).nth(1).unwrap_or_else(|| panic!("not the line expected: {line:?}"));
        Self { child, url: url.trim_end_matches('/').to_owned() }
    }

    /// One that was started already and has no address.
    pub(crate) fn new(child: Child) -> Self {
        Self { child, url: String::new() }
    }

    /// Lets its address name this host instead of 127.0.0.1.
    pub fn rename_host(&mut self, name: &str) {
        self.url = self.url.replace("127.0.0.1", name);
    }

    /// The server's address, with no slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Starts a server that has to be told its port, and waits until it listens there.
pub fn on_free_port(scheme: &str, mut command: impl FnMut(u16) -> Command) -> Daemon {
    for _ in 0..10 {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
        let port = port.expect("a free port").port();
        // Somebody else may have taken the port meanwhile: it ends then.
        if let Some(daemon) = on_port(scheme, port, &mut command(port)) {
            return daemon;
        }
    }
    panic!("no server of {scheme} would start");
}

/// nginx with something in its `server`; it writes `access.log` below a directory, a line a request, which begins with
/// the connection's number.
pub fn nginx(directory: &Path, server: &str) -> Daemon {
    std::fs::create_dir_all(directory).expect("a directory");
    on_free_port("http", |port| {
        let at = directory.display();
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {at}/{name};\n"))
            .concat();
        let text = format!(
            "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log {at}/error.log;\nevents {{}}\nhttp {{\n{paths}\
             log_format c '$connection $request';\naccess_log {at}/access.log c;\n\
             server {{ listen 127.0.0.1:{port}; {server} }}\n}}\n"
        );
        let file = directory.join("nginx.conf");
        std::fs::write(&file, text).expect("nginx's configuration");
        let mut command = Command::new("nginx");
        let path = std::env::var("PATH").unwrap_or_default();
        command.arg("-c").arg(file).arg("-p").arg(directory).env("PATH", format!("{path}:/usr/sbin:/sbin"));
        command
    })
}

/// Starts a server, and waits until it listens on its port; none where it ends instead.
pub fn on_port(scheme: &str, port: u16, command: &mut Command) -> Option<Daemon> {
    let mut daemon = Daemon { child: spawn(command), url: format!("{scheme}://127.0.0.1:{port}") };
    let delivery_timeout = Instant::now() + Duration::from_secs(30);
    while daemon.child.try_wait().expect("its state").is_none() && Instant::now() < delivery_timeout {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Some(daemon);
        }
        thread::sleep(Duration::from_millis(10));
    }
    None
}

pub(crate) fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}
