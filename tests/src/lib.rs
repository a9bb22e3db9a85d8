//! End-to-end suites: the built binary, driven by the real `kubectl`.
//!
//! A suite (`tests/*.rs`) starts one [`Cluster`] with a data directory, port and address ranges of its own, runs its
//! cases in parallel, each in a namespace of its own, and removes everything again with `isopod reset`, also after a
//! failure; then it prints what the server said. Images come from a registry on loopback ([`images`]).
//!
//! With `ISOPOD_TEST_RUNTIME=containerd` every cluster uses a containerd of its own instead of the embedded runtime.
//!
//! `ISOPOD_BIN` names the binary (default: the one beside the tests in `target/`), `ISOPOD_IMAGES` the directory of
//! `images/build.sh`. Arguments select cases by parts of their names, as with `cargo test -p tests --test kubectl logs`.

pub mod ability;
pub mod chaos;
pub mod cluster;
pub mod containerd;
pub mod device_plugin;
pub mod etcd;
pub mod health_server;
pub mod host;
pub mod http;
pub mod images;
pub mod kubectl;
pub mod linearizable;
pub mod ranges;
pub mod script;
pub mod stream;
pub mod suite;
pub mod websocket;

pub use ability::Ability;
pub use cluster::{Beside, Cluster, Options, Runtime, free_port};
pub use etcd::Etcd;
pub use kubectl::{Kubectl, Output};
pub use stream::Stream;
pub use websocket::WebSocket;
