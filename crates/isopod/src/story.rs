//! `isopod story` and `isopod why`: what befell a Pod, also one that is gone, and what it waits for now.

pub mod access;
mod known;
mod timeline;
mod why;

use anyhow::{Result, bail};
use platform::clock::{Clock as _, SystemClock};

use crate::cli;
use access::Access;
use known::{Known, Told};
pub use timeline::duration;

/// Runs `isopod story`.
pub fn run(arguments: &cli::Story) -> Result<()> {
    let known = know(&arguments.pod)?;
    let wanted = |told: &&Told| arguments.uid.as_ref().is_none_or(|uid| told.uid == *uid);
    let Some(told) = known.told.iter().find(wanted) else {
        let name = &known.name;
        match &arguments.uid {
            Some(uid) => bail!("no Pod \"{name}\" with UID {uid} is known in namespace \"{}\"", known.namespace),
            None => bail!(known.unknown()),
        }
    };
    if arguments.output == Some(cli::Output::Json) {
        println!("{}", serde_json::to_string_pretty(told)?);
        return Ok(());
    }
    print!("{}", timeline::render(&known, told));
    Ok(())
}

/// Runs `isopod why`.
pub fn why(arguments: &cli::Why) -> Result<()> {
    let known = know(&arguments.pod)?;
    let Some(told) = known.told.first() else { bail!(known.unknown()) };
    why::reasons(told, SystemClock.now()).iter().for_each(|line| println!("{line}"));
    Ok(())
}

fn know(pod: &cli::PodArguments) -> Result<Known> {
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    threads.block_on(async { Known::ask(&Access::new(pod).await?).await })
}
