//! Mail, through real servers of SMTP and through sendmail.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use fetcher_tests::notified::Notified;
use fetcher_tests::scratch::Scratch;
use fetcher_tests::smtp::Smtp;
use fetcher_tests::tls::Tls;

/// `notify test` with one notifier of mail; what it says.
fn tried(scratch: &Scratch, status: i32, server: &str, more: &str) -> String {
    let notify = format!(
        "[[notify]]\nkind = \"email\"\nserver = \"{server}\"\nfrom = \"fetcher@example.org\"\nto = [\"a@example.org\", \
         \"b@example.org\"]\ntimeout = \"10s\"\n{more}"
    );
    let project = "[[project]]\nurl = \"https://example.org/x.git\"\n";
    let fetcher = fetcher_tests::fetcher::Fetcher::new(scratch).config(format!("{project}{notify}"));
    fetcher.run(&["notify", "test"]).expect(status).stdout()
}

fn paths(tls: &Tls) -> [&str; 2] {
    [tls.cert.to_str().expect("a path"), tls.key.to_str().expect("a path")]
}

#[test]
fn a_mail_arrives_in_every_way_that_is_configured() {
    for (scheme, option) in [("smtp+starttls", "--starttls"), ("smtps", "--tls"), ("smtp", "")] {
        let scratch = Scratch::new();
        let tls = Tls::new(&scratch, "mail");
        let mut arguments = vec!["--login", "fetcher", "geheim, also secret"];
        if !option.is_empty() {
            arguments.extend([&[option][..], &paths(&tls)].concat());
        }
        let server = Smtp::start(&scratch, &arguments);
        let password = scratch.write("password", "geheim, also secret\n");
        let more = format!(
            "username = \"fetcher\"\npassword-file = \"{}\"\nca-file = \"{}\"\n",
            password.display(),
            tls.ca.display()
        );
        let said = tried(&scratch, 0, &format!("{scheme}://{}", server.place()), &more);
        assert_eq!(said, "email: it arrived\n", "{scheme}");
        let mails = server.mails();
        assert_eq!(mails.len(), 1, "{mails:#?}");
        assert_eq!(mails[0].from, "fetcher@example.org");
        assert_eq!(mails[0].to, ["a@example.org", "b@example.org"]);
        assert_eq!(mails[0].mail["login"], "fetcher");
        assert_eq!(mails[0].mail["tls"], !option.is_empty(), "{scheme}");
        assert_eq!(mails[0].mail["kind"], "multipart/alternative");
        assert!(mails[0].text().contains("this is a test") && mails[0].html().contains("this is a test"));
    }
}

#[test]
fn each_way_to_fail_says_what_to_do() {
    let scratch = Scratch::new();
    let tls = Tls::new(&scratch, "mail");
    let server = Smtp::start(&scratch, &[&["--login", "fetcher", "right", "--starttls"][..], &paths(&tls)].concat());
    let place = format!("smtp+starttls://{}", server.place());
    let password = scratch.write("password", "wrong-password\n");
    let ca = format!("ca-file = \"{}\"\n", tls.ca.display());
    let login = format!("username = \"fetcher\"\npassword-file = \"{}\"\n", password.display());

    let said = tried(&scratch, 1, &place, &format!("{ca}{login}"));
    assert!(said.contains("535") && said.contains("`password-file`") && !said.contains("wrong-password"), "{said}");
    let said = tried(&scratch, 1, &place, "");
    assert!(said.contains("certificate") && said.contains("`ca-file`"), "{said}");
    assert!(server.mails().is_empty());
    // What this host trusts is trusted.
    let notify = format!(
        "[[notify]]\nkind = \"email\"\nserver = \"{place}\"\nfrom = \"f@example.org\"\nto = [\"a@example.org\"]\n"
    );
    let trusting = fetcher_tests::fetcher::Fetcher::new(&scratch)
        .config(format!("[[project]]\nurl = \"https://example.org/x.git\"\n{notify}{login}"));
    let said = trusting.env("SSL_CERT_FILE", tls.ca.display()).run(&["notify", "test"]).expect(1).stdout();
    assert!(said.contains("535"), "{said}");

    let plain = Smtp::start(&scratch, &[]);
    let said = tried(&scratch, 1, &format!("smtp+starttls://{}", plain.place()), &ca);
    assert!(said.contains("STARTTLS"), "{said}");
    let refusing = Smtp::start(&scratch, &["--refuse", "550"]);
    let said = tried(&scratch, 1, &format!("smtp://{}", refusing.place()), "");
    assert!(said.contains("550") && said.contains("not here"), "{said}");
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
    let said = tried(&scratch, 1, &format!("smtp://{nobody}"), "");
    assert!(said.contains("efused") && said.contains("whether the server is up"), "{said}");
}

