//! Layers come as plain tar, gzip or zstd. The first bytes tell which; media types are often wrong.

use std::io::{self, BufReader, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const BUFFER_BYTES: usize = 128 * 1024;

type Whole<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

/// A reader of the uncompressed content.
pub enum Decompressed<R: Read> {
    /// It was not compressed.
    Plain(Whole<R>),
    /// One or more gzip members.
    Gzip(Box<MultiGzDecoder<Whole<R>>>),
    /// One or more zstd frames.
    Zstd(zstd::Decoder<'static, Whole<R>>),
}

/// Looks at the first bytes and decompresses accordingly.
///
/// # Errors
/// Those of the reader.
pub fn decompress<R: Read>(mut reader: R) -> io::Result<Decompressed<R>> {
    let mut start = Vec::with_capacity(ZSTD_MAGIC.len());
    reader.by_ref().take(ZSTD_MAGIC.len() as u64).read_to_end(&mut start)?;
    let (gzip, zstandard) = (start.starts_with(GZIP_MAGIC), start == ZSTD_MAGIC);
    let whole = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(start).chain(reader));
    Ok(match (gzip, zstandard) {
        (true, _) => Decompressed::Gzip(Box::new(MultiGzDecoder::new(whole))),
        (_, true) => Decompressed::Zstd(zstd::Decoder::with_buffer(whole)?),
        _ => Decompressed::Plain(whole),
    })
}

impl<R: Read> Read for Decompressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Gzip(reader) => reader.read(buffer),
            Self::Zstd(reader) => reader.read(buffer),
        }
    }
}
