//! Zulip, and the status of commits on forges, against an endpoint that answers as they do.

use fetcher_tests::http::{Answer, Http, Request};
use fetcher_tests::notified::Notified;

fn answer(status: &'static str, body: &str) -> Answer {
    Answer::Status(status, "Content-Type: application/json\r\n".to_owned(), body.to_owned())
}

/// The fields of a form.
fn field(request: &Request, name: &str) -> String {
    let start = format!("{name}=");
    let value = request.body.split('&').find_map(|field| field.strip_prefix(&start)).unwrap_or_default();
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        if let (b'%', [high, low, after @ ..]) = (first, after) {
            let hex = String::from_utf8(vec![*high, *low]).expect("hexadecimal");
            bytes.push(u8::from_str_radix(&hex, 16).expect("hexadecimal"));
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).expect("text")
}

#[test]
fn zulip_hears_of_failures_under_the_projects_name() {
    let zulip = Http::start([answer("200 OK", "{\"result\": \"success\", \"msg\": \"\", \"id\": 42}")]);
    let mut world = Notified::new(&[], "");
    let key = world.scratch.write("zulip.key", "the-key\n");
    world.notifiers(&format!(
        "[[notify]]\nkind = \"zulip\"\nserver = \"{}/\"\nemail = \"bot@example.org\"\nchannel = \"builds & more\"\n\
         api-key-file = \"{}\"\n",
        zulip.url,
        key.display()
    ));
    assert_eq!(world.fails().status(), 1);
    let request = zulip.requests().remove(0);
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/api/v1/messages"));
    assert_eq!(request.headers["content-type"], "application/x-www-form-urlencoded");
    // bot@example.org:the-key
    assert_eq!(request.headers["authorization"], "Basic Ym90QGV4YW1wbGUub3JnOnRoZS1rZXk=");
    assert_eq!(field(&request, "type"), "stream");
    assert_eq!(field(&request, "to"), "builds & more");
    assert_eq!(field(&request, "topic"), "project");
    let content = field(&request, "content");
    assert!(content.starts_with("```text\n[project (main)] failed"), "{content}");
    assert!(content.contains("a.bst") && content.contains("https://fetcher.example.org/"), "{content}");
}

#[test]
fn what_zulip_refuses_is_told_with_its_words() {
    let zulip =
        Http::start([answer("400 Bad Request", "{\"result\":\"error\",\"msg\":\"Channel 'x' does not exist\"}")]);
    let mut world = Notified::new(&[], "");
    let key = world.scratch.write("zulip.key", "the-key\n");
    world.notifiers(&format!(
        "[[notify]]\nkind = \"zulip\"\nserver = \"{}\"\nemail = \"bot@example.org\"\nchannel = \"x\"\n\
         api-key-file = \"{}\"\n",
        zulip.url,
        key.display()
    ));
    let tried = world.fetcher().run(&["notify", "test"]);
    assert_eq!(tried.status(), 1);
    let said = tried.stdout() + &tried.stderr();
    assert!(said.contains("Channel 'x' does not exist") && !said.contains("the-key"), "{said}");
}

/// A notifier for the status of commits.
fn statuses(world: &mut Notified, forge: &str, url: &str) {
    let token = world.scratch.write("forge.token", "the-token\n");
    world.notifiers(&format!(
        "[[notify]]\nkind = \"commit-status\"\nforge = \"{forge}\"\napi-url = \"{url}\"\nrepository = \"group/name\"\n\
         token-file = \"{}\"\n",
        token.display()
    ));
}

#[test]
fn each_tip_gets_its_status_on_gitlab() {
    let forge = Http::start([]);
    let mut world = Notified::new(&[], "");
    statuses(&mut world, "gitlab", &format!("{}/api/v4", forge.url));
    world.fails();
    let tip = world.repo.tip("main");
    let request = forge.take().remove(0);
    assert_eq!(request.target, format!("/api/v4/projects/group%2Fname/statuses/{tip}"));
    assert_eq!(request.headers["private-token"], "the-token");
    let body = request.json();
    assert_eq!((body["state"].as_str(), body["ref"].as_str()), (Some("failed"), Some("main")));
    assert_eq!(body["context"], "bst-fetcher");
    assert!(body["description"].as_str().is_some_and(|said| said.contains("a.bst") && said.len() <= 140), "{body}");
    assert!(body["target_url"].as_str().is_some_and(|url| url.starts_with("https://fetcher.example.org/")), "{body}");
    world.works();
    assert_eq!(forge.take().remove(0).json()["state"], "success");
    // The state that is there is refused, and nobody need hear of that.
    forge.now([answer("400 Bad Request", "{\"message\":\"Cannot transition status via :enqueue from :success\"}")]);
    let again = world.works();
    assert_eq!(again.status(), 0, "{}", again.stderr());
    assert_eq!(forge.take().len(), 1);
}

#[test]
fn each_tip_gets_its_status_on_github() {
    let forge = Http::start([]);
    let mut world = Notified::new(&[], "");
    statuses(&mut world, "github", &forge.url);
    world.works();
    let request = forge.take().remove(0);
    assert_eq!(request.target, format!("/repos/group/name/statuses/{}", world.repo.tip("main")));
    assert_eq!(request.headers["authorization"], "Bearer the-token");
    assert!(request.headers["user-agent"].starts_with("bst-fetcher/"), "{request:?}");
    assert_eq!(request.json()["state"], "success");
    // Who may not is told so.
    forge.now([answer("403 Forbidden", "{\"message\":\"Resource not accessible by integration\"}")]);
    let refused = world.works();
    let said = refused.stdout() + &refused.stderr();
    assert!(said.contains("Resource not accessible by integration") && !said.contains("the-token"), "{said}");
}

#[test]
fn a_test_of_a_commit_status_changes_nothing() {
    let forge = Http::start([]);
    let mut world = Notified::new(&[], "");
    statuses(&mut world, "gitea", &forge.url);
    let tried = world.fetcher().run(&["notify", "test"]);
    assert_eq!(tried.status(), 0, "{}", tried.stderr());
    let request = forge.take().remove(0);
    assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", "/user"));
}
