//! One file a command.

mod check;
mod config;
pub(crate) mod diagnose;
mod gc;
mod init;
mod inventory;
mod logs;
mod notify;
mod publish;
mod rot;
mod run;
mod schedule;
mod serve;
mod status;
mod verify;

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::CommandFactory as _;
use fetcher_core::config::ConfigError;
use fetcher_core::fetcher::LoadedConfig;
use fetcher_core::{Cancel, Config, Environment, Fetcher, Redactor, RunContext};

use crate::cli::{Cli, Command};
use crate::{eprint_line, output};

pub(crate) const OK: u8 = 0;
pub(crate) const SOME_FAILED: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const CONFIGURATION: u8 = 3;
pub(crate) const NONE_SUCCEEDED: u8 = 4;
pub(crate) const PANICKED: u8 = 70;
pub(crate) const LOCKED: u8 = 75;

/// What every command needs.
pub(crate) struct CommandContext {
    pub(crate) environment: Environment,
    pub(crate) config: Option<PathBuf>,
    pub(crate) verbose: u8,
    pub(crate) quiet: bool,
    pub(crate) json_log: bool,
}

impl CommandContext {
    /// The configuration, or the exit status once its problems were told.
    pub(crate) fn config(&self) -> Result<Config, u8> {
        self.loaded().map(|loaded| loaded.config)
    }

    /// The same with the commit that it is of.
    pub(crate) fn loaded(&self) -> Result<LoadedConfig, u8> {
        let path = self.path()?;
        LoadedConfig::load(&path, RunContext::new(&self.environment, &Cancel::new())).map_err(|error| told(&error))
    }

    /// A fetcher, whose sandbox this program helps with.
    pub(crate) fn fetcher(&self, config: Config) -> Fetcher {
        let fetcher = Fetcher::new(config, self.environment.clone());
        // After an update of the program the file that it was started from may be gone.
        match std::env::current_exe().ok().filter(|program| program.exists()) {
            Some(program) => fetcher.sandbox_helper(program),
            None => fetcher,
        }
    }

    /// The configuration file.
    pub(crate) fn path(&self) -> Result<PathBuf, u8> {
        self.discover().map_err(|error| told(&error))
    }

    /// What masks the secrets of the configuration, where there is one that can be read; else what looks like a secret.
    pub(crate) fn redactor(&self) -> Redactor {
        let config = self.discover().ok().and_then(|path| Config::load(path, &self.environment).ok());
        Redactor::watching(config.map(|config| config.secrets(&self.environment)).unwrap_or_default())
    }

    /// The configuration file, or why there is none.
    pub(crate) fn discover(&self) -> Result<PathBuf, ConfigError> {
        Config::discover(self.config.as_deref(), &self.environment)
    }
}

/// Tells what is wrong with a configuration, and gives the exit status for that.
pub(crate) fn told(error: &ConfigError) -> u8 {
    eprint_line(&error.to_string());
    CONFIGURATION
}

/// Runs a command, and gives the exit status.
pub(crate) fn dispatch(cli: Cli) -> u8 {
    let context = CommandContext {
        environment: Environment::of_this_process(),
        config: cli.config,
        verbose: cli.verbose,
        quiet: cli.quiet,
        json_log: cli.log_format == crate::cli::LogFormat::Json,
    };
    let done = match cli.command {
        Command::Run(args) => run::run(&context, args),
        Command::Check(args) => check::run(&context, &args),
        Command::Serve(args) => serve::run(&context, &args),
        Command::Status(args) => status::run(&context, &args),
        Command::Inventory(args) => inventory::run(&context, &args),
        Command::Publish(args) => publish::run(&context, &args),
        Command::Rot(args) => rot::run(&context, &args),
        Command::Verify(args) => verify::run(&context, &args),
        Command::Logs(args) => logs::run(&context, &args),
        Command::Diagnose(args) => diagnose::run(&context, &args, io::stdin().lock()),
        Command::Config { what } => config::run(&context, &what),
        Command::Notify { what } => notify::run(&context, &what),
        Command::Gc => gc::run(&context),
        Command::Init(args) => init::run(&context, &args),
        Command::Schedule { by } => schedule::run(&context, &by),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "bst-fetcher", &mut output::exact());
            Ok(OK)
        }
        Command::Man { command } => man(command.as_deref()),
    };
    done.unwrap_or_else(|error| {
        // Whoever reads standard output may have enough of it: `bst-fetcher logs … | head`.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return OK;
        }
        eprint_line(&format!("bst-fetcher: {error}"));
        SOME_FAILED
    })
}

fn man(command: Option<&str>) -> io::Result<u8> {
    let mut program = Cli::command();
    // Names and versions of commands are known only afterwards.
    program.build();
    let wanted = match command {
        None => Some(&program),
        Some(name) => program.find_subcommand(name),
    };
    let Some(wanted) = wanted else {
        eprint_line(&format!(
            "bst-fetcher: there is no command {:?}; `bst-fetcher --help` lists them",
            command.unwrap_or_default()
        ));
        return Ok(USAGE);
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(wanted.clone()).render(&mut page)?;
    output::exact().write_all(&page)?;
    Ok(OK)
}
