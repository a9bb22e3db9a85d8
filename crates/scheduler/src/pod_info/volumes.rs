//! What a Pod's volumes name.

use k8s_openapi::api::core::v1::{PodSpec, Volume};

/// A claim of a Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimName {
    /// Its name.
    pub claim: String,
    /// It is made for the Pod and goes with it.
    pub ephemeral: bool,
}

/// A disk that a Pod names without a claim, and which Pods of one node cannot share at will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InlineVolume {
    /// A disk of GCE: shared by readers only.
    GcePersistentDisk { name: String, read_only: bool },
    /// A disk of AWS: never shared.
    AwsElasticBlockStore { volume_id: String },
    /// A disk by iSCSI: shared by readers only.
    Iscsi { iqn: String, read_only: bool },
    /// An image of Ceph: shared by readers only.
    Rbd { monitors: Vec<String>, pool: String, image: String, read_only: bool },
}

impl InlineVolume {
    fn of(volume: &Volume) -> Option<Self> {
        if let Some(disk) = &volume.gce_persistent_disk {
            let read_only = disk.read_only.unwrap_or_default();
            return Some(Self::GcePersistentDisk { name: disk.pd_name.clone(), read_only });
        }
        if let Some(disk) = &volume.aws_elastic_block_store {
            return Some(Self::AwsElasticBlockStore { volume_id: disk.volume_id.clone() });
        }
        if let Some(disk) = &volume.iscsi {
            return Some(Self::Iscsi { iqn: disk.iqn.clone(), read_only: disk.read_only.unwrap_or_default() });
        }
        let disk = volume.rbd.as_ref()?;
        Some(Self::Rbd {
            monitors: disk.monitors.clone(),
            pool: disk.pool.clone().unwrap_or_default(),
            image: disk.image.clone(),
            read_only: disk.read_only.unwrap_or_default(),
        })
    }

    /// Whether both cannot be used on one node.
    pub fn conflicts_with(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::GcePersistentDisk { name, read_only },
                Self::GcePersistentDisk { name: other, read_only: other_read_only },
            ) => name == other && !(*read_only && *other_read_only),
            (Self::AwsElasticBlockStore { volume_id }, Self::AwsElasticBlockStore { volume_id: other }) => {
                volume_id == other
            }
            (Self::Iscsi { iqn, read_only }, Self::Iscsi { iqn: other, read_only: other_read_only }) => {
                iqn == other && !(*read_only && *other_read_only)
            }
            (
                Self::Rbd { monitors, pool, image, read_only },
                Self::Rbd {
                    monitors: other_monitors,
                    pool: other_pool,
                    image: other_image,
                    read_only: other_read_only,
                },
            ) => {
                monitors.iter().any(|monitor| other_monitors.contains(monitor))
                    && (pool, image) == (other_pool, other_image)
                    && !(*read_only && *other_read_only)
            }
            _ => false,
        }
    }
}

/// The disks a Pod names itself.
pub(super) fn inline(spec: &PodSpec) -> Vec<InlineVolume> {
    spec.volumes.iter().flatten().filter_map(InlineVolume::of).collect()
}

/// The claims a Pod names.
pub(super) fn claims(pod: &str, spec: &PodSpec) -> Vec<ClaimName> {
    let claim = |volume: &Volume| {
        if volume.ephemeral.is_some() {
            return Some(ClaimName { claim: format!("{pod}-{}", volume.name), ephemeral: true });
        }
        let source = volume.persistent_volume_claim.as_ref()?;
        Some(ClaimName { claim: source.claim_name.clone(), ephemeral: false })
    };
    spec.volumes.iter().flatten().filter_map(claim).collect()
}
