//! Who owns which field of an object: `metadata.managedFields`, and server-side apply, which lives by it.
//!
//! In reading order: a [`PathElement`] is one step into an object and a [`Set`] holds paths; [`fields_v1`] is how a set
//! is written. [`typed`] walks values by their schema: which fields a value has, how two differ, merge and shrink.
//! [`Managed`] are the entries of one object. [`updater`] moves ownership between them, and [`manager`] is what the API
//! server calls. Everything here is pure: the time of an entry is passed in.

pub mod fields_v1;
mod managed;
pub mod manager;
mod path;
mod set;
pub mod typed;
pub mod updater;

#[cfg(test)]
mod tests;

pub use managed::{Managed, ManagerKey, Operation, Ownership};
pub use manager::{FieldManager, ResetFields};
pub use path::PathElement;
pub use set::Set;
