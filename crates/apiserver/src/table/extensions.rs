//! Columns of the kinds that extend the server: webhooks, policies, other servers.

use api::k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingWebhookConfiguration, ParamKind, ParamRef,
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use api::k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use api::labels::Selector;

use super::apps::integer;
use super::{AGE, Column, Columns, NAME, Row, age, column, name, typed};

const UNSET: &str = "<unset>";
const WEBHOOKS: &[Column] =
    &[NAME, integer("Webhooks", "Webhooks indicates the number of webhooks registered in this configuration"), AGE];
const PARAM_KIND: Column =
    column("ParamKind", "ParamKind specifies the kind of resources used to parameterize this policy");
const BINDING: &[Column] = &[
    NAME,
    column("PolicyName", "PolicyName indicates the policy definition which the policy binding binded to"),
    column("ParamRef", "ParamRef indicates the param resource which sets the configuration param"),
    AGE,
];

pub(super) static VALIDATING_WEBHOOKS: Columns = Columns {
    definitions: WEBHOOKS,
    row: |object, now| {
        let webhooks = typed::<ValidatingWebhookConfiguration>(object).webhooks.as_ref();
        Row::from(vec![name(object), webhooks.map_or(0, Vec::len).into(), age(object, now)])
    },
};

pub(super) static MUTATING_WEBHOOKS: Columns = Columns {
    definitions: WEBHOOKS,
    row: |object, now| {
        let webhooks = typed::<MutatingWebhookConfiguration>(object).webhooks.as_ref();
        Row::from(vec![name(object), webhooks.map_or(0, Vec::len).into(), age(object, now)])
    },
};

pub(super) static VALIDATING_POLICY: Columns = Columns {
    definitions: &[
        NAME,
        integer("Validations", "Validations indicates the number of validation rules defined in this configuration"),
        PARAM_KIND,
        AGE,
    ],
    row: |object, now| {
        let spec = typed::<ValidatingAdmissionPolicy>(object).spec.clone().unwrap_or_default();
        let validations = spec.validations.map_or(0, |validations| validations.len());
        let params = param_kind(spec.param_kind.as_ref());
        Row::from(vec![name(object), validations.into(), params.into(), age(object, now)])
    },
};

pub(super) static MUTATING_POLICY: Columns = Columns {
    definitions: &[
        NAME,
        integer("Mutations", "Mutation indicates the number of mutations rules defined in this configuration"),
        PARAM_KIND,
        AGE,
    ],
    row: |object, now| {
        let spec = typed::<MutatingAdmissionPolicy>(object).spec.clone().unwrap_or_default();
        let mutations = spec.mutations.map_or(0, |mutations| mutations.len());
        let params = param_kind(spec.param_kind.as_ref());
        Row::from(vec![name(object), mutations.into(), params.into(), age(object, now)])
    },
};

pub(super) static VALIDATING_POLICY_BINDING: Columns = Columns {
    definitions: BINDING,
    row: |object, now| {
        let spec = &typed::<ValidatingAdmissionPolicyBinding>(object).spec;
        let params = param_ref(spec.param_ref.as_ref());
        Row::from(vec![name(object), spec.policy_name.as_str().into(), params.into(), age(object, now)])
    },
};

pub(super) static MUTATING_POLICY_BINDING: Columns = Columns {
    definitions: BINDING,
    row: |object, now| {
        let spec = typed::<MutatingAdmissionPolicyBinding>(object).spec.clone().unwrap_or_default();
        let params = param_ref(spec.param_ref.as_ref());
        Row::from(vec![name(object), spec.policy_name.unwrap_or_default().into(), params.into(), age(object, now)])
    },
};

fn param_kind(kind: Option<&ParamKind>) -> String {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    kind.map_or_else(|| UNSET.to_owned(), |kind| format!("{}/{}", text(&kind.api_version), text(&kind.kind)))
}

fn param_ref(reference: Option<&ParamRef>) -> String {
    let Some(reference) = reference else { return UNSET.to_owned() };
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    match (text(&reference.name), text(&reference.namespace), &reference.selector) {
        (name, namespace, _) if !name.is_empty() => {
            // Whether parameters have a namespace cannot be told from here.
            let namespace = if namespace.is_empty() { "*".to_owned() } else { namespace };
            format!("{namespace}/{name}")
        }
        (_, _, Some(selector)) => {
            Selector::from_label_selector(Some(selector)).map_or_else(|_| UNSET.to_owned(), |it| it.to_string())
        }
        _ => UNSET.to_owned(),
    }
}

pub(super) static API_SERVICE: Columns = Columns {
    definitions: &[
        NAME,
        column("Service", "The reference to the service that hosts this API endpoint."),
        column("Available", "Whether this service is available."),
        AGE,
    ],
    row: |object, now| {
        let service = typed::<APIService>(object);
        let behind = service.spec.as_ref().and_then(|spec| spec.service.as_ref());
        let behind = behind.map_or_else(
            || "Local".to_owned(),
            |it| format!("{}/{}", it.namespace.clone().unwrap_or_default(), it.name.clone().unwrap_or_default()),
        );
        let conditions = service.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
        let available = conditions.into_iter().find(|condition| condition.type_ == "Available");
        let available = available.map_or_else(
            || "Unknown".to_owned(),
            |it| match it.status.as_str() {
                "True" => it.status.clone(),
                status => format!("{status} ({})", it.reason.clone().unwrap_or_default()),
            },
        );
        Row::from(vec![name(object), behind.into(), available.into(), age(object, now)])
    },
};
