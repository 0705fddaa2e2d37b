//! Whatever happens upstream and in a project, the refs after a run are those that bst finds that tracks everything.

use fetcher_tests::git_fixture::Repo;

use crate::probed_kinds::Indexes;
use crate::probing::{Probed, serve_file};

/// How many things happen, one run after each.
const STEPS: u64 = 5;

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

/// A project with sources of many kinds.
struct World {
    probed: Probed,
    indexes: Indexes,
    /// The elements as they were at first, by file.
    first: Vec<(String, String)>,
}

/// The elements that have a repository of their own upstream.
const OF_GIT: usize = 4;

impl World {
    fn new() -> Self {
        let indexes = Indexes::new();
        let web = &indexes.0.url;
        let docker = format!("- kind: docker\n  registry-url: {web}\n  image: library/small\n  track: stable\n");
        let cpan = format!("- kind: cpan\n  index: {web}/cpan/\n  name: A::B\n");
        let anitya =
            format!("- kind: anitya\n  api-url: {web}/api/\n  project-id: 7\n  url: '{web}/pkg-{{version}}.tar.gz'\n");
        let sources = [
            ("plain", "- kind: git\n  url: {url}\n  track: main\n  ref: {ref}\n"),
            ("glob", "- kind: git_repo\n  url: {url}\n  track: v*\n  exclude: [v*rc*]\n  ref-format: git-describe\n"),
            ("branch", "- kind: git_repo\n  url: {url}\n  track: main\n  ref-format: git-describe\n"),
            ("described", "- kind: git\n  url: {url}\n  track: main\n  ref-format: git-describe # why\n"),
            ("file", "- kind: remote\n  url: web:file.txt\n"),
            ("docker", &docker),
            ("cpan", &cpan),
            ("anitya", &anitya),
        ];
        let probed = Probed::new("", &sources);
        let first = sources.iter().map(|(name, _)| {
            let file = format!("elements/{name}.bst");
            let text = std::fs::read_to_string(probed.repo.path.join(&file)).expect("an element");
            (file, text)
        });
        let first = first.collect();
        Self { probed, indexes, first }
    }

    /// Has something happen, and says what.
    fn happen(&self, step: u64, dice: &mut Dice) -> String {
        let upstream = dice.below(OF_GIT);
        let repo: &Repo = &self.probed.upstreams[upstream];
        match dice.below(9) {
            0 | 1 => {
                self.probed.move_on(upstream, &format!("step {step}\n"));
                format!("upstream {upstream} moves")
            }
            2 => {
                self.probed.move_on(upstream, &format!("step {step}\n"));
                repo.git(&["tag", "--annotate", "--message", "x", &format!("v{}", step + 2)]);
                format!("upstream {upstream} has a release")
            }
            3 => {
                repo.git(&["tag", &format!("v{}rc1", step + 2)]);
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
                for (name, text) in self.probed.files() {
                    self.probed.repo.write(&format!("elements/{name}"), &text);
                }
                self.commit(step);
                "somebody takes over what was tracked".to_owned()
            }
            7 => {
                let (file, text) = &self.first[dice.below(self.first.len())];
                self.probed.repo.write(file, text);
                self.commit(step);
                format!("somebody puts {file} back")
            }
            _ => {
                let (file, text) = &self.first[0];
                let other = if dice.below(2) == 0 { "track: v1" } else { "track: main" };
                self.probed.repo.write(file, &text.replace("track: main", other));
                self.commit(step);
                format!("somebody writes `{other}`")
            }
        }
    }

    /// A commit that changes something in any case.
    fn commit(&self, step: u64) {
        self.probed.repo.write("README", &format!("step {step}\n"));
        self.probed.repo.commit("A change");
    }
}

#[test]
fn refs_are_those_that_tracking_everything_finds() {
    for seed in [0x5eed, 0xcafe_f00d] {
        let (world, mut dice) = (World::new(), Dice(seed));
        let mut history = vec!["nothing yet".to_owned()];
        let mut left_out = 0;
        for step in 0..=STEPS {
            if step > 0 {
                history.push(world.happen(step, &mut dice));
            }
            let (_, track) = world.probed.run(&[]);
            left_out += track["probes"]["left-out"].as_u64().unwrap_or_default();
            let tracked = world.probed.really_tracked(&format!("tracked-{step}"));
            assert_eq!(world.probed.files(), tracked, "seed {seed:#x}: {history:#?}\n{track:#}");
        }
        // Or nothing was tried.
        assert!(left_out > STEPS, "seed {seed:#x}: {history:#?}");
    }
}
