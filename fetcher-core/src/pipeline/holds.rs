//! What must not be tracked: the configuration's holds, and those of a project's `.bstignore`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use globset::{Glob, GlobMatcher};
use jiff::civil::Date;

use crate::bst::project_files::ProjectFiles;
use crate::config::ProjectConfig;
use crate::diagnosis::{Diagnosis, FailureKind};
use crate::names::{ElementName, Stage};
use crate::report::{HoldOrigin, HoldReport, LeftOutReason, StageReport};
use crate::sanitize::strip_control;

/// The file of a project that names what is not to be updated: a name a line, and a reason after `#`.
const BSTIGNORE: &str = ".bstignore";
/// What is read of it, in bytes and lines, and what of a reason, in characters.
const MAX_BYTES: usize = 1 << 20;
const MAX_LINES: usize = 10_000;
const MAX_REASON: usize = 300;

/// The holds on a project's elements.
#[derive(Debug, Default)]
pub(crate) struct ProjectHolds {
    holds: Vec<ActiveHold>,
    expired: Vec<HoldReport>,
    /// What is worth saying of them.
    pub(crate) notes: Vec<String>,
}

/// A hold, and which elements it means.
#[derive(Debug)]
struct ActiveHold {
    report: HoldReport,
    meant: HeldNames,
}

#[derive(Debug)]
enum HeldNames {
    Glob(Box<GlobMatcher>),
    Elements(BTreeSet<ElementName>),
}

impl ActiveHold {
    fn means(&self, element: &ElementName) -> bool {
        match &self.meant {
            HeldNames::Glob(glob) => glob.is_match(element.as_str()),
            HeldNames::Elements(elements) => elements.contains(element),
        }
    }
}

impl ProjectHolds {
    /// The holds of the configuration, and those of the project in a directory.
    pub(crate) fn read(config: &ProjectConfig, directory: &Path, today: Date) -> Self {
        let mut holds = Self::default();
        for hold in &config.holds {
            let report = HoldReport {
                element: hold.element.clone(),
                reason: Some(hold.reason.clone()),
                until: hold.until,
                origin: HoldOrigin::Configuration,
                expired: hold.until.is_some_and(|until| until < today),
                elements: Vec::new(),
            };
            match Glob::new(&hold.element) {
                Ok(_) if report.expired => holds.expired.push(report),
                Ok(glob) => {
                    let meant = HeldNames::Glob(Box::new(glob.compile_matcher()));
                    holds.holds.push(ActiveHold { report, meant });
                }
                Err(error) => holds.notes.push(format!("the hold {:?} is not a valid glob: {error}", hold.element)),
            }
        }
        holds.add_bstignore(&ProjectFiles::new(directory));
        holds
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.holds.is_empty()
    }

    /// The first hold that means an element.
    pub(crate) fn of(&self, element: &ElementName) -> Option<&HoldReport> {
        self.holds.iter().find(|hold| hold.means(element)).map(|hold| &hold.report)
    }

    /// All of them, with the elements that some stages left out because of each.
    pub(crate) fn into_reports(self, stages: &[StageReport]) -> Vec<HoldReport> {
        let left_out = stages.iter().flat_map(|stage| &stage.left_out);
        let held: BTreeSet<_> =
            left_out.filter(|left_out| left_out.why == LeftOutReason::Held).map(|left_out| &left_out.element).collect();
        let with_elements = |hold: ActiveHold| {
            let elements = held.iter().filter(|element| hold.means(element)).map(|element| (*element).clone());
            HoldReport { elements: elements.collect(), ..hold.report }
        };
        self.holds.into_iter().map(with_elements).chain(self.expired).collect()
    }

