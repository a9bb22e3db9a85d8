//! Fuzz targets over the whole server (`testkit::fuzz` says how to run them for longer): whatever comes in, nothing
//! panics, and every refusal is a well-formed `Status`. Requests that would write are dry runs, so that an input alone
//! tells what happens.

mod bodies;
mod judge;
mod requests;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::runtime::Runtime;
use tower::ServiceExt;

use super::Cluster;
use crate::body::Body;

/// A server that waits for requests, with a few objects.
struct Target {
    runtime: Runtime,
    cluster: Cluster,
}

impl Target {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let cluster = runtime.block_on(async {
            let cluster = Cluster::start().await;
            for (path, object) in bodies::objects() {
                cluster.post(path, object).await.expect(201);
            }
            cluster
        });
        Self { runtime, cluster }
    }

    /// Sends a request, checks the answer and says it in short; nothing when it is no request at all.
    fn answer(&self, request: http::request::Builder, body: &[u8]) -> Option<String> {
        let request: Request<Full<Bytes>> = request.body(Bytes::copy_from_slice(body).into()).ok()?;
        self.runtime.block_on(async {
            let Ok(response) = self.cluster.admin.clone().oneshot(request).await;
            let (parts, body) = response.into_parts();
            // Endless answers are left alone.
            let text = match body {
                Body::Parts(_) => body.collect().await.expect("a body").to_bytes(),
                Body::Stream(_) => return Some("a stream".to_owned()),
            };
            Some(judge::judge(parts.status, &parts.headers, &text))
        })
    }
}

/// Text as a part of a URL.
fn encoded(text: &[u8]) -> String {
    let byte = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.iter().map(byte).collect()
}
