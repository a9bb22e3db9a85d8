//! `isopod tree`: an object and everything it owns, with readiness, reason and age.

mod kinds;
mod layout;
mod readiness;

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams, PartialObjectMeta};
use platform::clock::{Clock as _, SystemClock};

use crate::cli;
use crate::story::access;
use kinds::Kind;
use layout::Node;

/// Runs the command.
pub fn run(arguments: &cli::Tree) -> Result<()> {
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let lines = threads.block_on(lines(arguments))?;
    lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}

async fn lines(arguments: &cli::Tree) -> Result<Vec<String>> {
    let Some((kind, name)) =
        arguments.object.split_once('/').filter(|(kind, name)| !kind.is_empty() && !name.is_empty())
    else {
        bail!("{:?} is no object: KIND/NAME, for instance deployment/web", arguments.object);
    };
    let (client, namespace) = access::connect(&arguments.api).await?;
    let kinds = kinds::discover(&client).await.context("cannot list the kinds")?;
    let Some(root_kind) = kinds::named(&kinds, kind) else { bail!("the server knows no kind {kind:?}") };
    let root = root_kind.api(&client, &namespace).get(name).await;
    let root = root.with_context(|| format!("cannot read {}/{name}", root_kind.resource.kind))?;
    // What is in a namespace owns nothing outside of it.
    let scope = root.metadata.namespace.as_deref();
    let within: Vec<&Kind> = kinds.iter().filter(|kind| scope.is_none() || kind.namespaced).collect();
    let metadata = try_join_all(within.iter().map(|kind| list_metadata(kind, &client, scope))).await?;
    let owned = layout::owned(&root.metadata, metadata.iter().flatten());
    let in_tree = |list: &Vec<PartialObjectMeta<DynamicObject>>| {
        list.iter().any(|object| object.metadata.uid.as_ref().is_some_and(|uid| owned.contains(uid)))
    };
    let concerned = within.into_iter().zip(&metadata).filter(|(_, list)| in_tree(list));
    let full = concerned.map(|(kind, _)| {
        let api = kind.all(&client, scope);
        async move {
            let objects = api.list(&ListParams::default()).await?;
            Ok::<_, kube::Error>(objects.items.into_iter().map(|object| (kind, object)).collect::<Vec<_>>())
        }
    });
    let full = try_join_all(full).await.context("cannot list objects")?;
    let nodes = full.into_iter().flatten().filter(|(_, object)| {
        object.metadata.uid != root.metadata.uid && object.metadata.uid.as_ref().is_some_and(|uid| owned.contains(uid))
    });
    let now = SystemClock.now();
    let nodes: Vec<Node> = nodes.map(|(kind, object)| Node::of(&kind.resource.kind, &object, now)).collect();
    Ok(layout::render(&Node::of(&root_kind.resource.kind, &root, now), &nodes))
}

/// The metadata of all objects of a kind; none of one that may not be listed.
async fn list_metadata(
    kind: &Kind,
    client: &Client,
    namespace: Option<&str>,
) -> Result<Vec<PartialObjectMeta<DynamicObject>>> {
    let api: Api<DynamicObject> = kind.all(client, namespace);
    match api.list_metadata(&ListParams::default()).await {
        Ok(list) => Ok(list.items),
        Err(kube::Error::Api(status)) if (403..=405).contains(&status.code) => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot list {}", kind.resource.plural)),
    }
}
