//! Selectors in questions about access: what of a collection somebody wants to see.

use api::field::{self, ErrorList, Path};
use api::fields::{Requirement, Selector};
use api::k8s_openapi::api::authorization::v1::{FieldSelectorAttributes, LabelSelectorAttributes, ResourceAttributes};
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    FieldSelectorRequirement, LabelSelector, LabelSelectorRequirement,
};
use api::labels;

/// How much of a selector was understood. What was not can only have narrowed the question.
enum Understood {
    All,
    Some,
    Nothing,
}

impl Understood {
    fn of(good: usize, all: usize) -> Self {
        match good {
            good if good == all => Self::All,
            0 => Self::Nothing,
            _ => Self::Some,
        }
    }

    fn tell(&self, name: &str) -> Option<String> {
        let how = match self {
            Self::All => return None,
            Self::Some => "partially ignored",
            Self::Nothing => "ignored",
        };
        Some(format!("spec.resourceAttributes.{name} {how} due to parse error"))
    }
}

/// Problems of both selectors.
pub fn problems(resource: &ResourceAttributes) -> ErrorList {
    let mut errors = ErrorList::new();
    let (spec, fields) = (Path::new("spec"), resource.field_selector.as_ref());
    let at = spec.child("resourceAttributes");
    if let Some(FieldSelectorAttributes { raw_selector, requirements }) = fields {
        let (path, requirements) = (at.child("fieldSelector"), requirements.as_deref().unwrap_or_default());
        check_form(&path, raw_selector.as_deref(), requirements.len(), &mut errors);
        for (position, requirement) in requirements.iter().enumerate() {
            let path = path.child("requirements");
            check_field(requirement, &path.index(position), &mut errors);
        }
    }
    if let Some(LabelSelectorAttributes { raw_selector, requirements }) = &resource.label_selector {
        let (path, requirements) = (at.child("labelSelector"), requirements.as_deref().unwrap_or_default());
        check_form(&path, raw_selector.as_deref(), requirements.len(), &mut errors);
        for (position, requirement) in requirements.iter().enumerate() {
            // Newer clients may know more operators.
            if is_operator(&requirement.operator) {
                let path = path.child("requirements");
                errors.extend(labels::validate_expression(
                    requirement,
                    labels::SelectorRules::Strict,
                    &path.index(position),
                ));
            }
        }
    }
    errors
}

fn is_operator(name: &str) -> bool {
    matches!(name, "In" | "NotIn" | "Exists" | "DoesNotExist")
}

/// Either a text or requirements.
fn check_form(path: &Path<'_>, raw: Option<&str>, requirements: usize, errors: &mut ErrorList) {
    let raw = raw.unwrap_or_default();
    if !raw.is_empty() && requirements > 0 {
        let text = "may not specified at the same time as requirements";
        errors.push(field::invalid(&path.child("rawSelector"), raw, text));
    }
    if raw.is_empty() && requirements == 0 {
        let text = format!("when {path} is specified, requirements or rawSelector is required");
        errors.push(field::required(&path.child("requirements"), &text));
    }
}

