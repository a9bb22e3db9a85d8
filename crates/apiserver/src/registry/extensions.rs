//! The groups that add kinds and servers: `apiextensions.k8s.io`, `apiregistration.k8s.io`.

use api::Gvk;
use api::k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionStatus,
};
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use api::k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{
    APIService, APIServiceCondition, APIServiceStatus,
};

use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{Action, Backing, PART_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo};

const DEFINITION: Gvk = Gvk { group: "apiextensions.k8s.io", version: "v1", kind: "CustomResourceDefinition" };
const SERVICE: Gvk = Gvk { group: "apiregistration.k8s.io", version: "v1", kind: "APIService" };

/// CustomResourceDefinitions.
pub static CUSTOM_RESOURCE_DEFINITIONS: Resource = Resource {
    info: ResourceInfo {
        short_names: &["crd", "crds"],
        categories: &["api-extensions"],
        subresources: &[SubresourceInfo { name: "status", gvk: DEFINITION, verbs: PART_VERBS }],
        ..ResourceInfo::plain(DEFINITION, "customresourcedefinitions", "customresourcedefinition")
    },
    backing: Backing::Stored(Stored {
        path: "apiextensions.k8s.io/customresourcedefinitions",
        strategy: &DefinitionRules,
        selectable: &[],
    }),
    actions: &[("status", Action::Part(Part::Status))],
};

/// APIServices.
pub static API_SERVICES: Resource = Resource {
    info: ResourceInfo {
        categories: &["api-extensions"],
        subresources: &[SubresourceInfo { name: "status", gvk: SERVICE, verbs: PART_VERBS }],
        ..ResourceInfo::plain(SERVICE, "apiservices", "apiservice")
    },
    backing: Backing::Stored(Stored {
        path: "apiregistration.k8s.io/apiservices",
        strategy: &ServiceRules,
        selectable: &[],
    }),
    actions: &[("status", Action::Part(Part::Status))],
};

/// The rules of CustomResourceDefinitions.
#[derive(Debug)]
pub struct DefinitionRules;

/// Remembers the version objects are stored in from now on.
fn note_storage_version(definition: &mut CustomResourceDefinition) {
    let storage = definition.spec.versions.iter().find(|version| version.storage).map(|version| version.name.clone());
    let status = definition.status.get_or_insert_default();
    status.accepted_names.get_or_insert_default();
    let stored = status.stored_versions.get_or_insert_default();
    if let Some(name) = storage.filter(|name| !stored.contains(name)) {
        stored.push(name);
    }
}

impl Strategy for DefinitionRules {
    type Kind = CustomResourceDefinition;

    fn prepare_for_create(&self, definition: &mut CustomResourceDefinition, _preparation: &mut Preparation) {
        definition.metadata.generation = Some(1);
        definition.status = Some(CustomResourceDefinitionStatus::default());
        note_storage_version(definition);
    }

    fn prepare_for_update(&self, part: Part, new: &mut CustomResourceDefinition, old: &CustomResourceDefinition) {
        if part != Part::Whole {
            new.spec.clone_from(&old.spec);
            return;
        }
        new.status.clone_from(&old.status);
        note_storage_version(new);
        if new.spec != old.spec {
            new.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
        }
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

/// The rules of APIServices.
#[derive(Debug)]
pub struct ServiceRules;

impl Strategy for ServiceRules {
    type Kind = APIService;

    fn prepare_for_create(&self, service: &mut APIService, preparation: &mut Preparation) {
        let local = service.spec.as_ref().is_none_or(|spec| spec.service.is_none());
        let available = APIServiceCondition {
            type_: "Available".to_owned(),
            status: "True".to_owned(),
            reason: Some("Local".to_owned()),
            message: Some("Local APIServices are always available".to_owned()),
            last_transition_time: Some(Time(preparation.now)),
        };
        service.status = Some(APIServiceStatus { conditions: local.then(|| vec![available]) });
    }

    fn prepare_for_update(&self, part: Part, new: &mut APIService, old: &APIService) {
        match part {
            Part::Whole => new.status.clone_from(&old.status),
            _ => new.spec.clone_from(&old.spec),
        }
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}
