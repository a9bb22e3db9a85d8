//! The default FlowSchemas and PriorityLevelConfigurations, kept as they should be, and what a FlowSchema's status says
//! about the level it names.
//!
//! **Flow**: a change of either kind wakes one pass, which compares everything there is with the tables of
//! `api::flowcontrol::v1::defaults` ([`plan`]) and writes the differences. **Guarantees**: mandatory objects have the
//! spec of the tables; the others too unless `apf.kubernetes.io/autoupdate-spec` is `"false"`; what is missing comes
//! back; objects of earlier versions that nobody took over go. A pass without differences writes nothing.

mod plan;

use std::time::Duration;

use api::k8s_openapi::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use client::{Client, Reflector, WorkQueue, is_conflict, is_not_found};
use futures::future::try_join_all;
use jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Resource};
use platform::clock::SharedClock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use plan::{Action, Configured};

/// Who owns the fields of the default objects, and of the conditions, as upstream names itself.
const PRODUCER: &str = "api-priority-and-fairness-config-producer-v1";
const CONSUMER: &str = "api-priority-and-fairness-config-consumer-v1";
/// After a pass that wrote, the next one waits so long: two servers of different versions must not fight.
const PASS_PAUSE: Duration = Duration::from_secs(1);

/// One pass.
///
/// # Errors
/// The first request that failed for another reason than that somebody else was faster.
pub async fn reconcile(client: &Client, now: Timestamp) -> kube::Result<()> {
    let (schemas, levels) = (Api::<FlowSchema>::all(client.clone()), Api::all(client.clone()));
    let all = ListParams::default();
    let (known, known_levels) = futures::try_join!(schemas.list(&all), levels.list(&all))?;
    pass(client, &known.items, &known_levels.items, now).await.map(drop)
}

/// Follows both kinds until cancelled.
pub async fn run(client: Client, clock: SharedClock, cancel: CancellationToken) {
    let queue = WorkQueue::new();
    let wake = |queue: &WorkQueue<()>| {
        let queue = queue.clone();
        move || queue.add(())
    };
    let (of_schemas, of_levels) = (wake(&queue), wake(&queue));
    let schemas = Reflector::new(Api::<FlowSchema>::all(client.clone())).on_change(move |_| of_schemas());
    let levels = Reflector::new(Api::<PriorityLevelConfiguration>::all(client.clone())).on_change(move |_| of_levels());
    let (known, known_levels) = (schemas.lister(), levels.lister());
    let work = async {
        futures::join!(known.synced(), known_levels.synced());
        loop {
            let claim = queue.next().await;
            let objects: Vec<FlowSchema> = known.all().iter().map(|object| (**object).clone()).collect();
            let level_objects: Vec<_> = known_levels.all().iter().map(|object| (**object).clone()).collect();
            match pass(&client, &objects, &level_objects, clock.now()).await {
                Ok(false) => queue.forget(&()),
                Ok(true) => tokio::time::sleep(PASS_PAUSE).await,
                Err(error) => {
                    warn!(%error, "keeping the objects of API Priority and Fairness");
                    queue.add_failed(());
                }
            }
            drop(claim);
        }
    };
    tokio::select! {
        () = cancel.cancelled() => {}
        () = schemas.run(cancel.clone()) => {}
        () = levels.run(cancel.clone()) => {}
        () = work => {}
    }
}

/// Returns whether there was anything to do.
async fn pass(
    client: &Client,
    schemas: &[FlowSchema],
    levels: &[PriorityLevelConfiguration],
    now: Timestamp,
) -> kube::Result<bool> {
    let level_actions = plan::levels(levels);
    let schema_actions = plan::schemas(schemas);
    let conditions = plan::conditions(schemas, levels, now);
    let any = !(level_actions.is_empty() && schema_actions.is_empty() && conditions.is_empty());
    // Levels before the schemas that name them.
    execute(&Api::all(client.clone()), level_actions).await?;
    execute(&Api::all(client.clone()), schema_actions).await?;
    let api: Api<FlowSchema> = Api::all(client.clone());
    let params = PatchParams::apply(CONSUMER).force();
    let writes = conditions.into_iter().map(|(name, condition)| {
        let (api, params) = (&api, &params);
        async move {
            let status = json!({
                "apiVersion": FlowSchema::api_version(&()),
                "kind": FlowSchema::kind(&()),
                "metadata": { "name": name },
                "status": { "conditions": [condition] },
            });
            unless_outrun(api.patch_status(&name, params, &Patch::Apply(&status)).await)
        }
    });
    try_join_all(writes).await?;
    Ok(any)
}

async fn execute<K>(api: &Api<K>, actions: Vec<Action<K>>) -> kube::Result<()>
where
    K: Configured + Resource + Serialize + DeserializeOwned + Clone + Debug,
{
    let params = PostParams { field_manager: Some(PRODUCER.to_owned()), ..PostParams::default() };
    let writes = actions.iter().map(|action| {
        let params = &params;
        async move {
            match action {
                Action::Create(object) => crate::objects::unless_there(api.create(params, object).await),
                Action::Replace(object) => unless_outrun(api.replace(object.name(), params, object).await),
                Action::Delete(name) => unless_outrun(api.delete(name, &DeleteParams::default()).await),
            }
        }
    });
    try_join_all(writes).await.map(drop)
}

/// Somebody else was faster: their change wakes the next pass.
fn unless_outrun<T>(outcome: kube::Result<T>) -> kube::Result<()> {
    match outcome {
        Err(error) if is_conflict(&error) || is_not_found(&error) => Ok(()),
        outcome => outcome.map(drop),
    }
}
