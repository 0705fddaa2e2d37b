//! Webhooks, healthchecks and commands, against real endpoints.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::http::{Answer, Http};
use fetcher_tests::notified::Notified;
use fetcher_tests::scratch::Scratch;
use fetcher_tests::tls::Tls;

/// `notify test` with one notifier; the exit status and what it says.
fn tried(scratch: &Scratch, table: &str) -> (i32, String) {
    let project = "[[project]]\nurl = \"https://example.org/x.git\"\n";
    let fetcher = Fetcher::new(scratch).config(format!("{project}[[notify]]\n{table}"));
    let ended = fetcher.run(&["notify", "test"]);
    (ended.status(), ended.stdout() + &ended.stderr())
}

fn webhook(url: &str, more: &str) -> String {
    format!("kind = \"webhook\"\nurl = \"{url}\"\ntimeout = \"8s\"\n{more}")
}

#[test]
fn the_json_is_signed_and_has_headers_of_ones_own() {
    let (scratch, http) = (Scratch::new(), Http::start([]));
    let secret = scratch.write("hook.secret", "It's a Secret to Everybody\n");
    let more = format!("secret-file = \"{}\"\nheaders = {{ X-Own = \"value of mine\" }}\n", secret.display());
    let (status, said) = tried(&scratch, &webhook(&format!("{}/hook", http.url), &more));
    assert_eq!((status, said.as_str()), (0, "webhook: it arrived\n"));
    let request = http.requests().remove(0);
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/hook"));
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.headers["x-own"], "value of mine");
    assert_eq!(request.json()["event"], "test");
    assert_eq!(request.json()["version"], 1);
    // As a receiver would check it.
    let check = "import sys,hmac,hashlib; print(hmac.new(b\"It's a Secret to Everybody\", sys.stdin.buffer.read(), hashlib.sha256).hexdigest())";
    let mut python = Command::new("python3")
        .args(["-c", check])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    std::io::Write::write_all(&mut python.stdin.take().expect("its input"), request.body.as_bytes()).expect("a body");
    let digest = String::from_utf8(python.wait_with_output().expect("its end").stdout).expect("a digest");
    assert_eq!(request.headers["x-hub-signature-256"], format!("sha256={}", digest.trim()));
}

#[test]
fn each_chat_gets_its_own_form() {
    let (scratch, http) = (Scratch::new(), Http::start([]));
    let send = |path: &str, format: &str| {
        let (status, said) =
            tried(&scratch, &webhook(&format!("{}{path}", http.url), &format!("format = \"{format}\"\n")));
        assert_eq!(status, 0, "{said}");
        http.take().remove(0)
    };
    let matrix = send("/_matrix/client/v3/rooms/!r:example.org/send/m.room.message", "matrix");
    assert_eq!(matrix.method, "PUT");
    let id = matrix.target.strip_prefix("/_matrix/client/v3/rooms/!r:example.org/send/m.room.message/");
    assert!(id.is_some_and(|id| id.len() > 20 && !id.contains('/')), "{}", matrix.target);
    assert_eq!(matrix.json()["msgtype"], "m.notice");
    assert!(send("/s", "slack").json()["text"].as_str().is_some_and(|text| text.starts_with("*[bst-fetcher on ")));
    assert!(send("/d", "discord").json()["content"].as_str().is_some_and(|text| text.contains("this is a test")));
    let ntfy = send("/base/builds", "ntfy");
    assert_eq!((ntfy.target.as_str(), ntfy.json()["topic"].as_str()), ("/base/", Some("builds")));
}

#[test]
fn a_template_makes_the_body_and_what_is_filled_in_stays_inside() {
    let (mut world, http) = (Notified::new(&[], ""), Http::start([]));
    let template = world.scratch.write(
        "hook.json",
        r#"{"text": "{{ title }}", "failures": {{ topics[0].failures | tojson }}, "log": "{{ topics[0].log_end }}"}"#,
    );
    world
        .notifiers(&format!("[[notify]]\n{}", webhook(&http.url, &format!("template = \"{}\"\n", template.display()))));
    world.fails().expect(1);
    let body = http.take().remove(0).json();
    assert_eq!(body["text"], "[project (main)] failed in push: a.bst (unknown)");
    assert_eq!(body["failures"][0]["element"], "a.bst");
    assert!(body["log"].as_str().is_some_and(|log| log.contains('\n')), "{body:#}");
    fs::write(&template, "{\"text\": {{ title }}}").expect("a template");
    let (status, said) =
        tried(&world.scratch, &webhook(&http.url, &format!("template = \"{}\"\n", template.display())));
    assert!(status == 1 && said.contains("no JSON") && said.contains("docs/notify.md"), "{said}");
    assert!(http.take().is_empty());
}