fn check_field(requirement: &FieldSelectorRequirement, path: &Path<'_>, errors: &mut ErrorList) {
    let has_values = requirement.values.as_ref().is_some_and(|values| !values.is_empty());
    if requirement.key.is_empty() {
        errors.push(field::required(&path.child("key"), "must be specified"));
    }
    let values = path.child("values");
    match requirement.operator.as_str() {
        "In" | "NotIn" if !has_values => {
            errors.push(field::required(&values, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if has_values => {
            let text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(field::forbidden(&values, text));
        }
        _ => {}
    }
}

/// What is asked for by fields, and what could not be understood of either selector.
pub fn read(resource: &ResourceAttributes) -> (Selector, Option<String>) {
    let (fields, understood) =
        resource.field_selector.as_ref().map_or((Selector::default(), Understood::All), by_fields);
    let labels = resource.label_selector.as_ref().map_or(Understood::All, by_labels);
    let told: Vec<String> =
        [understood.tell("fieldSelector"), labels.tell("labelSelector")].into_iter().flatten().collect();
    let told = match told.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        several => Some(format!("[{}]", several.join(", "))),
    };
    (fields, told)
}

fn by_fields(selector: &FieldSelectorAttributes) -> (Selector, Understood) {
    if let Some(raw) = selector.raw_selector.as_deref().filter(|raw| !raw.is_empty()) {
        let parsed = Selector::parse(raw);
        return parsed.map_or((Selector::default(), Understood::Nothing), |parsed| (parsed, Understood::All));
    }
    let all = selector.requirements.as_deref().unwrap_or_default();
    let good: Vec<Requirement> = all.iter().filter_map(requirement).collect();
    let understood = Understood::of(good.len(), all.len());
    (good.into_iter().collect(), understood)
}

/// Selectors of fields compare with one value.
fn requirement(asked: &FieldSelectorRequirement) -> Option<Requirement> {
    let negated = match asked.operator.as_str() {
        "In" => false,
        "NotIn" => true,
        _ => return None,
    };
    let [value] = asked.values.as_deref()? else { return None };
    Some(Requirement { field: asked.key.clone(), negated, value: value.clone() })
}

fn by_labels(selector: &LabelSelectorAttributes) -> Understood {
    if let Some(raw) = selector.raw_selector.as_deref().filter(|raw| !raw.is_empty()) {
        return if labels::Selector::parse(raw).is_ok() { Understood::All } else { Understood::Nothing };
    }
    let all = selector.requirements.as_deref().unwrap_or_default();
    let is_good = |requirement: &&LabelSelectorRequirement| {
        let match_expressions = Some(vec![(*requirement).clone()]);
        let one = LabelSelector { match_expressions, match_labels: None };
        labels::Selector::from_label_selector(Some(&one)).is_ok()
    };
    Understood::of(all.iter().filter(is_good).count(), all.len())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn attributes(value: Value) -> ResourceAttributes {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn selectors_are_a_text_or_requirements() {
        let told = |value: Value| problems(&attributes(value)).iter().map(ToString::to_string).collect::<Vec<_>>();
        let is_in = json!({ "key": "spec.nodeName", "operator": "In", "values": ["n"] });
        assert_eq!(told(json!({ "fieldSelector": { "requirements": [is_in] } })), [] as [String; 0]);
        assert_eq!(
            told(json!({ "fieldSelector": { "rawSelector": "a=b", "requirements": [is_in] } })),
            [
                "spec.resourceAttributes.fieldSelector.rawSelector: Invalid value: \"a=b\": may not specified at the same \
              time as requirements"
            ]
        );
        assert_eq!(
            told(json!({ "labelSelector": {} })),
            ["spec.resourceAttributes.labelSelector.requirements: Required value: when \
              spec.resourceAttributes.labelSelector is specified, requirements or rawSelector is required"]
        );
        let bad = json!([{ "key": "", "operator": "In" }, { "key": "a", "operator": "Exists", "values": ["x"] },
                         { "key": "a", "operator": "Newer" }]);
        assert_eq!(
            told(json!({ "fieldSelector": { "requirements": bad } })),
            [
                "spec.resourceAttributes.fieldSelector.requirements[0].key: Required value: must be specified",
                "spec.resourceAttributes.fieldSelector.requirements[0].values: Required value: must be specified when \
                 `operator` is 'In' or 'NotIn'",
                "spec.resourceAttributes.fieldSelector.requirements[1].values: Forbidden: may not be specified when \
                 `operator` is 'Exists' or 'DoesNotExist'",
            ]
        );
    }

    #[test]
    fn what_is_not_understood_is_told() {
        let told = |value: Value| {
            let (fields, told) = read(&attributes(value));
            (fields.to_string(), told.unwrap_or_default())
        };
        let is_in = json!({ "key": "spec.nodeName", "operator": "In", "values": ["n"] });
        let newer = json!({ "key": "a", "operator": "Newer" });
        let all =
            json!({ "fieldSelector": { "requirements": [is_in] }, "labelSelector": { "rawSelector": "a in (b)" } });
        assert_eq!(told(all), ("spec.nodeName=n".to_owned(), String::new()));
        assert_eq!(
            told(json!({ "fieldSelector": { "requirements": [is_in, newer] } })),
            (
                "spec.nodeName=n".to_owned(),
                "spec.resourceAttributes.fieldSelector partially ignored due to parse error".to_owned()
            )
        );
        assert_eq!(
            told(json!({ "fieldSelector": { "rawSelector": "a" }, "labelSelector": { "rawSelector": "a in" } })),
            (
                String::new(),
                "[spec.resourceAttributes.fieldSelector ignored due to parse error, spec.resourceAttributes.labelSelector \
                 ignored due to parse error]"
                    .to_owned()
            )
        );
    }
}
