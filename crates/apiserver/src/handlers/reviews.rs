//! Resources that only answer: who am I, is this token good, may I do that.

use std::sync::Arc;

use api::Gvk;
use api::decode::Format;
use api::field::{self, ErrorList, Path};
use api::k8s_openapi::api::authentication::v1 as authn;
use api::k8s_openapi::api::authorization::v1 as authz;
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::options::WriteOptions;
use super::{binding, decode};
use crate::api_server::Server;
use crate::authentication::authenticate_token;
use crate::authorization::{Attributes, Decision, HeldRules, Target};
use crate::body;
use crate::error::Error;
use crate::filters::request_info::ResourcePath;
use crate::identity::UserInfo;
use crate::negotiate::{self, MEDIA_TYPES};
use crate::registry::{Resource, Virtual};
use crate::request::{Request, Response};
use crate::tokens::TokenError;

mod selectors;

/// Answers a review.
///
/// # Errors
/// Reviews that make no sense.
pub async fn answer(
    server: &Arc<Server>,
    resource: &'static Resource,
    backing: Virtual,
    path: &ResourcePath,
    mut request: Request,
) -> Result<Response, Error> {
    let misplaced = resource.info.namespaced && path.namespace.is_empty();
    if request.info.verb != "create" || path.named_in_path || misplaced {
        return Err(Error::MethodNotAllowed);
    }
    if backing == Virtual::Binding {
        return binding::bind_named(server, path, request).await;
    }
    let accepted = negotiate::negotiate(&request.headers, &request.query, MEDIA_TYPES, false)?;
    WriteOptions::parse(&request.query, "CreateOptions")?;
    let format = decode::format(&request.headers)?;
    let body = body::read_all(std::mem::take(&mut request.body)).await?;
    let review = Review { server, user: &request.user, body: &body, format, gvk: *resource.gvk() };
    let json = match backing {
        Virtual::Binding => return Err(Error::UnknownPath),
        Virtual::SelfSubjectReview => review.self_subject()?,
        Virtual::TokenReview => review.token().await?,
        Virtual::SubjectAccessReview => review.subject_access()?,
        Virtual::LocalSubjectAccessReview => review.local_subject_access(&path.namespace)?,
        Virtual::SelfSubjectAccessReview => review.self_subject_access()?,
        Virtual::SelfSubjectRulesReview => review.self_subject_rules()?,
    };
    Ok(negotiate::object(StatusCode::CREATED, accepted, json))
}

/// A review with what is needed to answer it.
struct Review<'a> {
    server: &'a Arc<Server>,
    user: &'a UserInfo,
    body: &'a [u8],
    format: Format,
    gvk: Gvk,
}

fn json(review: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(review).expect("reviews always encode")
}

