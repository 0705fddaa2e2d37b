//! A real server of SMTP: aiosmtpd, from PyPI.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::bst::run;
use crate::scratch::Scratch;

const REQUIREMENTS: [&str; 1] = ["aiosmtpd==1.4.6"];
const SCRIPT: &str = include_str!("smtp.py");

/// A server on loopback; it ends when it is dropped.
pub struct Smtp {
    child: Child,
    port: u16,
    mails: PathBuf,
}

/// A mail that arrived.
#[derive(Debug)]
pub struct Arrived {
    /// The envelope: sender and recipients.
    pub from: String,
    /// The recipients of the envelope.
    pub to: Vec<String>,
    /// Headers and body as Python's `email` package reads them: `headers`, and `text` and `html` decoded.
    pub mail: serde_json::Value,
}

impl Smtp {
    /// Starts one with these arguments: `--starttls CERT KEY`, `--tls CERT KEY`, `--login NAME PASSWORD`,
    /// `--refuse CODE` (every recipient), `--busy COUNT` (the first so many mails, with 451).
    pub fn start(scratch: &Scratch, arguments: &[&str]) -> Self {
        let mails = scratch.path("mails");
        fs::create_dir_all(&mails).expect("a directory");
        let script = scratch.write("smtp.py", SCRIPT);
        let mut command = Command::new(python());
        command.arg(script).arg(&mails).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("its first line");
        let port = line.trim().parse().unwrap_or_else(|_| panic!("the server gives no port: {line:?}"));
        Self { child, port, mails }
    }

    /// `localhost:PORT`.
    pub fn place(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// The mails so far, in their order.
    pub fn mails(&self) -> Vec<Arrived> {
        let files = fs::read_dir(&self.mails).expect("the mails").map(|file| file.expect("a file").path());
        let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
        files.sort();
        let read = |path: &PathBuf| {
            let mail: serde_json::Value =
                serde_json::from_slice(&fs::read(path).expect("a mail")).expect("what the server writes");
            let to = mail["to"].as_array().expect("recipients").iter();
            Arrived {
                from: mail["from"].as_str().expect("a sender").to_owned(),
                to: to.map(|to| to.as_str().expect("a recipient").to_owned()).collect(),
                mail,
            }
        };
        files.iter().map(read).collect()
    }
}

impl Arrived {
    /// A header, decoded; empty where there is none.
    pub fn header(&self, name: &str) -> String {
        self.mail["headers"][name].as_str().unwrap_or_default().to_owned()
    }

    /// The text part.
    pub fn text(&self) -> String {
        self.mail["text"].as_str().unwrap_or_default().replace("\r\n", "\n")
    }

    /// The HTML part.
    pub fn html(&self) -> String {
        self.mail["html"].as_str().unwrap_or_default().replace("\r\n", "\n")
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// The Python of an environment with aiosmtpd, made when it is not there.
fn python() -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-tools");
    fs::create_dir_all(&tools).expect("make target/test-tools");
    let lock = File::create(tools.join("smtp.lock")).expect("make the lock");
    lock.lock().expect("take the lock");
    let (venv, done) = (tools.join("smtp"), tools.join("smtp/.complete"));
    if !done.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
        run(Command::new(venv.join("bin/pip")).args(["install", "--quiet"]).args(REQUIREMENTS));
        File::create(done).expect("mark the environment complete");
    }
    venv.join("bin/python")
}
