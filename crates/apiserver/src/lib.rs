//! The API server: filters, handlers, admission, registry, watch cache, discovery. The only user of `store`.

pub mod registry;
