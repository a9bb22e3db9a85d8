//! From a manifest to the Pod a node runs of its own accord: decoded, defaulted, named after the node and checked.
//! Pure.

use std::fmt;

use api::core::v1::pod::{HASH_ANNOTATION, SOURCE_ANNOTATION, api_reference};
use api::decode::{self, Format, Node};
use api::object::{Gvk, Object};
use k8s_openapi::api::core::v1::{Pod, PodStatus, Toleration};
use serde_json::Value;

/// The largest manifest, as upstream has it.
pub const MANIFEST_MAX: usize = 10 << 20;
const POD: Gvk = Gvk { group: "", version: "v1", kind: "Pod" };

/// Where static Pods come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Files of the node.
    File,
    /// A URL.
    Url,
}

impl Source {
    /// The annotation's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Url => "http",
        }
    }
}

/// Where one manifest is from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The node's name.
    pub node: &'a str,
    /// The kind of place.
    pub source: Source,
    /// The file or URL.
    pub place: &'a str,
}

/// Why a manifest is no Pod for this node. Names the field where there is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is too large.
    #[error("the manifest has more than {MANIFEST_MAX} bytes")]
    TooLarge,
    /// It is not text of a Pod.
    #[error("couldn't parse as pod({0}), please check config file")]
    Decode(String),
    /// Nothing to name the Pod after.
    #[error("invalid pod: name is needed for the pod")]
    NoName,
    /// Values that no Pod may have.
    #[error("invalid pod: [{0}]")]
    Invalid(String),
    /// It needs the API.
    #[error("static pods may not reference {0}")]
    Reference(&'static str),
}

/// Reads a manifest of one Pod. Of several YAML documents the first counts.
///
/// # Errors
/// [`ManifestError`] says what is wrong with it.
pub fn read(text: &[u8], origin: Origin<'_>) -> Result<Pod, ManifestError> {
    read_pod(&tree(text)?, origin)
}

/// Reads one Pod or a list of them.
///
/// # Errors
/// [`ManifestError`] says what is wrong with the first that is none.
pub fn read_list(text: &[u8], origin: Origin<'_>) -> Result<Vec<Pod>, ManifestError> {
    let tree = tree(text)?;
    if tree["kind"] != "PodList" || tree["apiVersion"] != "v1" {
        return Ok(vec![read_pod(&tree, origin)?]);
    }
    // What is in a list need not say of which kind it is.
    tree["items"].as_array().into_iter().flatten().map(|item| typed(item, origin)).collect()
}

fn tree(text: &[u8]) -> Result<Value, ManifestError> {
    if text.len() > MANIFEST_MAX {
        return Err(ManifestError::TooLarge);
    }
    decode::tree(text, format_of(text)).map_err(|error| ManifestError::Decode(error.to_string()))
}

fn read_pod(tree: &Value, origin: Origin<'_>) -> Result<Pod, ManifestError> {
    for (field, name) in [("kind", "Kind"), ("apiVersion", "apiVersion")] {
        if tree[field].as_str().unwrap_or_default().is_empty() {
            return Err(ManifestError::Decode(format!("Object '{name}' is missing in '{tree}'")));
        }
    }
    typed(tree, origin)
}

fn typed(tree: &Value, origin: Origin<'_>) -> Result<Pod, ManifestError> {
    let (object, _unknown_fields) = decode::object(Node::from_value(tree), POD).map_err(ManifestError::Decode)?;
    let pod = object.into_any().downcast::<Pod>().expect("the decoder returns the kind it was asked for");
    complete(*pod, origin)
}

fn format_of(text: &[u8]) -> Format {
    match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => Format::Json,
        _ => Format::Yaml,
    }
}

/// What upstream adds to every static Pod.
fn complete(mut pod: Pod, origin: Origin<'_>) -> Result<Pod, ManifestError> {
    let name = pod.metadata.name.clone().filter(|name| !name.is_empty()).ok_or(ManifestError::NoName)?;
    Object::set_defaults(&mut pod);
    let uid = match pod.metadata.uid.take().filter(|uid| !uid.is_empty()) {
        Some(uid) => uid,
        None => hash(&pod, origin),
    };
    pod.metadata.name = Some(format!("{name}-{}", origin.node.to_lowercase()));
    pod.metadata.namespace.get_or_insert_with(|| "default".to_owned());
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(HASH_ANNOTATION.to_owned(), uid.clone());
    annotations.insert(SOURCE_ANNOTATION.to_owned(), origin.source.as_str().to_owned());
    pod.metadata.uid = Some(uid);
    let spec = pod.spec.get_or_insert_default();
    spec.node_name = Some(origin.node.to_owned());
    if origin.source == Source::File {
        tolerate_everything(spec.tolerations.get_or_insert_default());
    }
    pod.status = Some(PodStatus { phase: Some("Pending".to_owned()), ..PodStatus::default() });
    let problems = Object::validate(&pod);
    if !problems.is_empty() {
        return Err(ManifestError::Invalid(joined(&problems)));
    }
    match api_reference(&pod) {
        Some(resource) => Err(ManifestError::Reference(resource)),
        None => Ok(pod),
    }
}

/// Static Pods stay whatever befalls their node.
fn tolerate_everything(tolerations: &mut Vec<Toleration>) {
    let all = Toleration {
        operator: Some("Exists".to_owned()),
        effect: Some("NoExecute".to_owned()),
        ..Toleration::default()
    };
    if !tolerations.contains(&all) {
        tolerations.push(all);
    }
}

