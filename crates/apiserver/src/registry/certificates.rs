//! The `certificates.k8s.io` group. CertificateSigningRequests: approved by one, signed by another.

use api::Gvk;
use api::Kind;
use api::certificates::v1::certificate_signing_request::{APPROVED, DENIED, conditions_of, validate_approval_update};
use api::field::ErrorList;
use api::k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestStatus};

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
            }
            Part::Status => [APPROVED, DENIED].iter().for_each(|kind| keep_conditions(new, old, kind)),
            _ => new.status.clone_from(&old.status),
        }
    }

    fn validate_update(
        &self,
        part: Part,
        new: &CertificateSigningRequest,
        old: &CertificateSigningRequest,
    ) -> ErrorList {
        match part {
            Part::Approval => validate_approval_update(new, old),
            Part::Status => new.validate_status_update(old),
            _ => Kind::validate_update(new, old),
        }
    }
}

/// A signer has no say in whether it should sign. What it adds or takes away is left for validation to refuse.
fn keep_conditions(new: &mut CertificateSigningRequest, old: &CertificateSigningRequest, kind: &str) {
    let before: Vec<_> = conditions_of(old, kind).cloned().collect();
    let conditions = new.status.iter_mut().filter_map(|status| status.conditions.as_mut()).flatten();
    let now: Vec<_> = conditions.filter(|condition| condition.type_ == kind).collect();
    if now.len() == before.len() {
        now.into_iter().zip(before).for_each(|(now, before)| *now = before);
    }
}
