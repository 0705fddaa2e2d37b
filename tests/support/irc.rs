//! Real servers of IRC, and somebody who listens there.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::daemon::{Daemon, on_free_port};
use crate::installed::program;
use crate::scratch::Scratch;
use crate::tls::Tls;

/// ngircd on loopback; it ends when it is dropped.
pub struct Ngircd {
    /// `irc://127.0.0.1:PORT`.
    pub url: String,
    /// `ircs://localhost:PORT`.
    pub tls_url: String,
    /// The authority of its certificate.
    pub tls: Tls,
    port: u16,
    _daemon: Daemon,
}

impl Ngircd {
    /// Starts one, with a server password if it is not empty. It has a channel `#inside` that takes messages from its
    /// members alone, and one called `#open` that takes those of everybody.
    pub fn start(scratch: &Scratch, password: &str) -> Self {
        let tls = Tls::new(scratch, "irc");
        // As root it becomes nobody first.
        for (path, mode) in [(scratch.root(), 0o755), (&*tls.key, 0o644)] {
            std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("readable for everybody");
        }
        let free =
            || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr()).expect("a port");
        let tls_port = free().port();
        let (cert, key) = (tls.cert.display(), tls.key.display());
        let configuration = format!(
            "[Global]\nName = irc.test.local\nInfo = A test\nListen = 127.0.0.1\nPassword = {password}\n\
             MotdPhrase = hello\nAdminEMail = a@example.org\nPorts = PORT\n[Limits]\nMaxConnectionsIP = 0\n\
             MaxNickLength = 20\n[Options]\nDNS = no\nIdent = no\nPAM = no\n[SSL]\nCertFile = {cert}\nKeyFile = {key}\n\
             Ports = {tls_port}\n[Channel]\nName = #inside\nModes = n\n[Channel]\nName = #open\nModes = t\n"
        );
        let server = program("ngircd");
        let mut port = 0;
        let daemon = on_free_port("irc", |free| {
            port = free;
            let path = scratch.write("ngircd.conf", configuration.replace("PORT", &port.to_string()));
            let mut command = Command::new(&server);
            command.args(["--nodaemon", "--config"]).arg(path).stdout(std::process::Stdio::null());
            command
        });
        let url = format!("irc://127.0.0.1:{port}");
        Self { url, tls_url: format!("ircs://localhost:{tls_port}"), tls, port, _daemon: daemon }
    }

    /// Somebody who is there under this name and in these channels.
    pub fn listener(&self, password: &str, nick: &str, channels: &[&str]) -> Listener {
        let pass = if password.is_empty() { String::new() } else { format!("PASS {password}\r\n") };
        Listener::new(self.port, &pass, nick, channels)
    }
}

/// A client that keeps what it is sent.
pub struct Listener {
    stream: TcpStream,
    lines: Arc<Mutex<Vec<Vec<u8>>>>,
    asked: AtomicUsize,
}

impl Listener {
    /// Connects, with these lines first.
    pub fn new(port: u16, first: &str, nick: &str, channels: &[&str]) -> Self {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a connection");
        write!(stream, "{first}NICK {nick}\r\nUSER {nick} 0 * :{nick}\r\n").expect("a beginning");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (log, mut answers) = (Arc::clone(&lines), stream.try_clone().expect("a copy"));
        let mut reader = BufReader::new(stream.try_clone().expect("a copy"));
        thread::spawn(move || {
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                if let Some(token) = line.strip_prefix(b"PING ") {
                    let _ = answers.write_all(&[b"PONG ", token].concat());
                }
                log.lock().expect("the lines").push(std::mem::take(&mut line));
            }
        });
        let listener = Self { stream, lines, asked: AtomicUsize::new(0) };
        listener.wait(" 001 ");
        for channel in channels {
            listener.say(&format!("JOIN {channel}"));
            listener.wait(" 366 ");
        }
        listener
    }

    /// Sends a line.
    pub fn say(&self, line: &str) {
        write!(&self.stream, "{line}\r\n").expect("a line");
    }

    /// Every line so far.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.lines.lock().expect("the lines");
        lines
            .iter()
            .map(|line| String::from_utf8(line.clone()).expect("whole characters").trim_end().to_owned())
            .collect()
    }

    /// The longest line in bytes, its end included.
    pub fn longest(&self) -> usize {
        self.lines.lock().expect("the lines").iter().map(Vec::len).max().unwrap_or(0)
    }

    /// What was said: who, where, what; everything that the server had when it is asked.
    pub fn said(&self) -> Vec<(String, String, String)> {
        // A server answers in order: what it handed on before is here once the answer is.
        let token = format!("said-{}", self.asked.fetch_add(1, Ordering::Relaxed));
        self.say(&format!("PING {token}"));
        self.wait(&format!(":{token}"));
        let parts = |line: String| {
            let (who, rest) = line.strip_prefix(':')?.split_once(" PRIVMSG ")?;
            let (target, text) = rest.split_once(" :")?;
            let nick = who.split('!').next()?;
            Some((nick.to_owned(), target.to_owned(), text.to_owned()))
        };
        self.lines().into_iter().filter_map(parts).collect()
    }

    /// Waits for a line that holds this.
    #[track_caller]
    pub fn wait(&self, part: &str) -> String {
        let delivery_timeout = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(line) = self.lines().into_iter().rfind(|line| line.contains(part)) {
                return line;
            }
            assert!(Instant::now() < delivery_timeout, "no line with {part:?}: {:#?}", self.lines());
            thread::sleep(Duration::from_millis(10));
        }
    }
}
