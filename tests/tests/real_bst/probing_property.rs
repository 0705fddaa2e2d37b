//! Whatever happens upstream and in a project, the refs after a run are those that bst finds that tracks everything.

use std::collections::BTreeSet;
use std::env;

use fetcher_tests::git_fixture::Repo;
use fetcher_tests::tls_proxy::TlsProxy;

use crate::probed_indexes::PypiIndex;
use crate::probed_kinds::Indexes;
use crate::probing::{CheckoutFiles, Probed, serve_file};

/// How often things happen, one run after each time.
const STEPS: u64 = 3;
/// How many things happen before one run at most.
const AT_ONCE: usize = 3;

/// Numbers that look random (xorshift), always the same for a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("a small number")
    }
}

/// What a project is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// With a branch that lags behind.
    Lagging,
    /// With two option sets, and sources that differ by them.
    Options,
    /// With its refs in `project.refs`.
    Stored,
}

/// A project with sources of many kinds.
struct World {
    form: Form,
    probed: Probed,
    indexes: Indexes,
    pypi: PypiIndex,
    _internet: TlsProxy,
    /// The elements as they were at first, by file.
    first: Vec<(String, String)>,
}

/// The elements that have a repository of their own upstream which moves, and that whose newest tags tie.
const OF_GIT: usize = 8;
const TIED: usize = 4;
const JUNCTION: usize = 5;
const SHARED: &str = "sources:\n- kind: git\n  url: up:including\n  track: main\n";

impl World {
    fn new(form: Form) -> Self {
        let (indexes, pypi) = (Indexes::new(), PypiIndex::new());
        pypi.releases("tool", &[("1.0", false)], 1);
        let web = &indexes.0.url;
        let docker = format!("- kind: docker\n  registry-url: {web}\n  image: library/small\n  track: stable\n");
        let cpan = format!("- kind: cpan\n  index: {web}/cpan/\n  name: A::B\n");
        let anitya =
            format!("- kind: anitya\n  api-url: {web}/api/\n  project-id: 7\n  url: '{web}/pkg-{{version}}.tar.gz'\n");
        let page = format!("- kind: pypi\n  name: tool\n  url: {}/packages/\n", pypi.0.url);
        let optional = "kind: import\n(?):\n- debug == False:\n    sources:\n    - kind: git\n      url: {url}\n      track: main\n\
                        - debug == True:\n    sources:\n    - kind: git\n      url: {url}\n      track: v1\n";
        let junction = "kind: junction\nsources:\n- kind: git\n  url: {url}\n  track: main\n  ref: {ref}\n";
        let mut sources = vec![
            ("plain", "- kind: git\n  url: {url}\n  track: main\n  ref: {ref}\n"),
            ("glob", "- kind: git_repo\n  url: {url}\n  track: v*\n  exclude: [v*rc*]\n  ref-format: git-describe\n"),
            ("branch", "- kind: git_repo\n  url: {url}\n  track: main\n  ref-format: git-describe\n"),
            ("described", "- kind: git\n  url: {url}\n  track: main\n  ref-format: git-describe # why\n"),
            ("tied", "- kind: git_repo\n  url: {url}\n  track: v*\n"),
            ("sub", junction),
            ("including", "kind: import\n(@): shared.yml\n"),
            ("optional", if form == Form::Options { optional } else { "- kind: git\n  url: {url}\n  track: main\n" }),
            ("file", "- kind: remote\n  url: web:file.txt\n"),
            ("docker", &docker),
            ("cpan", &cpan),
            ("anitya", &anitya),
        ];
        // Of which no release has the whole ref in a file of refs.
        if form != Form::Stored {
            sources.push(("page", &page));
        }
        let (conf, config) = match form {
            Form::Lagging => ("", "branches = [\"main\", \"stable\"]\n"),
            Form::Options => (
                "options:\n  debug: {type: bool, description: d, default: false}\n",
                "[[project.variants]]\nname = \"plain\"\noptions = { debug = \"False\" }\n[[project.variants]]\nname = \
                 \"debug\"\noptions = { debug = \"True\" }\n",
            ),
            Form::Stored => ("ref-storage: project.refs\n", ""),
        };
        let mut probed = Probed::new(conf, &sources);
        probed.project = config;
        let internet = TlsProxy::start(&probed.scratch, &pypi.0.url, &["pypi.org"]);
        probed.environment = internet.environment();
        let sub = &probed.upstreams[JUNCTION];
        sub.write("project.conf", "name: sub\nmin-version: 2.0\n");
        sub.write("leaf.bst", "kind: import\nsources:\n- kind: local\n  path: file\n");
        let tip = sub.commit("A project").to_string();
        let repo = &probed.repo;
        repo.write("shared.yml", SHARED);
        repo.write("elements/behind.bst", "kind: stack\ndepends: ['sub.bst:leaf.bst']\n");
        if form == Form::Stored {
            // Where refs are stored, none is in an element.
            repo.write("junction.refs", &format!("projects:\n  example:\n    sub.bst:\n    - ref: {tip}\n"));
            for name in ["plain", "sub"] {
                let file = format!("elements/{name}.bst");
                let text = std::fs::read_to_string(repo.path.join(&file)).expect("an element");
                let kept: Vec<_> = text.lines().filter(|line| !line.contains("ref:")).collect();
                repo.write(&file, &(kept.join("\n") + "\n"));
            }
        } else {
            let text = junction.replace("{url}", "up:sub").replace("{ref}", &tip);
            repo.write("elements/sub.bst", &text);
        }
        repo.commit("What is shared, and a junction");
        repo.git(&["branch", "stable"]);
        let first = sources.iter().map(|(name, _)| {
            let file = format!("elements/{name}.bst");
            let text = std::fs::read_to_string(repo.path.join(&file)).expect("an element");
            (file, text)
        });
        let first = first.collect();
        Self { form, probed, indexes, pypi, _internet: internet, first }
    }

