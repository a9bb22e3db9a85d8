//! What only a store on disk can get wrong.

mod crash;
mod disk;
mod files;
mod images;
mod revisions;
