//! Columns of Leases.

use api::k8s_openapi::api::coordination::v1::Lease;

use super::{AGE, Columns, NAME, Row, age, column, descriptions, name, typed};

pub(super) static LEASE: Columns = Columns {
    definitions: &[NAME, column("Holder", descriptions::LEASE_SPEC_HOLDER_IDENTITY), AGE],
    row: |object, now| {
        let spec = typed::<Lease>(object).spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        Row::from(vec![name(object), holder.into(), age(object, now)])
    },
};