    /// Has something happen, and says what.
    fn happen(&self, step: u64, dice: &mut Dice) -> String {
        match dice.below(3) {
            0 => self.in_the_project(step, dice),
            _ => self.upstream(step, dice),
        }
    }

    fn upstream(&self, step: u64, dice: &mut Dice) -> String {
        let upstream = dice.below(OF_GIT);
        let repo: &Repo = &self.probed.upstreams[upstream];
        match dice.below(9) {
            0 | 1 => {
                self.probed.move_on(upstream, &format!("step {step} {}\n", dice.below(1000)));
                format!("upstream {upstream} moves")
            }
            2 => {
                self.probed.move_on(upstream, &format!("step {step} {}\n", dice.below(1000)));
                repo.git(&["tag", "--force", "--annotate", "--message", "x", &format!("v{}", step + 2)]);
                format!("upstream {upstream} has a release")
            }
            3 => {
                repo.git(&["tag", "--force", &format!("v{}rc1", step + 2)]);
                format!("upstream {upstream} has a tag that is left out")
            }
            4 => {
                self.indexes.image(&step.to_string());
                self.indexes.module("1", &step.to_string());
                "an image moves, and a module that nobody uses".to_owned()
            }
            5 => {
                self.indexes.module(&format!("{}", step + 2), "1");
                self.indexes.version(&format!("1.{}", step + 1));
                serve_file(&self.probed.scratch, &"x".repeat(10 + usize::try_from(step).expect("small")), 60);
                "indexes and a file move".to_owned()
            }
            6 => {
                let yanked = dice.below(2) == 0;
                let releases = [("1.0", false), (["1.1", "1.2"][dice.below(2)], yanked)];
                self.pypi.releases("tool", &releases, u32::try_from(step).expect("small"));
                format!("PyPI has {releases:?}")
            }
            7 => {
                let (first, second) = (format!("v90.{step}"), format!("v90_{step}"));
                let tied = &self.probed.upstreams[TIED];
                tied.git(&["tag", "--force", &first]);
                self.probed.move_on(TIED, &format!("tie {step} {}\n", dice.below(1000)));
                tied.git(&["tag", "--force", &second]);
                "two tags tie".to_owned()
            }
            _ => {
                // A name that is both a tag's and a branch's: for some plugins the tag wins, for others the greater.
                let name = ["refs/tags/main", "refs/heads/v1"][dice.below(2)];
                if repo.git(&["for-each-ref", name]).is_empty() {
                    repo.git(&["update-ref", name, "refs/tags/v1^{commit}"]);
                } else {
                    repo.git(&["update-ref", "-d", name]);
                }
                format!("upstream {upstream} has, or has no longer, {name} beside the other one of the name")
            }
        }
    }

