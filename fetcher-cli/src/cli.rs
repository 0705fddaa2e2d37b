//! The words of the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use fetcher_core::ElementName;

/// Tracks, fetches and pushes the sources of BuildStream projects ahead of time.
#[derive(Debug, Parser)]
#[command(name = "bst-fetcher", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// The configuration file [default: $XDG_CONFIG_HOME/bst-fetcher/config.toml, else /etc/bst-fetcher/config.toml]
    #[arg(long, short, global = true, env = "BST_FETCHER_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Say more; twice for every stage and every child process
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say only errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// The form of what is said on standard error
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The form of what is said on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Track, fetch and push every branch
    Run(RunArgs),
    /// Look for mistakes in the configuration
    Check(CheckArgs),
    /// Show how each branch is
    Status(StatusArgs),
    /// Show what projects consist of: their elements, and where the sources come from
    Inventory(InventoryArgs),
    /// Publish the refs that the last run tracked
    Publish(PublishArgs),
    /// Show upstreams that will break builds: gone, moved, with certificates that end, with tags that were moved
    Rot(RotArgs),
    /// Ask the source caches whether all that runs brought there is there
    Verify(VerifyArgs),
    /// Print the logs of the last run
    Logs(LogsArgs),
    /// Let others fetch from the local cache
    Serve(ServeArgs),
    /// Say what failed in a log of bst's, who must act, and what to do
    Diagnose(DiagnoseArgs),
    /// Show the configuration as it is meant, or its schema
    Config {
        /// What to show
        #[command(subcommand)]
        what: ConfigCommand,
    },
    /// Try those who are to be told
    Notify {
        /// What to do
        #[command(subcommand)]
        what: NotifyCommand,
    },
    /// Remove what is no longer of use
    Gc,
    /// Write a starter configuration, or clone one
    Init(InitArgs),
    /// Print, install or remove what starts a run time and again
    Schedule {
        /// By what
        #[command(subcommand)]
        by: ScheduleCommand,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, of the program or of one of its commands
    Man {
        /// The command
        command: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct InventoryArgs {
    /// PROJECT or PROJECT/BRANCH [default: all]
    #[arg(value_name = "PROJECT[/BRANCH]")]
    pub(crate) subject: Option<String>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// PROJECT or PROJECT/BRANCH [default: all]
    #[arg(value_name = "PROJECT[/BRANCH]")]
    pub(crate) subject: Option<String>,
    /// Push nothing, and show commits and texts
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RotArgs {
    /// Of this project alone
    #[arg(value_name = "PROJECT")]
    pub(crate) project: Option<String>,
    /// Ask each mirror now whether it has what the elements are pinned to
    #[arg(long)]
    pub(crate) mirrors: bool,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// PROJECT or PROJECT/BRANCH [default: all]
    #[arg(value_name = "PROJECT[/BRANCH]")]
    pub(crate) subject: Option<String>,
    /// Only this element; may be repeated
    #[arg(long, value_name = "ELEMENT", value_parser = element)]
    pub(crate) element: Vec<ElementName>,
    /// Read every byte, and compare it with its digest
    #[arg(long)]
    pub(crate) contents: bool,
    /// Let a bst with empty caches, and with no way to any upstream, fetch what the checkouts name
    #[arg(long)]
    pub(crate) clean_client: bool,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every value with where it comes from, secrets masked
    Show,
    /// Print a JSON Schema for editors
    Schema,
    /// Check the configuration of a commit in the clone at hand, without the host that it is for
    Validate(ValidateArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ValidateArgs {
    /// The commit, as git names it
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    pub(crate) commit: String,
    /// The configuration file inside the repository [default: as for a host that has none of its own]
    #[arg(long, value_name = "FILE")]
    pub(crate) path: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleCommand {
    /// A hardened service and a timer for systemd
    Systemd(SystemdArgs),
    /// A line of the user's crontab
    Cron(CronArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum NotifyCommand {
    /// Send a sample through each notifier, and say what came of it
    Test {
        /// Only this one
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SelectionArgs {
    /// Put it into place, rather than print it
    #[arg(long, conflicts_with = "remove")]
    pub(crate) install: bool,
    /// Take it away again
    #[arg(long)]
    pub(crate) remove: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SystemdArgs {
    #[command(flatten)]
    pub(crate) what: SelectionArgs,
    /// For the user's own service manager instead of the system's
    #[arg(long)]
    pub(crate) user: bool,
    /// Units for `bst-fetcher serve` instead of `run`: a socket, and the service behind it
    #[arg(long, conflicts_with_all = ["on_calendar", "randomized_delay"])]
    pub(crate) serve: bool,
    /// As whom the system's service runs [default: you; with sudo, who called it]
    #[arg(long, value_name = "USER", conflicts_with = "user")]
    pub(crate) run_as: Option<String>,
    /// When, as systemd.time(7) has it
    #[arg(long, value_name = "WHEN", default_value = "hourly")]
    pub(crate) on_calendar: String,
    /// The most by which a start is put off, so that not all hosts start at once
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    pub(crate) randomized_delay: String,
}

#[derive(Debug, Args)]
pub(crate) struct CronArgs {
    #[command(flatten)]
    pub(crate) what: SelectionArgs,
    /// When, as crontab(5) has it [default: once an hour, at a minute of this host's own]
    #[arg(long, value_name = "FIELDS")]
    pub(crate) at: Option<String>,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line are independent of each other")]
pub(crate) struct RunArgs {
    /// Only this project; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) project: Vec<String>,
    /// Only this branch; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) branch: Vec<String>,
    /// Only this element, without its dependencies, on the branches that have it; may be repeated
    #[arg(long, value_name = "ELEMENT", value_parser = element)]
    pub(crate) element: Vec<ElementName>,
    /// Only list what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Fetch and push even where nothing changed
    #[arg(long)]
    pub(crate) force: bool,
    /// Publish nothing of what is tracked
    #[arg(long)]
    pub(crate) no_publish: bool,
    /// Use the configuration as it is here, without asking its git repository
    #[arg(long)]
    pub(crate) no_self_update: bool,
    /// How long to wait for another run to end, as in 90s or 15m
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s")]
    pub(crate) lock_wait: Duration,
    /// Print the report as JSON on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Look at this machine too: its tools, its space, the remotes
    #[arg(long)]
    pub(crate) host: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The project, or one branch of it
    #[arg(value_name = "PROJECT[/BRANCH]")]
    pub(crate) subject: String,
    /// Only this stage: checkout, track, fetch, push or verify
    #[arg(value_name = "STAGE")]
    pub(crate) stage: Option<String>,
    /// Of this run [default: the last one that has any]
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The address and port to listen on [default: that of the configuration, else 127.0.0.1:11001]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Only print what clients put into their buildstream.conf
    #[arg(long)]
    pub(crate) print_client_config: bool,
    /// The address by which clients know the server, for --print-client-config
    #[arg(long, value_name = "URL", requires = "print_client_config")]
    pub(crate) url: Option<String>,
    /// The cachedir of a BuildStream, as in ~/.cache/buildstream [default: the fetcher's own]
    #[arg(value_name = "CACHEDIR")]
    pub(crate) cachedir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Clone the configuration from this git repository
    #[arg(long, value_name = "GIT-URL")]
    pub(crate) from: Option<String>,
    /// The branch to follow
    #[arg(long, value_name = "BRANCH", requires = "from")]
    pub(crate) branch: Option<String>,
    /// The configuration file inside the repository
    #[arg(long, value_name = "FILE", requires = "from")]
    pub(crate) path: Option<PathBuf>,
}

fn element(text: &str) -> Result<ElementName, String> {
    text.parse().map_err(|error: fetcher_core::NameError| error.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::Span = text.parse().map_err(|error: jiff::Error| format!("{error}; write 90s, 15m or 2h 30m"))?;
    let signed = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|error| error.to_string())?;
    Duration::try_from(signed).map_err(|_| "it may not be negative".to_owned())
}

/// The words of `bst-fetcher diagnose`.
#[derive(Debug, Args)]
pub(crate) struct DiagnoseArgs {
    /// The log: what bst wrote to its standard error [default: standard input]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Print a list of failures as JSON: `--format=json`
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
    /// What to print
    #[arg(long, value_enum, default_value_t = DiagnosisFormat::Text)]
    pub(crate) format: DiagnosisFormat,
    /// Where the project's elements are in the repository, for the files of annotations
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) element_path: Option<PathBuf>,
    /// End with 0 also where failures were found
    #[arg(long)]
    pub(crate) exit_zero: bool,
}

/// The form of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiagnosisFormat {
    /// Paragraphs for people
    Text,
    /// A list of failures
    Json,
    /// Annotations of GitHub Actions
    Github,
}