#[test]
fn what_may_pass_is_tried_again_and_what_cannot_is_not() {
    let scratch = Scratch::new();
    let http = Http::start([Answer::status("503 Down"), Answer::Hangup]);
    let (status, said) = tried(&scratch, &webhook(&http.url, ""));
    assert_eq!((status, http.take().len()), (0, 3), "{said}");

    // Later than it would be tried by itself.
    http.now([Answer::Status("429 Slow down", "Retry-After: 3\r\n".to_owned(), String::new())]);
    let (status, said) = tried(&scratch, &webhook(&http.url, ""));
    let requests = http.take();
    assert_eq!((status, requests.len()), (0, 2), "{said}");
    assert!(requests[1].at - requests[0].at >= Duration::from_secs(3));

    // Later than there is time.
    http.now([Answer::Status("429 Slow down", "Retry-After: 3600\r\n".to_owned(), String::new())]);
    let (status, said) = tried(&scratch, &webhook(&http.url, ""));
    assert_eq!((status, http.take().len()), (1, 1), "{said}");
    assert!(said.contains("429"), "{said}");

    for (answer, hint) in [("400 Bad", "`template`"), ("401 Who", "`headers`"), ("404 Gone", "correct `url`")] {
        http.now([Answer::Status(answer, String::new(), "why it is\n".to_owned())]);
        let (status, said) = tried(&scratch, &webhook(&http.url, ""));
        assert_eq!((status, http.take().len()), (1, 1), "{said}");
        assert!(said.contains("why it is") && said.contains(hint), "{said}");
    }
}

#[test]
fn a_redirect_is_not_followed_and_a_silent_server_is_given_up() {
    let (scratch, elsewhere) = (Scratch::new(), Http::start([]));
    let location = format!("Location: {}/secret-path-of-theirs\r\n", elsewhere.url);
    let http = Http::start([Answer::Status("302 Found", location, String::new()), Answer::Silence]);
    let (status, said) = tried(&scratch, &webhook(&http.url, ""));
    assert!(status == 1 && said.contains("redirects to http://127.0.0.1") && !said.contains("secret-path"), "{said}");
    assert!(elsewhere.requests().is_empty());
    let (status, said) = tried(&scratch, &webhook(&http.url, "").replace("8s", "1s"));
    assert!(status == 1 && said.contains("no answer in 1s"), "{said}");
}

#[test]
fn a_secret_address_is_shown_to_nobody() {
    let scratch = Scratch::new();
    let http = Http::start([Answer::Status("404 Gone", String::new(), "no hook T000/verysecrethook here".to_owned())]);
    let file = scratch.write("hook.url", format!("{}/services/T000/verysecrethook\n", http.url));
    let table = format!("kind = \"webhook\"\nurl-file = \"{}\"\n", file.display());
    let (status, said) = tried(&scratch, &table);
    assert_eq!(http.requests().remove(0).target, "/services/T000/verysecrethook");
    assert!(status == 1 && said.contains("404") && !said.contains("verysecrethook"), "{said}");
}

#[test]
fn tls_is_checked_against_the_authority_that_is_configured() {
    let scratch = Scratch::new();
    let tls = Tls::new(&scratch, "hook");
    let script = "import http.server,ssl,sys\n\
        class H(http.server.BaseHTTPRequestHandler):\n\
        \x20def do_POST(self):\n\
        \x20 open('got','ab').write(self.rfile.read(int(self.headers['Content-Length'])))\n\
        \x20 self.send_response(204); self.end_headers()\n\
        s=http.server.HTTPServer(('127.0.0.1',0),H)\n\
        c=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain(sys.argv[1],sys.argv[2])\n\
        s.socket=c.wrap_socket(s.socket,server_side=True)\n\
        print(s.server_port,flush=True); s.serve_forever()\n";
    let mut server = Command::new("python3")
        .args(["-c", script])
        .args([&tls.cert, &tls.key])
        .current_dir(scratch.root())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("python3 starts");
    let mut port = String::new();
    let out = server.stdout.take().expect("its output");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut port).expect("a port");
    let url = format!("https://localhost:{}/", port.trim());
    let (status, said) = tried(&scratch, &webhook(&url, ""));
    assert!(status == 1 && said.contains("`ca-file`"), "{said}");
    let (status, said) = tried(&scratch, &webhook(&url, &format!("ca-file = \"{}\"\n", tls.ca.display())));
    assert_eq!(status, 0, "{said}");
    // So are the authorities that this host trusts.
    let project = "[[project]]\nurl = \"https://example.org/x.git\"\n";
    let fetcher = Fetcher::new(&scratch).config(format!("{project}[[notify]]\n{}", webhook(&url, "")));
    let trusting = fetcher.env("SSL_CERT_FILE", tls.ca.display()).run(&["notify", "test"]).expect(0);
    assert_eq!(trusting.stdout(), "webhook: it arrived\n");
    assert!(fs::read_to_string(scratch.path("got")).is_ok_and(|got| got.contains("\"event\":\"test\"")));
    server.kill().and_then(|()| server.wait()).expect("its end");
}

