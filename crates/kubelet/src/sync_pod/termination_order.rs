//! In which order the containers of a Pod that ends are stopped. Pure.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;

use crate::pod::{self, ContainerKind};

/// The running containers that have to be gone before this one is told to stop: none, but for a sidecar the regular
/// containers and the sidecars that were started after it.
pub(super) fn predecessors(pod: &Pod, name: &str, running: &[&str]) -> BTreeSet<String> {
    let Some((ContainerKind::Sidecar, _)) = pod::find_container(pod, name) else { return BTreeSet::new() };
    let regular = pod::containers(pod).iter();
    let later = pod::init_containers(pod).iter().skip_while(|container| container.name != name).skip(1);
    let later_sidecars = later.filter(|container| pod::init_kind(container) == ContainerKind::Sidecar);
    let waited_for = regular.chain(later_sidecars).map(|container| container.name.as_str());
    waited_for.filter(|name| running.contains(name)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pod;

    #[test]
    fn sidecars_follow_the_others_in_reverse_order() {
        let pod = pod("{initContainers: [{name: s1, image: x, restartPolicy: Always}, {name: i, image: x}, \
                       {name: s2, image: x, restartPolicy: Always}], containers: [{name: a, image: x}, \
                       {name: b, image: x}], ephemeralContainers: [{name: e, image: x}]}");
        let all = ["s1", "i", "s2", "a", "b", "e"];
        for (name, running, expected) in [
            ("a", &all[..], &[] as &[&str]),
            ("e", &all[..], &[]),
            ("i", &all[..], &[]),
            ("s2", &all[..], &["a", "b"]),
            ("s1", &all[..], &["a", "b", "s2"]),
            ("s1", &["s1", "b"], &["b"]),
            ("s1", &["s1", "s2"], &["s2"]),
            ("s1", &["s1"], &[]),
        ] {
            let found = predecessors(&pod, name, running);
            assert_eq!(found, expected.iter().map(|name| (*name).to_owned()).collect(), "{name} of {running:?}");
        }
    }
}
