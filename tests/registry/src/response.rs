//! Answers in the words of the distribution protocol.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use futures::stream;
use http::{Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

const PIECE_BYTES: usize = 64 * 1024;
const DIGEST_HEADER: &str = "docker-content-digest";

pub type Body = BoxBody<Bytes, io::Error>;

/// An open file and its length.
pub struct OpenBlob {
    file: File,
    length: u64,
}

pub async fn open(path: PathBuf) -> Option<OpenBlob> {
    let file = File::open(path).await.ok()?;
    let length = file.metadata().await.ok()?.len();
    Some(OpenBlob { file, length })
}

pub fn error(status: StatusCode, code: &str, message: &str) -> Result<Response<Body>, http::Error> {
    let body = serde_json::json!({"errors": [{"code": code, "message": message}]}).to_string();
    Response::builder().status(status).header(header::CONTENT_TYPE, "application/json").body(full(body.into_bytes()))
}

pub fn unauthorized() -> Result<Response<Body>, http::Error> {
    let mut response = error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required")?;
    let challenge = header::HeaderValue::from_static("Basic realm=\"test images\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    Ok(response)
}

pub fn document(
    media_type: &str,
    digest: Option<&str>,
    bytes: Vec<u8>,
    head: bool,
) -> Result<Response<Body>, http::Error> {
    let mut response =
        Response::builder().header(header::CONTENT_TYPE, media_type).header(header::CONTENT_LENGTH, bytes.len());
    if let Some(digest) = digest {
        response = response.header(DIGEST_HEADER, digest);
    }
    response.body(full(if head { Vec::new() } else { bytes }))
}

/// A blob from `offset` on; when it `breaks`, the connection ends in the middle.
pub fn blob(
    digest: &str,
    blob: OpenBlob,
    offset: u64,
    breaks: bool,
    head: bool,
) -> Result<Response<Body>, http::Error> {
    let left = blob.length.saturating_sub(offset);
    let response = Response::builder()
        .status(if offset > 0 { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK })
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::CONTENT_LENGTH, left)
        .header(DIGEST_HEADER, digest);
    if head {
        return response.body(full(Vec::new()));
    }
    let end = if breaks { offset + left / 2 } else { blob.length };
    let pieces = stream::try_unfold((blob.file, offset, end), move |(mut file, position, end)| async move {
        if position == end {
            return if breaks { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(None) };
        }
        file.seek(io::SeekFrom::Start(position)).await?;
        let wanted = PIECE_BYTES.min(usize::try_from(end - position).unwrap_or(PIECE_BYTES));
        let mut piece = vec![0; wanted];
        file.read_exact(&mut piece).await?;
        Ok(Some((Frame::data(Bytes::from(piece)), (file, position + wanted as u64, end))))
    });
    response.body(BodyExt::boxed(StreamBody::new(pieces)))
}

fn full(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed()
}
