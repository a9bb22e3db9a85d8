//! Create, update and delete, the same for every resource: names and system fields, preconditions, finalizers, graceful
//! deletion, and commits that win or lose against others.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use api::Object;
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use api::meta::Scope;
use bytes::Bytes;
use jiff::Timestamp;
use store::{Expect, Op, Revision};

use super::allocator::Claims;
use super::kept::Kept;
use super::strategy::{Part, Preparation};
use crate::admission::{self, Attributes, Charges, Operation};
use crate::api_server::Server;
use crate::audit::Annotations;
use crate::error::{Conflict, Error};
use crate::identity::UserInfo;
use crate::watch_cache::Entry;

mod delete;
mod metadata;

pub use delete::{DeleteOptions, DeletePlan, Deleted, PropagationPolicy, plan_delete};

/// So many generated names are tried before giving up.
const NAME_ATTEMPTS: usize = 8;
/// So often an update is computed again because another write came in between.
const UPDATE_ATTEMPTS: usize = 100;

/// Who writes, where, and how.
pub struct WriteContext<'a> {
    /// The server.
    pub server: &'a Server,
    /// The resource.
    pub kept: &'a Kept,
    /// The namespace, or empty.
    pub namespace: &'a str,
    /// The subresource, or empty.
    pub subresource: &'a str,
    /// Who.
    pub user: &'a UserInfo,
    /// Whether nothing shall be stored.
    pub dry_run: bool,
    /// What the client will be told on the side.
    pub warnings: &'a Mutex<Vec<String>>,
    /// What the audit log will be told on the side.
    pub annotations: &'a Annotations,
}

/// Computes the object to store from the present one; may be called again when another write came in between.
pub type Make<'a> = dyn Fn(&dyn Object) -> Result<Box<dyn Object>, Error> + Send + Sync + 'a;

/// Computes an object to create.
pub type MakeNew<'a> = dyn Fn() -> Result<Box<dyn Object>, Error> + Send + Sync + 'a;

/// The outcome of an update.
#[derive(Debug)]
pub struct Updated {
    /// The object, as the cache serves it.
    pub object: Bytes,
    /// Whether it was created.
    pub created: bool,
}

