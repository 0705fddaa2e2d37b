//! What BuildStream 2.8.1 prints of a tracking, element by element: for failures of hundreds, which no test can provoke.

use std::fmt::Write as _;

/// A log that grows.
#[derive(Debug, Default)]
pub struct TrackLog {
    text: String,
    done: usize,
    failed: usize,
}

impl TrackLog {
    /// A log whose session has begun.
    pub fn new() -> Self {
        let text = "[--:--:--][        ][    main:core activity                 ] START   Track\n";
        Self { text: text.to_owned(), ..Self::default() }
    }

    fn task(&mut self, element: &str, level: &str, text: &str) {
        let _ = writeln!(self.text, "[00:00:00][????????][   track:{element:<28}] {level:<7} {text}");
    }

    fn begin(&mut self, element: &str, url: &str) {
        self.task(element, "START", &format!("sdk/{element}/????????-track.20261124-021314.log"));
        self.task(element, "START", &format!("Tracking main from {url}"));
    }

    /// An element that is tracked.
    #[must_use]
    pub fn good(mut self, element: &str, url: &str) -> Self {
        self.begin(element, url);
        self.task(element, "SUCCESS", &format!("Tracking main from {url}"));
        self.task(element, "SUCCESS", &format!("sdk/{element}/????????-track.20261124-021314.log"));
        self.done += 1;
        self
    }

    /// An element whose failure has these words, and these lines at the end of its task's log.
    #[must_use]
    pub fn bad(mut self, element: &str, url: &str, words: &str, log: &str) -> Self {
        self.begin(element, url);
        self.task(element, "FAILURE", &format!("Tracking main from {url}"));
        self.task(element, "FAILURE", words);
        let rule = "=".repeat(70);
        let name = format!("/cache/logs/sdk/{element}/????????-track.20261124-021314.log");
        let _ = write!(self.text, "\n    Printing the last 20 lines from log file:\n    {name}\n    {rule}\n");
        for line in log.lines() {
            let _ = writeln!(self.text, "    {line}");
        }
        let _ = write!(self.text, "    {rule}\n\n");
        self.failed += 1;
        self
    }

    /// A git source whose host has no address.
    #[must_use]
    pub fn unknown_host(self, element: &str, url: &str) -> Self {
        let host = url.split('/').nth(2).unwrap_or_default().to_owned();
        let words =
            format!("git source at {element} [line 3 column 2]: Failed to fetch from remote git repository: {url}");
        self.bad(element, url, &words, &format!("fatal: unable to access '{url}/': Could not resolve host: {host}"))
    }

    /// A source on dulwich (`git_repo`), which says no more than this whatever happens.
    #[must_use]
    pub fn hidden(self, element: &str, url: &str) -> Self {
        self.bad(element, url, &format!("git_repo source at {element} [line 3 column 2]: Failed to track {url}"), "")
    }

    /// An element that is tracked, and whose file is another one than before.
    #[must_use]
    pub fn changed(mut self, element: &str, url: &str, old: &str, new: &str) -> Self {
        self.task(element, "START", &format!("sdk/{element}/????????-track.20261124-021314.log"));
        self.task(
            element,
            "WARNING",
            &format!("tar source at {element} [line 3 column 2]: Potential man-in-the-middle attack!"),
        );
        let _ = write!(
            self.text,
            "\n    When tracking, new ref differs from current ref:\n      Tracked URL: {url}\n      Current ref: {old}\n      \
             New ref: {new}\n\n"
        );
        self.task(element, "SUCCESS", &format!("sdk/{element}/????????-track.20261124-021314.log"));
        self.done += 1;
        self
    }

    /// The whole log, and the exit status that goes with it.
    pub fn end(mut self) -> (String, i32) {
        let (level, status) = if self.failed > 0 { ("FAILURE", 255) } else { ("SUCCESS", 0) };
        let Self { done, failed, .. } = self;
        let _ = write!(
            self.text,
            "[00:00:09][        ][    main:core activity                 ] {level} Track\n\nPipeline Summary\n    \
             Total:       {total}\n    Session:     {total}\n    Track Queue: processed {done}, skipped 0, failed {failed} \n",
            total = done + failed
        );
        (self.text, status)
    }
}
