//! From asynchronous code: a run in a thread of its own, its events as they come, and an end to it at the press of Enter.
//!
//! ```text
//! cargo run -p fetcher-core --example from_tokio -- config.toml
//! ```

use std::error::Error;
use std::future::Future;
use std::path::Path;

use fetcher_core::report::EventRecord;
use fetcher_core::{Cancel, Config, Environment, Fetcher, RunReport, RunSelection, SystemClock};
use tokio::sync::mpsc::unbounded_channel;

pub(crate) async fn run(
    config: &Path,
    environment: Environment,
    stop: impl Future<Output = ()>,
    mut tell: impl FnMut(EventRecord),
) -> Result<RunReport, Box<dyn Error>> {
    let (cancel, (sender, mut events)) = (Cancel::new(), unbounded_channel());
    let fetcher = Fetcher::new(Config::load(config, &environment)?, environment).cancel(cancel.clone());
    let mut work = tokio::task::spawn_blocking(move || {
        let mut sink = EventRecord::sink(&SystemClock, |record| drop(sender.send(record)));
        fetcher.run(&RunSelection::all(), &mut sink)
    });
    let mut stop = std::pin::pin!(stop);
    let mut stopped = false;
    loop {
        tokio::select! {
            Some(record) = events.recv() => tell(record),
            () = &mut stop, if !stopped => {
                stopped = true;
                cancel.cancel();
            }
            report = &mut work => {
                while let Ok(record) = events.try_recv() {
                    tell(record);
                }
                return Ok(report??);
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("name a configuration file")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = async {
        let line = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
        // Where there is no input, the run goes on to its end.
        if !matches!(line.await, Ok(Ok(bytes)) if bytes > 0) {
            std::future::pending::<()>().await;
        }
    };
    let environment = Environment::of_this_process();
    let report = runtime.block_on(run(Path::new(&path), environment, stop, |record| {
        println!("{} {:?}", record.at, record.event);
    }))?;
    println!("{}", report.outcome);
    // Else the thread that waits for Enter would be waited for.
    runtime.shutdown_background();
    Ok(())
}
