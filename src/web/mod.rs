//! What the server has to give to browsers: files that are a part of the program.
//!
//! Each has its path, its media type and a tag of its content, all of them constants. Nothing here knows HTTP, beyond the
//! form of an entity tag, or the API that the files use. Without the feature `web` there are no files.

#[cfg(test)]
mod tests;

/// A file and how it is served.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    path: &'static str,
    content_type: &'static str,
    content: &'static [u8],
    tag: [u8; TAG_LEN],
}

/// Bytes of a tag: 64 bits in hexadecimal digits, and the quotes.
const TAG_LEN: usize = 18;

#[cfg(feature = "web")]
static FILES: [File; 3] = [
    File::new(
        "/loiter.js",
        "text/javascript; charset=utf-8",
        include_bytes!("loiter.js"),
    ),
    // There is no registered type for TypeScript; a browser shows this one, and tools go by the name.
    File::new(
        "/loiter.d.ts",
        "text/plain; charset=utf-8",
        include_bytes!("loiter.d.ts"),
    ),
    // Made of the table of calls by a test, and compared with it.
    File::new(
        "/openapi.json",
        "application/json; charset=utf-8",
        include_bytes!("openapi.json"),
    ),
];
#[cfg(not(feature = "web"))]
static FILES: [File; 0] = [];

/// The file at a path, which has no trailing slash.
pub fn file(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

impl File {
    #[cfg(any(feature = "web", test))]
    const fn new(path: &'static str, content_type: &'static str, content: &'static [u8]) -> Self {
        Self {
            path,
            content_type,
            content,
            tag: tag(content),
        }
    }

    /// The value of `Content-Type`.
    pub fn content_type(&self) -> &'static str {
        self.content_type
    }

    /// The bytes.
    pub fn content(&self) -> &'static [u8] {
        self.content
    }

    /// The value of `ETag`: a strong one (RFC 9110 §8.8.3), since it is made of the bytes.
    pub fn tag(&self) -> &str {
        str::from_utf8(&self.tag).expect("digits and quotes")
    }
}

/// A tag of some content: FNV-1a. Nobody but this program writes the files, so that it need not withstand who wants two that are alike.
#[cfg(any(feature = "web", test))]
const fn tag(content: &[u8]) -> [u8; TAG_LEN] {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < content.len() {
        hash = (hash ^ content[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    let mut tag = [b'"'; TAG_LEN];
    let mut at = 1;
    while at < TAG_LEN - 1 {
        tag[at] = b"0123456789abcdef"[(hash >> 60) as usize];
        hash <<= 4;
        at += 1;
    }
    tag
}
