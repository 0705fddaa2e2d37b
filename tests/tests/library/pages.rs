//! The status pages: what they say, how they are written, and what they leave alone.
#![expect(clippy::unwrap_used, reason = "a helper of tests panics wherever a test would")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use fetcher_core::fetcher::PublishError;
use fetcher_core::fetcher::{LogForm, PageAddress};
use fetcher_core::report::{Outcome, RunReport};
use fetcher_core::{BranchName, ProjectName, RunId, Stage};
use fetcher_tests::browser::decoded;
use fetcher_tests::sample::{HOSTILE, RUNS, SECRET, Sample, run_id};
use jiff::Timestamp;

/// The body of a page, an element a line.
fn body(page: &str) -> String {
    page[page.find("<body>").unwrap()..].replace("><", ">\n<")
}

/// Every file below a folder, by its path relative to it.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}

/// What a page of our own links to, as paths in the site, with the anchors.
fn links(page: &str, content: &str) -> Vec<(String, Option<String>)> {
    let folder: Vec<&str> = page.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev().collect();
    let targets = content.split("href=\"").skip(1).map(|rest| &rest[..rest.find('"').unwrap()]);
    let local = targets.filter(|target| !target.starts_with("data:"));
    local
        .map(|target| {
            let target = target.replace("&amp;", "&");
            let (path, anchor) = target.split_once('#').map_or((target.as_str(), None), |(path, at)| (path, Some(at)));
            let up = path.matches("../").count();
            let mut parts: Vec<String> = folder[..folder.len() - up].iter().map(|part| (*part).to_owned()).collect();
            parts.push(decoded(&path[3 * up..]));
            let path = if path.is_empty() { page.to_owned() } else { parts.join("/") };
            (path, anchor.map(decoded))
        })
        .collect()
}

/// Whether a file is of a sort.
fn is(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == ending)
}

/// Asserts that from the first page on no link leads to nothing; returns how many pages there were.
fn crawl(site: &BTreeMap<String, Vec<u8>>) -> usize {
    let mut seen = BTreeSet::from(["index.html".to_owned()]);
    let mut left = vec!["index.html".to_owned()];
    let mut anchors = BTreeMap::new();
    while let Some(page) = left.pop() {
        let content = String::from_utf8_lossy(&site[&page]);
        for (target, anchor) in links(&page, &content) {
            // The first page says where the feed and the status are before their first time.
            let there = site.get(&target);
            if target == "feed.xml" || target == "status.json" {
                continue;
            }
            let there = there.unwrap_or_else(|| panic!("{page} links to {target}, which is not there"));
            if let Some(anchor) = anchor {
                let ids = anchors.entry(target.clone()).or_insert_with(|| ids(there));
                assert!(ids.contains(&escaped(&anchor)), "{page} links to {target}#{anchor}");
            }
            if is(&target, "html") && seen.insert(target.clone()) {
                left.push(target);
            }
        }
    }
    seen.len()
}

