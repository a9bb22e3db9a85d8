//! What to write. Pure.

use api::flowcontrol::v1::defaults::{self, AUTO_UPDATE};
use api::k8s_openapi::api::flowcontrol::v1::{FlowSchema, FlowSchemaCondition, PriorityLevelConfiguration};
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use jiff::Timestamp;

/// The condition that says whether a schema's level is missing.
const DANGLING: &str = "Dangling";

/// What to do with one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Action<K> {
    /// It is missing.
    Create(K),
    /// It is not as it should be.
    Replace(K),
    /// It is of an earlier version.
    Delete(String),
}

/// A kind of this group: its default objects differ in their specs only.
pub trait Configured: Clone {
    /// Its metadata.
    fn meta(&self) -> &ObjectMeta;
    /// The same, to change.
    fn meta_mut(&mut self) -> &mut ObjectMeta;
    /// Whether both ask for the same.
    fn same_spec(&self, other: &Self) -> bool;
    /// Asks for what `other` does.
    fn copy_spec(&mut self, other: &Self);

    /// Its name.
    fn name(&self) -> &str {
        self.meta().name.as_deref().unwrap_or_default()
    }
}

macro_rules! configured {
    ($kind:ty) => {
        impl Configured for $kind {
            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }

            fn same_spec(&self, other: &Self) -> bool {
                self.spec == other.spec
            }

            fn copy_spec(&mut self, other: &Self) {
                self.spec = other.spec.clone();
            }
        }
    };
}

configured!(FlowSchema);
configured!(PriorityLevelConfiguration);

/// What is to be done to the levels.
pub fn levels(present: &[PriorityLevelConfiguration]) -> Vec<Action<PriorityLevelConfiguration>> {
    actions(present, defaults::priority_levels())
}

/// What is to be done to the schemas.
pub fn schemas(present: &[FlowSchema]) -> Vec<Action<FlowSchema>> {
    actions(present, defaults::flow_schemas())
}

fn actions<K: Configured>(present: &[K], wanted: Vec<K>) -> Vec<Action<K>> {
    let left_over = |object: &&K| {
        annotation(object.meta()) == Some(true) && !wanted.iter().any(|wanted| wanted.name() == object.name())
    };
    let deletes: Vec<_> =
        present.iter().filter(left_over).map(|object| Action::Delete(object.name().to_owned())).collect();
    let mut all: Vec<_> = wanted
        .into_iter()
        .filter_map(|wanted| match present.iter().find(|object| object.name() == wanted.name()) {
            None => Some(Action::Create(wanted)),
            Some(present) => update(present, &wanted).map(Action::Replace),
        })
        .collect();
    all.extend(deletes);
    all
}

fn update<K: Configured>(present: &K, wanted: &K) -> Option<K> {
    let follows = defaults::is_mandatory(wanted.meta())
        || annotation(present.meta())
            // Without a word about it, what nobody changed since it was made is still ours.
            .unwrap_or(present.meta().generation == Some(1));
    let mut object = present.clone();
    if annotation(present.meta()) != Some(follows) {
        let annotations = object.meta_mut().annotations.get_or_insert_default();
        annotations.insert(AUTO_UPDATE.to_owned(), follows.to_string());
    }
    if follows && !present.same_spec(wanted) {
        object.copy_spec(wanted);
    }
    let same = object.same_spec(present) && object.meta() == present.meta();
    (!same).then_some(object)
}

/// The annotation's word, if it has one that Go's `ParseBool` understands.
fn annotation(meta: &ObjectMeta) -> Option<bool> {
    match meta.annotations.as_ref()?.get(AUTO_UPDATE)?.as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// The conditions that schemas should have and do not. A level that is about to be made counts as there.
pub fn conditions(
    schemas: &[FlowSchema],
    levels: &[PriorityLevelConfiguration],
    now: Timestamp,
) -> Vec<(String, FlowSchemaCondition)> {
    let has_level = |name: &str| levels.iter().any(|level| level.name() == name) || defaults::MANDATORY.contains(&name);
    let wanted = |schema: &FlowSchema| {
        let level = schema.spec.as_ref().map_or("", |spec| spec.priority_level_configuration.name.as_str());
        let about = format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?}");
        let (status, reason, message) = match has_level(level) {
            true => ("False", "Found", format!("{about} and it exists")),
            false => ("True", "NotFound", format!("{about} but there is no such object")),
        };
        let conditions = schema.status.as_ref().and_then(|status| status.conditions.as_ref());
        let current = conditions.into_iter().flatten().find(|one| one.type_.as_deref() == Some(DANGLING));
        let is = |field: fn(&FlowSchemaCondition) -> &Option<String>, value: &str| {
            current.is_some_and(|current| field(current).as_deref() == Some(value))
        };
        if is(|one| &one.status, status) && is(|one| &one.reason, reason) && is(|one| &one.message, &message) {
            return None;
        }
        let condition = FlowSchemaCondition {
            type_: Some(DANGLING.to_owned()),
            status: Some(status.to_owned()),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_transition_time: Some(Time(now)),
        };
        Some((schema.name().to_owned(), condition))
    };
    schemas.iter().filter_map(wanted).collect()
}