impl Review<'_> {
    fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        decode::plain(self.body, self.format, self.gvk)
    }

    fn self_subject(&self) -> Result<Vec<u8>, Error> {
        let mut review: authn::SelfSubjectReview = self.read()?;
        review.metadata =
            ObjectMeta { creation_timestamp: Some(Time(self.server.clock.now())), ..ObjectMeta::default() };
        review.status = Some(authn::SelfSubjectReviewStatus { user_info: Some(user_info(self.user)) });
        Ok(json(&review))
    }

    async fn token(&self) -> Result<Vec<u8>, Error> {
        let mut review: authn::TokenReview = self.read()?;
        let token = review.spec.token.clone();
        if token.is_empty() {
            return Err(Error::bad_request("token is required for TokenReview in authentication"));
        }
        let audiences = review.spec.audiences.clone().filter(|audiences| !audiences.is_empty());
        let audiences = audiences.unwrap_or_else(|| self.server.tokens.audiences().to_vec());
        review.status = Some(match authenticate_token(self.server, &token, &audiences).await.outcome {
            Ok((user, audiences)) => authn::TokenReviewStatus {
                audiences: Some(audiences),
                authenticated: Some(true),
                error: None,
                user: Some(user_info(&user)),
            },
            Err(error) => authn::TokenReviewStatus {
                error: Some(match &error {
                    TokenError::Audience { .. } | TokenError::Rejected(_) => {
                        format!("[{}, {error}]", TokenError::Invalid)
                    }
                    _ => TokenError::Invalid.to_string(),
                }),
                user: Some(authn::UserInfo::default()),
                ..authn::TokenReviewStatus::default()
            },
        });
        Ok(json(&review))
    }

    fn subject_access(&self) -> Result<Vec<u8>, Error> {
        let mut review: authz::SubjectAccessReview = self.read()?;
        let status = self.review_subject(&review.spec, None)?;
        review.status = Some(status);
        Ok(json(&review))
    }

    fn local_subject_access(&self, namespace: &str) -> Result<Vec<u8>, Error> {
        let mut review: authz::LocalSubjectAccessReview = self.read()?;
        review.metadata.namespace.get_or_insert_with(|| namespace.to_owned());
        let status = self.review_subject(&review.spec, Some(namespace))?;
        review.status = Some(status);
        Ok(json(&review))
    }

    fn review_subject(
        &self,
        spec: &authz::SubjectAccessReviewSpec,
        namespace: Option<&str>,
    ) -> Result<authz::SubjectAccessReviewStatus, Error> {
        let user = UserInfo {
            name: spec.user.clone().unwrap_or_default(),
            uid: spec.uid.clone().unwrap_or_default(),
            groups: spec.groups.clone().unwrap_or_default(),
            extra: spec.extra.clone().unwrap_or_default(),
        };
        let path = Path::new("spec");
        let resource = spec.resource_attributes.as_ref();
        let mut problems = attribute_problems(resource, spec.non_resource_attributes.as_ref());
        if user.name.is_empty() && user.groups.is_empty() {
            let text = "at least one of user or group must be specified";
            problems.push(field::invalid(&path.child("user"), "", text));
        }
        let own = resource.and_then(|resource| resource.namespace.as_deref()).unwrap_or_default();
        if namespace.is_some_and(|namespace| namespace != own) {
            let path = path.child("resourceAttributes");
            problems.push(field::invalid(&path.child("namespace"), own, "must match metadata.namespace"));
        }
        self.decide(&user, resource, spec.non_resource_attributes.as_ref(), problems)
    }

    fn self_subject_access(&self) -> Result<Vec<u8>, Error> {
        let mut review: authz::SelfSubjectAccessReview = self.read()?;
        let (resource, path) = (review.spec.resource_attributes.as_ref(), review.spec.non_resource_attributes.as_ref());
        let status = self.decide(self.user, resource, path, attribute_problems(resource, path))?;
        review.status = Some(status);
        Ok(json(&review))
    }

    fn decide(
        &self,
        user: &UserInfo,
        resource: Option<&authz::ResourceAttributes>,
        path: Option<&authz::NonResourceAttributes>,
        problems: ErrorList,
    ) -> Result<authz::SubjectAccessReviewStatus, Error> {
        let problems: ErrorList =
            problems.into_iter().chain(resource.map(selectors::problems).unwrap_or_default()).collect();
        if !problems.is_empty() {
            let (group, kind) = (self.gvk.group, String::new());
            return Err(Error::Invalid { group, kind, name: String::new(), problems });
        }
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let (fields, evaluation_error) = resource.map(selectors::read).unwrap_or_default();
        let resource_path = resource.map(|resource| ResourcePath {
            fields,
            group: text(&resource.group),
            version: text(&resource.version),
            namespace: text(&resource.namespace),
            resource: text(&resource.resource),
            subresource: text(&resource.subresource),
            name: text(&resource.name),
            ..ResourcePath::default()
        });
        let (verb, url) = match (resource, path) {
            (Some(resource), _) => (text(&resource.verb), String::new()),
            (None, Some(path)) => (text(&path.verb), text(&path.path)),
            (None, None) => (String::new(), String::new()),
        };
        let target = resource_path.as_ref().map_or(Target::Path(&url), Target::Resource);
        let decision = self.server.authorizer.authorize(&Attributes { user, verb: &verb, target });
        let (allowed, reason) = match decision {
            Decision::Allow(reason) => (true, reason),
            Decision::NoOpinion(reason) => (false, reason),
        };
        let reason = Some(reason).filter(|reason| !reason.is_empty());
        Ok(authz::SubjectAccessReviewStatus { allowed, reason, denied: None, evaluation_error })
    }

    fn self_subject_rules(&self) -> Result<Vec<u8>, Error> {
        let mut review: authz::SelfSubjectRulesReview = self.read()?;
        let namespace = review.spec.namespace.take().unwrap_or_default();
        if namespace.is_empty() {
            return Err(Error::bad_request("no namespace on request"));
        }
        let held = self.server.authorizer.rules(self.user, &namespace);
        review.status = Some(rules_status(held));
        Ok(json(&review))
    }
}

fn rules_status(held: HeldRules) -> authz::SubjectRulesReviewStatus {
    let mut status =
        authz::SubjectRulesReviewStatus { evaluation_error: held.error, ..authz::SubjectRulesReviewStatus::default() };
    for rule in held.rules {
        if rule.resources.as_ref().is_some_and(|resources| !resources.is_empty()) {
            status.resource_rules.push(authz::ResourceRule {
                api_groups: rule.api_groups,
                resource_names: rule.resource_names,
                resources: rule.resources,
                verbs: rule.verbs,
            });
        } else if rule.non_resource_urls.is_some() {
            let non_resource_urls = rule.non_resource_urls;
            status.non_resource_rules.push(authz::NonResourceRule { non_resource_urls, verbs: rule.verbs });
        }
    }
    status
}

/// A review is about a resource or about a path, never both.
fn attribute_problems(
    resource: Option<&authz::ResourceAttributes>,
    path: Option<&authz::NonResourceAttributes>,
) -> ErrorList {
    let spec = Path::new("spec");
    match (resource, path) {
        (None, None) => {
            let text = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            vec![field::invalid(&spec.child("resourceAttributes"), field::Json(&()), text)]
        }
        (Some(_), Some(path)) => {
            // Upstream shows its own struct here, with Go's field names.
            let text = |field: &Option<String>| field.clone().unwrap_or_default();
            let shown = GoNonResourceAttributes { path: text(&path.path), verb: text(&path.verb) };
            let text = "cannot be specified in combination with resourceAttributes";
            vec![field::invalid(&spec.child("nonResourceAttributes"), field::Json(&shown), text)]
        }
        _ => ErrorList::new(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GoNonResourceAttributes {
    path: String,
    verb: String,
}

fn user_info(user: &UserInfo) -> authn::UserInfo {
    let set = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    authn::UserInfo {
        username: set(&user.name),
        uid: set(&user.uid),
        groups: Some(user.groups.clone()).filter(|groups| !groups.is_empty()),
        extra: Some(user.extra.clone()).filter(|extra| !extra.is_empty()),
    }
}