/// What a page can be entered at, escaped as in the page.
fn ids(page: &[u8]) -> BTreeSet<String> {
    let page = String::from_utf8_lossy(page);
    page.split("id=\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn branch_page(project: &str, branch: &str) -> PageAddress {
    PageAddress::branch(&project.parse().unwrap(), Some(&branch.parse().unwrap()))
}

fn log_page(run: &RunId, project: &str, branch: &str, stage: Stage, form: LogForm) -> PageAddress {
    let project: ProjectName = project.parse().unwrap();
    let branch: BranchName = branch.parse().unwrap();
    PageAddress::log(run, &project, Some(&branch), None, None, stage, form)
}

#[test]
fn pages_say_what_happened() {
    let sample = Sample::after(RUNS);
    let published = sample.publish().unwrap();
    assert!(published.failures.is_empty());
    let run = run_id(RUNS - 1);
    insta::assert_snapshot!("index", body(&sample.read("index.html")));
    insta::assert_snapshot!("branch", body(&sample.read(branch_page("freedesktop-sdk", "release/24.08").path())));
    insta::assert_snapshot!("run", body(&sample.read(PageAddress::run(&run).path())));
    let log = log_page(&run, "gnome-build-meta", "main", Stage::Track, LogForm::Page);
    insta::assert_snapshot!("log", body(&sample.read(log.path())));
    let text = log_page(&run, "gnome-build-meta", "main", Stage::Track, LogForm::Text);
    insta::assert_snapshot!("log-text", sample.read(text.path()));
    // The ids hold where and when the site was first made.
    insta::with_settings!({ filters => [("urn:uuid:[0-9a-f-]{36}", "urn:uuid:[id]")] }, {
        insta::assert_snapshot!("feed", sample.read("feed.xml"));
    });
    insta::assert_snapshot!("status", sample.read("status.json"));
}

#[test]
fn every_link_leads_somewhere() {
    let sample = Sample::of(RUNS - 12..RUNS);
    sample.publish().unwrap();
    let site = files(&sample.site());
    let pages = crawl(&site);
    let all = site.keys().filter(|name| is(name, "html")).count();
    assert_eq!(pages, all, "every page is reached from the first");
}

#[test]
fn no_link_leads_to_nothing_while_the_site_is_written() {
    let mut sample = Sample::of(45..49);
    sample.publish().unwrap();
    let mut site = files(&sample.site());
    // The hostile branch is new with the next run, and the oldest run's pages go.
    for runs in [51, 52] {
        sample.go_on(runs);
        let published = sample.publish().unwrap();
        assert!(published.written.len() > 5);
        let now = files(&sample.site());
        for page in published.written {
            site.insert(page.clone(), now[&page].clone());
            crawl(&site);
        }
        crawl(&now);
        site = now;
    }
}

#[test]
fn what_did_not_change_is_not_written() {
    let sample = Sample::after(RUNS);
    sample.publish().unwrap();
    let before = files(&sample.site());
    let published = sample.publish().unwrap();
    assert_eq!(published.written, Vec::<String>::new());
    assert_eq!((published.removed, published.unchanged), (0, sample.states.len() + 2));
    assert!(files(&sample.site()) == before);
}

#[test]
fn a_site_whose_writing_was_stopped_anywhere_is_mended_by_the_next() {
    let straight = || {
        let mut sample = Sample::of(RUNS - 3..RUNS - 1);
        sample.publish().unwrap();
        sample.go_on(RUNS);
        sample
    };
    let reference = straight();
    let written = reference.publish().unwrap().written;
    assert!(written.len() > 20);
    let mut expected = files(&reference.site());
    for stop in &written {
        let sample = straight();
        // A folder in the place of a page: writing ends there, and nothing after it happens.
        let obstacle = sample.site().join(stop);
        let _ = fs::remove_file(&obstacle);
        fs::create_dir_all(obstacle.join("in-the-way")).unwrap();
        assert!(matches!(sample.publish(), Err(PublishError::Write { .. })), "{stop}");
        fs::remove_dir_all(&obstacle).unwrap();
        sample.publish().unwrap();
        let mut mended = files(&sample.site());
        // The manifests hold the times of files, and the feed's id when and where the site was first made.
        for different in [&mut mended, &mut expected] {
            different.retain(|name, _| !name.ends_with(".bst-fetcher.json") && name != "feed.xml");
        }
        let (mended, expected): (Vec<_>, Vec<_>) = (mended.iter().collect(), expected.iter().collect());
        assert!(mended == expected, "{stop}");
    }
}

#[test]
fn old_runs_go_and_what_is_not_ours_stays() {
    let mut sample = Sample::after(RUNS);
    sample.publish().unwrap();
    let newest = run_id(RUNS - 1);
    let page = |run: u32| sample.site().join(PageAddress::run(&run_id(run)).path());
    // keep-runs is 48 hours: the first twelve of sixty hourly runs are too old.
    assert!(!page(11).exists() && page(13).exists());
    fs::write(sample.site().join("robots.txt"), "mine").unwrap();
    fs::write(sample.site().join("runs").join(newest.as_str()).join("mine.txt"), "mine").unwrap();
    fs::remove_dir_all(sample.store().directory()).unwrap();
    sample.states.remove(0);
    sample.clock.set("2026-01-10T12:00:00Z".parse().unwrap());
    sample.publish().unwrap();
    let gone = branch_page("freedesktop-sdk", "master");
    assert!(sample.read(gone.path()).contains("no longer fetched"), "runs still link to it");
    crawl(&files(&sample.site()));

    sample.states.clear();
    sample.clock.set("2026-02-10T12:00:00Z".parse().unwrap());
    let published = sample.publish().unwrap();
    assert!(published.removed > 100);
    // The pages of the branches that have just gone stay for as long as runs do.
    sample.clock.set("2026-03-10T12:00:00Z".parse().unwrap());
    sample.publish().unwrap();
    let left = files(&sample.site());
    let mine = format!("runs/{newest}/mine.txt");
    let left: Vec<&str> = left.keys().map(String::as_str).collect();
    assert_eq!(left, [".bst-fetcher.json", "feed.xml", "index.html", "robots.txt", &mine, "status.json"]);
}

#[test]
fn a_folder_of_somebody_else_is_refused() {
    let sample = Sample::after(1);
    fs::create_dir_all(sample.site()).unwrap();
    fs::write(sample.site().join("index.html"), "Welcome to nginx!").unwrap();
    let error = sample.publish().unwrap_err();
    assert!(matches!(&error, PublishError::Foreign(path) if path.ends_with("index.html")), "{error}");
    assert_eq!(error.diagnosis().hint, "Set fetcher.publish-dir to a folder that nothing else writes to.");
    assert_eq!(sample.read("index.html"), "Welcome to nginx!");
    assert_eq!(files(&sample.site()).len(), 1);
}

#[test]
fn nothing_secret_hostile_or_invisible_gets_out() {
    let sample = Sample::after(RUNS);
    sample.publish().unwrap();
    for (name, content) in files(&sample.site()) {
        let text = String::from_utf8(content).unwrap();
        assert!(!text.contains(SECRET), "{name} has the secret");
        let invisible = |c: char| c.is_control() && c != '\n' && c != '\t' || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!text.contains(invisible), "{name} has control characters");
        if !is(&name, "txt") && !is(&name, "json") {
            assert!(!text.contains("<script") && !text.contains("<img"), "{name} has markup of somebody else");
        }
    }
    let hostile = sample.read(branch_page("hostile", HOSTILE).path());
    assert!(hostile.contains("&lt;script&gt;alert('1')&lt;/script&gt;&quot;&amp;#%41"));
    assert!(hostile.contains("content=\"default-src 'none'; style-src 'sha256-"));
}

