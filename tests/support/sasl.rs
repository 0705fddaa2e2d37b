//! A network of IRC in which people log in: `InspIRCd`, and Atheme's services.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::daemon::{Daemon, on_free_port, spawn};
use crate::installed::program;
use crate::irc::Listener;
use crate::scratch::Scratch;

/// Both servers on loopback; they end when it is dropped.
pub struct Network {
    /// `irc://127.0.0.1:PORT`.
    pub url: String,
    port: u16,
    _server: Daemon,
    _services: Daemon,
}

impl Network {
    /// Starts both, and registers an account.
    pub fn start(scratch: &Scratch, account: &str, password: &str) -> Self {
        let (server, services) = (program("inspircd"), program("atheme-services"));
        let link = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
        let link = link.expect("a free port").port();
        let root = scratch.root();
        scratch.write("motd", "hello\n");
        let mut port = 0;
        let server = on_free_port("irc", |free| {
            port = free;
            let path = scratch.write("inspircd.conf", inspircd(root, free, link));
            let mut command = Command::new(&server);
            command.args(["--nofork", "--config"]).arg(path).stdout(Stdio::null());
            if rustix::process::geteuid().is_root() {
                command.arg("--runasroot");
            }
            command
        });
        let path = scratch.write("atheme.conf", atheme(link));
        let mut command = Command::new(services);
        command.arg("-n").arg("-c").arg(path).arg("-D").arg(root).arg("-l").arg(scratch.path("atheme.log"));
        command.arg("-p").arg(scratch.path("atheme.pid")).stdout(Stdio::null());
        let services = Daemon::new(spawn(&mut command));
        let network = Self { url: format!("irc://127.0.0.1:{port}"), port, _server: server, _services: services };
        network.register(account, password);
        network
    }

    /// Somebody who is there under this name and in these channels.
    pub fn listener(&self, nick: &str, channels: &[&str]) -> Listener {
        Listener::new(self.port, "", nick, channels)
    }

    fn register(&self, account: &str, password: &str) {
        let somebody = self.listener(account, &[]);
        let delivery_timeout = Instant::now() + Duration::from_secs(60);
        // The services take a moment to arrive.
        while !somebody.lines().iter().any(|line| line.contains("is now registered")) {
            assert!(Instant::now() < delivery_timeout, "nothing was registered: {:#?}", somebody.lines());
            somebody.say(&format!("PRIVMSG NickServ :REGISTER {password} a@example.org"));
            std::thread::sleep(Duration::from_millis(200));
        }
        somebody.say("QUIT");
        somebody.wait("ERROR");
    }
}

fn inspircd(root: &Path, port: u16, link: u16) -> String {
    let root = root.display();
    format!(
        "<server name=\"irc.test.local\" description=\"A test\" network=\"Test\" id=\"1AA\">\n\
         <admin name=\"a\" nick=\"a\" email=\"a@example.org\">\n\
         <bind address=\"127.0.0.1\" port=\"{port}\" type=\"clients\">\n\
         <bind address=\"127.0.0.1\" port=\"{link}\" type=\"servers\">\n\
         <connect allow=\"*\" resolvehostnames=\"no\" localmax=\"100\" globalmax=\"100\" useident=\"no\">\n\
         <files motd=\"{root}/motd\">\n\
         <path configdir=\"{root}\" datadir=\"{root}\" logdir=\"{root}\" runtimedir=\"{root}\">\n\
         <pid file=\"{root}/inspircd.pid\">\n\
         <log method=\"file\" type=\"*\" level=\"default\" target=\"{root}/inspircd.log\">\n\
         <module name=\"cap\"><module name=\"sasl\"><module name=\"services_account\"><module name=\"spanningtree\">\n\
         <link name=\"services.test.local\" ipaddr=\"127.0.0.1\" port=\"{link}\" allowmask=\"127.0.0.0/8\" \
         sendpass=\"of-the-link\" recvpass=\"of-the-link\">\n\
         <uline server=\"services.test.local\" silent=\"yes\">\n\
         <sasl target=\"services.test.local\" requiressl=\"no\">\n<options defaultmodes=\"nt\">\n"
    )
}

fn atheme(link: u16) -> String {
    let modules = [
        "protocol/inspircd",
        "backend/opensex",
        "crypto/pbkdf2",
        "nickserv/main",
        "nickserv/register",
        "saslserv/main",
        "saslserv/plain",
    ];
    let modules: String = modules.iter().flat_map(|module| ["loadmodule \"modules/", module, "\";\n"]).collect();
    let service = |name: &str| {
        let table = name.to_ascii_lowercase();
        format!(
            "{table} {{ nick = \"{name}\"; user = \"{name}\"; host = \"services.test.local\"; real = \"{name}\"; }};\n"
        )
    };
    format!(
        "{modules}uplink \"irc.test.local\" {{ host = \"127.0.0.1\"; port = {link}; send_password = \"of-the-link\"; \
         receive_password = \"of-the-link\"; }};\n\
         serverinfo {{ name = \"services.test.local\"; desc = \"services\"; numeric = \"00A\"; recontime = 1; \
         netname = \"Test\"; adminname = \"a\"; adminemail = \"a@example.org\"; registeremail = \"a@example.org\"; \
         auth = none; casemapping = ascii; }};\ngeneral {{ }};\n{}{}",
        service("NickServ"),
        service("SaslServ")
    )
}
