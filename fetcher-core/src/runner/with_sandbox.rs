//! One sandbox's options for all that a runner runs.

use super::sandbox_options::{SandboxMode, SandboxOptions};
use super::{Exit, Invocation, OutputStream, Runner, RunnerError};
use crate::cancel::Cancel;

/// Lets another runner run children, confined as these options ask, but for those that ask not to be.
#[derive(Debug)]
pub struct WithSandbox<'a> {
    runner: &'a dyn Runner,
    options: &'a SandboxOptions,
}

impl<'a> WithSandbox<'a> {
    /// Asks `runner` for this.
    pub fn new(runner: &'a dyn Runner, options: &'a SandboxOptions) -> Self {
        Self { runner, options }
    }
}

impl Runner for WithSandbox<'_> {
    fn run(
        &self,
        invocation: &Invocation,
        cancel: &Cancel,
        output: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<Exit, RunnerError> {
        if invocation.sandbox.mode == SandboxMode::Off {
            return self.runner.run(invocation, cancel, output);
        }
        self.runner.run(&invocation.clone().sandbox(self.options.clone()), cancel, output)
    }

    fn hides_files(&self, invocation: &Invocation, cancel: &Cancel) -> bool {
        invocation.sandbox.mode != SandboxMode::Off
            && self.runner.hides_files(&invocation.clone().sandbox(self.options.clone()), cancel)
    }

    fn is_local(&self) -> bool {
        self.runner.is_local()
    }

    fn confines_network(&self, invocation: &Invocation, cancel: &Cancel) -> bool {
        if invocation.sandbox.mode == SandboxMode::Off {
            return self.runner.confines_network(invocation, cancel);
        }
        self.runner.confines_network(&invocation.clone().sandbox(self.options.clone()), cancel)
    }
}
