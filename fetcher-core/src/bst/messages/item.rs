//! What bst's output is made of.

use crate::names::{ElementName, SourceKey, Stage};

use super::LogExcerpt;

/// One thing that bst said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogItem {
    /// The version in the heading.
    Version(String),
    /// A junction through which a project was loaded, as the heading tells of loaded projects.
    Junction(ElementName),
    /// A source cache that a loaded project has, as the heading tells.
    SourceCache {
        /// Its address.
        url: String,
        /// Whether it takes pushes.
        push: bool,
    },
    /// An element in the listing under the heading `Pipeline`.
    Listed(ListedElement),
    /// A message.
    Message(BstMessage),
    /// A message that is told once more under `Failure Summary`.
    Repeated(BstMessage),
    /// How many elements the pipeline has, as `Pipeline Summary` counts.
    Total(u64),
    /// How many of them were worked on, as `Pipeline Summary` counts.
    Session(u64),
    /// What one queue did, as `Pipeline Summary` counts.
    Queue(QueueSummary),
    /// A line that belongs to nothing of the above, with its indentation: the final error, a traceback, a word of usage,
    /// or what another program wrote. Empty lines are left out.
    Text(String),
}

/// An element in the listing of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedElement {
    /// Its state before the run.
    pub state: ElementState,
    /// Its name.
    pub element: ElementName,
}

/// The state of an element in the listing, in bst's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ElementState {
    /// `no reference`: a source of it has no ref.
    NoReference,
    /// `junction`.
    Junction,
    /// `waiting`.
    Waiting,
    /// `failed`: its build failed and that is cached.
    Failed,
    /// `cached`: it is built.
    Cached,
    /// `fetch needed`.
    FetchNeeded,
    /// `buildable`.
    Buildable,
}

/// What one queue of the scheduler did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueSummary {
    /// The queue's action.
    pub action: TaskAction,
    /// Elements done.
    pub processed: u64,
    /// Elements with nothing to do, or that were not reached.
    pub skipped: u64,
    /// Elements failed.
    pub failed: u64,
}

/// A message of bst's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BstMessage {
    /// The action under which it was said.
    pub action: TaskAction,
    /// The element that it is about; none for the activity of the whole.
    pub element: Option<ElementName>,
    /// Its type.
    pub level: MessageLevel,
    /// Its text; of a task's `START` and `SUCCESS` that is the name of its log.
    pub text: String,
    /// The further lines of its text, and the indented ones under it.
    pub detail: LogExcerpt,
    /// The log of the task that failed.
    pub log_file: Option<String>,
    /// The last lines of that log, as many as `error-lines` says.
    pub log: LogExcerpt,
}

/// What a message says of its element's task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskState {
    /// It began, perhaps once more.
    Started,
    /// It was done.
    Succeeded,
    /// There was nothing to do.
    Skipped,
    /// It failed and will be tried again.
    Retried,
    /// It failed for good.
    Failed,
}

impl BstMessage {
    /// What the message says of its element's task; none where it tells of a step within one.
    ///
    /// A failure is a task's where the task's log is named with it: always with bst's default configuration, and with
    /// `verbose: False`; with `verbose: True` and `error-lines: 0` bst does not tell which it is.
    pub fn task(&self) -> Option<TaskState> {
        self.element.as_ref()?;
        let log = || self.text.rsplit_once('.').is_some_and(|(path, end)| end == "log" && path.contains('/'));
        match self.level {
            MessageLevel::Start if log() || self.task_name().is_some() => Some(TaskState::Started),
            MessageLevel::Success if log() || self.task_name().is_some() => Some(TaskState::Succeeded),
            MessageLevel::Skipped => Some(TaskState::Skipped),
            MessageLevel::Failure if self.is_retry() => Some(TaskState::Retried),
            MessageLevel::Failure if self.log_file.is_some() => Some(TaskState::Failed),
            MessageLevel::Bug if self.action != TaskAction::Main => Some(TaskState::Failed),
            _ => None,
        }
    }

    /// The action that the text names, as a task's own log does where bst's output has the name of that log.
    pub(super) fn task_name(&self) -> Option<TaskAction> {
        match self.text.as_str() {
            "Track" => Some(TaskAction::Track),
            "Fetch" => Some(TaskAction::Fetch),
            "Src-push" | "Push Sources" => Some(TaskAction::SourcePush),
            "Pull" => Some(TaskAction::Pull),
            "Build" => Some(TaskAction::Build),
            "Push" => Some(TaskAction::Push),
            _ => None,
        }
    }

    /// The key of all sources of its element together, where the message tells it: a push names it for each server, also
    /// where the server has all of them. It is whole where `key-length` is 64.
    pub fn source_key(&self) -> Option<SourceKey> {
        let key = self.text.strip_prefix("Pushed data from source ")?.split(' ').next()?;
        key.parse().ok().filter(|_| self.level == MessageLevel::Info && self.element.is_some())
    }

    /// The key under which sources came from a cache, of all sources of its element or of one of them.
    pub fn pulled_key(&self) -> Option<SourceKey> {
        let key = self.text.strip_prefix("Pulled source ")?.split(' ').next()?;
        key.parse().ok().filter(|_| self.level == MessageLevel::Info && self.element.is_some())
    }

    /// Whether it says that a task failed and will be tried again.
    pub fn is_retry(&self) -> bool {
        self.level == MessageLevel::Failure
            && self.text.starts_with("Try #")
            && self.text.ends_with(" failed, retrying")
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $type {
            /// What bst writes for it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($type::$variant => $word,)*
                }
            }

            /// What bst means by the word.
            pub(super) fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some($type::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

words! {
    /// The type of a message.
    MessageLevel {
        /// For those who debug bst.
        Debug = "DEBUG",
        /// What is being done.
        Status = "STATUS",
        /// Something to know.
        Info = "INFO",
        /// Something to look at.
        Warning = "WARNING",
        /// Something began.
        Start = "START",
        /// What began has been done.
        Success = "SUCCESS",
        /// There was nothing to do.
        Skipped = "SKIPPED",
        /// What began has failed.
        Failure = "FAILURE",
        /// An error.
        Error = "ERROR",
        /// An exception that nobody caught.
        Bug = "BUG",
        /// Text that is meant for logs.
        Log = "LOG",
    }
}

words! {
    /// The action under which a message is said: that of a queue of the scheduler, or none of them.
    TaskAction {
        /// None of the others: loading, initializing, the command as a whole.
        Main = "main",
        /// Tracking sources.
        Track = "track",
        /// Fetching sources.
        Fetch = "fetch",
        /// Pushing sources.
        SourcePush = "src-push",
        /// Pulling artifacts.
        Pull = "pull",
        /// Building.
        Build = "build",
        /// Pushing artifacts.
        Push = "push",
        /// Looking into the caches.
        CacheQuery = "cache-query",
        /// One that this library does not know.
        Other = "",
    }
}

#[expect(clippy::derivable_impls, reason = "the enum comes from a macro that others share")]
impl Default for TaskAction {
    fn default() -> Self {
        TaskAction::Other
    }
}

impl TaskAction {
    /// The stage whose work the action is; none for those that belong to no stage.
    pub fn stage(self) -> Option<Stage> {
        match self {
            TaskAction::Track => Some(Stage::Track),
            TaskAction::Fetch => Some(Stage::Fetch),
            TaskAction::SourcePush => Some(Stage::Push),
            TaskAction::Main
            | TaskAction::Pull
            | TaskAction::Build
            | TaskAction::Push
            | TaskAction::CacheQuery
            | TaskAction::Other => None,
        }
    }
}
