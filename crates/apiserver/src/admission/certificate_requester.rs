//! A request for a certificate tells who made it; nobody can say so for another.

use api::Object;
use api::k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin};
use crate::error::Error;

/// The plugin. Upstream does this in the resource's strategy; nothing between both looks at it.
pub struct CertificateRequester;

#[async_trait]
impl Plugin for CertificateRequester {
    async fn admit(&self, attributes: &Attributes<'_>, object: &mut dyn Object) -> Result<(), Error> {
        let Some(request) = object.as_any_mut().downcast_mut::<CertificateSigningRequest>() else { return Ok(()) };
        if attributes.operation == Operation::Create {
            let (user, spec) = (attributes.user, &mut request.spec);
            let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
            spec.username = given(&user.name);
            spec.uid = given(&user.uid);
            spec.groups = Some(user.groups.clone()).filter(|groups| !groups.is_empty());
            spec.extra = Some(user.extra.clone()).filter(|extra| !extra.is_empty());
        }
        Ok(())
    }
}