    fn add_bstignore(&mut self, files: &ProjectFiles) {
        let text = match files.read(BSTIGNORE) {
            Ok(None) => return,
            Ok(Some(text)) if text.len() <= MAX_BYTES => text,
            Ok(Some(_)) => {
                return self.notes.push(format!("{BSTIGNORE} is larger than {} MiB, and not read", MAX_BYTES >> 20));
            }
            Err(error) => return self.notes.push(format!("{BSTIGNORE} cannot be read: {error}")),
        };
        let lines: Vec<_> = text.lines().filter_map(ignored).take(MAX_LINES + 1).collect();
        if lines.len() > MAX_LINES {
            self.notes.push(format!("{BSTIGNORE} has more than {MAX_LINES} lines; the others are not read"));
        }
        let mut included: BTreeMap<PathBuf, Vec<(String, Option<String>)>> = BTreeMap::new();
        let mut unknown = Vec::new();
        for (name, reason) in lines.into_iter().take(MAX_LINES) {
            match (ignored_element(files, &name), files.find(&name)) {
                (Some(element), _) => self.hold(name, reason, BTreeSet::from([element])),
                (None, Some(file)) => included.entry(file).or_default().push((name, reason)),
                (None, None) => unknown.push(name),
            }
        }
        self.hold_including(files, included, &mut unknown);
        if let Some(first) = unknown.first() {
            let more = if unknown.len() > 1 { format!(" and {} more", unknown.len() - 1) } else { String::new() };
            self.notes.push(format!("{BSTIGNORE} names {first:?}{more}, which holds no element here"));
        }
    }

    /// Holds the elements that include files.
    fn hold_including(
        &mut self,
        files: &ProjectFiles,
        included: BTreeMap<PathBuf, Vec<(String, Option<String>)>>,
        unknown: &mut Vec<String>,
    ) {
        let paths = included.keys().cloned().collect();
        let mut including = match files.elements_that_include_any(&paths) {
            Ok(including) => including,
            Err(error) => {
                return self.notes.push(format!("the elements that {BSTIGNORE} means cannot be found: {error}"));
            }
        };
        for (path, lines) in included {
            let elements = including.remove(&path).unwrap_or_default();
            for (name, reason) in lines {
                if elements.is_empty() { unknown.push(name) } else { self.hold(name, reason, elements.clone()) }
            }
        }
    }

    fn hold(&mut self, element: String, reason: Option<String>, elements: BTreeSet<ElementName>) {
        let (origin, until, expired) = (HoldOrigin::Bstignore, None, false);
        let report = HoldReport { element, reason, until, origin, expired, elements: Vec::new() };
        self.holds.push(ActiveHold { report, meant: HeldNames::Elements(elements) });
    }
}

/// What a line of `.bstignore` names, and why; none for an empty one.
fn ignored(line: &str) -> Option<(String, Option<String>)> {
    let (name, reason) = line.split_once('#').map_or((line, None), |(name, reason)| (name, Some(reason)));
    let name = strip_control(name.trim());
    let reason = reason.map(|reason| strip_control(reason.trim()).chars().take(MAX_REASON).collect::<String>());
    let short = !name.is_empty() && name.chars().count() <= MAX_REASON;
    short.then_some((name, reason.filter(|reason| !reason.is_empty())))
}

/// The element of a line: by its name, or by its file's path in the project. One behind a junction need not be there.
fn ignored_element(files: &ProjectFiles, name: &str) -> Option<ElementName> {
    if Path::new(name).extension().is_none_or(|end| end != "bst") {
        return None;
    }
    let element: Option<ElementName> = name.parse().ok().filter(|element| files.has(element));
    element.or_else(|| files.element_of(Path::new(name)).filter(|element| files.has(element)))
}

