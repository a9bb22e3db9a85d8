//! The `certificates.k8s.io` group. CertificateSigningRequests: approved by one, signed by another.

use api::Gvk;
use api::certificates::v1::certificate_signing_request::{APPROVED, DENIED};
use api::k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestStatus,
};

use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{Action, Backing, PART_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo};
use crate::watch_cache::SelectableField;

pub mod cluster_trust_bundle;

const GVK: Gvk = Gvk { group: "certificates.k8s.io", version: "v1", kind: "CertificateSigningRequest" };

/// The row.
pub static CERTIFICATE_SIGNING_REQUESTS: Resource = Resource {
    info: ResourceInfo {
        short_names: &["csr"],
        subresources: &[
            SubresourceInfo { name: "approval", gvk: GVK, verbs: PART_VERBS },
            SubresourceInfo { name: "status", gvk: GVK, verbs: PART_VERBS },
        ],
        ..ResourceInfo::plain(GVK, "certificatesigningrequests", "certificatesigningrequest")
    },
    backing: Backing::Stored(Stored {
        path: "certificatesigningrequests",
        strategy: &Rules,
        selectable: &[SelectableField::text("spec.signerName")],
    }),
    actions: &[("approval", Action::Part(Part::Approval)), ("status", Action::Part(Part::Status))],
};

/// The rules of CertificateSigningRequests.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = CertificateSigningRequest;

    fn prepare_for_create(&self, request: &mut CertificateSigningRequest, _preparation: &mut Preparation) {
        request.status = Some(CertificateSigningRequestStatus::default());
    }

    fn prepare_for_update(&self, part: Part, new: &mut CertificateSigningRequest, old: &CertificateSigningRequest) {
        new.spec.clone_from(&old.spec);
        match part {
            Part::Approval => {
                let conditions = new.status.take().and_then(|status| status.conditions);
                let kept = old.status.clone().unwrap_or_default();
                new.status = Some(CertificateSigningRequestStatus { conditions, ..kept });
                complete_times(new);
            }
            Part::Status => {
                // A signer has no say in whether it should sign.
                let verdict = |condition: &CertificateSigningRequestCondition| {
                    matches!(condition.type_.as_str(), APPROVED | DENIED)
                };
                let conditions = new.status.get_or_insert_default().conditions.get_or_insert_default();
                conditions.retain(|condition| !verdict(condition));
                let before = old.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
                conditions.splice(0..0, before.filter(|condition| verdict(condition)).cloned());
                complete_times(new);
            }
            _ => new.status.clone_from(&old.status),
        }
    }
}

/// A condition changed when it was last written, unless it says otherwise.
fn complete_times(request: &mut CertificateSigningRequest) {
    let conditions = request.status.iter_mut().filter_map(|status| status.conditions.as_mut()).flatten();
    for condition in conditions {
        if condition.last_transition_time.is_none() {
            condition.last_transition_time.clone_from(&condition.last_update_time);
        }
    }
}
