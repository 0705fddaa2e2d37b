//! Messages on IRC, through real servers.

use std::net::TcpListener;

use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::irc::Ngircd;
use fetcher_tests::notified::Notified;
use fetcher_tests::sasl::Network;
use fetcher_tests::scratch::Scratch;

fn table(url: &str, more: &str) -> String {
    format!("[[notify]]\nkind = \"irc\"\nserver = \"{url}\"\ntimeout = \"10s\"\n{more}\n")
}

/// `notify test` with one notifier; the exit status and what it says.
fn tried(scratch: &Scratch, url: &str, more: &str) -> (i32, String) {
    let project = "[[project]]\nurl = \"https://example.org/x.git\"\n";
    let ended = Fetcher::new(scratch).config(format!("{project}{}", table(url, more))).run(&["notify", "test"]);
    (ended.status(), ended.stdout() + &ended.stderr())
}

#[test]
fn channels_and_people_are_told_by_tls_with_a_password() {
    let scratch = Scratch::new();
    let server = Ngircd::start(&scratch, "letmein-please");
    let (listener, person) = (
        server.listener("letmein-please", "ears", &["#inside", "#builds"]),
        server.listener("letmein-please", "sam", &[]),
    );
    scratch.write("irc.password", "letmein-please\n");
    let more = format!(
        "channels = [\"#inside\", \"#builds\", \"sam\"]\npassword-file = \"irc.password\"\nca-file = \"{}\"",
        server.tls.ca.display()
    );
    let (status, said) = tried(&scratch, &server.tls_url, &more);
    assert_eq!((status, said.as_str()), (0, "irc: it arrived\n"));
    for (target, said) in [("#inside", listener.said()), ("#builds", listener.said()), ("sam", person.said())] {
        let heard = said
            .iter()
            .filter(|(nick, to, text)| nick == "bst-fetcher" && to == target && text.contains("this is a test"));
        assert_eq!(heard.count(), 1, "{target}: {said:?}");
    }
    listener.wait("QUIT");
    let (status, said) = tried(&scratch, &server.tls_url, "channels = [\"#builds\"]\npassword-file = \"irc.password\"");
    assert!(status == 1 && said.contains("certificate") && said.contains("`ca-file`"), "{said}");
    let by_host = "channels = [\"#builds\"]\npassword-file = \"irc.password\"";
    let project = "[[project]]\nurl = \"https://example.org/x.git\"\n";
    let trusting = Fetcher::new(&scratch).config(format!("{project}{}", table(&server.tls_url, by_host)));
    let trusting = trusting.env("SSL_CERT_FILE", server.tls.ca.display());
    assert_eq!(trusting.run(&["notify", "test"]).expect(0).stdout(), "irc: it arrived\n");
    scratch.write("irc.password", "wrong-one-this\n");
    let (status, said) = tried(&scratch, &server.url, "channels = [\"#builds\"]\npassword-file = \"irc.password\"");
    assert!(status == 1 && said.contains("does not let us in") && !said.contains("wrong-one"), "{said}");
}

#[test]
fn a_channel_may_be_told_from_outside_and_one_that_refuses_is_said() {
    let scratch = Scratch::new();
    let server = Ngircd::start(&scratch, "");
    let listener = server.listener("", "ears", &["#open", "#inside"]);
    let (status, said) = tried(&scratch, &server.url, "channels = [\"#open\"]\njoin = false");
    assert_eq!(status, 0, "{said}");
    assert_eq!(listener.said().len(), 1);
    assert!(!listener.lines().iter().any(|line| line.starts_with(":bst-fetcher") && line.contains("JOIN")));
    let (status, said) = tried(&scratch, &server.url, "channels = [\"#inside\"]\njoin = false");
    assert!(status == 1 && said.contains("#inside") && said.contains("`join = true`"), "{said}");
    let (status, said) = tried(&scratch, &server.url, "channels = [\"nobody\"]");
    assert!(status == 1 && said.contains("nobody"), "{said}");
    // Who makes a channel may close it.
    listener.say("JOIN #closed");
    listener.wait("#closed :End of");
    listener.say("MODE #closed +i");
    listener.wait("MODE #closed");
    let (status, said) = tried(&scratch, &server.url, "channels = [\"#closed\"]");
    assert!(status == 1 && said.contains("cannot join #closed") && said.contains("`join = false`"), "{said}");
    // Those who can be told are told once.
    let (status, said) = tried(&scratch, &server.url, "channels = [\"#inside\", \"nobody\"]");
    assert!(status == 1 && said.contains("nobody"), "{said}");
    assert_eq!(listener.said().len(), 2);
}