#[test]
fn a_run_that_was_killed_is_told_from_one_that_goes_on() {
    let mut sample = Sample::after(3);
    let run = run_id(2);
    let path = sample.store().run_directory(&run).join("report.json");
    let mut report: RunReport = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    report.finished = None;
    report.outcome = Outcome::Skipped;
    fs::write(&path, serde_json::to_vec(&report).unwrap()).unwrap();
    sample.running = Some(run.clone());
    sample.publish().unwrap();
    let page = |sample: &Sample| sample.read(PageAddress::run(&run).path());
    assert!(page(&sample).contains("running") && sample.read("index.html").contains("running"));
    sample.running = None;
    sample.publish().unwrap();
    assert!(page(&sample).contains("killed") && sample.read("index.html").contains("killed"));
}

#[test]
fn a_report_that_cannot_be_read_is_told_once_and_stops_nothing() {
    let sample = Sample::after(3);
    fs::write(sample.store().run_directory(&run_id(1)).join("report.json"), "{").unwrap();
    let published = sample.publish().unwrap();
    assert_eq!(published.failures.len(), 1);
    assert!(published.failures[0].message.contains(run_id(1).as_str()));
    assert!(sample.site().join(PageAddress::run(&run_id(2)).path()).exists());
    assert_eq!(sample.publish().unwrap().failures, []);
    crawl(&files(&sample.site()));
}

