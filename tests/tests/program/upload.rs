//! Pages and logs that are sent elsewhere: to nginx by HTTP PUT, and by a command.

use std::fs;
use std::path::Path;
use std::process::Command;

use fetcher_tests::daemon::{Daemon, on_free_port, on_port};
use fetcher_tests::fake::{FakeBst, upstream};
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::installed::program;
use fetcher_tests::scratch::Scratch;

/// An nginx that takes PUT from those with the token, at a URL, and keeps the files in `kept`.
fn nginx(scratch: &Scratch, port: Option<u16>) -> Daemon {
    let (nginx, root) = (program("nginx"), scratch.root().to_owned());
    fs::create_dir_all(root.join("kept")).expect("a directory");
    let start = move |port: u16| {
        let root = root.display();
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let conf = format!(
            "daemon off; {user} pid {root}/nginx.pid; error_log {root}/nginx.log; worker_processes 1;
events {{}}
http {{
    access_log {root}/access.log;
    client_body_temp_path {root}/body; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;
    uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
    client_max_body_size 100m;
    server {{
        listen 127.0.0.1:{port};
        location /pages/ {{
            alias {root}/kept/;
            if ($http_authorization != \"Bearer t0ken-of-the-upload\") {{ return 403; }}
            dav_methods PUT; create_full_put_path on;
        }}
    }}
}}"
        );
        fs::write(format!("{root}/nginx.conf"), conf).expect("nginx.conf");
        let mut command = Command::new(&nginx);
        command.arg("-p").arg(root.to_string()).arg("-c").arg(format!("{root}/nginx.conf"));
        command
    };
    match port {
        Some(port) => on_port("http", port, &mut start(port)).expect("nginx starts again"),
        None => on_free_port("http", start),
    }
}

fn config(fake: &FakeBst, upload: &str) -> String {
    format!(
        "{}\n[upload]\n{upload}\n[[project]]\nurl = \"project\"\ntargets = [\"all.bst\"]\nretries = 0\n",
        fake.config()
    )
}

/// The paths of requests that nginx answered with a status, in their order.
fn asked(scratch: &Scratch, status: &str) -> Vec<String> {
    let log = fs::read_to_string(scratch.path("access.log")).unwrap_or_default();
    let with_status = log.lines().filter(|line| line.contains(&format!("\" {status} ")));
    with_status.filter_map(|line| Some(line.split("/pages/").nth(1)?.split(' ').next()?.to_owned())).collect()
}

fn there(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.len() > 0)
}

#[test]
fn pages_are_put_once_with_their_logs_and_what_a_dead_server_missed_is_sent_later() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, "");
    scratch.write("token", "t0ken-of-the-upload\n");
    let server = nginx(&scratch, None);
    let upload = format!("url = \"{}/pages\"\ntoken-file = \"token\"", server.url());
    let fetcher = Fetcher::new(&scratch).config(config(&fake, &upload));
    fetcher.run(&["run"]).expect(0);
    for page in ["index.html", "status.json", "feed.xml", "branches/project/main.html"] {
        assert!(there(&scratch.path("kept").join(page)), "{page}");
    }
    let first = asked(&scratch, "201");
    assert!(first.iter().any(|path| path.ends_with("/committed.fetch.txt")), "{first:?}");
    let depths: Vec<_> = first.iter().map(|path| path.matches('/').count()).collect();
    assert!(depths.is_sorted_by(|a, b| a >= b), "nothing links to what is not there yet: {first:?}");
    let run = scratch.path("state/runs");
    let run = fs::read_dir(run).expect("runs").next().expect("a run").expect("a run").file_name();
    let text = fs::read_to_string(scratch.path("kept/runs").join(run).join("logs/project/main/track.txt"));
    assert!(text.expect("the log").contains("source track"));

    // The server is away for a run; nothing of it is lost.
    let port = server.url().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    drop(server);
    let ended = fetcher.run(&["run"]).expect(1);
    assert!(ended.stderr().contains("[upload]"), "{ended}");
    assert_eq!(fetcher.report()["failures"][0]["kind"], "upload");
    let _server = nginx(&scratch, Some(port));
    fs::remove_file(scratch.path("access.log")).expect("the log");
    fetcher.run(&["run"]).expect(0);
    let runs = fs::read_dir(scratch.path("kept/runs")).expect("runs").count();
    assert_eq!(runs, 3);
    let later = asked(&scratch, "201");
    assert!(!later.iter().any(|path| first.contains(path) && path.starts_with("runs/")), "{later:?}");
}

#[test]
fn a_server_that_refuses_is_told_without_the_token() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, "");
    scratch.write("token", "an0ther-token\n");
    let server = nginx(&scratch, None);
    let upload = format!("url = \"{}/pages/\"\ntoken-file = \"token\"", server.url());
    let fetcher = Fetcher::new(&scratch).config(config(&fake, &upload));
    let ended = fetcher.run(&["run"]).expect(1);
    assert!(ended.stderr().contains("403") && ended.stderr().contains("token-file"), "{ended}");
    assert!(!ended.stderr().contains("an0ther-token"), "{ended}");
    assert_eq!(asked(&scratch, "403").len(), 5, "it gives up soon");
    assert_eq!(fetcher.status()["branches"][0]["consecutive-failures"], 0, "the branch itself is well");
}

#[test]
fn a_command_sends_the_folder_and_its_failure_is_told_with_its_words() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, "");
    let send = "#!/bin/sh\n[ -n \"$BST_FETCHER_RUN\" ] && cp -R . \"$1\"\n";
    let script = scratch.write("send", send);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&script, mode).expect("executable");
    let target = scratch.path("elsewhere").display().to_string();
    fs::create_dir(&target).expect("a directory");
    let upload = format!("command = [\"./send\", \"{target}\"]");
    let fetcher = Fetcher::new(&scratch).config(config(&fake, &upload));
    fetcher.run(&["run"]).expect(0);
    assert!(there(&scratch.path("elsewhere/index.html")));

    scratch.write("send", "#!/bin/sh\necho 'no route to the moon' >&2\nexit 7\n");
    let ended = fetcher.run(&["run"]).expect(1);
    assert!(ended.stderr().contains("no route to the moon") && ended.stderr().contains("upload.command"), "{ended}");
}
