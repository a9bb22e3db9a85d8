//! Defaults of volumes.

use k8s_openapi::api::core::v1::{
    AzureDiskVolumeSource, DownwardAPIVolumeFile, EmptyDirVolumeSource, EphemeralVolumeSource, ISCSIVolumeSource,
    ImageVolumeSource, ProjectedVolumeSource, RBDVolumeSource, ScaleIOVolumeSource, Volume, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::affinity::default_selector;
use super::container::{default_field_ref, default_resource_ref};
use crate::core::v1::persistent_volume_claim::default_claim_spec;
use crate::core::v1::pod::image::default_pull_policy;
use crate::core::v1::resource_list;
use crate::omit_empty::{self, omit_empty};

/// Files of Secrets, ConfigMaps and the like: readable by all, writable by their owner.
const FILE_MODE: i32 = 0o644;
/// How long a projected token lasts.
const TOKEN_SECONDS: i64 = 3600;

pub(super) fn default_volume(volume: &mut Volume) {
    if !has_source(volume) {
        volume.empty_dir = Some(EmptyDirVolumeSource::default());
        return;
    }
    if let Some(empty_dir) = &mut volume.empty_dir {
        omit_empty!(empty_dir => medium);
        empty_dir.size_limit.iter_mut().for_each(|limit| resource_list::canonicalize_one(limit, false));
    }
    if let Some(host_path) = &mut volume.host_path {
        host_path.type_.get_or_insert_with(String::new);
    }
    default_file_volumes(volume);
    default_network_volumes(volume);
    default_vendor_volumes(volume);
    volume.image.iter_mut().for_each(default_image);
    volume.ephemeral.iter_mut().for_each(default_ephemeral);
    if let Some(claim) = &mut volume.persistent_volume_claim {
        omit_empty!(claim => read_only);
    }
    if let Some(csi) = &mut volume.csi {
        omit_empty!(csi => volume_attributes);
    }
}

/// Whether the volume says where it comes from. Everything else about a volume is its name.
fn has_source(volume: &Volume) -> bool {
    let nameless = Volume { name: volume.name.clone(), ..Volume::default() };
    *volume != nameless
}

fn default_file_volumes(volume: &mut Volume) {
    if let Some(secret) = &mut volume.secret {
        omit_empty!(secret => items, secret_name);
        secret.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(config_map) = &mut volume.config_map {
        omit_empty!(config_map => items);
        config_map.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(downward) = &mut volume.downward_api {
        omit_empty!(downward => items);
        downward.default_mode.get_or_insert(FILE_MODE);
        downward.items.iter_mut().flatten().for_each(default_downward_file);
    }
    volume.projected.iter_mut().for_each(default_projected);
}

fn default_downward_file(file: &mut DownwardAPIVolumeFile) {
    file.field_ref.iter_mut().for_each(default_field_ref);
    file.resource_field_ref.iter_mut().for_each(default_resource_ref);
}

fn default_projected(projected: &mut ProjectedVolumeSource) {
    projected.default_mode.get_or_insert(FILE_MODE);
    projected.sources.iter_mut().flatten().for_each(default_projection);
}

fn default_projection(source: &mut VolumeProjection) {
    if let Some(secret) = &mut source.secret {
        omit_empty!(secret => items);
    }
    if let Some(config_map) = &mut source.config_map {
        omit_empty!(config_map => items);
    }
    if let Some(downward) = &mut source.downward_api {
        omit_empty!(downward => items);
        downward.items.iter_mut().flatten().for_each(default_downward_file);
    }
    if let Some(token) = &mut source.service_account_token {
        omit_empty!(token => audience);
        token.expiration_seconds.get_or_insert(TOKEN_SECONDS);
    }
    if let Some(bundle) = &mut source.cluster_trust_bundle {
        bundle.label_selector.iter_mut().for_each(default_selector);
    }
    if let Some(certificate) = &mut source.pod_certificate {
        omit_empty!(certificate => certificate_chain_path, credential_bundle_path, key_path, user_annotations);
        certificate.max_expiration_seconds.get_or_insert(CERTIFICATE_SECONDS);
    }
}

/// How long a projected certificate lasts.
const CERTIFICATE_SECONDS: i32 = 86_400;

fn default_image(image: &mut ImageVolumeSource) {
    omit_empty!(image => pull_policy, reference);
    let reference = image.reference.as_deref().unwrap_or_default();
    image.pull_policy.get_or_insert_with(|| default_pull_policy(reference).to_owned());
}

fn default_ephemeral(ephemeral: &mut EphemeralVolumeSource) {
    let Some(template) = &mut ephemeral.volume_claim_template else { return };
    omit_empty::metadata(template.metadata.get_or_insert_with(ObjectMeta::default));
    default_claim_spec(&mut template.spec);
}

fn default_network_volumes(volume: &mut Volume) {
    if let Some(nfs) = &mut volume.nfs {
        omit_empty!(nfs => read_only);
    }
    volume.iscsi.iter_mut().for_each(default_iscsi);
    volume.rbd.iter_mut().for_each(default_rbd);
    if let Some(cephfs) = &mut volume.cephfs {
        omit_empty!(cephfs => path, read_only, secret_file, user);
    }
    if let Some(glusterfs) = &mut volume.glusterfs {
        omit_empty!(glusterfs => read_only);
    }
    if let Some(fc) = &mut volume.fc {
        omit_empty!(fc => fs_type, read_only, target_wwns, wwids);
    }
    if let Some(quobyte) = &mut volume.quobyte {
        omit_empty!(quobyte => group, read_only, tenant, user);
    }
    if let Some(flex) = &mut volume.flex_volume {
        omit_empty!(flex => fs_type, options, read_only);
    }
    if let Some(flocker) = &mut volume.flocker {
        omit_empty!(flocker => dataset_name, dataset_uuid);
    }
    if let Some(repository) = &mut volume.git_repo {
        omit_empty!(repository => directory, revision);
    }
}

fn default_iscsi(iscsi: &mut ISCSIVolumeSource) {
    omit_empty!(iscsi => chap_auth_discovery, chap_auth_session, fs_type, iscsi_interface, portals, read_only);
    iscsi.iscsi_interface.get_or_insert_with(|| "default".to_owned());
}

fn default_rbd(rbd: &mut RBDVolumeSource) {
    omit_empty!(rbd => fs_type, keyring, pool, read_only, user);
    rbd.keyring.get_or_insert_with(|| "/etc/ceph/keyring".to_owned());
    rbd.pool.get_or_insert_with(|| "rbd".to_owned());
    rbd.user.get_or_insert_with(|| "admin".to_owned());
}

fn default_vendor_volumes(volume: &mut Volume) {
    if let Some(disk) = &mut volume.gce_persistent_disk {
        omit_empty!(disk => fs_type, partition, read_only);
    }
    if let Some(disk) = &mut volume.aws_elastic_block_store {
        omit_empty!(disk => fs_type, partition, read_only);
    }
    if let Some(cinder) = &mut volume.cinder {
        omit_empty!(cinder => fs_type, read_only);
    }
    if let Some(file) = &mut volume.azure_file {
        omit_empty!(file => read_only);
    }
    volume.azure_disk.iter_mut().for_each(default_azure_disk);
    if let Some(disk) = &mut volume.vsphere_volume {
        omit_empty!(disk => fs_type, storage_policy_id, storage_policy_name);
    }
    if let Some(disk) = &mut volume.photon_persistent_disk {
        omit_empty!(disk => fs_type);
    }
    if let Some(portworx) = &mut volume.portworx_volume {
        omit_empty!(portworx => fs_type, read_only);
    }
    if let Some(storageos) = &mut volume.storageos {
        omit_empty!(storageos => fs_type, read_only, volume_name, volume_namespace);
    }
    volume.scale_io.iter_mut().for_each(default_scale_io);
}

fn default_azure_disk(disk: &mut AzureDiskVolumeSource) {
    disk.caching_mode.get_or_insert_with(|| "ReadWrite".to_owned());
    disk.fs_type.get_or_insert_with(|| "ext4".to_owned());
    disk.kind.get_or_insert_with(|| "Shared".to_owned());
    disk.read_only.get_or_insert(false);
}

fn default_scale_io(scale_io: &mut ScaleIOVolumeSource) {
    omit_empty!(scale_io => fs_type, protection_domain, read_only, ssl_enabled, storage_mode, storage_pool,
        volume_name);
    scale_io.fs_type.get_or_insert_with(|| "xfs".to_owned());
    scale_io.storage_mode.get_or_insert_with(|| "ThinProvisioned".to_owned());
}
