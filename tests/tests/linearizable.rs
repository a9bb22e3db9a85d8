//! Clients compare and swap while the server is killed; `make linearizable KILLS=.. SEED=..` kills as often as one likes.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tests::linearizable::clients;
use tests::{Cluster, Options, cases, suite};

const SEED: u64 = 1;
const KILLS: u32 = 4;

fn main() -> ExitCode {
    suite::run(|| Ok(()), cases![no_acknowledged_write_is_lost_and_none_succeeds_twice], |()| String::new())
}

fn number<N: std::str::FromStr>(name: &str, default: N) -> Result<N> {
    match std::env::var(name) {
        Ok(text) => text.parse().ok().with_context(|| format!("{name}={text} is no number")),
        Err(_) => Ok(default),
    }
}

fn no_acknowledged_write_is_lost_and_none_succeeds_twice(_: &()) -> Result<()> {
    let seed = number("ISOPOD_LINEARIZABLE_SEED", SEED)?;
    let kills = number("ISOPOD_LINEARIZABLE_KILLS", KILLS)?;
    let cluster = Arc::new(Cluster::start(Options::default())?);
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let started = std::time::Instant::now();
    let tally =
        threads.block_on(clients::run(&cluster, seed, kills)).map_err(|error| error.context(cluster.diagnose()))?;
    println!("{kills} kills in {:.0} s, seed {seed}: {tally:?}", started.elapsed().as_secs_f64());
    Ok(())
}