#[test]
fn a_healthcheck_hears_of_every_run_in_order() {
    let (mut world, http) = (Notified::new(&[], ""), Http::start([]));
    world.notifiers(&format!(
        "[[notify]]\nkind = \"healthcheck\"\nurl = \"{}/ping/x\"\non = [\"recovery\"]\n",
        http.url
    ));
    let targets = || {
        let requests = http.take();
        let split = |target: &str| target.split_once("?rid=").map(|(path, id)| (path.to_owned(), id.to_owned()));
        let pings: Vec<_> = requests.iter().map(|request| split(&request.target).expect("a run's id")).collect();
        let body = requests.last().map(|request| request.body.clone()).unwrap_or_default();
        (pings, body)
    };
    world.works().expect(0);
    let (first, body) = targets();
    assert_eq!(first.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["/ping/x/start", "/ping/x"]);
    assert_eq!(first[0].1, first[1].1);
    assert!(body.contains("ok, 1 of 1 branches are good"), "{body}");
    world.fails().expect(1);
    let (second, body) = targets();
    assert_eq!(second.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["/ping/x/start", "/ping/x/fail"]);
    assert_ne!(second[0].1, first[0].1);
    assert!(body.contains("project (main): partial in push: a.bst (unknown)"), "{body}");
    world.fetcher().run(&["run", "--dry-run"]).expect(0);
    assert!(http.take().is_empty(), "a dry run is none");
    let said = world.fetcher().run(&["notify", "test"]).expect(0).stdout();
    assert_eq!(said, "healthcheck: it arrived\n");
    assert!(http.take()[0].target.starts_with("/ping/x/log?rid="), "trying it changes nothing");
}

#[test]
fn a_command_gets_the_message_and_the_facts() {
    let mut world = Notified::new(&[], "");
    let script = "#!/bin/sh\ncat >message.json\nenv | grep ^BST_FETCHER_ >facts\n";
    let path = world.scratch.write("notify.sh", script);
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("an executable script");
    world.notifiers("[[notify]]\nkind = \"command\"\ncommand = [\"./notify.sh\"]\n");
    world.fails().expect(1);
    let message = fs::read_to_string(world.scratch.path("message.json")).expect("a message");
    let message: serde_json::Value = serde_json::from_str(&message).expect("JSON");
    assert_eq!(message["event"], "failure");
    assert_eq!(message["topics"][0]["failures"][0]["element"], "a.bst");
    let facts = fs::read_to_string(world.scratch.path("facts")).expect("facts");
    for fact in ["EVENT=failure", "PROJECT=project", "BRANCH=main", "OUTCOME=partial", "KIND=unknown"] {
        assert!(facts.lines().any(|line| line == format!("BST_FETCHER_{fact}")), "{fact}: {facts}");
    }
    assert!(facts.contains("BST_FETCHER_URL=https://fetcher.example.org/runs/"), "{facts}");

    let (status, said) = tried(&world.scratch, "kind = \"command\"\ncommand = [\"sh\", \"-c\", \"echo no; exit 3\"]\n");
    assert!(status == 1 && said.contains("ended with exit status 3: no"), "{said}");
    let (status, said) =
        tried(&world.scratch, "kind = \"command\"\ncommand = [\"sleep\", \"600\"]\ntimeout = \"1s\"\n");
    assert!(status == 1 && said.contains("timeout of 1s"), "{said}");
    let (status, said) = tried(&world.scratch, "kind = \"command\"\ncommand = [\"not-there-at-all\"]\n");
    assert!(status == 1 && said.contains("in PATH"), "{said}");
}
