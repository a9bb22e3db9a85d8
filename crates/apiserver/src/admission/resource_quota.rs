//! ResourceQuotas: what a namespace may have is charged before it is stored, so that many writes at once never exceed it.
//!
//! A charge is an update of the quota's status, computed anew when another one comes in between, and given back when the
//! write it was for fails. The controller of quotas counts anew when objects go; before it does, it writes the quota's
//! status as it read it, which waits for what is charged but not stored ([`Turns`]).

use std::sync::{Mutex, OnceLock, PoisonError};

use api::Object;
use api::core::v1::resource_quota::usage::{Amounts, Counted, Item};
use api::k8s_openapi::api::core::v1::ResourceQuota;
use async_trait::async_trait;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tracing::warn;

use super::{Attributes, Operation, Plugin};
use crate::api_server::Server;
use crate::audit::Annotations;
use crate::error::Error;
use crate::identity::{MASTERS, UserInfo};
use crate::registry::Kept;
use crate::registry::store::WriteContext;
use crate::registry::strategy::Part;
use crate::watch_cache::in_namespace;

mod plan;
mod turns;

use plan::{Request, charge, charged, exceeding, released};
pub use turns::Turns;
use turns::UnderWay;

/// In whose name quotas are charged.
const OWN_NAME: &str = "system:apiserver";

/// The plugin.
pub struct ResourceQuotaAdmission;

#[async_trait]
impl Plugin for ResourceQuotaAdmission {
    async fn validate(&self, attributes: &Attributes<'_>, object: &dyn Object) -> Result<(), Error> {
        if !concerns(attributes) {
            return Ok(());
        }
        let server = attributes.server;
        if attributes.resource.info.plural == "resourcequotas" && attributes.subresource == "status" {
            if attributes.user.name != OWN_NAME {
                server.quota_turns.settled(attributes.namespace).await;
            }
            return Ok(());
        }
        if in_namespace(&server.resource_quotas.all(), attributes.namespace).is_empty() {
            return Ok(());
        }
        let request = Request {
            counted: Counted::new(attributes.resource.gvk().group, attributes.resource.info.plural),
            item: Item::of(object),
            old: attributes.old.map(Item::of),
            now: server.now(),
            is_checked: attributes.subresource != "status",
        };
        if !attributes.dry_run {
            attributes.charges.begin(server.quota_turns.begin(attributes.namespace).await);
        }
        let _turn = server.quota_turns.take(attributes.namespace).await;
        server.caches.fresh().await?;
        let quotas = server.resource_quotas.all();
        let quotas = in_namespace(&quotas, attributes.namespace).iter().filter_map(|item| item.object());
        let planned = plan::plan(quotas, &request).map_err(|reason| attributes.forbidden(object, reason))?;
        if attributes.dry_run {
            return Ok(());
        }
        for name in planned {
            attributes.charges.take(attributes, object, &name, &request).await?;
        }
        Ok(())
    }
}

/// Whether a write can change what is counted. Events are not worth it.
fn concerns(attributes: &Attributes<'_>) -> bool {
    let resource = (attributes.resource.gvk().group, attributes.resource.info.plural);
    if attributes.namespace.is_empty() || resource.1 == "events" {
        return false;
    }
    if attributes.operation == Operation::Create {
        return attributes.subresource.is_empty();
    }
    attributes.operation == Operation::Update
        && matches!(
            (resource, attributes.subresource),
            (("", "services"), "")
                | (("", "persistentvolumeclaims"), "" | "status")
                | (("", "pods"), "resize")
                | (("", "resourcequotas"), "status")
        )
}

/// What was charged for one attempt to write.
#[derive(Debug, Default)]
pub struct Charges {
    taken: Mutex<Vec<Charge>>,
    under_way: OnceLock<UnderWay>,
}

#[derive(Debug)]
struct Charge {
    namespace: String,
    quota: String,
    amounts: Amounts,
}

impl Charges {
    /// Whoever counts waits from now on until this is dropped.
    fn begin(&self, under_way: UnderWay) {
        // An attempt is judged once, so there is never a second one.
        _ = self.under_way.set(under_way);
    }

    /// Charges one quota.
    async fn take(
        &self,
        attributes: &Attributes<'_>,
        object: &dyn Object,
        name: &str,
        request: &Request<'_>,
    ) -> Result<(), Error> {
        let taken = Mutex::new(Amounts::new());
        let make = |quota: &ResourceQuota| {
            let refused = |reason| attributes.forbidden(object, reason);
            let amounts = charge(quota, request).map_err(refused)?.unwrap_or_default();
            if request.is_checked
                && let Some(reason) = exceeding(quota, &amounts)
            {
                return Err(refused(reason));
            }
            let used = charged(quota, &amounts);
            *taken.lock().unwrap_or_else(PoisonError::into_inner) = amounts;
            Ok(used)
        };
        update_used(attributes.server, attributes.namespace, name, &make).await?;
        let amounts = taken.into_inner().unwrap_or_else(PoisonError::into_inner);
        let charge = Charge { namespace: attributes.namespace.to_owned(), quota: name.to_owned(), amounts };
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(charge);
        Ok(())
    }

    /// Gives everything back: what it was for did not come to be.
    pub async fn release(self, server: &Server) {
        let Self { taken, under_way: _under_way } = self;
        for Charge { namespace, quota, amounts } in taken.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let outcome = update_used(server, &namespace, &quota, &|quota| Ok(released(quota, &amounts))).await;
            if let Err(error) = outcome {
                warn!(namespace, quota, ?error, "a charge could not be given back; the next count puts it right");
            }
        }
    }
}

type Use<'a> = dyn Fn(&ResourceQuota) -> Result<ResourceQuota, Error> + Send + Sync + 'a;

/// Changes what a quota says is used. One that is gone limits nothing.
///
/// Boxed, for it is a write within a write.
fn update_used<'a>(
    server: &'a Server,
    namespace: &'a str,
    name: &'a str,
    used: &'a Use<'_>,
) -> BoxFuture<'a, Result<(), Error>> {
    let update = async move {
        let kept: &Kept =
            server.core("resourcequotas").ok_or_else(|| Error::Internal("no ResourceQuotas".to_owned()))?;
        let (user, warnings) = (UserInfo::new(OWN_NAME, [MASTERS]), Mutex::default());
        let context = WriteContext {
            server,
            kept,
            namespace,
            subresource: "status",
            user: &user,
            dry_run: false,
            warnings: &warnings,
            annotations: Annotations::UNREAD,
        };
        let make = |present: &dyn Object| -> Result<Box<dyn Object>, Error> {
            let quota = present.as_any().downcast_ref::<ResourceQuota>();
            let quota = quota.ok_or_else(|| Error::Internal("a quota is a ResourceQuota".to_owned()))?;
            Ok(Box::new(used(quota)?))
        };
        match context.update(name, Part::Status, &make).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    };
    update.boxed()
}
