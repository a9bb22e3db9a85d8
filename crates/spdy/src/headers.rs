//! Header blocks: names and values, compressed by one dictionary and one history for the whole connection.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::dictionary::dictionary;
use crate::frame::FrameError;

/// The largest header block taken, compressed or not.
pub const MAX_BLOCK: usize = 64 * 1024;

/// Headers of a stream: names in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The value of a header; `name` in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn encode(&self) -> Vec<u8> {
        let mut block = Vec::new();
        let number = |block: &mut Vec<u8>, value: usize| block.extend((value as u32).to_be_bytes());
        number(&mut block, self.0.len());
        for text in self.0.iter().flat_map(|(name, value)| [name, value]) {
            number(&mut block, text.len());
            block.extend(text.as_bytes());
        }
        block
    }

    fn decode(mut block: &[u8]) -> Option<Self> {
        let count = take_number(&mut block)?;
        // Each takes eight bytes at least: a count that lies allocates nothing.
        let headers = (0..count).map(|_| Some((take_text(&mut block)?.to_lowercase(), take_text(&mut block)?)));
        headers.collect::<Option<_>>().map(Self)
    }
}

fn take_number(block: &mut &[u8]) -> Option<usize> {
    let (number, rest) = block.split_first_chunk::<4>()?;
    *block = rest;
    usize::try_from(u32::from_be_bytes(*number)).ok()
}

fn take_text(block: &mut &[u8]) -> Option<String> {
    let length = take_number(block)?;
    let (text, rest) = block.split_at_checked(length)?;
    *block = rest;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// Compresses the blocks of one direction.
pub struct Compressor(Compress);

impl Compressor {
    /// At the start of a connection.
    pub fn new() -> Self {
        let mut compress = Compress::new(Compression::fast(), true);
        compress.set_dictionary(&dictionary()).expect("a new stream takes a dictionary");
        Self(compress)
    }

    /// The next block.
    pub fn compress(&mut self, headers: &Headers) -> Vec<u8> {
        let plain = headers.encode();
        let mut block = Vec::with_capacity(plain.len() + 64);
        let start = self.0.total_in();
        loop {
            let taken = (self.0.total_in() - start) as usize;
            self.0.compress_vec(&plain[taken..], &mut block, FlushCompress::Sync).expect("deflating bytes");
            // Room left over means that everything is out.
            if block.len() < block.capacity() {
                return block;
            }
            block.reserve(256);
        }
    }
}

/// Decompresses the blocks of one direction.
pub struct Decompressor(Decompress);

impl Decompressor {
    /// At the start of a connection.
    pub fn new() -> Self {
        Self(Decompress::new(true))
    }

    /// Reads the next block.
    ///
    /// # Errors
    /// [`FrameError::Headers`] for what is no block or too large: the connection cannot be read any further.
    pub fn decompress(&mut self, block: &[u8]) -> Result<Headers, FrameError> {
        let mut plain = Vec::with_capacity(4 * block.len() + 256);
        let start = self.0.total_in();
        loop {
            let taken = (self.0.total_in() - start) as usize;
            match self.0.decompress_vec(&block[taken..], &mut plain, FlushDecompress::Sync) {
                Ok(Status::StreamEnd) => return Err(FrameError::Headers),
                Ok(_) if plain.len() < plain.capacity() => break,
                Ok(_) if plain.len() > MAX_BLOCK => return Err(FrameError::Headers),
                Ok(_) => plain.reserve(plain.len()),
                // The first block asks for the dictionary.
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(&dictionary()).map_err(|_| FrameError::Headers)?;
                }
                Err(_) => return Err(FrameError::Headers),
            }
        }
        Headers::decode(&plain).ok_or(FrameError::Headers)
    }
}
