//! Frames of Kubernetes' remote command protocol: one byte names the channel, the rest is its data. Pure.

use serde::Deserialize;
use serde_json::{Value, json};

use super::handshake::ProtocolVersion;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// What the client sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// Input for the process.
    Stdin(&'a [u8]),
    /// No more input will come.
    StdinClosed,
    /// The client's window has changed.
    Resize {
        /// Width in characters.
        columns: u16,
        /// Height in lines.
        rows: u16,
    },
    /// Nothing we need to act on.
    Other,
}

/// Which output a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

#[derive(Deserialize)]
struct Size {
    #[serde(rename = "Width")]
    width: u16,
    #[serde(rename = "Height")]
    height: u16,
}

/// Reads a frame. What makes no sense is ignored, as other servers do.
pub fn parse(frame: &[u8]) -> Incoming<'_> {
    match frame.split_first() {
        Some((&STDIN, data)) => Incoming::Stdin(data),
        Some((&CLOSE, [STDIN])) => Incoming::StdinClosed,
        Some((&RESIZE, data)) => match parse_size(data) {
            Some((columns, rows)) => Incoming::Resize { columns, rows },
            None => Incoming::Other,
        },
        _ => Incoming::Other,
    }
}

/// Columns and rows of a terminal, from JSON.
pub fn parse_size(text: &[u8]) -> Option<(u16, u16)> {
    serde_json::from_slice::<Size>(text).ok().map(|size| (size.width, size.height))
}

/// A frame of output.
pub fn output(output: Output, data: &[u8]) -> Vec<u8> {
    let channel = match output {
        Output::Stdout => STDOUT,
        Output::Stderr => STDERR,
    };
    [&[channel], data].concat()
}

/// An empty frame on the first channel the client listens to: it tells the client that the session is up.
pub fn greeting(stdout: bool, stderr: bool) -> Vec<u8> {
    vec![match (stdout, stderr) {
        (true, _) => STDOUT,
        (false, true) => STDERR,
        (false, false) => STATUS,
    }]
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Well.
    Success,
    /// The process exited with a code other than 0.
    ExitCode {
        /// The code.
        code: i32,
        /// The command.
        argv: Vec<String>,
    },
    /// It could not be run or was lost.
    Failed(String),
}

/// The last frame, on the outcome's channel: a Kubernetes `Status`. Before version 4 the words of a failure alone.
pub fn outcome(end: &End, version: ProtocolVersion) -> Option<Vec<u8>> {
    let status = status_object(end);
    let text = match (version, end) {
        (ProtocolVersion::V1, End::Success) => return None,
        (ProtocolVersion::V1, _) => status["message"].as_str().unwrap_or_default().to_owned(),
        (ProtocolVersion::V4 | ProtocolVersion::V5, _) => status.to_string(),
    };
    Some([&[STATUS], text.as_bytes()].concat())
}

/// The outcome as a Kubernetes `Status`.
pub fn status_object(end: &End) -> Value {
    match end {
        End::Success => json!({ "metadata": {}, "status": "Success" }),
        End::ExitCode { code, argv } => json!({
            "metadata": {},
            "status": "Failure",
            "message": format!(
                "command terminated with non-zero exit code: error executing command [{}], exit code {code}",
                argv.join(" ")
            ),
            "reason": "NonZeroExitCode",
            "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
        }),
        End::Failed(words) => json!({
            "metadata": {},
            "status": "Failure",
            "message": format!("Internal error occurred: error executing command in container: {words}"),
            "reason": "InternalError",
            "details": { "causes": [{ "message": format!("error executing command in container: {words}") }] },
            "code": 500,
        }),
    }
}
