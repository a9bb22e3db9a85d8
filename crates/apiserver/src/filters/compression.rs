//! Large answers are compressed for clients that say they can read that.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderValue;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, VARY};
use hyper::body::Body as _;

use crate::body::Body;
use crate::request::Response;

/// Smaller bodies are not worth the time.
const MIN_BYTES: u64 = 128 * 1024;

/// Compresses a large response if the client accepts it.
pub fn compress(response: Response, accept_encoding: Option<&HeaderValue>) -> Response {
    let accepted = accept_encoding
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(',').any(|coding| coding.split(';').next().map(str::trim) == Some("gzip")));
    let large = response.body().size_hint().exact().is_some_and(|length| length >= MIN_BYTES);
    if !accepted || !large || response.headers().contains_key(CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Body::Parts(chunks) = body else { return http::Response::from_parts(parts, body) };
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = chunks.iter().try_for_each(|chunk| encoder.write_all(chunk)).and_then(|()| encoder.finish());
    let Ok(compressed) = written else { return http::Response::from_parts(parts, Body::Parts(chunks)) };
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    http::Response::from_parts(parts, Body::from(Bytes::from(compressed)))
}
