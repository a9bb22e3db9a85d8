//! The API server: filters, handlers, admission, registry, watch cache, discovery. The only user of `store`.
//!
//! A request comes in by [`server`] (HTTPS) or [`in_process`], passes [`filters`], and reaches one of the [`handlers`],
//! one per verb. Writes go through [`admission`] and the rules of the resource in [`registry`] to the store; reads and
//! watches are answered from the [`watch_cache`]. Errors become words in [`status`].

pub mod admission;
pub mod api_server;
pub mod audit;
pub mod authentication;
pub mod authorization;
pub mod body;
mod companions;
pub mod discovery;
pub mod encoding;
pub mod encryption;
pub mod error;
mod expiry;
mod field_manager;
pub mod filters;
pub mod flow_control;
mod handlers;
pub mod identity;
mod in_process;
mod json_text;
pub mod metrics;
mod negotiate;
mod node_proxy;
mod node_usage;
pub mod openapi;
mod protobuf;
pub mod query;
pub mod registry;
pub mod request;
mod server;
pub mod status;
pub mod table;
pub mod tokens;
pub mod watch_cache;
mod websocket;

#[cfg(test)]
mod tests;

pub use admission::{
    Configuration as AdmissionConfiguration, ConfigurationError as AdmissionConfigurationError,
    Plugins as AdmissionPlugins,
};
pub use api_server::{ApiServer, Config, Limits, NodeDialer, NodeStream, StartError};
pub use authentication::{AuthenticationConfig, TokenFile, TokenFileError};
pub use companions::Companions;
pub use encryption::Encryption;
pub use identity::UserInfo;
pub use in_process::InProcess;
pub use registry::RuntimeConfig;
pub use server::tls::{TlsError, config as tls_config};
pub use tokens::{SecretClaims, TokenConfig};
