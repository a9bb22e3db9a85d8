//! How components talk to the API, the only language between them.
//!
//! A component holds a [`Client`] and nothing else of the API server. The same type has two transports:
//!
//! * **in process**: `kube::Client::new(service, "default")` over the API server's own `tower` service. No socket, no
//!   TLS; the caller's identity is injected by a layer, and the same authentication, authorization, admission and watch
//!   run as for anybody else;
//! * **HTTPS**: `kube::Client::try_from(kube::Config)` with a kubeconfig's client certificate or token.
//!
//! Components can't tell which one they hold. On top of it: [`Reflector`] and [`Lister`] keep a watched copy of one
//! resource, [`WorkQueue`] hands out keys to reconcile, [`EventRecorder`] writes Events, [`LeaseHolder`] keeps a Lease,
//! [`LeaderElection`] lets one of several work.

pub mod errors;
pub mod events;
pub mod leader_election;
pub mod lease;
pub mod reflector;
pub mod work_queue;

pub use errors::{is_already_exists, is_conflict, is_gone, is_not_found, is_transient};
pub use events::{EventFormat, EventRecorder, EventSource, EventType, object_reference};
pub use kube::Client;
pub use leader_election::LeaderElection;
pub use lease::LeaseHolder;
pub use reflector::{Change, Index, Lister, ObjectKey, Reflected, Reflector};
pub use work_queue::{Claim, WorkQueue};
