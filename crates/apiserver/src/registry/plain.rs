//! Rules of kinds that others act on: little more than counting the changes of what they say.

/// Rules of a kind whose generation counts the changes of one field; more hooks may follow.
macro_rules! counted {
    ($rules:ident, $kind:ty, $field:ident $(, $hook:item)*) => {
        /// The rules of the kind: its generation counts changes.
        #[derive(Debug)]
        pub struct $rules;

        impl $crate::registry::strategy::Strategy for $rules {
            type Kind = $kind;

            fn prepare_for_create(
                &self,
                object: &mut $kind,
                _preparation: &mut $crate::registry::strategy::Preparation,
            ) {
                object.metadata.generation = Some(1);
            }

            fn prepare_for_update(&self, _part: $crate::registry::strategy::Part, new: &mut $kind, old: &$kind) {
                if new.$field != old.$field {
                    new.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
                }
            }

            $($hook)*
        }
    };
}

/// Rules of a kind whose generation counts the changes of its spec, and whose status is written apart; more hooks may
/// follow.
macro_rules! counted_with_status {
    ($rules:ident, $kind:ty $(, $hook:item)*) => {
        /// The rules of the kind: its generation counts changes, and its status is written apart.
        #[derive(Debug)]
        pub struct $rules;

        impl $crate::registry::strategy::Strategy for $rules {
            type Kind = $kind;

            fn prepare_for_create(
                &self,
                object: &mut $kind,
                _preparation: &mut $crate::registry::strategy::Preparation,
            ) {
                object.metadata.generation = Some(1);
                object.status = Some(Default::default());
            }

            fn prepare_for_update(&self, part: $crate::registry::strategy::Part, new: &mut $kind, old: &$kind) {
                if part != $crate::registry::strategy::Part::Whole {
                    new.spec.clone_from(&old.spec);
                    return;
                }
                new.status.clone_from(&old.status);
                if new.spec != old.spec {
                    new.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
                }
            }

            $($hook)*
        }
    };
}

pub(super) use {counted, counted_with_status};
