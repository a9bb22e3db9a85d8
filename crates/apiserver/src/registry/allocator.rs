//! What objects of some kinds take from the cluster's pools: addresses and ports that only one may have.
//!
//! Flow of a write: [`Allocator::allocate`] takes what the new object needs and notes it in [`Claims`]; validation and the
//! commit follow; [`Allocator::settle`] then gives back what turned out not to be needed: what was taken, when nothing
//! was stored, or what the object had before, when it was. Such writes run to their end even when the client has gone.

use std::net::IpAddr;

use api::Object;
use async_trait::async_trait;

use super::store::WriteContext;
use crate::error::Error;

/// One thing that only one object may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// An address: an IPAddress object.
    Address(IpAddr),
    /// A port of every node.
    NodePort(i32),
}

/// What a write has taken and what it no longer needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Taken for the new object; given back when it is not stored.
    pub taken: Vec<Claim>,
    /// The object had it before; given back once the change is stored.
    pub given_up: Vec<Claim>,
}

/// Gives objects of one kind what they need of the pools.
#[async_trait]
pub trait Allocator: Send + Sync {
    /// Completes an object that is to be created or to replace `old`. A dry run completes it too, but takes nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the object asks for what another has; `claims` says what was taken until then.
    async fn allocate(
        &self,
        context: &WriteContext<'_>,
        new: &mut dyn Object,
        old: Option<&dyn Object>,
        claims: &mut Claims,
    ) -> Result<(), Error>;

    /// Gives things back to the pools.
    async fn give_back(&self, context: &WriteContext<'_>, claims: Vec<Claim>);

    /// Everything an object has.
    fn held_by(&self, object: &dyn Object) -> Vec<Claim>;
}
