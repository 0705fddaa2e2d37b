//! A run that is killed when upstreams have been asked: what it knew is no more than the last one, and the next one's refs are
//! right.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use fetcher_tests::waiting;

use crate::probing::{Probed, sources, tracks};

impl Probed {
    /// Runs, and kills the program where `bst` is to track: `before` it does, or `after` it did and before anybody knows.
    fn run_and_kill(&self, when: &str) {
        let hold = self.scratch.write("hold", when);
        let mut command = self.fetcher().command(&["run"]);
        let mut run =
            command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program");
        waiting::for_file(&hold.with_file_name("holding"));
        run.kill().expect("to kill");
        run.wait().expect("its end");
        fs::remove_file(hold.with_file_name("holding")).expect("the mark");
    }
}

#[test]
fn what_moved_before_a_killed_run_is_tracked_by_the_next() {
    let probed = Probed::new("", &sources());
    probed.run(&[]);
    probed.move_on(0, "second\n");
    probed.run_and_kill("before");
    let (calls, track) = probed.run(&[]);
    assert_eq!(tracks(&calls), ["plain.bst"], "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("first"));
}

#[test]
fn what_moves_on_and_back_after_a_killed_run_is_seen_by_the_next() {
    let probed = Probed::new("", &sources());
    probed.run(&[]);
    probed.move_on(0, "third\n");
    probed.move_on(1, "third\n");
    probed.run_and_kill("after");
    probed.upstreams[0].git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    probed.upstreams[1].git(&["tag", "v2"]);
    let (calls, track) = probed.run(&[]);
    assert_eq!(tracks(&calls), ["glob.bst"], "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("first"));
    let (calls, track) = probed.run(&[]);
    assert_eq!((calls, &track["probes"]["left-out"]), (vec![], &4.into()), "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("second"));
}

#[test]
fn a_first_run_that_is_killed_has_learnt_nothing_that_is_not_so() {
    let probed = Probed::new("", &sources());
    probed.run_and_kill("after");
    probed.move_on(2, "second\n");
    let (calls, track) = probed.run(&[]);
    assert_eq!(tracks(&calls), ["all"], "{track:#}");
    assert_eq!(probed.files(), probed.really_tracked("first"));
}
