//! Servers that take whatever is sent, and keep every byte of it.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Such a server on loopback, until the tests end.
pub struct Sink {
    /// `127.0.0.1:PORT`.
    pub place: String,
    lines: Arc<Mutex<Vec<u8>>>,
}

impl Sink {
    /// A server of SMTP that lets anybody log in.
    pub fn smtp() -> Self {
        Self::start("220 sink ESMTP\r\n", |line, inside| {
            if *inside {
                *inside = line != ".";
                return if *inside { "" } else { "250 taken\r\n" };
            }
            let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
            *inside = verb == "DATA";
            match verb.as_str() {
                "EHLO" => "250-sink\r\n250 AUTH PLAIN LOGIN\r\n",
                "AUTH" => "235 welcome\r\n",
                "DATA" => "354 go on\r\n",
                "QUIT" => "221 bye\r\n",
                _ => "250 good\r\n",
            }
        })
    }

    /// A server of IRC in which messages go to persons.
    pub fn irc() -> Self {
        Self::start("", |line, _| match line.split(' ').next() {
            Some("USER") => ":sink 001 fetcher :welcome\r\n",
            Some("PING") if line.ends_with("told-0") => ":sink PONG sink :told-0\r\n",
            Some("PING") if line.ends_with("told-1") => ":sink PONG sink :told-1\r\n",
            Some("PING") if line.ends_with("told-2") => ":sink PONG sink :told-2\r\n",
            Some("PING") if line.ends_with("told-3") => ":sink PONG sink :told-3\r\n",
            Some("QUIT") => "ERROR :bye\r\n",
            _ => "",
        })
    }

    fn start(greeting: &'static str, answer: fn(&str, &mut bool) -> &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let place = listener.local_addr().expect("an address").to_string();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&lines);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = Arc::clone(&log);
                thread::spawn(move || drop(serve(stream, greeting, answer, &log)));
            }
        });
        Self { place, lines }
    }

    /// Every byte so far but those of a login (`AUTH`, `PASS`), a line each.
    pub fn bytes(&self) -> Vec<u8> {
        self.lines.lock().expect("the lines").clone()
    }
}

fn serve(
    mut stream: TcpStream,
    greeting: &str,
    answer: fn(&str, &mut bool) -> &'static str,
    log: &Mutex<Vec<u8>>,
) -> std::io::Result<()> {
    stream.write_all(greeting.as_bytes())?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut inside) = (Vec::new(), false);
    while reader.read_until(b'\n', &mut line)? > 0 {
        let login = !inside && (line.starts_with(b"AUTH ") || line.starts_with(b"PASS "));
        if !login {
            log.lock().expect("the lines").extend_from_slice(&line);
        }
        let said = answer(String::from_utf8_lossy(&line).trim_end(), &mut inside);
        stream.write_all(said.as_bytes())?;
        line.clear();
    }
    Ok(())
}
