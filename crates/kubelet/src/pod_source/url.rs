//! Static Pods from a URL that is asked now and then.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request};
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::StaticPods;
use super::manifest::{self, ManifestError, Origin, Source};
use crate::context::NodeContext;
use crate::sync_loop::Event;
use crate::sync_pod::describe;

const PERIOD: Duration = Duration::from_secs(20);
const TIMEOUT: Duration = Duration::from_secs(10);
/// Failures in a row that are told; the rest is silence until it works again.
const FAILURES_TOLD: usize = 3;

/// Where manifests are served.
#[derive(Debug, Clone)]
pub struct ManifestUrl {
    /// `http://` or `https://`.
    pub url: http::Uri,
    /// Headers of every request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Why a URL or its headers can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestUrlError {
    /// Not a URL of a web server.
    #[error("{0:?} is no URL that begins with http:// or https:// and names a host")]
    Url(String),
    /// Not a header.
    #[error("header {0:?} is not NAME:VALUE")]
    Header(String),
}

impl ManifestUrl {
    /// From the flags' texts.
    ///
    /// # Errors
    /// [`ManifestUrlError`] names what is malformed.
    pub fn parse(url: &str, headers: &[String]) -> Result<Self, ManifestUrlError> {
        let parsed: Option<http::Uri> = url.parse().ok();
        let is_web = |url: &http::Uri| matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some();
        let url = parsed.filter(is_web).ok_or_else(|| ManifestUrlError::Url(url.to_owned()))?;
        let header = |text: &String| {
            let (name, value) = text.split_once(':')?;
            Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
        };
        let headers = headers.iter().map(|text| header(text).ok_or_else(|| ManifestUrlError::Header(text.clone())));
        Ok(Self { url, headers: headers.collect::<Result<_, _>>()? })
    }
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("request: {}", describe(.0))]
    Request(kube::Error),
    #[error("no answer within {TIMEOUT:?}")]
    Timeout,
    #[error("{0}")]
    Manifest(#[from] ManifestError),
}

/// Sends the set of Pods whenever it changes, until the receiver is gone.
pub async fn run(context: Arc<NodeContext>, place: ManifestUrl, node_name: String, events: mpsc::Sender<Event>) {
    let url = place.url.to_string();
    // The client puts its URL's own path before that of requests: it gets none.
    let mut base = place.url.clone().into_parts();
    base.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    let base = http::Uri::from_parts(base).expect("a URL with another path is one");
    let mut config = kube::Config::new(base);
    config.headers = place.headers;
    let client = match kube::Client::try_from(config) {
        Ok(client) => client,
        Err(error) => return warn!(url, %error, "--manifest-url is not used"),
    };
    let origin = Origin { node: &node_name, source: Source::Url, place: &url };
    let (mut before, mut failures) = (None, 0);
    loop {
        match fetch(&client, &place.url, before.as_deref(), origin).await {
            Ok(None) => {}
            Ok(Some((text, mut pods))) => {
                if pods.is_empty() {
                    warn!(url, "the URL serves no Pods");
                }
                pods.iter_mut().for_each(|pod| super::note_seen(pod, context.clock.now()));
                let pods = pods.into_iter().map(Arc::new).collect();
                let update = StaticPods { source: Source::Url, pods };
                if events.send(Event::StaticPods(update)).await.is_err() {
                    return;
                }
                if failures > 0 {
                    info!(url, "read Pods from the URL again");
                }
                (before, failures) = (Some(text), 0);
            }
            Err(error) => {
                failures += 1;
                if failures <= FAILURES_TOLD {
                    warn!(url, %error, "could not read Pods from the URL");
                }
            }
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// What is served now, unless it is what was served before.
async fn fetch(
    client: &kube::Client,
    url: &http::Uri,
    before: Option<&str>,
    origin: Origin<'_>,
) -> Result<Option<(String, Vec<Pod>)>, FetchError> {
    let request = Request::get(url.path_and_query().map_or("/", |target| target.as_str())).body(Vec::new());
    let request = request.map_err(|error| FetchError::Request(kube::Error::HttpError(error)))?;
    let answer = tokio::time::timeout(TIMEOUT, client.request_text(request)).await;
    let text = answer.map_err(|_| FetchError::Timeout)?.map_err(FetchError::Request)?;
    if before == Some(&text) {
        return Ok(None);
    }
    let pods = if text.is_empty() { Vec::new() } else { manifest::read_list(text.as_bytes(), origin)? };
    Ok(Some((text, pods)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_headers_are_checked() {
        let parse = |url: &str, header: &str| ManifestUrl::parse(url, &[header.to_owned()]);
        let parsed = parse("https://h:1/pods?x", "A: b:c").unwrap();
        assert_eq!((parsed.url.path(), parsed.headers[0].1.to_str().unwrap()), ("/pods", "b:c"));
        for bad in ["ftp://h/", "/pods", "http:///x", ""] {
            assert_eq!(parse(bad, "a:b").unwrap_err(), ManifestUrlError::Url(bad.to_owned()));
        }
        assert_eq!(parse("http://h", "a").unwrap_err(), ManifestUrlError::Header("a".to_owned()));
    }
}
