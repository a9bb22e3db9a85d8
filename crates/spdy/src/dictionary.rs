//! The words both sides start compressing with: version 3 of the protocol fixes every byte.

/// Words that come with their length, separated by commas.
const WORDS: &[&str] = &[
    "options,head,post,put,delete,trace,accept,accept-charset,accept-encoding,accept-language,accept-ranges,",
    "age,allow,authorization,cache-control,connection,content-base,content-encoding,content-language,",
    "content-length,content-location,content-md5,content-range,content-type,date,etag,expect,expires,from,",
    "host,if-match,if-modified-since,if-none-match,if-range,if-unmodified-since,last-modified,location,",
    "max-forwards,pragma,proxy-authenticate,proxy-authorization,range,referer,retry-after,server,te,trailer,",
    "transfer-encoding,upgrade,user-agent,vary,via,warning,www-authenticate,method,get,status,200 OK,version,",
    "HTTP/1.1,url,public,set-cookie,keep-alive,origin",
];

/// What follows without lengths: status codes, dates, media types.
const TAIL: &[&str] = &[
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 ",
    "Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 ",
    "Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar ",
    "Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,",
    "image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,",
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.",
];

/// The dictionary, 1423 bytes.
pub fn dictionary() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1423);
    for word in WORDS.concat().split(',') {
        bytes.extend((word.len() as u32).to_be_bytes());
        bytes.extend(word.as_bytes());
    }
    TAIL.iter().for_each(|text| bytes.extend(text.as_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    /// The number every version 3 header block starts with.
    #[test]
    fn it_is_the_one_of_the_protocol() {
        let bytes = super::dictionary();
        let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), byte| {
            let a = (a + u32::from(*byte)) % 65_521;
            (a, (a + b) % 65_521)
        });
        assert_eq!((bytes.len(), (b << 16) | a), (1423, 0xe3c6_a7c2));
    }
}