#[cfg(test)]
mod tests {
    use api::k8s_openapi::api::flowcontrol::v1::FlowSchemaStatus;

    use super::*;

    fn named(name: &str) -> FlowSchema {
        let all = defaults::flow_schemas();
        let mut schema = all.into_iter().find(|schema| schema.name() == name).expect("a default");
        schema.metadata.generation = Some(1);
        schema
    }

    fn annotated(mut schema: FlowSchema, value: Option<&str>) -> FlowSchema {
        schema.metadata.annotations = value.map(|value| [(AUTO_UPDATE.to_owned(), value.to_owned())].into());
        schema
    }

    fn changed(mut schema: FlowSchema) -> FlowSchema {
        schema.spec.as_mut().expect("it has one").matching_precedence = Some(7);
        schema.metadata.generation = Some(2);
        schema
    }

    #[test]
    fn a_new_cluster_gets_everything_and_a_kept_one_nothing() {
        assert_eq!(levels(&[]).len(), 8);
        assert_eq!(schemas(&[]).len(), 11);
        assert_eq!(schemas(&defaults::flow_schemas()), []);
        assert_eq!(levels(&defaults::priority_levels()), []);
    }

    #[test]
    fn specs_are_kept_unless_somebody_took_them_over() {
        let check = |present: FlowSchema, expected: Option<(i32, &str)>| {
            let mut all: Vec<FlowSchema> = defaults::flow_schemas();
            all.retain(|schema| schema.name() != present.name());
            all.push(present.clone());
            let found = schemas(&all).into_iter().next().map(|action| match action {
                Action::Replace(object) => object,
                other => panic!("{other:?}"),
            });
            let told = found.as_ref().map(|object| {
                let spec = object.spec.as_ref().expect("it has one");
                let annotations = object.metadata.annotations.as_ref().expect("it has them");
                (spec.matching_precedence.expect("it has one"), annotations[AUTO_UPDATE].as_str())
            });
            assert_eq!(told, expected, "{present:?}");
        };
        check(changed(named("probes")), Some((2, "true")));
        check(annotated(changed(named("probes")), Some("false")), None);
        check(annotated(changed(named("probes")), None), Some((7, "false")));
        check(annotated(named("probes"), None), Some((2, "true")));
        check(annotated(changed(named("catch-all")), Some("false")), Some((10_000, "true")));
    }

    #[test]
    fn what_earlier_versions_made_goes_unless_it_was_taken_over() {
        let mut old = named("probes");
        old.metadata.name = Some("old".to_owned());
        let with = |old: FlowSchema| {
            let mut all = defaults::flow_schemas();
            all.push(old);
            schemas(&all)
        };
        assert_eq!(with(old.clone()), [Action::Delete("old".to_owned())]);
        assert_eq!(with(annotated(old.clone(), Some("false"))), []);
        assert_eq!(with(annotated(old, None)), []);
    }

    #[test]
    fn conditions_say_whether_the_level_is_there() {
        let schema = named("probes");
        let message = |levels: &[PriorityLevelConfiguration], schema: &FlowSchema| {
            let found = conditions(std::slice::from_ref(schema), levels, Timestamp::UNIX_EPOCH);
            found.into_iter().next().map(|(_, condition)| (condition.status, condition.reason, condition.message))
        };
        let mut lost = schema.clone();
        lost.spec.as_mut().expect("it has one").priority_level_configuration.name = "gone".to_owned();
        let (status, reason, text) = message(&defaults::priority_levels(), &lost).expect("to be written");
        assert_eq!((status.as_deref(), reason.as_deref()), (Some("True"), Some("NotFound")));
        let expected = "This FlowSchema references the PriorityLevelConfiguration object named \"gone\" but there is no \
                        such object";
        assert_eq!(text.as_deref(), Some(expected));
        let written = conditions(std::slice::from_ref(&schema), &defaults::priority_levels(), Timestamp::UNIX_EPOCH);
        let mut kept = schema;
        kept.status = Some(FlowSchemaStatus { conditions: Some(vec![written[0].1.clone()]) });
        assert_eq!(message(&defaults::priority_levels(), &kept), None);
    }
}