/// A UID that changes with everything that matters: FNV-1a of the Pod and its place.
fn hash(pod: &Pod, origin: Origin<'_>) -> String {
    let place = match origin.source {
        Source::File => format!("host:{}file:{}", origin.node, origin.place),
        Source::Url => format!("url:{}", origin.place),
    };
    let bytes = Object::to_json(pod).into_iter().chain(place.into_bytes());
    let hash = bytes.fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b)
    });
    format!("{hash:032x}")
}

fn joined(problems: &[impl fmt::Display]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin<'_> = Origin { node: "n1", source: Source::File, place: "/etc/static/web.yaml" };
    const WEB: &str =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers: [{name: c, image: nginx}]\n";

    fn uid(text: &str, origin: Origin<'_>) -> String {
        read(text.as_bytes(), origin).unwrap().metadata.uid.unwrap()
    }

    #[test]
    fn a_manifest_becomes_this_nodes_pod() {
        let pod = read(WEB.as_bytes(), ORIGIN).unwrap();
        let uid = pod.metadata.uid.clone().unwrap();
        assert_eq!(
            (pod.metadata.name.as_deref(), pod.metadata.namespace.as_deref()),
            (Some("web-n1"), Some("default"))
        );
        let annotations = pod.metadata.annotations.unwrap();
        assert_eq!(
            (uid.len(), &annotations[HASH_ANNOTATION], annotations[SOURCE_ANNOTATION].as_str()),
            (32, &uid, "file")
        );
        let spec = pod.spec.unwrap();
        assert_eq!((spec.node_name.as_deref(), spec.restart_policy.as_deref()), (Some("n1"), Some("Always")));
        assert_eq!(spec.tolerations.unwrap()[0].effect.as_deref(), Some("NoExecute"));
        assert_eq!(pod.status.unwrap().phase.as_deref(), Some("Pending"));
    }

    #[test]
    fn the_uid_changes_with_the_manifest_its_place_and_the_node_only() {
        let web = uid(WEB, ORIGIN);
        assert_eq!(web, uid(&format!("# a comment\n{WEB}"), ORIGIN));
        assert_eq!(web, uid(&format!("{WEB}---\nkind: Other\n"), ORIGIN), "the first document counts");
        let json = "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"web\"},\n\t\"spec\":\
            {\"containers\":[{\"name\":\"c\",\"image\":\"nginx\"}]}}";
        assert_eq!(web, uid(json, ORIGIN));
        assert_ne!(web, uid(&WEB.replace("nginx", "nginx:2"), ORIGIN));
        assert_ne!(web, uid(WEB, Origin { place: "/etc/static/other.yaml", ..ORIGIN }));
        assert_ne!(web, uid(WEB, Origin { node: "n2", ..ORIGIN }));
        let own = WEB.replace("{name: web}", "{name: web, uid: mine}");
        assert_eq!(uid(&own, ORIGIN), "mine");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |text: &str, expected: &str| {
            let error = read(text.as_bytes(), ORIGIN).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("# nothing\n", "couldn't parse as pod(Object 'Kind' is missing in 'null')");
        check(&WEB.replace("kind: Pod\n", ""), "couldn't parse as pod(Object 'Kind' is missing in '{");
        check(&WEB.replace("apiVersion: v1\n", ""), "couldn't parse as pod(Object 'apiVersion' is missing in '{");
        check("kind: [", "couldn't parse as pod(");
        check(&WEB.replace("kind: Pod", "kind: Service"), "couldn't parse as pod(");
        check(&WEB.replace("{name: web}", "{}"), "invalid pod: name is needed for the pod");
        check(&WEB.replace(", image: nginx", ""), "invalid pod: [spec.containers[0].image: Required value");
        check(&format!("{WEB}  serviceAccountName: x\n"), "static pods may not reference serviceaccounts");
        check(&" ".repeat(MANIFEST_MAX + 1), "more than 10485760 bytes");
    }

    #[test]
    fn a_url_may_serve_a_list() {
        let origin = Origin { source: Source::Url, place: "http://h/pods", ..ORIGIN };
        let pod = |name: &str| {
            format!(r#"{{"metadata":{{"name":"{name}"}},"spec":{{"containers":[{{"name":"c","image":"i"}}]}}}}"#)
        };
        let list = format!(r#"{{"kind":"PodList","apiVersion":"v1","items":[{},{}]}}"#, pod("a"), pod("b"));
        let pods = read_list(list.as_bytes(), origin).unwrap();
        assert_eq!(pods.iter().map(|pod| pod.metadata.name.clone().unwrap()).collect::<Vec<_>>(), ["a-n1", "b-n1"]);
        assert_eq!(pods[0].spec.as_ref().unwrap().tolerations, None);
        assert_eq!(read_list(WEB.as_bytes(), origin).unwrap().len(), 1);
        let yaml = "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n  spec: {containers: [{name: c, image: i}]}\n";
        let from_yaml = read_list(yaml.as_bytes(), origin).unwrap();
        assert_eq!(from_yaml[0].metadata.uid, pods[0].metadata.uid, "the same Pod");
        assert!(read(yaml.as_bytes(), ORIGIN).is_err(), "files hold one Pod each");
    }
}
