//! The stages one by one, with the real `bst` and a real source cache.

use std::collections::BTreeSet;

use fetcher_core::Refs;
use fetcher_core::pipeline::ElementChoice;
use fetcher_core::report::{ElementOutcome, Outcome};
use fetcher_core::{Config, ElementName, Environment, Fetcher, Stage};
use fetcher_tests::casd;
use fetcher_tests::local_project::{ELEMENTS, LocalProject, pushed_to};
use fetcher_tests::scratch::Scratch;

fn names(elements: &[&str]) -> BTreeSet<ElementName> {
    elements.iter().map(|name| name.parse().expect("an element's name")).collect()
}

#[test]
fn stages_are_called_left_out_and_repeated_each_with_its_results() {
    let scratch = Scratch::new();
    let project = LocalProject::new(&scratch);
    let cache = casd::source_cache(&scratch.path("remote"));
    let root = scratch.root().display();
    let general = format!("state-dir = \"{root}/state\"\ncache-dir = \"{root}/cache\"");
    let path = scratch.write("config.toml", project.config(&general, &pushed_to(cache.url(), "")));
    let environment: Environment = scratch.environment().into_iter().collect();
    let config = Config::load(path, &environment).expect("a configuration");
    let fetcher = Fetcher::new(config, environment);
    let workspace = fetcher.workspace().expect("a workspace");
    let projects = workspace.projects().expect("projects");
    let listing = projects[0].fetch(&projects[0].list().expect("branches").tips).expect("the branch");
    let open = workspace.open(&listing.branches[0]).expect("a checkout and bst");
    let pipeline = open.pipeline();
    let mut session = open.session(&pipeline, |_| {}).expect("a session");

    let listed = session.inventory().expect("a listing");
    assert_eq!(listed.elements.iter().map(|known| known.name.clone()).collect::<BTreeSet<_>>(), names(&ELEMENTS));
    let one = session.fetch(&names(&["e1.bst"]));
    assert_eq!((one.outcome, &one.results.done), (Outcome::Ok, &names(&["e1.bst"])), "{one:#?}");
    let nothing = session.fetch(&BTreeSet::new());
    assert_eq!((nothing.outcome, nothing.results.is_empty()), (Outcome::Skipped, true));
    let unpushed = session.verify(ElementChoice::Configured);
    assert_eq!(unpushed.outcome, Outcome::Skipped, "what is only fetched is not called done: {unpushed:#?}");

    let two = names(&["e0.bst", "e1.bst"]);
    let push = session.push(&two);
    assert_eq!((push.outcome, &push.results.done), (Outcome::Ok, &two), "{push:#?}");
    let verify = session.verify(ElementChoice::Configured);
    assert_eq!((verify.outcome, &verify.results.done), (Outcome::Ok, &two), "{verify:#?}");
    assert!(verify.proof.is_some_and(|proof| proof.requests > 0), "the cache was asked");
    // All of it: what is there already is seen as such, and asked for no more.
    let push = session.push(ElementChoice::Configured);
    assert_eq!(push.results.of(&"e2.bst".parse().expect("a name")), Some(ElementOutcome::Done), "{push:#?}");
    assert_eq!(push.results.failed, names(&[]));
    let verify = session.verify(ElementChoice::Configured);
    assert_eq!((verify.outcome, verify.elements.total), (Outcome::Ok, 5), "{verify:#?}");

    let names_of = session.bst(["show", "--deps", "none", "--format", "%{name}", "e2.bst"]).expect("bst runs");
    assert!(names_of.exit.is_success() && names_of.failures.is_empty(), "{names_of:#?}");
    assert_eq!(names_of.stdout.trim(), "e2.bst");
    let wrong = session.bst(["show", "no-such.bst"]).expect("bst runs");
    assert!(!wrong.exit.is_success() && !wrong.failures.is_empty(), "{wrong:#?}");
    let own = session.custom(Stage::custom("sizes").expect("a name"), |session, report| {
        report.failures.extend(session.bst(["show", "no-such.bst"])?.failures);
        Ok(())
    });
    assert_eq!(own.outcome, Outcome::Failed);
    assert_eq!(own.failures[0].stage, Some(own.stage));

    // What was done by hand is known to a run.
    let stages = session.run(Refs::Committed);
    let push = stages.iter().find(|stage| stage.stage == Stage::Push).expect("the push");
    assert_eq!(push.outcome, Outcome::Skipped, "{push:#?}");
    let report = open.report(session.finish());
    assert_eq!(report.outcome, Outcome::Partial, "for the stage of our own failed: {report:#?}");
    drop(open);
    drop(listing);
    drop(projects);
    let report = workspace.finish(vec![report]).expect("a report");
    assert_eq!(report.outcome, Outcome::Partial);
}
