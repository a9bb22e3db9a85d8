//! The built-in kinds of 1.36 that are served by default, and the types only messages use.

use k8s_openapi::schemars::{JsonSchema, SchemaGenerator};
use k8s_openapi::{ListableResource, Resource};

/// A kind with its place in the API.
pub struct Kind {
    pub definition: String,
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    /// The kind of lists of it, where it can be listed.
    pub list_kind: Option<&'static str>,
}

/// Registers a type and everything it refers to.
fn register<T: JsonSchema>(generator: &mut SchemaGenerator) -> String {
    generator.subschema_for::<T>();
    T::schema_name().into_owned()
}

fn listed<T: JsonSchema + ListableResource>(generator: &mut SchemaGenerator) -> Kind {
    Kind { list_kind: Some(T::LIST_KIND), ..unlisted::<T>(generator) }
}

fn unlisted<T: JsonSchema + Resource>(generator: &mut SchemaGenerator) -> Kind {
    let definition = register::<T>(generator);
    Kind { definition, group: T::GROUP, version: T::VERSION, kind: T::KIND, list_kind: None }
}

/// Registers every kind and every type that only messages use; the result is sorted.
pub fn register_all(generator: &mut SchemaGenerator) -> Vec<Kind> {
    let mut kinds = Vec::new();
    macro_rules! kinds {
        ($how:ident, $($path:ident)::+ : $($kind:ident)*) => {{
            use k8s_openapi::$($path)::+ as module;
            $(kinds.push($how::<module::$kind>(generator));)*
        }};
    }
    kinds!(listed, api::admissionregistration::v1: MutatingAdmissionPolicy MutatingAdmissionPolicyBinding
        MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding
        ValidatingWebhookConfiguration);
    kinds!(listed, api::apps::v1: ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet);
    kinds!(unlisted, api::authentication::v1: SelfSubjectReview TokenRequest TokenReview);
    kinds!(unlisted, api::authorization::v1: LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview
        SubjectAccessReview);
    kinds!(listed, api::autoscaling::v1: HorizontalPodAutoscaler);
    kinds!(unlisted, api::autoscaling::v1: Scale);
    kinds!(listed, api::autoscaling::v2: HorizontalPodAutoscaler);
    kinds!(listed, api::batch::v1: CronJob Job);
    kinds!(listed, api::certificates::v1: CertificateSigningRequest);
    // Served where asked for (`--runtime-config`).
    kinds!(listed, api::certificates::v1beta1: ClusterTrustBundle);
    kinds!(listed, api::coordination::v1: Lease);
    kinds!(unlisted, api::core::v1: Binding);
    kinds!(listed, api::core::v1: ComponentStatus ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume
        PersistentVolumeClaim Pod PodTemplate ReplicationController ResourceQuota Secret Service ServiceAccount);
    kinds!(listed, api::discovery::v1: EndpointSlice);
    kinds!(listed, api::events::v1: Event);
    kinds!(listed, api::flowcontrol::v1: FlowSchema PriorityLevelConfiguration);
    kinds!(listed, api::networking::v1: IPAddress Ingress IngressClass NetworkPolicy ServiceCIDR);
    kinds!(listed, api::node::v1: RuntimeClass);
    kinds!(unlisted, api::policy::v1: Eviction);
    kinds!(listed, api::policy::v1: PodDisruptionBudget);
    kinds!(listed, api::rbac::v1: ClusterRole ClusterRoleBinding Role RoleBinding);
    kinds!(listed, api::resource::v1: DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice);
    kinds!(listed, api::scheduling::v1: PriorityClass);
    kinds!(listed, api::storage::v1: CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment
        VolumeAttributesClass);
    kinds!(listed, apiextensions_apiserver::pkg::apis::apiextensions::v1: CustomResourceDefinition);
    kinds!(listed, kube_aggregator::pkg::apis::apiregistration::v1: APIService);

    macro_rules! messages {
        ($($kind:ident)*) => { $(register::<k8s_openapi::apimachinery::pkg::apis::meta::v1::$kind>(generator);)* };
    }
    messages!(APIGroup APIGroupList APIResourceList APIVersions DeleteOptions ListMeta Patch Status);
    register::<k8s_openapi::apimachinery::pkg::version::Info>(generator);
    kinds.sort_by(|a, b| (a.group, a.version, a.kind).cmp(&(b.group, b.version, b.kind)));
    kinds
}
