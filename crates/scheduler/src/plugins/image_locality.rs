//! Nodes rank higher when they have the Pod's images, the more so the larger these are and the more nodes have them.

use crate::cycle_state::CycleState;
use crate::framework::{MAX_SCORE, Score};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

const MEBIBYTE: i64 = 1024 * 1024;
/// Images smaller than this are pulled too fast to matter.
const MIN_BYTES: i64 = 23 * MEBIBYTE;
/// What an image counts at most.
const MAX_BYTES_PER_CONTAINER: i64 = 1000 * MEBIBYTE;

/// See the module.
pub struct ImageLocality;

impl Score for ImageLocality {
    /// When no node that passed has an image, all rank alike.
    fn pre_score(&self, _: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot, _: &[&NodeInfo]) -> bool {
        pod.facts.images.iter().any(|image| snapshot.nodes_with_image(image) > 0)
    }

    fn score(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo, snapshot: &Snapshot) -> i64 {
        let scaled = |image: &String| node.facts.images.get(image).map(|size| scaled_size(*size, image, snapshot));
        let bytes: i64 = pod.facts.images.iter().filter_map(scaled).sum();
        priority(bytes, pod.facts.images.len())
    }
}

/// An image that few nodes have counts less, so that not all Pods gather there.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // sizes of images, counts of nodes
fn scaled_size(size: i64, image: &str, snapshot: &Snapshot) -> i64 {
    let spread = snapshot.nodes_with_image(image) as f64 / snapshot.nodes().len().max(1) as f64;
    (size as f64 * spread) as i64
}

fn priority(bytes: i64, images: usize) -> i64 {
    let most = MAX_BYTES_PER_CONTAINER.saturating_mul(i64::try_from(images.max(1)).unwrap_or(i64::MAX));
    let bytes = bytes.clamp(MIN_BYTES, most);
    MAX_SCORE * (bytes - MIN_BYTES) / (most - MIN_BYTES)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures::{cache, node, pod};

    #[test]
    fn large_images_that_many_nodes_have_draw_pods() {
        let image = |name: &str, mebibytes: i64| json!({ "names": [name], "sizeBytes": mebibytes * MEBIBYTE });
        let cache = cache([
            node("a", json!({ "status": { "images": [image("big:latest", 2000), image("small:1", 10)] } })),
            node("b", json!({ "status": { "images": [image("r.io:5000/half:2", 523)] } })),
        ]);
        let score = |image: &str| {
            let pod = pod("p", json!({ "containers": [{ "name": "c", "image": image }] }));
            let of = |node| ImageLocality.score(&CycleState::default(), &pod, node, cache.snapshot());
            cache.snapshot().nodes().iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(score("big"), [100, 0], "half of 2000 MiB is as much as counts");
        assert_eq!(score("small:1"), [0, 0]);
        assert_eq!(score("r.io:5000/half:2"), [0, 24]);
        assert_eq!(score("r.io:5000/half"), [0, 0], "another tag is another image");
    }
}