/// The entries of the feed: id, title and time.
fn entries(feed: &str) -> Vec<(String, String, Timestamp)> {
    let document = roxmltree::Document::parse(feed).unwrap();
    let text = |node: roxmltree::Node, name: &str| {
        let child = node.children().find(|child| child.has_tag_name((ATOM, name)));
        child.and_then(|child| child.text()).unwrap_or_else(|| panic!("no {name}")).to_owned()
    };
    let entries = document.root_element().children().filter(|node| node.has_tag_name((ATOM, "entry")));
    entries.map(|entry| (text(entry, "id"), text(entry, "title"), text(entry, "updated").parse().unwrap())).collect()
}

const ATOM: &str = "http://www.w3.org/2005/Atom";

/// The rules of RFC 4287, section 4, as far as the feed uses its elements.
#[test]
fn the_feed_is_valid_atom() {
    let mut sample = Sample::after(RUNS);
    for base_url in [Some("https://fetcher.example.org/a&b/".to_owned()), None] {
        sample.base_url = base_url;
        sample.publish().unwrap();
        let feed = sample.read("feed.xml");
        let document = roxmltree::Document::parse(&feed).unwrap();
        let root = document.root_element();
        assert!(root.has_tag_name((ATOM, "feed")));
        for node in root.descendants().filter(|node| node.has_tag_name("feed") || node.has_tag_name("entry")) {
            for once in ["id", "title", "updated"] {
                let count = node.children().filter(|child| child.has_tag_name((ATOM, once))).count();
                assert_eq!(count, 1, "exactly one {once}");
            }
            let alternates = node.children().filter(|child| child.attribute("rel") == Some("alternate"));
            assert_eq!(alternates.count(), 1, "at most one alternate link of a type");
        }
        let author = root.children().find(|node| node.has_tag_name((ATOM, "author"))).unwrap();
        assert!(author.children().any(|node| node.has_tag_name((ATOM, "name"))), "an author has a name");
        for content in root.descendants().filter(|node| node.has_tag_name((ATOM, "content"))) {
            assert_eq!(content.attribute("type"), Some("html"));
            assert!(content.children().all(|child| child.is_text()), "html is text, escaped");
        }
        let entries = entries(&feed);
        let ids: BTreeSet<&String> = entries.iter().map(|(id, ..)| id).collect();
        assert_eq!(ids.len(), entries.len(), "ids are unique");
        assert!(ids.iter().all(|id| id.starts_with("urn:uuid:") && id.len() == 45));
        assert!(entries.is_sorted_by(|a, b| a.2 >= b.2));
    }
}

#[test]
fn the_feed_has_an_entry_for_each_change_and_keeps_its_ids() {
    let mut sample = Sample::after(RUNS - 1);
    sample.publish().unwrap();
    let before = entries(&sample.read("feed.xml"));
    let titles: Vec<&str> = before.iter().map(|(_, title, _)| title.as_str()).collect();
    let hostile = format!("hostile ({HOSTILE}) fails");
    assert_eq!(
        titles,
        [
            "freedesktop-sdk (release/24.08) fails",
            hostile.as_str(),
            "gnome-build-meta (gnome-47) fails",
            "gnome-build-meta (main) fails",
            "freedesktop-sdk (release/24.08) is well again",
            "freedesktop-sdk (release/24.08) fails",
        ]
    );
    sample.go_on(RUNS);
    sample.base_url = Some("https://elsewhere.example.org/".to_owned());
    sample.publish().unwrap();
    let mut after = entries(&sample.read("feed.xml"));
    assert_eq!(after.remove(0).1, "The fetching host has a problem");
    assert_eq!(after, before);
}

#[test]
fn the_clock_alone_moves_only_what_shows_it() {
    let sample = Sample::after(RUNS);
    sample.publish().unwrap();
    sample.clock.set("2026-01-10T11:59:00Z".parse().unwrap());
    assert_eq!(sample.publish().unwrap().written, ["index.html", "status.json"]);
}
