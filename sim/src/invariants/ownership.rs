//! Nothing outlives its owner or its namespace, and what is being deleted goes.

use super::{Invariant, ensure};
use crate::world::World;

/// No orphans.
pub struct Ownership;

impl Invariant for Ownership {
    fn name(&self) -> &'static str {
        "no orphans"
    }

    fn at_rest(&self, world: &World) -> Result<(), String> {
        for (key, object) in world.all() {
            ensure(!object.is_doomed(), || format!("{key} is still being deleted: {object}"))?;
            let home = key.namespace.is_empty() || world.get("Namespace", "", &key.namespace).is_some();
            ensure(home, || format!("{key} has outlived its namespace"))?;
            for owner in object.list("/metadata/ownerReferences") {
                let (kind, name) = (owner["kind"].as_str().unwrap_or(""), owner["name"].as_str().unwrap_or(""));
                let namespace = if kind == "Node" { "" } else { &key.namespace };
                let found = world.get(kind, namespace, name).is_some_and(|found| owner["uid"] == found.uid());
                ensure(found, || format!("{key} has outlived its owner {kind} {name}"))?;
            }
        }
        Ok(())
    }
}
