//! A resource that has objects, with its cache and codecs at hand.

use std::sync::Arc;

use api::Object;
use api::schema::Type;
use api::scheme::{self, KindEntry};
use bytes::Bytes;

use super::strategy::AnyStrategy;
use super::{Backing, RESOURCES, Resource};
use crate::encoding::Prefix;
use crate::error::{Error, GroupResource};
use crate::watch_cache::{CacheSpec, Caches, ROOT, WatchCache};

/// A resource that has objects.
pub struct Kept {
    /// The row.
    pub resource: &'static Resource,
    /// Its rules.
    pub strategy: &'static dyn AnyStrategy,
    /// Its objects.
    pub cache: Arc<WatchCache>,
    /// How objects of its kind start.
    pub prefix: Prefix,
    path: &'static str,
    stored_kind: &'static KindEntry,
}

/// What the caches must keep for all resources.
pub fn cache_specs() -> Vec<CacheSpec> {
    let stored = RESOURCES.iter().filter_map(|resource| match &resource.backing {
        Backing::Stored(stored) => Some((resource, stored)),
        Backing::View { .. } | Backing::Virtual(_) | Backing::Metrics(_) | Backing::Components => None,
    });
    stored
        .map(|(resource, stored)| CacheSpec {
            path: stored.path,
            prefix: Prefix::new(resource.gvk()),
            selectable: stored.selectable,
        })
        .collect()
}

/// All resources that have objects, with the caches they are in.
pub fn all_kept(caches: &Caches) -> Vec<Arc<Kept>> {
    let kept = RESOURCES.iter().filter_map(|resource| {
        let (path, strategy) = (resource.path()?, resource.strategy()?);
        let stored_in = RESOURCES.iter().find(|row| matches!(&row.backing, Backing::Stored(it) if it.path == path))?;
        let gvk = stored_in.gvk();
        Some(Arc::new(Kept {
            resource,
            strategy,
            cache: Arc::clone(caches.of(path)?),
            prefix: Prefix::new(resource.gvk()),
            path,
            stored_kind: scheme::lookup(gvk.group, gvk.version, gvk.kind)?,
        }))
    });
    kept.collect()
}

impl Kept {
    /// What errors call it: the resource that is stored.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource { group: self.stored_kind.gvk.group, resource: self.resource.info.plural }
    }

    /// The group of its objects in errors: that of the kind that is stored.
    pub fn error_group(&self) -> &'static str {
        self.stored_kind.gvk.group
    }

    /// The key in the cache.
    pub fn cache_key(&self, namespace: &str, name: &str) -> String {
        if self.resource.info.namespaced { format!("{namespace}/{name}") } else { name.to_owned() }
    }

    /// The key in the store.
    pub fn store_key(&self, namespace: &str, name: &str) -> String {
        format!("{ROOT}{}/{}", self.path, self.cache_key(namespace, name))
    }

    /// Decodes what the cache holds, or what the store holds.
    ///
    /// # Errors
    /// [`Error::Internal`]: what this server wrote, it can read, unless it was damaged.
    pub fn decode(&self, json: &[u8]) -> Result<Box<dyn Object>, Error> {
        let object = (self.stored_kind.from_json)(json)
            .map_err(|error| Error::Internal(format!("decoding a stored object: {error}")))?;
        Ok(match &self.resource.backing {
            Backing::View { from_stored, .. } => from_stored(object),
            _ => object,
        })
    }

    /// Encodes an object for the store. Its `resourceVersion` must be unset.
    pub fn encode(&self, object: &dyn Object) -> Vec<u8> {
        match &self.resource.backing {
            Backing::View { to_stored, .. } => self.cache.prefix.encode(to_stored(object).as_ref()),
            _ => self.prefix.encode(object),
        }
    }

    /// Stored bytes with a revision, as the cache serves them.
    pub fn served(&self, stored: &[u8], revision: u64) -> Bytes {
        self.cache.prefix.splice("", stored, revision, "")
    }

    /// Bytes of the cache as clients of this version see them.
    ///
    /// # Errors
    /// [`Error::Internal`] when they cannot be decoded.
    pub fn present(&self, served: &Bytes) -> Result<Bytes, Error> {
        if !self.is_view() {
            return Ok(served.clone());
        }
        let mut object = self.decode(served)?;
        let revision = object.metadata_mut().resource_version.take();
        let encoded = self.prefix.encode(object.as_ref());
        // What was only tried has no revision.
        let Some(revision) = revision.and_then(|revision| revision.parse().ok()) else { return Ok(encoded.into()) };
        Ok(self.prefix.splice("", &encoded, revision, ""))
    }

    /// The structure of its objects, as clients of this version see them.
    ///
    /// # Errors
    /// [`Error::Internal`]: the tables have every built-in kind.
    pub fn structure(&self) -> Result<Type, Error> {
        let gvk = self.resource.gvk();
        let structure = Type::of_kind(gvk.group, gvk.version, gvk.kind);
        structure.ok_or_else(|| Error::Internal(format!("no schema of {}", gvk.kind)))
    }

    /// Whether its objects are stored as another version.
    pub fn is_view(&self) -> bool {
        matches!(self.resource.backing, Backing::View { .. })
    }

    /// What the cache calls a field that selectors ask for; `None` for fields they cannot ask for.
    pub fn selectable_field(&self, name: &str) -> Option<String> {
        if name == "metadata.name" || (name == "metadata.namespace" && self.resource.info.namespaced) {
            return Some(name.to_owned());
        }
        if let Backing::View { field_names, .. } = &self.resource.backing {
            return field_names.iter().find(|(here, _)| *here == name).map(|(_, there)| (*there).to_owned());
        }
        // How older clients call the node of a Pod.
        let name = if name == "spec.host" { "spec.nodeName" } else { name };
        self.cache.selectable().iter().find(|field| field.name == name).map(|field| field.name.to_owned())
    }

    /// Whether field selectors know more than names.
    pub fn has_selectable_fields(&self) -> bool {
        self.is_view() || !self.cache.selectable().is_empty()
    }
}