#[test]
fn a_name_in_use_is_changed_a_little() {
    let scratch = Scratch::new();
    let server = Ngircd::start(&scratch, "");
    let (listener, _other) = (server.listener("", "ears", &["#builds"]), server.listener("", "bst-fetcher", &[]));
    let (status, said) = tried(&scratch, &server.url, "channels = [\"#builds\"]");
    assert_eq!(status, 0, "{said}");
    assert_eq!(listener.said()[0].0, "bst-fetcher_");
}

#[test]
fn messages_of_runs_have_the_form_and_long_ones_are_split_without_loss() {
    let mut world = Notified::new(&["release/ünïcödé-🦀"], "");
    let server = Ngircd::start(&world.scratch, "");
    let listener = server.listener("", "ears", &["#builds"]);
    world.notifiers(&table(&server.url, "channels = [\"#builds\"]"));
    world.fails().expect(1);
    let said = listener.said();
    assert_eq!(said.len(), 1, "{said:?}");
    let start =
        "[project (main, release/ünïcödé-🦀)] failed in push: a.bst (unknown): https://fetcher.example.org/runs/";
    assert!(said[0].2.starts_with(start), "{said:?}");

    let base = format!("https://fetcher.example.org/{}/", "langer-wég🦀/".repeat(40));
    world.general(&format!("base-url = \"{base}\""));
    world.works().expect(0);
    let parts: Vec<String> = listener.said().into_iter().skip(1).map(|(_, _, text)| text).collect();
    assert!(parts.len() > 1, "{parts:?}");
    assert!(listener.longest() <= 512);
    let whole: String = parts.concat().split_whitespace().collect();
    assert!(whole.starts_with("[project(main,release/ünïcödé-🦀)]worksagain"), "{whole}");
    assert!(whole.contains(&base) && whole.strip_suffix(".html").is_some(), "{whole}");
}

#[test]
fn many_messages_do_not_flood_and_a_dead_server_loses_none() {
    let mut world = Notified::new(&["b1", "b2", "b3", "b4"], "");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
    world.notifiers(&table(&format!("irc://{free}"), "name = \"irc\"\nchannels = [\"#builds\"]"));
    // Each branch fails in a way of its own.
    world.fake.now("fails() { [ $command = push ] && [ $1 = a.bst ] && case $PWD in *main*) false ;; esac; }");
    world.fetcher().run(&["run", "--force"]).expect(1);
    world.works().expect(1);
    let server = Ngircd::start(&world.scratch, "");
    let listener = server.listener("", "ears", &["#builds"]);
    world.notifiers(&table(&server.url, "name = \"irc\"\nchannels = [\"#builds\"]"));
    world.works().expect(0);
    let said: Vec<_> = listener.said().into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("failed in push") && said[0].contains("(of 20"), "{said:?}");
    assert!(said[1].contains("works again"), "{said:?}");
    world.works().expect(0);
    assert_eq!(listener.said().len(), 2);
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let scratch = Scratch::new();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("irc://{}", silent.local_addr().expect("an address"));
    let (status, said) = tried(&scratch, &url, "channels = [\"#builds\"]");
    assert!(status == 1 && said.contains("does not answer in time"), "{said}");
}

#[test]
fn an_account_logs_in_by_sasl() {
    let scratch = Scratch::new();
    let network = Network::start(&scratch, "fetcher", "sesame-open-now");
    let listener = network.listener("ears", &["#builds"]);
    scratch.write("irc.password", "sesame-open-now\n");
    let more = "channels = [\"#builds\"]\nsasl-username = \"fetcher\"\npassword-file = \"irc.password\"";
    let (status, said) = tried(&scratch, &network.url, more);
    assert_eq!((status, said.as_str()), (0, "irc: it arrived\n"));
    assert_eq!(listener.said().len(), 1);
    scratch.write("irc.password", "sesame-wrong-now\n");
    let (status, said) = tried(&scratch, &network.url, more);
    assert!(status == 1 && said.contains("the login failed: 904") && !said.contains("sesame"), "{said}");
    // A server without services.
    let server = Ngircd::start(&scratch, "");
    let (status, said) = tried(&scratch, &server.url, more);
    assert!(status == 1 && said.contains("knows no SASL"), "{said}");
}
