//! Webhooks: servers that are asked about requests, and may change objects or refuse them.

use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, ValidatingWebhook,
    ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::expressions::validate_conditions;
use super::rules::{MATCH_POLICIES, default_rule, validate_failure_policy, validate_rule};
use crate::field::{ErrorList, Json, Path, duplicate, extend_invalid, invalid, not_supported, required};
use crate::labels::{SelectorRules, validate_label_selector};
use crate::meta::{Scope, validate_meta};
use crate::names::{dns1035_label, fully_qualified_name, subdomain_name};
use crate::net::webhook::{validate_service, validate_url};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

const WEBHOOKS: Path<'static> = Path::new("webhooks");
const DEFAULT_TIMEOUT_SECONDS: i32 = 10;
const MAX_TIMEOUT_SECONDS: i32 = 30;
const DEFAULT_PORT: i32 = 443;
const NO_SIDE_EFFECTS: &[&str] = &["None", "NoneOnDryRun"];
const SIDE_EFFECTS: &[&str] = &["None", "NoneOnDryRun", "Some", "Unknown"];
const REINVOCATION_POLICIES: &[&str] = &["IfNeeded", "Never"];
const REVIEW_VERSIONS: &[&str] = &["v1", "v1beta1"];

/// What both sorts of webhooks have.
struct Webhook<'a> {
    name: &'a str,
    client: &'a WebhookClientConfig,
    rules: &'a [RuleWithOperations],
    failure_policy: Option<&'a str>,
    match_policy: Option<&'a str>,
    namespace_selector: Option<&'a LabelSelector>,
    object_selector: Option<&'a LabelSelector>,
    side_effects: &'a str,
    timeout_seconds: Option<i32>,
    reinvocation_policy: Option<&'a str>,
    review_versions: &'a [String],
    conditions: Option<&'a [MatchCondition]>,
}

macro_rules! webhook {
    ($webhook:expr, $reinvocation_policy:expr) => {
        Webhook {
            name: &$webhook.name,
            client: &$webhook.client_config,
            rules: $webhook.rules.as_deref().unwrap_or_default(),
            failure_policy: $webhook.failure_policy.as_deref(),
            match_policy: $webhook.match_policy.as_deref(),
            namespace_selector: $webhook.namespace_selector.as_ref(),
            object_selector: $webhook.object_selector.as_ref(),
            side_effects: &$webhook.side_effects,
            timeout_seconds: $webhook.timeout_seconds,
            reinvocation_policy: $reinvocation_policy,
            review_versions: &$webhook.admission_review_versions,
            conditions: $webhook.match_conditions.as_deref(),
        }
    };
}

impl<'a> From<&'a ValidatingWebhook> for Webhook<'a> {
    fn from(webhook: &'a ValidatingWebhook) -> Self {
        webhook!(webhook, None)
    }
}

impl<'a> From<&'a MutatingWebhook> for Webhook<'a> {
    fn from(webhook: &'a MutatingWebhook) -> Self {
        webhook!(webhook, webhook.reinvocation_policy.as_deref())
    }
}

macro_rules! default_webhook {
    ($webhook:expr) => {
        omit_empty!($webhook => match_conditions, rules);
        $webhook.rules.iter_mut().flatten().for_each(default_rule);
        $webhook.failure_policy.get_or_insert_with(|| "Fail".to_owned());
        $webhook.match_policy.get_or_insert_with(|| "Equivalent".to_owned());
        $webhook.namespace_selector.get_or_insert_default();
        $webhook.object_selector.get_or_insert_default();
        $webhook.timeout_seconds.get_or_insert(DEFAULT_TIMEOUT_SECONDS);
        default_client(&mut $webhook.client_config);
    };
}

fn default_client(client: &mut WebhookClientConfig) {
    if client.ca_bundle.as_ref().is_some_and(|bundle| bundle.0.is_empty()) {
        client.ca_bundle = None;
    }
    if let Some(service) = &mut client.service {
        service.port.get_or_insert(DEFAULT_PORT);
    }
}

macro_rules! webhook_configuration {
    ($kind:ty, |$webhook:ident| $more:expr) => {
        impl Kind for $kind {
            fn set_defaults(&mut self) {
                omit_empty::metadata(&mut self.metadata);
                omit_empty!(self => webhooks);
                for $webhook in self.webhooks.iter_mut().flatten() {
                    default_webhook!($webhook);
                    $more
                }
            }

            fn validate(&self) -> ErrorList {
                validate(&self.metadata, &views(self.webhooks.as_deref()), Rules::NEW)
            }

            fn validate_update(&self, old: &Self) -> ErrorList {
                let (new, old) = (views(self.webhooks.as_deref()), views(old.webhooks.as_deref()));
                validate(&self.metadata, &new, Rules::replacing(&old, &new))
            }

            fn validate_status_update(&self, _old: &Self) -> ErrorList {
                ErrorList::new()
            }
        }
    };
}

webhook_configuration!(ValidatingWebhookConfiguration, |webhook| {});
webhook_configuration!(MutatingWebhookConfiguration, |webhook| {
    webhook.reinvocation_policy.get_or_insert_with(|| "Never".to_owned());
});

fn views<'a, T>(webhooks: Option<&'a [T]>) -> Vec<Webhook<'a>>
where
    Webhook<'a>: From<&'a T>,
{
    webhooks.unwrap_or_default().iter().map(Webhook::from).collect()
}

/// What is asked of a configuration. An update may keep what was fine before the rule came.
#[derive(Clone, Copy)]
struct Rules {
    no_side_effects: bool,
    known_versions: bool,
    unique_names: bool,
    selectors: SelectorRules,
    conditions: bool,
}

