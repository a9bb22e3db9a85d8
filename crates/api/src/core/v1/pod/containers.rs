//! All containers of a Pod under one type, whichever list they stand in.

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, ContainerResizePolicy, ContainerRestartRule, EnvFromSource, EnvVar, EphemeralContainer,
    Lifecycle, PodSpec, Probe, ResourceRequirements, SecurityContext, VolumeDevice, VolumeMount,
};

/// Which list of the Pod a container stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerKind {
    /// `spec.initContainers`
    Init,
    /// `spec.containers`
    Regular,
    /// `spec.ephemeralContainers`
    Ephemeral,
}

impl ContainerKind {
    /// The field of the Pod's spec that lists them.
    pub fn field(self) -> &'static str {
        match self {
            Self::Init => "initContainers",
            Self::Regular => "containers",
            Self::Ephemeral => "ephemeralContainers",
        }
    }
}

macro_rules! container_ref {
    ($($field:ident: $type:ty),+ $(,)?) => {
        /// A container of any of the Pod's lists; empty where unset.
        #[derive(Debug, Clone, Copy)]
        #[allow(missing_docs)] // the fields are those of `Container`
        pub struct ContainerRef<'a> {
            pub kind: ContainerKind,
            pub name: &'a str,
            $(pub $field: Option<&'a $type>,)+
        }

        impl<'a> ContainerRef<'a> {
            /// A container of `spec.containers` or `spec.initContainers`.
            pub fn new(container: &'a Container, kind: ContainerKind) -> Self {
                Self { kind, name: &container.name, $($field: container.$field.as_ref(),)+ }
            }

            /// A container of `spec.ephemeralContainers`.
            pub fn ephemeral(container: &'a EphemeralContainer) -> Self {
                let kind = ContainerKind::Ephemeral;
                Self { kind, name: &container.name, $($field: container.$field.as_ref(),)+ }
            }
        }
    };
}

container_ref! {
    args: Vec<String>,
    command: Vec<String>,
    env: Vec<EnvVar>,
    env_from: Vec<EnvFromSource>,
    image: String,
    image_pull_policy: String,
    lifecycle: Lifecycle,
    liveness_probe: Probe,
    ports: Vec<ContainerPort>,
    readiness_probe: Probe,
    resize_policy: Vec<ContainerResizePolicy>,
    resources: ResourceRequirements,
    restart_policy: String,
    restart_policy_rules: Vec<ContainerRestartRule>,
    security_context: SecurityContext,
    startup_probe: Probe,
    stdin: bool,
    stdin_once: bool,
    termination_message_path: String,
    termination_message_policy: String,
    tty: bool,
    volume_devices: Vec<VolumeDevice>,
    volume_mounts: Vec<VolumeMount>,
    working_dir: String,
}

/// Every container of a Pod with its place in its list: init containers, containers, ephemeral ones.
pub fn containers_of(spec: &PodSpec) -> impl Iterator<Item = (usize, ContainerRef<'_>)> {
    let init = spec.init_containers.iter().flatten().enumerate();
    let init = init.map(|(position, container)| (position, ContainerRef::new(container, ContainerKind::Init)));
    let regular = spec.containers.iter().enumerate();
    let regular = regular.map(|(position, container)| (position, ContainerRef::new(container, ContainerKind::Regular)));
    let ephemeral = spec.ephemeral_containers.iter().flatten().enumerate();
    let ephemeral = ephemeral.map(|(position, container)| (position, ContainerRef::ephemeral(container)));
    init.chain(regular).chain(ephemeral)
}