impl WriteContext<'_> {
    /// The present time in the precision of object metadata.
    fn now(&self) -> Timestamp {
        let now = self.server.clock.now();
        Timestamp::from_second(now.as_second()).unwrap_or(now)
    }

    fn warn(&self, texts: Vec<String>) {
        if !texts.is_empty() {
            self.warnings.lock().unwrap_or_else(PoisonError::into_inner).extend(texts);
        }
    }

    fn invalid(&self, object: &dyn Object, problems: api::field::ErrorList) -> Result<(), Error> {
        if problems.is_empty() {
            return Ok(());
        }
        let gvk = self.kept.resource.gvk();
        let name = object.metadata().name.clone().unwrap_or_default();
        Err(Error::Invalid { group: self.kept.error_group(), kind: gvk.kind.to_owned(), name, problems })
    }

    fn attributes<'s>(
        &'s self,
        operation: Operation,
        name: &'s str,
        old: Option<&'s dyn Object>,
        charges: &'s Charges,
    ) -> Attributes<'s> {
        Attributes {
            server: self.server,
            resource: self.kept.resource,
            subresource: self.subresource,
            operation,
            namespace: self.namespace,
            name,
            user: self.user,
            old,
            dry_run: self.dry_run,
            charges,
            warnings: self.warnings,
            annotations: self.annotations,
        }
    }

    /// Creates an object that was decoded and has its defaults. Returns it as the cache serves it.
    ///
    /// # Errors
    /// Any refusal of admission, validation or the store.
    pub async fn create(&self, mut object: Box<dyn Object>) -> Result<Bytes, Error> {
        if object.metadata().resource_version.as_deref().is_some_and(|revision| !revision.is_empty()) {
            let text = "resourceVersion should not be set on objects to be created";
            return Err(Error::Unspecific(text.to_owned()));
        }
        let generated = metadata::generated_name_prefix(object.metadata());
        let named = object.metadata().name.clone().unwrap_or_default();
        let charges = Charges::default();
        admission::admit(&self.attributes(Operation::Create, &named, None, &charges), object.as_mut()).await?;
        metadata::prepare_new(object.metadata_mut(), self.server.random.uuid(), self.now());
        let Some(prefix) = generated else { return self.create_named(object).await };
        let mut taken = String::new();
        for _ in 0..NAME_ATTEMPTS {
            let mut attempt = object.clone_object();
            let suffix = platform::random::name_suffix(self.server.random.as_ref(), 5);
            attempt.metadata_mut().name = Some(api::names::generate(&prefix, &suffix));
            match self.create_named(attempt).await {
                Err(Error::AlreadyExists { name, .. }) => taken = name,
                outcome => return outcome,
            }
        }
        Err(Error::GenerateNameExhausted { resource: self.kept.group_resource(), name: taken })
    }

    /// Creates an object that has its name, its uid and whatever admission gave it.
    async fn create_named(&self, mut object: Box<dyn Object>) -> Result<Bytes, Error> {
        let mut preparation = Preparation { now: self.now(), warnings: Vec::new() };
        self.kept.strategy.prepare_for_create(object.as_mut(), &mut preparation);
        self.warn(preparation.warnings);
        let mut claims = Claims::default();
        let outcome = self.try_create(object.as_mut(), &mut claims).await;
        self.settle(claims, outcome.is_ok()).await;
        outcome
    }

    async fn try_create(&self, object: &mut dyn Object, claims: &mut Claims) -> Result<Bytes, Error> {
        self.allocate(object, None, claims).await?;
        self.invalid(object, object.validate())?;
        self.warn(object.warnings());
        let name = object.metadata().name.clone().unwrap_or_default();
        let charges = Charges::default();
        let outcome =
            match admission::validate(&self.attributes(Operation::Create, &name, None, &charges), object).await {
                Ok(()) => self.commit_new(object, &name).await,
                Err(refusal) => Err(refusal),
            };
        if outcome.is_err() {
            charges.release(self.server).await;
        }
        outcome
    }

    async fn allocate(&self, new: &mut dyn Object, old: Option<&dyn Object>, claims: &mut Claims) -> Result<(), Error> {
        match self.kept.strategy.allocator() {
            Some(allocator) => allocator.allocate(self, new, old, claims).await,
            None => Ok(()),
        }
    }

    /// Gives back what an attempt took in vain, or what it made superfluous.
    async fn settle(&self, claims: Claims, stored: bool) {
        let superfluous = if stored { claims.given_up } else { claims.taken };
        if let Some(allocator) = self.kept.strategy.allocator()
            && !superfluous.is_empty()
        {
            allocator.give_back(self, superfluous).await;
        }
    }

    /// Everything an object that goes away has of the pools.
    fn held_by(&self, object: &dyn Object) -> Claims {
        let held = self.kept.strategy.allocator().map(|allocator| allocator.held_by(object));
        Claims { taken: Vec::new(), given_up: held.unwrap_or_default() }
    }

    async fn commit_new(&self, object: &dyn Object, name: &str) -> Result<Bytes, Error> {
        let stored = self.kept.encode(object);
        if self.dry_run {
            self.server.caches.fresh().await?;
            return match self.kept.cache.get(&self.kept.cache_key(self.namespace, name)) {
                Some(entry) => Err(self.already_exists(name, &entry.object())),
                None => Ok(stored.into()),
            };
        }
        let stored = Bytes::from(stored);
        let op = self.put(stored.clone(), object);
        let key = self.kept.store_key(self.namespace, name);
        match self.server.store.commit(&key, Expect::Absent, op).await {
            Ok(revision) => {
                self.note_expiry(key, revision);
                Ok(self.kept.served(&stored, revision.0))
            }
            Err(store::Error::Conflict { current }) => {
                let present = current.map(|current| current.value).unwrap_or_default();
                Err(self.already_exists(name, &present))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn already_exists(&self, name: &str, present: &[u8]) -> Error {
        let present = self.kept.decode(present);
        let deleting = present.is_ok_and(|object| object.metadata().deletion_timestamp.is_some());
        Error::AlreadyExists { resource: self.kept.group_resource(), name: name.to_owned(), deleting }
    }

    fn put(&self, value: Bytes, object: &dyn Object) -> Op {
        let strategy = self.kept.strategy;
        Op::Put { value, tier: strategy.tier(object), time_to_live: strategy.time_to_live() }
    }

    fn note_expiry(&self, key: String, revision: Revision) {
        if let Some(time_to_live) = self.kept.strategy.time_to_live() {
            self.server.expiry.note(key, revision, time_to_live);
        }
    }

    fn not_found(&self, name: &str) -> Error {
        Error::not_found(self.kept.group_resource(), name)
    }

    /// The present state of an object, newer than any commit before this call.
    async fn current(&self, name: &str) -> Result<std::sync::Arc<Entry>, Error> {
        self.server.caches.fresh().await?;
        let entry = self.kept.cache.get(&self.kept.cache_key(self.namespace, name));
        entry.ok_or_else(|| self.not_found(name))
    }

    /// Replaces an object by what `make` computes from the present one.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Conflict`] when the object to store names another revision, and any refusal of
    /// `make`, admission, validation or the store.
    pub async fn update(&self, name: &str, part: Part, make: &Make<'_>) -> Result<Updated, Error> {
        for _ in 0..UPDATE_ATTEMPTS {
            let entry = self.current(name).await?;
            if let Some(object) = self.try_update(name, part, make, &entry).await? {
                return Ok(Updated { object, created: false });
            }
        }
        Err(Error::modified(self.kept.group_resource(), name))
    }

    /// Replaces an object by what `make` computes from the present one, or creates what `make_new` says.
    ///
    /// # Errors
    /// As [`WriteContext::update`] and [`WriteContext::create`].
    pub async fn update_or_create(
        &self,
        name: &str,
        part: Part,
        make: &Make<'_>,
        make_new: &MakeNew<'_>,
    ) -> Result<Updated, Error> {
        for _ in 0..UPDATE_ATTEMPTS {
            match self.update(name, part, make).await {
                Err(Error::NotFound { .. }) => {}
                outcome => return outcome,
            }
            match self.create(make_new()?).await {
                Err(Error::AlreadyExists { deleting: false, .. }) if !self.dry_run => {} // somebody was faster
                outcome => return outcome.map(|object| Updated { object, created: true }),
            }
        }
        Err(Error::modified(self.kept.group_resource(), name))
    }

    /// One attempt; `None` when another write came in between.
    async fn try_update(&self, name: &str, part: Part, make: &Make<'_>, entry: &Entry) -> Result<Option<Bytes>, Error> {
        let (mut claims, charges) = (Claims::default(), Charges::default());
        let outcome = self.attempt_update(name, part, make, entry, &mut claims, &charges).await;
        if !matches!(outcome, Ok(Some(_))) {
            charges.release(self.server).await;
        }
        self.settle(claims, matches!(outcome, Ok(Some(_)))).await;
        outcome
    }

    async fn attempt_update(
        &self,
        name: &str,
        part: Part,
        make: &Make<'_>,
        entry: &Entry,
        claims: &mut Claims,
        charges: &Charges,
    ) -> Result<Option<Bytes>, Error> {
        let served = entry.object();
        let mut old = self.kept.decode(&served)?;
        let mut new = make(old.as_ref())?;
        self.check_revision(new.as_ref(), name, entry.revision)?;
        let attributes = self.attributes(Operation::Update, name, Some(old.as_ref()), charges);
        admission::admit(&attributes, new.as_mut()).await?;
        if part == Part::Whole {
            self.allocate(new.as_mut(), Some(old.as_ref()), claims).await?;
        }
        metadata::prepare_update(new.metadata_mut(), old.metadata());
        self.kept.strategy.prepare_for_update(part, new.as_mut(), old.as_ref());
        metadata::keep_system_fields(new.metadata_mut(), old.metadata());
        // Both sides carry the revision while they are compared.
        new.metadata_mut().resource_version.clone_from(&old.metadata().resource_version);
        metadata::ignore_times(new.as_mut(), old.as_ref());
        self.invalid(new.as_ref(), self.update_problems(part, new.as_ref(), old.as_ref()))?;
        if part == Part::Whole {
            self.warn(new.update_warnings(old.as_ref()));
        }
        admission::validate(&self.attributes(Operation::Update, name, Some(old.as_ref()), charges), new.as_ref())
            .await?;
        new.metadata_mut().resource_version = None;
        old.metadata_mut().resource_version = None;
        let stored = Bytes::from(self.kept.encode(new.as_ref()));
        let delete = metadata::ends_with_update(new.metadata(), old.metadata())
            && !self.kept.strategy.holds_content(new.as_ref());
        let rewrite = self.server.is_stale(&self.kept.store_key(self.namespace, name));
        if !delete && !rewrite && self.kept.cache.prefix.strip(&served) == stored {
            return Ok(Some(served)); // nothing to write
        }
        if self.dry_run {
            return Ok(Some(self.kept.served(&stored, entry.revision)));
        }
        let op = if delete {
            *claims = Claims { taken: std::mem::take(&mut claims.taken), ..self.held_by(old.as_ref()) };
            Op::Delete
        } else {
            self.put(stored.clone(), new.as_ref())
        };
        let revision = self.commit(name, entry.revision, op).await?;
        Ok(revision.map(|revision| self.kept.served(&stored, revision)))
    }

    /// Commits against the revision an attempt was computed from; `None` when another write came in between.
    async fn commit(&self, name: &str, expected: u64, op: Op) -> Result<Option<u64>, Error> {
        let key = self.kept.store_key(self.namespace, name);
        let put = matches!(op, Op::Put { .. });
        match self.server.store.commit(&key, Expect::Revision(Revision(expected)), op).await {
            Ok(revision) => {
                if put {
                    self.note_expiry(key, revision);
                }
                Ok(Some(revision.0))
            }
            Err(store::Error::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Metadata is checked for all kinds alike before the kind's own rules check it once more, so its problems stand twice.
    fn update_problems(&self, part: Part, new: &dyn Object, old: &dyn Object) -> api::field::ErrorList {
        let mut problems = match part {
            Part::Binding => api::field::ErrorList::new(), // changed by this server, not by a client's object
            _ if self.kept.resource.info.namespaced => {
                api::meta::validate_any_update(new.metadata(), old.metadata(), Scope::Namespaced)
            }
            _ => api::meta::validate_any_update(new.metadata(), old.metadata(), Scope::Cluster),
        };
        problems.extend(self.kept.strategy.validate_update(part, new, old));
        problems
    }

    /// The uid that a client names must be that of the present object.
    ///
    /// # Errors
    /// [`Error::Conflict`].
    pub fn check_uid(&self, sent: &dyn Object, present: &dyn Object, name: &str) -> Result<(), Error> {
        let text = |object: &dyn Object| object.metadata().uid.clone().unwrap_or_default();
        let (uid, present) = (text(sent), text(present));
        if uid.is_empty() || uid == present {
            return Ok(());
        }
        let text = format!(
            "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition \
             failed: UID in precondition: {uid}, UID in object meta: {present}",
            self.kept.store_key(self.namespace, name)
        );
        Err(conflict(self.kept.group_resource(), name, text))
    }

    /// The revision an object to store may name must be that of the present object.
    fn check_revision(&self, new: &dyn Object, name: &str, revision: u64) -> Result<(), Error> {
        let resource = self.kept.group_resource();
        let wanted = new.metadata().resource_version.clone().unwrap_or_default();
        let wanted: u64 = match wanted.as_str() {
            "" => 0,
            text => text
                .parse()
                .map_err(|_| Error::Unspecific(format!("strconv.ParseUint: parsing {text:?}: invalid syntax")))?,
        };
        match wanted {
            0 if self.kept.strategy.allows_unconditional_update() => Ok(()),
            0 => {
                let path = api::field::Path::new("metadata");
                let path = path.child("resourceVersion");
                let problem = api::field::invalid(&path, 0_i64, "must be specified for an update");
                Err(Error::Invalid {
                    group: resource.group,
                    kind: resource.resource.to_owned(),
                    name: name.to_owned(),
                    problems: vec![problem],
                })
            }
            wanted if wanted != revision => Err(Error::modified(resource, name)),
            _ => Ok(()),
        }
    }

    /// Deletes an object, or starts to.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Conflict`] when a precondition fails, and any refusal of admission or the store.
    pub async fn delete(&self, name: &str, options: &DeleteOptions) -> Result<Deleted, Error> {
        for _ in 0..UPDATE_ATTEMPTS {
            let entry = self.current(name).await?;
            if let Some(deleted) = self.try_delete(name, options, &entry).await? {
                return Ok(deleted);
            }
        }
        Err(Error::modified(self.kept.group_resource(), name))
    }

    async fn try_delete(&self, name: &str, options: &DeleteOptions, entry: &Entry) -> Result<Option<Deleted>, Error> {
        let served = entry.object();
        let mut object = self.kept.decode(&served)?;
        options.check(self.kept.resource.gvk(), object.metadata(), entry.revision)?;
        let charges = Charges::default();
        let attributes = self.attributes(Operation::Delete, name, Some(object.as_ref()), &charges);
        admission::validate(&attributes, object.as_ref()).await?;
        let plan = plan_delete(object.as_mut(), options, self.kept.strategy, self.now());
        object.metadata_mut().resource_version = None;
        let uid = object.metadata().uid.clone().unwrap_or_default();
        let (op, stored) = match plan {
            DeletePlan::Unchanged => return Ok(Some(Deleted::Pending { object: served })),
            DeletePlan::Mark => {
                let stored = Bytes::from(self.kept.encode(object.as_ref()));
                (self.put(stored.clone(), object.as_ref()), stored)
            }
            DeletePlan::Remove => (Op::Delete, self.kept.encode(object.as_ref()).into()),
        };
        let revision = if self.dry_run { Some(entry.revision) } else { self.commit(name, entry.revision, op).await? };
        if plan == DeletePlan::Remove && revision.is_some() && !self.dry_run {
            self.settle(self.held_by(object.as_ref()), true).await;
        }
        Ok(revision.map(|revision| {
            let object = self.kept.served(&stored, revision);
            if plan == DeletePlan::Remove { Deleted::Gone { object, uid } } else { Deleted::Pending { object } }
        }))
    }
}

/// A conflict with a text of its own.
fn conflict(resource: crate::error::GroupResource, name: &str, text: String) -> Error {
    Error::Conflict {
        group: resource.group,
        kind: resource.resource.to_owned(),
        name: name.to_owned(),
        conflict: Conflict::Other(text),
    }
}

/// A time as objects carry it.
fn time(at: Timestamp) -> Time {
    Time(at)
}

/// Seconds as a duration; negative ones are none.
fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.try_into().unwrap_or(0))
}