#[test]
fn a_server_that_is_busy_is_tried_again_and_one_that_is_silent_is_given_up() {
    let scratch = Scratch::new();
    let server = Smtp::start(&scratch, &["--busy", "1"]);
    assert_eq!(tried(&scratch, 0, &format!("smtp://{}", server.place()), ""), "email: it arrived\n");
    assert_eq!(server.mails().len(), 1);
    // It is never accepted, so that nobody ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    let said = tried(&scratch, 1, &format!("smtp://{address}"), "");
    assert!(said.contains("too slow"), "{said}");
}

#[test]
fn all_mail_about_one_trouble_is_one_thread() {
    let mut world = Notified::new(&[], "");
    let server = Smtp::start(&world.scratch, &[]);
    world.notifiers(&format!(
        "[[notify]]\nkind = \"email\"\nserver = \"smtp://{}\"\nfrom = \"fetcher@example.org\"\nto = [\"a@example.org\"]\n",
        server.place()
    ));
    world.works().expect(0);
    assert!(server.mails().is_empty());
    world.fails().expect(1);
    world.fails().expect(1);
    world.works().expect(0);
    let mails = server.mails();
    let [failure, recovery] = &mails[..] else { panic!("{mails:#?}") };
    assert_eq!(failure.header("Subject"), "[project (main)] failed in push: a.bst (unknown)");
    assert!(recovery.header("Subject").starts_with("[project (main)] works again after"), "{recovery:#?}");
    let id = failure.header("Message-ID");
    assert!(id.starts_with('<') && id.contains('@'), "{id}");
    assert_eq!(failure.header("References"), "");
    assert_eq!((recovery.header("References"), recovery.header("In-Reply-To")), (id.clone(), id.clone()));
    assert_ne!(recovery.header("Message-ID"), id);
    assert_eq!(failure.header("Auto-Submitted"), "auto-generated");
    let run = world.fetcher().run(&["status", "--json"]).json();
    assert_eq!(run["branches"][0]["branch"], "main");
    let text = failure.text();
    assert!(text.contains("see:    https://fetcher.example.org/runs/"), "{text}");
    assert!(text.contains("/logs/project/main/"), "{text}");
    assert!(text.contains("The end of the log:\n| "), "{text}");
    assert!(failure.html().contains("href=\"https://fetcher.example.org/runs/"), "{}", failure.html());
}

#[test]
fn sendmail_gets_the_same_mail() {
    let scratch = Scratch::new();
    let out = scratch.path("out");
    let script = scratch.write("sendmail", format!("#!/bin/sh\n{{ echo \"$*\"; cat; }} >'{}'\n", out.display()));
    fs::set_permissions(&script, Permissions::from_mode(0o755)).expect("an executable script");
    let server = format!("sendmail:{}", script.display());
    assert_eq!(tried(&scratch, 0, &server, ""), "email: it arrived\n");
    let got = fs::read_to_string(&out).expect("a mail");
    let (arguments, mail) = got.split_once('\n').expect("a line of arguments");
    assert_eq!(arguments, "-i -f fetcher@example.org -- a@example.org b@example.org");
    for line in ["To: a@example.org, b@example.org\r\n", "Subject: [bst-fetcher on ", "multipart/alternative"] {
        assert!(mail.contains(line), "{line}: {mail}");
    }

    scratch.write("sendmail", "#!/bin/sh\necho 'mailq: no space, password=hunter22' >&2\nexit 75\n");
    let said = tried(&scratch, 1, &server, "");
    assert!(said.contains("try again later: mailq: no space") && !said.contains("hunter22"), "{said}");
    let said = tried(&scratch, 1, "sendmail:/nowhere/sendmail", "");
    assert!(said.contains("/nowhere/sendmail") && said.contains("executable"), "{said}");
}
