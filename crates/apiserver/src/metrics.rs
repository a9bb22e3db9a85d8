//! What this server counts, and how `/metrics` tells it: upstream's names, labels and texts.

pub mod exposition;
pub mod process;
pub mod requests;
pub mod slis;
pub mod store;

pub use platform::metrics::{Histogram, Kind, Text};
