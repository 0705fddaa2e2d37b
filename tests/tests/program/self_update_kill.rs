//! Killing the program while it updates its configuration, and several of it at once.

use std::fs;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fetcher_tests::fetcher::Ended;
use fetcher_tests::site::Site;
use fetcher_tests::waiting;

/// Enough files that kills hit the checkout.
const FILES: usize = 700;

/// Commits a configuration with many files beside it, all of which name its generation.
fn generation(site: &Site, number: usize) {
    for file in 0..FILES {
        site.repo.write(&format!("files/{}/{file}", file % 7), &format!("generation {number}\n"));
    }
    site.repo.write(&format!("only-{number}"), "");
    let _ = fs::remove_file(site.repo.path.join(format!("only-{}", number.wrapping_sub(1))));
    site.push(&format!("# generation {number}\n{}", site.config("")), &format!("Generation {number}"));
}

/// The generation of the configuration, after it is seen that all of it is of one.
fn whole(site: &Site) -> usize {
    site.fetcher().run(&["check"]).expect(0);
    let text = site.read("config.toml");
    let number = text.lines().next().and_then(|line| line.rsplit(' ').next()).expect("a generation");
    for file in 0..FILES {
        assert_eq!(site.read(&format!("files/{}/{file}", file % 7)), format!("generation {number}\n"), "{file}");
    }
    assert!(site.path(&format!("only-{number}")).exists());
    assert_eq!(site.cloned().git(&["status", "--porcelain"]), "");
    number.parse().expect("a number")
}

#[test]
fn killed_at_any_moment_the_configuration_is_the_old_or_the_new_one_whole() {
    let site = Site::new();
    generation(&site, 0);
    let site = site.set_up();
    generation(&site, 1);
    let began = Instant::now();
    site.run().expect(0);
    let time = began.elapsed();
    assert_eq!(whole(&site), 1);
    let (mut in_the_middle, mut number) = (0, 1);
    // More steps than usual are taken only where none hit the checkout.
    for step in 0..120_u32 {
        if step >= 16 && in_the_middle > 0 {
            break;
        }
        let before = whole(&site);
        number += 1;
        generation(&site, number);
        let mut child = site.fetcher().command(&["run"]).stderr(Stdio::null()).spawn().expect("the program starts");
        thread::sleep(time * (step % 16) / 16);
        child.kill().expect("kill");
        let _ = child.wait();
        // The moves themselves are over in a moment; the next test meets them.
        let middle = ["journal", "staging"].map(|name| site.path(".git/bst-fetcher").join(name).exists());
        in_the_middle += usize::from(middle.contains(&true));
        let after = whole(&site);
        assert!(after == before || after == number, "{after} is neither {before} nor {number}");
    }
    assert!(in_the_middle > 0, "no kill hit a checkout");
    let last = site.run();
    assert!([0, 1].contains(&last.status()), "{last}");
    assert_eq!(whole(&site), number);
    assert_eq!(site.cloned().git(&["for-each-ref", "refs/bst-fetcher/kept"]), "");
    site.run().expect(0);
}

/// What a checkout comes by, in its order, inside the git directory.
const LANDMARKS: [&str; 9] = [
    "bst-fetcher/staging",
    "bst-fetcher/staging/new/files/3",
    "bst-fetcher/staging/new/only",
    "bst-fetcher/staging/moves",
    "bst-fetcher/journal",
    "bst-fetcher/staging/old/1",
    "bst-fetcher/staging/old/600",
    "index.lock",
    "refs/heads/main.lock",
];

#[test]
fn killed_at_every_step_of_a_checkout_it_is_the_old_or_the_new_one_whole() {
    let site = Site::new();
    generation(&site, 0);
    let site = site.set_up();
    let (mut number, mut hit, mut in_the_middle) = (0, Vec::new(), 0);
    for landmark in LANDMARKS {
        // The last ones are there for so short a time that not every look sees them.
        for _ in 0..3 {
            let before = whole(&site);
            number += 1;
            generation(&site, number);
            let landmark = site.path(".git").join(landmark.replace("only", &format!("only-{number}")));
            let mut child = site.fetcher().command(&["run"]).stderr(Stdio::null()).spawn().expect("the program starts");
            let mut is_there = false;
            while !is_there && child.try_wait().expect("a look").is_none() {
                is_there = landmark.symlink_metadata().is_ok();
                thread::sleep(Duration::from_micros(100));
            }
            child.kill().expect("kill");
            let _ = child.wait();
            in_the_middle += usize::from(site.path(".git/bst-fetcher/journal").exists());
            let after = whole(&site);
            assert!(after == before || after == number, "{landmark:?}: {after} is neither {before} nor {number}");
            if is_there {
                hit.push(landmark);
                break;
            }
        }
    }
    assert!(hit.len() >= LANDMARKS.len() - 2, "only these were met: {hit:?}");
    assert!(in_the_middle > 0, "no kill hit a checkout");
    let last = site.run();
    assert!([0, 1].contains(&last.status()), "{last}");
    assert_eq!(whole(&site), number);
    assert!(!site.path(".git/bst-fetcher/staging").exists());
    assert_eq!(site.cloned().git(&["for-each-ref", "refs/bst-fetcher/kept"]), "");
}

fn start(site: &Site, arguments: &[&str]) -> Child {
    let mut command = site.fetcher().command(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

fn end(child: Child) -> Ended {
    (&["run"][..], child.wait_with_output().expect("its end")).into()
}

#[test]
fn runs_that_start_at_once_do_not_hurt_each_other() {
    let site = Site::new();
    generation(&site, 0);
    let site = site.set_up();
    generation(&site, 1);
    let runs: Vec<Child> = (0..3).map(|_| start(&site, &["run", "--lock-wait", "5m"])).collect();
    for run in runs {
        end(run).expect(0);
    }
    assert_eq!(whole(&site), 1);
}

#[test]
fn while_a_run_uses_a_configuration_its_files_stay() {
    let site = Site::new().set_up();
    site.fake.now("before() { [ $command != fetch ] || { : >$scenario/there; while [ ! -e $scenario/go ]; do sleep 0.05; done; }; }");
    let first = start(&site, &["run"]);
    waiting::for_file(&site.fake.path("there"));
    let before = site.read("config.toml");
    site.push(&site.config("branches = [\"other\"]"), "Another branch");
    // Another one on the same configuration and state has to wait.
    let second = site.run();
    assert_eq!(second.status(), 75, "{second}");
    assert_eq!(site.read("config.toml"), before);
    let third = start(&site, &["run", "--lock-wait", "5m"]);
    fs::write(site.fake.path("go"), "").unwrap();
    end(first).expect(0);
    end(third).expect(0);
    assert_eq!(site.branches(), ["other"]);
}

#[test]
fn locks_that_a_killed_git_left_are_no_obstacle() {
    let site = Site::new().set_up();
    site.push(&site.config("branches = [\"other\"]"), "Another branch");
    for lock in ["index.lock", "refs/heads/main.lock", "refs/bst-fetcher/taken.lock", "refs/remotes/origin/main.lock"] {
        fs::write(site.path(".git").join(lock), "").unwrap();
    }
    site.run().expect(0);
    assert_eq!(site.branches(), ["other"]);
}
