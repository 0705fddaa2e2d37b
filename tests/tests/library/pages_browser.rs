//! The status pages in a real browser, on a phone and on a wide screen, light and dark.
#![expect(clippy::unwrap_used, reason = "a helper of tests panics wherever a test would")]

use std::fs;
use std::path::Path;

use fetcher_core::Stage;
use fetcher_core::fetcher::{LogForm, PageAddress};
use fetcher_tests::browser::{Look, StaticServer, open};
use fetcher_tests::sample::{HOSTILE, RUNS, Sample, run_id};

/// Shows a page in a frame as wide as a phone and says how wide its content is. It lies beside the pages: only so may
/// it look into them.
const RULER: &str = "<!DOCTYPE html><link rel=icon href='data:,'><body><script>
const frame = document.createElement('iframe');
frame.style.cssText = 'border:0;height:700px;width:320px';
frame.src = decodeURIComponent(location.search.slice(1));
frame.onload = () => {
  const root = frame.contentDocument.documentElement;
  document.body.dataset.result = `width ${root.scrollWidth} background ${frame.contentWindow.getComputedStyle(frame.contentDocument.body).backgroundColor}`;
};
document.body.append(frame);
</script>";

/// The pages that are looked at: one of each sort, and those with what is longest and most hostile.
fn pages() -> Vec<(&'static str, String)> {
    let run = run_id(RUNS - 1);
    let branch =
        |project: &str, branch: &str| PageAddress::branch(&project.parse().unwrap(), Some(&branch.parse().unwrap()));
    let log = |project: &str, branch: &str, stage| {
        let (project, branch) = (project.parse().unwrap(), branch.parse().unwrap());
        PageAddress::log(&run, &project, Some(&branch), None, None, stage, LogForm::Page)
    };
    vec![
        ("index", PageAddress::index()),
        ("branch", branch("freedesktop-sdk", "release/24.08")),
        ("hostile-branch", branch("hostile", HOSTILE)),
        ("run", PageAddress::run(&run)),
        ("log", log("gnome-build-meta", "main", Stage::Track)),
        ("huge-log", log("freedesktop-sdk", "release/24.08", Stage::Fetch)),
    ]
    .into_iter()
    .map(|(name, page)| (name, page.under("")))
    .collect()
}

#[test]
fn pages_are_shown_without_errors_and_fit_a_phone() {
    let sample = Sample::of(RUNS - 3..RUNS);
    sample.publish().unwrap();
    fs::write(sample.site().join("ruler.html"), RULER).unwrap();
    let server = StaticServer::of(&sample.site());
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    fs::create_dir_all(&pictures).unwrap();
    // Starting a browser is mostly waiting: two at a time.
    std::thread::scope(|scope| {
        for half in pages().chunks(3) {
            let (server, pictures, half) = (&server, &pictures, half.to_vec());
            scope.spawn(move || half.iter().for_each(|(name, page)| look_at(name, page, server, pictures)));
        }
    });
}

fn look_at(name: &str, page: &str, server: &StaticServer, pictures: &Path) {
    for (dark, theme, background) in [(false, "light", "rgb(245, 246, 247)"), (true, "dark", "rgb(14, 17, 22)")] {
        for width in [320, 1280] {
            let picture = pictures.join(format!("{name}-{width}-{theme}.png"));
            let seen = open(&server.url(page), Look { width, dark }, Some(&picture));
            assert_eq!(seen.console, Vec::<String>::new(), "{name} {width} {theme}");
            assert!(picture.metadata().unwrap().len() > 5000, "{name} {width} {theme}: nothing is to be seen");
        }
        let query = page.replace('%', "%25").replace('#', "%23");
        let seen = open(&server.url(&format!("ruler.html?{query}")), Look { width: 1280, dark }, None);
        assert_eq!(seen.console, Vec::<String>::new(), "{name} {theme}");
        let result = seen.dom.split("data-result=\"").nth(1).and_then(|rest| rest.split('"').next());
        assert_eq!(result, Some(&*format!("width 320 background {background}")), "{name} {theme} on a phone");
    }
}

#[test]
fn the_browser_tells_of_errors() {
    let folder = tempfile::tempdir().unwrap();
    let page =
        "<!DOCTYPE html><meta http-equiv=Content-Security-Policy content=\"default-src 'none'\"><script>1</script>";
    fs::write(folder.path().join("bad.html"), page).unwrap();
    let server = StaticServer::of(folder.path());
    let seen = open(&server.url("bad.html"), Look { width: 320, dark: false }, None);
    assert!(seen.console.iter().any(|line| line.contains("Content Security Policy")), "{:?}", seen.console);
}
