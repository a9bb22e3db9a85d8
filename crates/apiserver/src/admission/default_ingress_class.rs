//! Ingresses of no class get the default one.

use api::Object;
use api::k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use api::networking::v1::ingress_class::DEFAULT_ANNOTATION;
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin};
use crate::error::Error;

/// How Ingresses named their class before there was a field for it.
const OLD_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// The plugin.
pub struct DefaultIngressClass;

#[async_trait]
impl Plugin for DefaultIngressClass {
    async fn admit(&self, attributes: &Attributes<'_>, object: &mut dyn Object) -> Result<(), Error> {
        if attributes.operation != Operation::Create || !attributes.subresource.is_empty() {
            return Ok(());
        }
        let Some(ingress) = object.as_any_mut().downcast_mut::<Ingress>() else { return Ok(()) };
        if has_class(ingress) {
            return Ok(());
        }
        let classes = attributes.server.all::<IngressClass>("networking.k8s.io", "ingressclasses").await?;
        if let Some(class) = default_of(&classes) {
            ingress.spec.get_or_insert_default().ingress_class_name.clone_from(&class.metadata.name);
        }
        Ok(())
    }
}

fn has_class(ingress: &Ingress) -> bool {
    let annotated = |annotations: &std::collections::BTreeMap<_, _>| annotations.contains_key(OLD_ANNOTATION);
    ingress.spec.as_ref().is_some_and(|spec| spec.ingress_class_name.is_some())
        || ingress.metadata.annotations.as_ref().is_some_and(annotated)
}

/// The newest of the classes that are marked; of several from one second, the first by name.
fn default_of(classes: &[IngressClass]) -> Option<&IngressClass> {
    let marked = |class: &&IngressClass| {
        let annotations = class.metadata.annotations.as_ref();
        annotations.and_then(|annotations| annotations.get(DEFAULT_ANNOTATION)).is_some_and(|value| value == "true")
    };
    let age = |class: &&IngressClass| {
        let created = class.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (created, std::cmp::Reverse(class.metadata.name.clone()))
    };
    classes.iter().filter(marked).max_by_key(age)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_marked_class_is_the_default() {
        let class = |name: &str, second: u8, mark: &str| -> IngressClass {
            let metadata = json!({"name": name, "creationTimestamp": format!("2024-01-01T00:00:0{second}Z"),
                                  "annotations": {DEFAULT_ANNOTATION: mark}});
            serde_json::from_value(json!({ "metadata": metadata })).unwrap()
        };
        let name = |classes: &[IngressClass]| default_of(classes).and_then(|class| class.metadata.name.clone());
        assert_eq!(name(&[class("a", 1, "false")]), None);
        let classes = [class("a", 1, "true"), class("c", 2, "true"), class("b", 2, "true"), class("d", 3, "no")];
        assert_eq!(name(&classes), Some("b".to_owned()));
    }

    #[test]
    fn ingresses_can_name_their_class_in_two_ways() {
        let ingress = |json| serde_json::from_value::<Ingress>(json).unwrap();
        assert!(!has_class(&ingress(json!({"spec": {}}))));
        assert!(has_class(&ingress(json!({"spec": {"ingressClassName": "x"}}))));
        assert!(has_class(&ingress(json!({"metadata": {"annotations": {OLD_ANNOTATION: "x"}}}))));
    }
}
