//! `serviceaccounts/token`: a signed token, bound to an object where the client asks for that.

use std::sync::Mutex;

use api::field::{self, ErrorList, Path};
use api::k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestStatus};
use api::k8s_openapi::api::core::v1::{Node, Pod, Secret, ServiceAccount};
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use api::{Gvk, Kind};
use http::StatusCode;
use jiff::Timestamp;

use super::options::WriteOptions;
use super::{Target, decode};
use crate::body;
use crate::error::{Conflict, Error, GroupResource};
use crate::negotiate::{self, MEDIA_TYPES};
use crate::request::{Request, Response};
use crate::tokens::{PrivateClaims, Reference};

const GVK: Gvk = Gvk { group: "authentication.k8s.io", version: "v1", kind: "TokenRequest" };
const MIN_SECONDS: i64 = 600;
const MAX_SECONDS: i64 = 1 << 32;
const DEFAULT_SECONDS: i64 = 3600;

/// Signs a token.
///
/// # Errors
/// [`Error::NotFound`] for the account or the object to bind to, [`Error::Invalid`] for what no token can be.
pub async fn create(target: Target<'_>, mut request: Request) -> Result<Response, Error> {
    let accepted = negotiate::negotiate(&request.headers, &request.query, MEDIA_TYPES, false)?;
    let options = WriteOptions::parse(&request.query, "CreateOptions")?;
    let format = decode::format(&request.headers)?;
    let body = body::read_all(std::mem::take(&mut request.body)).await?;
    let mut asked: TokenRequest = decode::plain(&body, format, GVK)?;
    let (namespace, name) = (target.path.namespace.as_str(), target.path.name.as_str());
    let account = find::<ServiceAccount>(&target, "serviceaccounts", namespace, name).await?;
    let spec = asked.spec.get_or_insert_default();
    let seconds = *spec.expiration_seconds.get_or_insert(DEFAULT_SECONDS);
    check_seconds(seconds)?;
    let audiences = spec.audiences.take().filter(|audiences| !audiences.is_empty());
    let audiences = audiences.unwrap_or_else(|| target.server.tokens.audiences().to_vec());
    spec.audiences = Some(audiences.clone());
    let claims = PrivateClaims::of_account(namespace, reference(&account));
    let claims = bind(&target, claims, spec.bound_object_ref.as_ref()).await?;
    let lifetime = target.server.tokens.lifetime(seconds, claims.pod.is_some(), &audiences);
    spec.expiration_seconds = Some(lifetime.told);
    let issued = target.server.tokens.issue(claims, audiences, lifetime);
    let issued = issued.map_err(|error| Error::Internal(error.to_string()))?;
    let expires = Timestamp::from_second(issued.expires_at_seconds).unwrap_or(Timestamp::MAX);
    let token = if options.dry_run { String::new() } else { issued.token };
    asked.status = Some(TokenRequestStatus { expiration_timestamp: Some(Time(expires)), token: Some(token) });
    asked.metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        uid: Some(target.server.random.uuid()),
        creation_timestamp: Some(Time(target.server.clock.now())),
        ..ObjectMeta::default()
    };
    let json = serde_json::to_vec(&asked).expect("a TokenRequest always encodes");
    let mut response = negotiate::object(StatusCode::CREATED, accepted, json);
    if lifetime.told < seconds {
        let text = format!("requested expiration of {seconds} seconds shortened to {} seconds", lifetime.told);
        super::add_warnings(&mut response, &Mutex::new(vec![text]));
    }
    Ok(response)
}

fn check_seconds(seconds: i64) -> Result<(), Error> {
    let text = match seconds {
        ..MIN_SECONDS => "may not specify a duration less than 10 minutes",
        seconds if seconds > MAX_SECONDS => "may not specify a duration larger than 2^32 seconds",
        _ => return Ok(()),
    };
    let spec = Path::new("spec");
    let problems: ErrorList = vec![field::invalid(&spec.child("expirationSeconds"), seconds, text)];
    Err(Error::Invalid { group: GVK.group, kind: GVK.kind.to_owned(), name: String::new(), problems })
}

/// Adds the object a token is bound to.
async fn bind(
    target: &Target<'_>,
    mut claims: PrivateClaims,
    wanted: Option<&BoundObjectReference>,
) -> Result<PrivateClaims, Error> {
    let Some(wanted) = wanted else { return Ok(claims) };
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (version, kind, name) = (text(&wanted.api_version), text(&wanted.kind), text(&wanted.name));
    let namespace = target.path.namespace.as_str();
    let bound = match (version.as_str(), kind.as_str()) {
        ("v1", "Pod") => {
            let pod = find::<Pod>(target, "pods", namespace, &name).await?;
            let owner = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or_default();
            if owner != target.path.name {
                return Err(Error::BadRequest(format!(
                    "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                    target.path.name
                )));
            }
            if let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) {
                let found = target.server.typed::<Node>("nodes", "", node).await?;
                let unknown = || Reference { name: node.to_owned(), uid: String::new() };
                claims.node = Some(found.as_ref().map_or_else(unknown, reference));
            }
            claims.pod.insert(reference(&pod)).uid.clone()
        }
        ("v1", "Secret") => {
            let secret = find::<Secret>(target, "secrets", namespace, &name).await?;
            claims.secret.insert(reference(&secret)).uid.clone()
        }
        ("v1", "Node") => {
            let node = find::<Node>(target, "nodes", "", &name).await?;
            claims.node.insert(reference(&node)).uid.clone()
        }
        _ => {
            let (group, version) = version.split_once('/').unwrap_or(("", &version));
            let text = format!("cannot bind token to object of type {group}/{version}, Kind={kind}");
            return Err(Error::BadRequest(text));
        }
    };
    match text(&wanted.uid) {
        uid if uid.is_empty() || uid == bound => Ok(claims),
        uid => Err(Error::Conflict {
            group: "",
            kind,
            name,
            conflict: Conflict::Other(format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have \
                 been deleted and then recreated"
            )),
        }),
    }
}

async fn find<K: Kind>(target: &Target<'_>, plural: &'static str, namespace: &str, name: &str) -> Result<K, Error> {
    let found = target.server.typed::<K>(plural, namespace, name).await?;
    found.ok_or_else(|| Error::not_found(GroupResource { group: "", resource: plural }, name))
}

fn reference<K: Kind>(object: &K) -> Reference {
    let meta = object.metadata();
    Reference { name: meta.name.clone().unwrap_or_default(), uid: meta.uid.clone().unwrap_or_default() }
}
