//! The entries of `metadata.managedFields`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, Time};

use super::fields_v1;
use super::set::Set;

/// More managers of updates than this are not kept apart.
const MAX_UPDATE_MANAGERS: usize = 10;
/// The manager that the oldest updates are ascribed to when there are too many.
const ANCIENT_CHANGES: &str = "ancient-changes";
/// How the fields of an entry are written.
const FIELDS_TYPE: &str = "FieldsV1";

/// How a manager came to own fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// It applied them.
    Apply,
    /// It wrote them in any other way.
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// Who owns fields. Someone who applies is the same in all versions; someone who updates is another one in each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ManagerKey {
    /// The name that clients gave.
    pub manager: String,
    /// How.
    pub operation: Operation,
    /// The version of an update; empty for [`Operation::Apply`].
    pub api_version: String,
    /// Through which subresource, or empty.
    pub subresource: String,
}

impl ManagerKey {
    /// The key of a manager that works with that version.
    pub fn new(manager: &str, operation: Operation, api_version: &str, subresource: &str) -> Self {
        let api_version = if operation == Operation::Apply { "" } else { api_version };
        Self {
            manager: manager.to_owned(),
            operation,
            api_version: api_version.to_owned(),
            subresource: subresource.to_owned(),
        }
    }
}

/// What a manager owns.
#[derive(Debug, Clone, PartialEq)]
pub struct Ownership {
    /// The fields.
    pub set: Set,
    /// The version whose fields these are.
    pub api_version: String,
    /// When it wrote last; unset for someone who applied only what was there already.
    pub time: Option<Time>,
}

/// The owners of an object's fields.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Managed(pub BTreeMap<ManagerKey, Ownership>);

impl Managed {
    /// From an object's metadata; `None` when an entry is malformed.
    pub fn decode(entries: &[ManagedFieldsEntry]) -> Option<Self> {
        entries.iter().map(decode_entry).collect::<Option<_>>().map(Self)
    }

    /// For an object's metadata.
    pub fn encode(&self) -> Option<Vec<ManagedFieldsEntry>> {
        if self.0.is_empty() {
            return None;
        }
        let mut owners: Vec<_> = self.0.iter().collect();
        owners.sort_by_key(|(key, owner)| (key.operation, seconds(owner), *key));
        Some(owners.into_iter().map(|(key, owner)| encode_entry(key, owner)).collect())
    }

    /// Whether nobody owns anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all fields are those of one version.
    pub fn is_all_of(&self, api_version: &str) -> bool {
        self.0.values().all(|owner| owner.api_version == api_version)
    }

    /// What somebody owns, at one version.
    pub fn owned_at(&self, api_version: &str) -> Set {
        let owners = self.0.values().filter(|owner| owner.api_version == api_version);
        owners.fold(Set::default(), |all, owner| all.union(&owner.set))
    }

    /// Removes those who own nothing.
    pub fn drop_empty(&mut self) {
        self.0.retain(|_, owner| !owner.set.is_empty());
    }

    /// Merges the oldest updates of each version until there are not too many managers.
    pub fn cap_update_managers(&mut self) {
        let mut updates: Vec<(i64, ManagerKey)> = self
            .0
            .iter()
            .filter(|(key, _)| key.operation == Operation::Update)
            .map(|(key, owner)| (seconds(owner), key.clone()))
            .collect();
        let mut excess = updates.len().saturating_sub(MAX_UPDATE_MANAGERS);
        updates.sort();
        let mut first_of_version: BTreeMap<String, ManagerKey> = BTreeMap::new();
        for (_, key) in updates {
            if excess == 0 {
                break;
            }
            let Some(first) = first_of_version.get(&key.api_version) else {
                first_of_version.insert(key.api_version.clone(), key);
                continue;
            };
            let bucket = ManagerKey::new(ANCIENT_CHANGES, Operation::Update, &key.api_version, "");
            if bucket == key {
                continue;
            }
            if !self.0.contains_key(&bucket) {
                let first = self.0.remove(first);
                self.0.extend(first.map(|owner| (bucket.clone(), owner)));
            }
            if let (Some(owner), Some(ancient)) = (self.0.remove(&key), self.0.get_mut(&bucket)) {
                ancient.set = ancient.set.union(&owner.set);
                ancient.time = owner.time;
            }
            excess -= 1;
        }
    }
}

fn seconds(owner: &Ownership) -> i64 {
    owner.time.as_ref().map_or(0, |time| time.0.as_second())
}

fn decode_entry(entry: &ManagedFieldsEntry) -> Option<(ManagerKey, Ownership)> {
    let operation = match entry.operation.as_deref()? {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return None,
    };
    let api_version = entry.api_version.as_deref().filter(|version| !version.is_empty())?;
    if entry.fields_type.as_deref() != Some(FIELDS_TYPE) {
        return None;
    }
    let set = match &entry.fields_v1 {
        Some(fields) => fields_v1::decode(&fields.0)?,
        None => Set::default(),
    };
    let text = |field: &'_ Option<String>| field.clone().unwrap_or_default();
    let key = ManagerKey::new(&text(&entry.manager), operation, api_version, &text(&entry.subresource));
    Some((key, Ownership { set, api_version: api_version.to_owned(), time: entry.time.clone() }))
}

fn encode_entry(key: &ManagerKey, owner: &Ownership) -> ManagedFieldsEntry {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    ManagedFieldsEntry {
        api_version: some(&owner.api_version),
        fields_type: some(FIELDS_TYPE),
        fields_v1: Some(FieldsV1(fields_v1::encode(&owner.set))),
        manager: some(&key.manager),
        operation: some(key.operation.name()),
        subresource: some(&key.subresource),
        time: owner.time.clone(),
    }
}
