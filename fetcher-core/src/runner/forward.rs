//! A runner that is borrowed, boxed or shared is one as well.

use std::fmt;
use std::sync::Arc;

use super::{Exit, Invocation, OutputStream, Runner, RunnerError};
use crate::cancel::Cancel;

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: Runner + ?Sized> Runner for $pointer {
            fn run(
                &self,
                invocation: &Invocation,
                cancel: &Cancel,
                output: &mut dyn FnMut(OutputStream, &[u8]),
            ) -> Result<Exit, RunnerError> {
                (**self).run(invocation, cancel, output)
            }

            fn hides_files(&self, invocation: &Invocation, cancel: &Cancel) -> bool {
                (**self).hides_files(invocation, cancel)
            }

            fn is_local(&self) -> bool {
                (**self).is_local()
            }

            fn confines_network(&self, invocation: &Invocation, cancel: &Cancel) -> bool {
                (**self).confines_network(invocation, cancel)
            }
        }
    )*};
}

forward!(&T, Box<T>, Arc<T>);

/// So that what holds a runner can be shown.
impl fmt::Debug for dyn Runner + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runner")
    }
}
