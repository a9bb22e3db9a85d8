//! What any answer has to be.

use api::decode::Node;
use api::protobuf::{Message, tree};
use api::schema::Type;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

/// Checks an answer; returns it in short.
///
/// # Panics
/// When it is not well-formed.
pub fn judge(code: StatusCode, headers: &HeaderMap, text: &[u8]) -> String {
    let media = headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    if code.is_success() || code.is_redirection() {
        let is_plain = !headers.contains_key(CONTENT_ENCODING);
        if is_plain && media == "application/json" && !text.is_empty() {
            serde_json::from_slice::<serde::de::IgnoredAny>(text).expect("JSON is JSON");
        }
        return code.to_string();
    }
    let Some(status) = status(media, text) else {
        // What is no API answers in plain words; YAML is read by nobody here.
        return format!("{code} {media}");
    };
    let message = status["message"].as_str().unwrap_or_default();
    assert!(!message.contains("was not able to answer this request"), "a handler panicked");
    assert_eq!((&status["kind"], &status["status"]), (&"Status".into(), &"Failure".into()), "{status}");
    assert_eq!(status["code"], code.as_u16(), "{status}");
    assert!(!message.is_empty(), "{status}");
    format!("{code} {} {message}", status["reason"])
}

fn status(media: &str, text: &[u8]) -> Option<Value> {
    match media {
        "application/json" => Some(serde_json::from_slice(text).expect("JSON is JSON")),
        "application/vnd.kubernetes.protobuf" => {
            let message = Message::open(text).expect("protobuf is protobuf");
            let structure = Type::of_definition("io.k8s.apimachinery.pkg.apis.meta.v1.Status").expect("known");
            let mut status = tree(message.raw, structure).map(Node::into_value).expect("a Status");
            status["kind"] = (*message.kind).into();
            Some(status)
        }
        _ => None,
    }
}
