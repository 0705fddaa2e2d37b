//! Diagnosis alone: what failed, from the log of a `bst` that ran anywhere. It needs none of the library's features.
//!
//! ```text
//! bst source fetch 2>&1 | cargo run -p fetcher-core --no-default-features --example diagnose_log
//! ```

use std::error::Error;
use std::io::{self, BufReader, Read};

use fetcher_core::diagnosis::{LogDiagnoses, diagnose};

pub(crate) fn run(log: impl Read) -> io::Result<LogDiagnoses> {
    diagnose(None, None, &mut BufReader::new(log))
}

fn main() -> Result<(), Box<dyn Error>> {
    for failure in run(io::stdin())?.failures {
        println!("{failure}");
    }
    Ok(())
}
