//! The source of a volume as upstream's messages show it: every field under its name in the internal type, in the order
//! of declaration.

use k8s_openapi::api::core::v1::{
    CSIPersistentVolumeSource, HostPathVolumeSource, LocalVolumeSource, NFSVolumeSource, PersistentVolumeSpec,
    SecretReference,
};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

use crate::meta::text;

/// All sources; those that nobody uses any more are shown as they are served.
pub(super) struct Sources<'a>(&'a PersistentVolumeSpec);

pub(super) fn sources(spec: &PersistentVolumeSpec) -> Sources<'_> {
    Sources(spec)
}

impl Serialize for Sources<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let spec = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("GCEPersistentDisk", &spec.gce_persistent_disk)?;
        map.serialize_entry("AWSElasticBlockStore", &spec.aws_elastic_block_store)?;
        map.serialize_entry("HostPath", &spec.host_path.as_ref().map(HostPath::of))?;
        map.serialize_entry("Glusterfs", &spec.glusterfs)?;
        map.serialize_entry("NFS", &spec.nfs.as_ref().map(Nfs::of))?;
        map.serialize_entry("RBD", &spec.rbd)?;
        map.serialize_entry("Quobyte", &spec.quobyte)?;
        map.serialize_entry("ISCSI", &spec.iscsi)?;
        map.serialize_entry("FlexVolume", &spec.flex_volume)?;
        map.serialize_entry("Cinder", &spec.cinder)?;
        map.serialize_entry("CephFS", &spec.cephfs)?;
        map.serialize_entry("FC", &spec.fc)?;
        map.serialize_entry("Flocker", &spec.flocker)?;
        map.serialize_entry("AzureFile", &spec.azure_file)?;
        map.serialize_entry("VsphereVolume", &spec.vsphere_volume)?;
        map.serialize_entry("AzureDisk", &spec.azure_disk)?;
        map.serialize_entry("PhotonPersistentDisk", &spec.photon_persistent_disk)?;
        map.serialize_entry("PortworxVolume", &spec.portworx_volume)?;
        map.serialize_entry("ScaleIO", &spec.scale_io)?;
        map.serialize_entry("Local", &spec.local.as_ref().map(Local::of))?;
        map.serialize_entry("StorageOS", &spec.storageos)?;
        map.serialize_entry("CSI", &spec.csi.as_ref().map(Csi::of))?;
        map.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HostPath<'a> {
    path: &'a str,
    r#type: &'a Option<String>,
}

impl<'a> HostPath<'a> {
    fn of(source: &'a HostPathVolumeSource) -> Self {
        Self { path: &source.path, r#type: &source.type_ }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Nfs<'a> {
    server: &'a str,
    path: &'a str,
    read_only: bool,
}

impl<'a> Nfs<'a> {
    fn of(source: &'a NFSVolumeSource) -> Self {
        Self { server: &source.server, path: &source.path, read_only: source.read_only.unwrap_or_default() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Local<'a> {
    path: &'a str,
    #[serde(rename = "FSType")]
    fs_type: &'a Option<String>,
}

impl<'a> Local<'a> {
    fn of(source: &'a LocalVolumeSource) -> Self {
        Self { path: &source.path, fs_type: &source.fs_type }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Csi<'a> {
    driver: &'a str,
    volume_handle: &'a str,
    read_only: bool,
    #[serde(rename = "FSType")]
    fs_type: &'a str,
    volume_attributes: Value,
    controller_publish_secret_ref: Option<Secret<'a>>,
    node_stage_secret_ref: Option<Secret<'a>>,
    node_publish_secret_ref: Option<Secret<'a>>,
    controller_expand_secret_ref: Option<Secret<'a>>,
    node_expand_secret_ref: Option<Secret<'a>>,
}

impl<'a> Csi<'a> {
    fn of(source: &'a CSIPersistentVolumeSource) -> Self {
        Self {
            driver: &source.driver,
            volume_handle: &source.volume_handle,
            read_only: source.read_only.unwrap_or_default(),
            fs_type: text(&source.fs_type),
            volume_attributes: serde_json::to_value(&source.volume_attributes).expect("maps of texts encode"),
            controller_publish_secret_ref: source.controller_publish_secret_ref.as_ref().map(Secret::of),
            node_stage_secret_ref: source.node_stage_secret_ref.as_ref().map(Secret::of),
            node_publish_secret_ref: source.node_publish_secret_ref.as_ref().map(Secret::of),
            controller_expand_secret_ref: source.controller_expand_secret_ref.as_ref().map(Secret::of),
            node_expand_secret_ref: source.node_expand_secret_ref.as_ref().map(Secret::of),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Secret<'a> {
    name: &'a str,
    namespace: &'a str,
}

impl<'a> Secret<'a> {
    fn of(secret: &'a SecretReference) -> Self {
        Self { name: text(&secret.name), namespace: text(&secret.namespace) }
    }
}