/// What is to be told of a hold that is over.
pub(crate) fn expired(hold: &HoldReport) -> Diagnosis {
    let until = hold.until.map(|until| until.to_string()).unwrap_or_default();
    let reason = hold.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let message = format!("the hold on {}{reason} expired after {until}: it is tracked again", hold.element);
    let failure = Diagnosis::of_kind(FailureKind::HoldExpired, message);
    failure.with_stage(Stage::Track).with_element(hold.element.parse::<ElementName>().ok())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::HoldConfig;

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let conf = ("project.conf", "name: p\nelement-path: elements\n");
        for (path, text) in files.iter().chain([&conf]) {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        directory
    }

    fn config(holds: &[(&str, Option<&str>)]) -> ProjectConfig {
        let environment = crate::environment::Environment::from_iter([("HOME", "/home/me")]);
        let text = "[[project]]\nurl = 'https://h/p.git'\n";
        let config = crate::Config::parse(text, Path::new("/c.toml"), &crate::config::DiskFiles, &environment).unwrap();
        let hold = |(element, until): &(&str, Option<&str>)| HoldConfig {
            element: (*element).to_owned(),
            reason: "because".to_owned(),
            until: until.map(|until| until.parse().unwrap()),
        };
        ProjectConfig { holds: holds.iter().map(hold).collect(), ..config.projects[0].clone() }
    }

    fn held(holds: &ProjectHolds, elements: &[&str]) -> Vec<String> {
        let is_held = |name: &&&str| holds.of(&name.parse().unwrap()).is_some();
        elements.iter().filter(is_held).map(|name| (*name).to_owned()).collect()
    }

    const TODAY: Date = Date::constant(2026, 11, 25);

    #[test]
    fn globs_hold_until_their_last_day_is_over() {
        let directory = project(&[]);
        let config = config(&[("core/*", None), ("a.bst", Some("2026-11-25")), ("b.bst", Some("2026-11-24"))]);
        let holds = ProjectHolds::read(&config, directory.path(), TODAY);
        assert_eq!(held(&holds, &["core/x/y.bst", "a.bst", "b.bst", "c.bst"]), ["core/x/y.bst", "a.bst"]);
        let reports = holds.into_reports(&[]);
        let expired: Vec<_> = reports.iter().filter(|hold| hold.expired).map(HoldReport::words).collect();
        assert_eq!(expired, ["b.bst: because (expired 2026-11-24)"]);
    }

    #[test]
    fn bstignore_holds_elements_and_what_includes_a_file_with_sources() {
        let source = "sources:\n- kind: tar\n  url: x\n";
        let directory = project(&[
            (
                ".bstignore",
                "a.bst # needs x\n\nelements/b.bst\ninc/s.yml#why\ninclude/v.yml\nnone.bst\n# a remark\nj.bst:x.bst\n",
            ),
            ("elements/a.bst", "kind: import\n"),
            ("elements/b.bst", "kind: import\n"),
            ("elements/c.bst", "kind: import\n(@): elements/inc/s.yml\n"),
            ("elements/d.bst", "kind: import\n(@): include/v.yml\n"),
            ("elements/j.bst", "kind: junction\n"),
            ("elements/inc/s.yml", source),
            ("include/v.yml", "variables: {}\n"),
        ]);
        let holds = ProjectHolds::read(&config(&[]), directory.path(), TODAY);
        let all = ["a.bst", "b.bst", "c.bst", "d.bst", "j.bst", "j.bst:x.bst"];
        assert_eq!(held(&holds, &all), ["a.bst", "b.bst", "c.bst", "j.bst:x.bst"]);
        let reason = |name: &str| holds.of(&name.parse().unwrap()).and_then(|hold| hold.reason.clone());
        assert_eq!(
            (reason("a.bst"), reason("c.bst"), reason("b.bst")),
            (Some("needs x".into()), Some("why".into()), None)
        );
        assert_eq!(holds.notes, [".bstignore names \"none.bst\" and 1 more, which holds no element here"]);
    }

    #[test]
    fn a_hostile_bstignore_is_bounded_and_leads_nowhere() {
        let long = "x".repeat(1000);
        let text = format!("../../etc/passwd\n/etc/passwd\n--help\na.bst # \u{1b}[31m{long}\n{long}.bst\n\0\u{202e}\n");
        let directory = project(&[(".bstignore", &text), ("elements/a.bst", "kind: import\n")]);
        let holds = ProjectHolds::read(&config(&[]), directory.path(), TODAY);
        assert_eq!(held(&holds, &["a.bst"]), ["a.bst"]);
        let reason = holds.of(&"a.bst".parse().unwrap()).unwrap().reason.clone().unwrap();
        assert!(reason.chars().count() <= MAX_REASON && !reason.contains('\u{1b}'), "{reason}");
        fs::write(directory.path().join(BSTIGNORE), "a.bst\n".repeat(MAX_LINES + 5)).unwrap();
        let holds = ProjectHolds::read(&config(&[]), directory.path(), TODAY);
        assert!(holds.holds.len() == MAX_LINES && holds.notes[0].contains("more than"), "{:?}", holds.notes);
        fs::write(directory.path().join(BSTIGNORE), vec![b'#'; MAX_BYTES + 1]).unwrap();
        assert!(ProjectHolds::read(&config(&[]), directory.path(), TODAY).notes[0].contains("larger"));
        fs::remove_file(directory.path().join(BSTIGNORE)).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", directory.path().join(BSTIGNORE)).unwrap();
        let holds = ProjectHolds::read(&config(&[]), directory.path(), TODAY);
        assert!(holds.is_empty() && holds.notes[0].contains("leads out of the checkout"), "{:?}", holds.notes);
    }
}
