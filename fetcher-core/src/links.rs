//! Where the status pages are: the addresses that the pages link to each other by, and notifications to them.

use serde::{Deserialize, Serialize};

use crate::address::percent_encoded_path;
use crate::names::{BranchName, ProjectBranch, ProjectName, Refs, RunId, Stage, VariantName};

/// The address of a page inside the site that `publish-dir` gets.
///
/// ```
/// use fetcher_core::fetcher::PageAddress;
/// let run = "20260102T030405.678Z-9".parse()?;
/// let page = PageAddress::run(&run);
/// assert_eq!(page.under("https://fetcher.example.org/"),
///     "https://fetcher.example.org/runs/20260102T030405.678Z-9/index.html");
/// # Ok::<(), fetcher_core::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PageAddress(String);

/// The two forms in which a log is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogForm {
    /// A page, with an anchor `#L7` for the seventh line; of a huge log it has head and tail.
    Page,
    /// The whole text.
    Text,
}

impl PageAddress {
    /// The first page: all branches.
    pub fn index() -> Self {
        Self("index.html".to_owned())
    }

    /// The Atom feed.
    pub fn feed() -> Self {
        Self("feed.xml".to_owned())
    }

    /// The state of all branches for programs.
    pub fn status() -> Self {
        Self("status.json".to_owned())
    }

    /// Upstreams: trouble to come with them, and what they were asked.
    pub fn upstreams() -> Self {
        Self("upstreams.html".to_owned())
    }

    /// A branch's page; a project's, where `branch` is none (its branches could not be listed).
    pub fn branch(project: &ProjectName, branch: Option<&BranchName>) -> Self {
        Self(match branch {
            Some(branch) => format!("branches/{project}/{}.html", branch.slug()),
            None => format!("projects/{project}.html"),
        })
    }

    /// A run's page.
    pub fn run(run: &RunId) -> Self {
        Self(format!("runs/{run}/index.html"))
    }

    /// The part of a run's page that is about one branch: a fragment for [`PageAddress::at`].
    pub fn branch_fragment(project: &ProjectName, branch: Option<&BranchName>) -> String {
        branch.map_or_else(
            || project.to_string(),
            |branch| format!("{project}/{}", ProjectBranch::new(project, branch).slug()),
        )
    }

    /// The log of one stage of a run; `refs` and `variant` as the stage's report has them.
    pub fn log(
        run: &RunId,
        project: &ProjectName,
        branch: Option<&BranchName>,
        variant: Option<&VariantName>,
        refs: Option<Refs>,
        stage: Stage,
        form: LogForm,
    ) -> Self {
        let branch = ProjectBranch::new(project, branch).slug();
        let variant = variant.map(|variant| format!("{variant}.")).unwrap_or_default();
        let refs = refs.map(|refs| format!("{refs}.")).unwrap_or_default();
        let ending = match form {
            LogForm::Page => "html",
            LogForm::Text => "txt",
        };
        Self(format!("runs/{run}/logs/{project}/{branch}/{variant}{refs}{stage}.{ending}"))
    }

    /// The path of the page's file, relative to `publish-dir`.
    pub fn path(&self) -> &str {
        &self.0
    }

    /// The address below `base`, which is `base-url` or anything else that links begin with; a slash is put between
    /// the two where there is none.
    pub fn under(&self, base: &str) -> String {
        let slash = if base.is_empty() || base.ends_with('/') { "" } else { "/" };
        format!("{base}{slash}{}", percent_encoded_path(&self.0))
    }

    /// The link from `page` to this one, relative, so that the site may lie anywhere.
    pub fn from(&self, page: &PageAddress) -> String {
        let shared = self.0.split('/').zip(page.0.split('/')).take_while(|(a, b)| a == b).count();
        if self == page {
            return percent_encoded_path(self.0.rsplit('/').next().unwrap_or_default());
        }
        let up = page.0.split('/').count() - 1 - shared;
        let down: Vec<&str> = self.0.split('/').skip(shared).collect();
        format!("{}{}", "../".repeat(up), percent_encoded_path(&down.join("/")))
    }

    /// The link from `page` to a place in this one.
    pub fn at(&self, fragment: &str, page: &PageAddress) -> String {
        let link = if self == page { String::new() } else { self.from(page) };
        format!("{link}#{}", percent_encoded_path(fragment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_relative_and_percent_encoded_path() {
        let project: ProjectName = "sdk".parse().unwrap();
        let branch: BranchName = "fix/#1%<b>&ü".parse().unwrap();
        let run: RunId = "r1".parse().unwrap();
        let page = PageAddress::branch(&project, Some(&branch));
        assert_eq!(page.path(), "branches/sdk/fix~#1%<b>&ü.html");
        assert_eq!(page.from(&PageAddress::index()), "branches/sdk/fix~%231%25%3Cb%3E%26%C3%BC.html");
        assert_eq!(PageAddress::index().from(&page), "../../index.html");
        let log = PageAddress::log(&run, &project, Some(&branch), None, None, Stage::Track, LogForm::Page);
        assert_eq!(log.from(&PageAddress::run(&run)), "logs/sdk/fix~%231%25%3Cb%3E%26%C3%BC/track.html");
        assert_eq!(PageAddress::run(&run).at("sdk/main", &log), "../../../index.html#sdk/main");
        let text = PageAddress::log(&run, &project, Some(&branch), None, None, Stage::Track, LogForm::Text);
        assert_eq!(text.from(&log), "track.txt");
        assert_eq!(log.at("L7", &log), "#L7");
    }

    #[test]
    fn no_two_pages_share_an_address() {
        let [a, b]: [ProjectName; 2] = ["a", "a.html"].map(|name| name.parse().unwrap());
        let [index, main]: [BranchName; 2] = ["index.html", "main"].map(|name| name.parse().unwrap());
        let run: RunId = "r1".parse().unwrap();
        let variant: VariantName = "arm".parse().unwrap();
        let of = |branch, variant, refs| PageAddress::log(&run, &a, branch, variant, refs, Stage::Fetch, LogForm::Text);
        let log = |branch, variant| of(branch, variant, None);
        let pages = [
            PageAddress::branch(&a, None),
            PageAddress::branch(&b, None),
            PageAddress::branch(&a, Some(&index)),
            PageAddress::branch(&a, Some(&main)),
            log(None, None),
            log(Some(&main), None),
            log(Some(&main), Some(&variant)),
            of(Some(&main), Some(&variant), Some(Refs::Committed)),
            of(Some(&main), Some(&variant), Some(Refs::Tracked)),
            of(Some(&main), None, Some(Refs::Tracked)),
        ];
        for (at, page) in pages.iter().enumerate() {
            assert!(!pages[..at].contains(page), "{page:?}");
        }
    }
}
