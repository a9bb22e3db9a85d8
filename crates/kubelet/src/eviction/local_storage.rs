//! Pods that write more to the node's disk than they may. Pure.

use api::core::v1::pod::resources::pod_limits;
use api::quantity::Quantity;
use k8s_openapi::api::core::v1::{Pod, Volume};

use crate::pod;
use crate::stats::summary::PodStats;

const RESOURCE: &str = "ephemeral-storage";

/// Whether there is anything to look at.
pub fn is_limited(pod: &Pod) -> bool {
    limited_volumes(pod).next().is_some() || pod_limits(pod).contains_key(RESOURCE)
}

fn limited_volumes(pod: &Pod) -> impl Iterator<Item = (&Volume, Quantity, String)> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| {
        let limit = volume.empty_dir.as_ref()?.size_limit.as_ref()?;
        let quantity = Quantity::of(limit);
        (quantity > Quantity::ZERO).then(|| (volume, quantity, limit.0.clone()))
    })
}

/// What the Pod has too much of, in upstream's words.
pub fn excess(pod: &Pod, stats: &PodStats) -> Option<String> {
    volume_excess(pod, stats).or_else(|| pod_excess(pod, stats)).or_else(|| container_excess(pod, stats))
}

fn volume_excess(pod: &Pod, stats: &PodStats) -> Option<String> {
    limited_volumes(pod).find_map(|(volume, limit, text)| {
        let used = stats.volumes.iter().find(|one| one.name == volume.name)?.fs.used_bytes;
        (bytes(used) > limit)
            .then(|| format!("Usage of EmptyDir volume {:?} exceeds the limit {text:?}. ", volume.name))
    })
}

fn pod_excess(pod: &Pod, stats: &PodStats) -> Option<String> {
    let limit = *pod_limits(pod).get(RESOURCE)?;
    let used = bytes(stats.ephemeral_storage.as_ref()?.used_bytes);
    (used > limit).then(|| format!("Pod ephemeral local storage usage exceeds the total limit of containers {limit}. "))
}

fn container_excess(pod: &Pod, stats: &PodStats) -> Option<String> {
    pod::containers(pod).iter().find_map(|container| {
        let limit = container.resources.as_ref()?.limits.as_ref()?.get(RESOURCE).map(Quantity::of)?;
        let own = stats.containers.iter().find(|one| one.name == container.name)?;
        let used = own.logs.map_or(0, |fs| fs.used_bytes) + own.rootfs.map_or(0, |fs| fs.used_bytes);
        let text = limit.to_string();
        (!limit.is_zero() && bytes(used) > limit)
            .then(|| format!("Container {} exceeded its local ephemeral storage limit {text:?}. ", container.name))
    })
}

fn bytes(value: u64) -> Quantity {
    Quantity::from_bytes(i64::try_from(value).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::summary::{ContainerStats, FsStats, VolumeStats};
    use crate::testing::pod as spec_pod;

    fn used(used_bytes: u64) -> FsStats {
        FsStats { used_bytes, ..FsStats::default() }
    }

    #[test]
    fn says_which_limit_is_exceeded() {
        let limits = |limit: &str| format!("resources: {{limits: {{ephemeral-storage: {limit}}}}}");
        let spec = |volume: &str, a: &str, b: &str| {
            let (a, b) = (limits(a), limits(b));
            spec_pod(&format!(
                "{{volumes: [{{name: v, emptyDir: {{sizeLimit: {volume}}}}}], \
                 containers: [{{name: a, image: x, {a}}}, {{name: b, image: x, {b}}}]}}"
            ))
        };
        let container = |name: &str, bytes| ContainerStats {
            name: name.to_owned(),
            rootfs: Some(used(bytes)),
            ..Default::default()
        };
        let stats = PodStats {
            volumes: vec![VolumeStats { name: "v".to_owned(), fs: used(2 << 20), claim: None }],
            containers: vec![container("a", 1 << 20), container("b", 3 << 20)],
            ephemeral_storage: Some(used(6 << 20)),
            ..PodStats::default()
        };
        let check = |volume: &str, a: &str, b: &str| excess(&spec(volume, a, b), &stats).unwrap_or_default();
        assert_eq!(check("1Mi", "8Mi", "8Mi"), "Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\". ");
        assert_eq!(
            check("4Mi", "2Mi", "3Mi"),
            "Pod ephemeral local storage usage exceeds the total limit of containers 5Mi. "
        );
        assert_eq!(check("4Mi", "8Mi", "2Mi"), "Container b exceeded its local ephemeral storage limit \"2Mi\". ");
        assert_eq!(check("4Mi", "8Mi", "8Mi"), "");
        assert!(is_limited(&spec("4Mi", "1", "1")) && !is_limited(&spec_pod("{containers: [{name: a, image: x}]}")));
    }
}
