//! A claim's spec as upstream's messages show it: every field under its name in the internal type, in the order of
//! declaration.

use k8s_openapi::api::core::v1::PersistentVolumeClaimSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Serialize;

use crate::core::v1::resource_list::ResourceList;
use crate::meta::text;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Spec<'a> {
    access_modes: &'a Option<Vec<String>>,
    selector: &'a Option<LabelSelector>,
    resources: Resources<'a>,
    volume_name: &'a str,
    storage_class_name: &'a Option<String>,
    volume_mode: &'a Option<String>,
    data_source: Option<Source<'a>>,
    data_source_ref: Option<Reference<'a>>,
    volume_attributes_class_name: &'a Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Resources<'a> {
    limits: Option<&'a ResourceList>,
    requests: Option<&'a ResourceList>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Source<'a> {
    #[serde(rename = "APIGroup")]
    api_group: &'a Option<String>,
    kind: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Reference<'a> {
    #[serde(flatten)]
    source: Source<'a>,
    namespace: &'a Option<String>,
}

pub(super) fn spec(spec: &PersistentVolumeClaimSpec) -> Spec<'_> {
    let resources = spec.resources.as_ref();
    Spec {
        access_modes: &spec.access_modes,
        selector: &spec.selector,
        resources: Resources {
            limits: resources.and_then(|resources| resources.limits.as_ref()),
            requests: resources.and_then(|resources| resources.requests.as_ref()),
        },
        volume_name: text(&spec.volume_name),
        storage_class_name: &spec.storage_class_name,
        volume_mode: &spec.volume_mode,
        data_source: spec.data_source.as_ref().map(|source| Source {
            api_group: &source.api_group,
            kind: &source.kind,
            name: &source.name,
        }),
        data_source_ref: spec.data_source_ref.as_ref().map(|reference| Reference {
            source: Source { api_group: &reference.api_group, kind: &reference.kind, name: &reference.name },
            namespace: &reference.namespace,
        }),
        volume_attributes_class_name: &spec.volume_attributes_class_name,
    }
}