    fn in_the_project(&self, step: u64, dice: &mut Dice) -> String {
        match dice.below(5) {
            0 => {
                for (name, text) in self.probed.raw_files("main") {
                    let is_beside = matches!(&*name, "shared.yml" | "project.refs" | "junction.refs");
                    let folder = if is_beside { "" } else { "elements/" };
                    self.probed.repo.write(&format!("{folder}{name}"), &text);
                }
                self.commit(step);
                "somebody takes over what was tracked".to_owned()
            }
            1 => {
                let (file, text) = &self.first[dice.below(self.first.len())];
                self.probed.repo.write(file, text);
                self.commit(step);
                format!("somebody puts {file} back")
            }
            2 => {
                let (file, text) = &self.first[0];
                let other = ["track: v1", "track: main"][dice.below(2)];
                self.probed.repo.write(file, &text.replace("track: main", other));
                self.commit(step);
                format!("somebody writes `{other}`")
            }
            3 => {
                let other = ["track: v1", "track: main"][dice.below(2)];
                self.probed.repo.write("shared.yml", &SHARED.replace("track: main", other));
                self.commit(step);
                format!("somebody writes `{other}` into what is included")
            }
            _ => {
                self.probed.repo.git(&["branch", "--force", "stable", "main"]);
                "the branch that lags behind catches up".to_owned()
            }
        }
    }

    /// A commit that changes something in any case.
    fn commit(&self, step: u64) {
        self.probed.repo.write("README", &format!("step {step}\n"));
        self.probed.repo.commit("A change");
    }

    /// How the project's refs are tracked: by which branches, and with which options one after the other.
    fn tracked(&self) -> (&'static [&'static str], &'static [&'static [&'static str]]) {
        match self.form {
            Form::Lagging => (&["main", "stable"], &[&[]]),
            Form::Options => (&["main"], &[&["-o", "debug", "False"], &["-o", "debug", "True"]]),
            Form::Stored => (&["main"], &[&[]]),
        }
    }

    /// Files in which it makes no difference which of some commits a ref names: of tags that compare equal, chance takes one.
    fn without_ties(&self, files: CheckoutFiles) -> CheckoutFiles {
        let tied = self.probed.upstreams[TIED].git(&["for-each-ref", "--format=%(objectname)", "refs/tags/v90*"]);
        let tied: BTreeSet<_> = tied.split_whitespace().map(str::to_owned).collect();
        let same = |text: String| {
            tied.iter().fold(text, |text, commit| text.replace(commit.as_str(), "one of those that tie"))
        };
        files.into_iter().map(|(name, text)| (name, same(text))).collect()
    }
}

/// What is set in the environment, for more than the suite has time for.
fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

fn refs_are_those_that_tracking_everything_finds(form: Form, seed: u64) {
    let steps = number("PROBE_STEPS", STEPS);
    for seed in (0..number("PROBE_SEEDS", 1)).map(|more| seed + 0x1_0000 * more) {
        let (world, mut dice) = (World::new(form), Dice(seed));
        let mut history = vec!["nothing yet".to_owned()];
        let mut left_out = 0;
        for step in 0..=steps {
            if step > 0 {
                let times = 1 + dice.below(AT_ONCE);
                history.extend((0..times).map(|_| world.happen(step, &mut dice)));
                history.push("a run".to_owned());
            }
            let (_, track) = world.probed.run(&[]);
            let report = world.probed.fetcher().report();
            let branches = report["branches"].as_array().expect("branches").iter();
            let stages = branches.flat_map(|branch| branch["stages"].as_array().expect("stages"));
            left_out += stages.filter_map(|stage| stage["probes"]["left-out"].as_u64()).sum::<u64>();
            let (branches, options) = world.tracked();
            for branch in branches {
                let tracked = world.probed.tracked_by_bst(&format!("tracked-{step}-{branch}"), branch, options);
                let files = world.probed.files_of(branch);
                assert_eq!(
                    world.without_ties(files),
                    world.without_ties(tracked),
                    "{form:?}, seed {seed:#x}, {branch}: {history:#?}\n{track:#}"
                );
            }
        }
        // Or nothing was tried.
        assert!(left_out > steps, "{form:?}, seed {seed:#x}: {history:#?}");
    }
}

#[test]
fn refs_of_a_branch_that_lags_behind_are_those_that_tracking_everything_finds() {
    refs_are_those_that_tracking_everything_finds(Form::Lagging, 0x5eed);
}

#[test]
fn refs_of_several_option_sets_are_those_that_tracking_everything_finds() {
    refs_are_those_that_tracking_everything_finds(Form::Options, 0xcafe_f00d);
}

#[test]
fn stored_refs_are_those_that_tracking_everything_finds() {
    refs_are_those_that_tracking_everything_finds(Form::Stored, 0xdead_beef);
}