impl Rules {
    const NEW: Self = Self {
        no_side_effects: true,
        known_versions: true,
        unique_names: true,
        selectors: SelectorRules::Strict,
        conditions: true,
    };

    fn replacing(old: &[Webhook<'_>], new: &[Webhook<'_>]) -> Self {
        let known = |webhook: &Webhook<'_>| webhook.review_versions.is_empty() || knows_version(webhook);
        let strict = |webhook: &Webhook<'_>| {
            [webhook.namespace_selector, webhook.object_selector]
                .into_iter()
                .all(|selector| validate_label_selector(selector, SelectorRules::Strict, &WEBHOOKS).is_empty())
        };
        let same_conditions =
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| old.conditions == new.conditions);
        Self {
            no_side_effects: old.iter().all(|webhook| NO_SIDE_EFFECTS.contains(&webhook.side_effects)),
            known_versions: old.iter().all(known),
            unique_names: (1..old.len()).all(|end| !old[..end].iter().any(|other| other.name == old[end].name)),
            selectors: if old.iter().all(strict) { SelectorRules::Strict } else { SelectorRules::AnyValue },
            conditions: !same_conditions,
        }
    }
}

fn knows_version(webhook: &Webhook<'_>) -> bool {
    webhook.review_versions.iter().any(|version| REVIEW_VERSIONS.contains(&version.as_str()))
}

fn validate(metadata: &ObjectMeta, webhooks: &[Webhook<'_>], rules: Rules) -> ErrorList {
    let mut errors = validate_meta(metadata, Scope::Cluster, subdomain_name);
    for (position, webhook) in webhooks.iter().enumerate() {
        let path = WEBHOOKS.index(position);
        validate_webhook(webhook, rules, &path, &mut errors);
        validate_versions(webhook, rules, &path.child("admissionReviewVersions"), &mut errors);
        let known = !webhook.name.is_empty() && webhooks[..position].iter().any(|other| other.name == webhook.name);
        if rules.unique_names && known {
            errors.push(duplicate(&path.child("name"), webhook.name));
        }
    }
    errors
}

fn validate_webhook(webhook: &Webhook<'_>, rules: Rules, path: &Path<'_>, errors: &mut ErrorList) {
    errors.extend(fully_qualified_name(&path.child("name"), webhook.name));
    let list_path = path.child("rules");
    for (position, rule) in webhook.rules.iter().enumerate() {
        validate_rule(rule, &list_path.index(position), errors);
    }
    validate_failure_policy(webhook.failure_policy, path, errors);
    if let Some(policy) = webhook.match_policy.filter(|policy| !MATCH_POLICIES.contains(policy)) {
        errors.push(not_supported(&path.child("matchPolicy"), policy, MATCH_POLICIES));
    }
    let allowed = if rules.no_side_effects { NO_SIDE_EFFECTS } else { SIDE_EFFECTS };
    let effects_path = path.child("sideEffects");
    match webhook.side_effects {
        "" => errors.push(required(&effects_path, &format!("must specify one of {}", allowed.join(", ")))),
        effects if !allowed.contains(&effects) => errors.push(not_supported(&effects_path, effects, allowed)),
        _ => {}
    }
    if let Some(timeout) = webhook.timeout_seconds.filter(|timeout| !(1..=MAX_TIMEOUT_SECONDS).contains(timeout)) {
        let message = format!("the timeout value must be between 1 and {MAX_TIMEOUT_SECONDS} seconds");
        errors.push(invalid(&path.child("timeoutSeconds"), timeout, message));
    }
    for (field, selector) in
        [("namespaceSelector", webhook.namespace_selector), ("objectSelector", webhook.object_selector)]
    {
        errors.extend(validate_label_selector(selector, rules.selectors, &path.child(field)));
    }
    if let Some(policy) = webhook.reinvocation_policy.filter(|policy| !REINVOCATION_POLICIES.contains(policy)) {
        errors.push(not_supported(&path.child("reinvocationPolicy"), policy, REINVOCATION_POLICIES));
    }
    validate_client(webhook.client, &path.child("clientConfig"), errors);
    if rules.conditions {
        validate_conditions(webhook.conditions, path, errors);
    }
}

fn validate_client(client: &WebhookClientConfig, path: &Path<'_>, errors: &mut ErrorList) {
    match (&client.url, &client.service) {
        (Some(url), None) => validate_url(url, &path.child("url"), errors),
        (None, Some(service)) => {
            let (name, namespace, port) = (&service.name, &service.namespace, service.port.unwrap_or_default());
            validate_service(name, namespace, service.path.as_deref(), port, &path.child("service"), errors);
        }
        _ => errors.push(required(path, "exactly one of url or service is required")),
    }
}

fn validate_versions(webhook: &Webhook<'_>, rules: Rules, path: &Path<'_>, errors: &mut ErrorList) {
    let versions = webhook.review_versions;
    if versions.is_empty() {
        errors.push(required(path, &format!("must specify one of {}", REVIEW_VERSIONS.join(", "))));
        return;
    }
    for (position, version) in versions.iter().enumerate() {
        let path = path.index(position);
        if versions[..position].contains(version) {
            errors.push(invalid(&path, version, "duplicate version"));
        } else {
            extend_invalid(errors, &path, version, dns1035_label(version));
        }
    }
    if rules.known_versions && !knows_version(webhook) {
        let message = format!("must include at least one of {}", REVIEW_VERSIONS.join(", "));
        errors.push(invalid(path, Json(&versions), message));
    }
}
