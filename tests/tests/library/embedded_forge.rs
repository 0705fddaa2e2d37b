//! A forge of an embedding program's own: it is asked what there is, told what to open, and told what changed.

use std::sync::{Arc, Mutex};

use fetcher_core::publish::{Forge, ForgeError, ForgeErrorKind, ForgeRequest, RequestDraft, RequestState};
use fetcher_core::report::RequestStatus;
use fetcher_core::{BranchName, Config, Environment, Fetcher, RunReport, RunSelection};
use fetcher_tests::fake::{FakeBst, upstream};
use fetcher_tests::scratch::Scratch;

/// Keeps requests in memory.
#[derive(Debug, Clone, Default)]
struct MemoryForge {
    requests: Arc<Mutex<Vec<(String, String)>>>,
    updates: Arc<Mutex<usize>>,
    is_down: bool,
}

impl Forge for MemoryForge {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn requests(&self, branch: &BranchName, _: &BranchName) -> Result<Option<Vec<ForgeRequest>>, ForgeError> {
        if self.is_down {
            return Err(ForgeError::new("memory", ForgeErrorKind::Unreachable, "it is down"));
        }
        let requests = self.requests.lock().expect("the requests");
        let of_branch = requests.iter().filter(|(name, _)| name == branch.as_str());
        let shown = |(_, body): &(String, String)| {
            let mut request = ForgeRequest::new("1", RequestState::Open);
            request.body.clone_from(body);
            request
        };
        Ok(Some(of_branch.map(shown).collect()))
    }

    fn open(&self, draft: &RequestDraft) -> Result<Option<ForgeRequest>, ForgeError> {
        self.requests.lock().expect("the requests").push((draft.branch.clone(), draft.body.clone()));
        Ok(Some(ForgeRequest::new("1", RequestState::Open)))
    }

    fn update(&self, _: &ForgeRequest, draft: &RequestDraft) -> Result<(), ForgeError> {
        self.requests.lock().expect("the requests")[0].1.clone_from(&draft.body);
        *self.updates.lock().expect("the number") += 1;
        Ok(())
    }
}

fn run(scratch: &Scratch, forge: &MemoryForge) -> RunReport {
    let environment: Environment = scratch.environment().into_iter().collect();
    let config = Config::load(scratch.path("config.toml"), &environment).expect("a configuration");
    let fetcher = Fetcher::new(config, environment).forge(forge.clone());
    fetcher.run(&RunSelection::all(), &mut |_| ()).expect("a run")
}

fn status(report: &RunReport) -> RequestStatus {
    report.branches[0].publication.as_ref().expect("a publication").requests[0].status
}

#[test]
fn a_forge_of_ones_own_gets_requests_and_their_changes() {
    let scratch = Scratch::new();
    let repo = upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, "track_ref() { ref=1111111111111111111111111111111111111111; }\n");
    let root = scratch.root().display();
    let text = format!(
        "[fetcher]\nstate-dir = \"{root}/state\"\ncache-dir = \"{root}/cache\"\nmin-free-space = \"1M\"\n{}\
         [[project]]\nurl = \"{root}/project\"\n[project.publish]\nmode = \"merge-request\"\n",
        fake.config()
    );
    scratch.write("config.toml", text);
    let forge = MemoryForge::default();
    assert_eq!(status(&run(&scratch, &forge)), RequestStatus::Pushed);
    assert_eq!(forge.requests.lock().expect("the requests").len(), 1);
    assert_eq!(status(&run(&scratch, &forge)), RequestStatus::Open);
    fake.now("track_ref() { ref=2222222222222222222222222222222222222222; }\n");
    assert_eq!(status(&run(&scratch, &forge)), RequestStatus::Pushed);
    assert_eq!(
        (forge.requests.lock().expect("the requests").len(), *forge.updates.lock().expect("the number")),
        (1, 1)
    );
    assert!(repo.git(&["show", "bst-fetcher/main:elements/a.bst"]).contains("2222"));

    let down = MemoryForge { is_down: true, ..forge };
    let report = run(&scratch, &down);
    assert_eq!(status(&report), RequestStatus::Failed);
    assert!(report.branches[0].failures().any(|failure| failure.message == "memory: it is down"), "{report:#?}");
}
