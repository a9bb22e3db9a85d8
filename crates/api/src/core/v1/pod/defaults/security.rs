//! Security contexts have no defaults of their own; empty lists and strings in them are not answered.

use k8s_openapi::api::core::v1::{PodSecurityContext, SELinuxOptions, SecurityContext};

use crate::omit_empty::omit_empty;

pub(super) fn default_pod(context: &mut PodSecurityContext) {
    omit_empty!(context => supplemental_groups, sysctls);
    context.se_linux_options.iter_mut().for_each(default_se_linux);
}

pub(super) fn default_container(context: &mut SecurityContext) {
    if let Some(capabilities) = &mut context.capabilities {
        omit_empty!(capabilities => add, drop);
    }
    context.se_linux_options.iter_mut().for_each(default_se_linux);
}

fn default_se_linux(options: &mut SELinuxOptions) {
    omit_empty!(options => level, role, type_, user);
}
