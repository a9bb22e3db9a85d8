//! Where objects are kept, under the names that k3s gives the flags.

use std::path::PathBuf;

use clap::Args;
use store::etcd::Endpoint;

/// Which store the API server uses.
#[derive(Debug, Args)]
#[command(next_help_heading = "Datastore options")]
pub struct Datastore {
    /// etcd to keep all objects in, at http(s)://HOST:PORT; several members are separated by commas
    /// [default: a file in the data directory]
    #[arg(long, value_delimiter = ',', value_name = "URL")]
    pub datastore_endpoint: Vec<Endpoint>,
    /// Authority that etcd's certificate is from, as PEM; needed for https
    #[arg(long, value_name = "FILE", requires = "datastore_endpoint")]
    pub datastore_cafile: Option<PathBuf>,
    /// Certificate to show to etcd, as PEM
    #[arg(long, value_name = "FILE", requires = "datastore_keyfile")]
    pub datastore_certfile: Option<PathBuf>,
    /// Key of that certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "datastore_certfile")]
    pub datastore_keyfile: Option<PathBuf>,
}
