//! `isopod images`: the image store from the command line, whether a server runs on it or not.

use std::io::IsTerminal;
use std::sync::Arc;

use anyhow::Result;
use platform::clock::SystemClock;
use platform::random::SystemRandom;
use runtime::image::{self, ImageRecord, ImageStore, Registries};

use crate::cli;
use crate::data_dir::DataDir;
use crate::logging;

/// Runs the command.
pub fn run(command: cli::Images) -> Result<()> {
    if std::io::stderr().is_terminal() {
        logging::start();
    }
    match command {
        cli::Images::Import { file, data_dir } => {
            for record in open(&data_dir)?.import(&file, None)? {
                names(&record).iter().for_each(|name| println!("Imported {name}"));
            }
        }
        cli::Images::List { data_dir } => list(&open(&data_dir)?.list()?),
        cli::Images::Remove { image, data_dir } => {
            open(&data_dir)?.remove(&image)?;
            println!("Removed {image}");
        }
    }
    Ok(())
}

fn open(data_dir: &cli::DataDir) -> Result<Arc<ImageStore>> {
    let config = image::Config {
        root: DataDir::create(&data_dir.data_dir)?.images(),
        registries: Registries::default(),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
    };
    Ok(ImageStore::open(config)?)
}

fn list(records: &[ImageRecord]) {
    println!("{:<60} {:<14} {:>9}", "IMAGE", "ID", "SIZE");
    for record in records.iter().filter(|record| !record.is_removed()) {
        let id = record.id.as_str().trim_start_matches("sha256:");
        for name in names(record) {
            println!("{name:<60} {:<14} {:>6} MB", &id[..id.len().min(12)], record.size_bytes.div_ceil(1_000_000));
        }
    }
}

/// Tags, or digests where there is none.
fn names(record: &ImageRecord) -> &std::collections::BTreeSet<String> {
    if record.tags.is_empty() { &record.digests } else { &record.tags }
}
