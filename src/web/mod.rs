//! What the server has to give to browsers: files that are a part of the program.
//!
//! Each has its path and its media type, and stands here twice: as it was written, and compressed by the build script (`src/build/packed.rs`), for
//! whoever can read that. Each of the two has a tag of its own bytes; all of it is constant. Nothing here knows HTTP, beyond the forms of an entity tag and of a
//! policy, or the API that the files use. Without the feature `web` there are no files.

#[cfg(test)]
mod tests;

/// What a browser may do for any of the files (Content Security Policy Level 3): load from this server what the page is made of, and speak
/// to it. No script or style within the page, nothing of anybody else's, no frame, no form that is sent by itself, and no text
/// that becomes markup (Trusted Types).
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// A file and how it is served.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    path: &'static str,
    plain: Representation,
    packed: Representation,
}

/// A file's bytes in one of their forms (RFC 9110 §3.2).
#[derive(Debug, PartialEq, Eq)]
pub struct Representation {
    content_type: &'static str,
    coding: Option<&'static str>,
    content: &'static [u8],
    tag: [u8; TAG_LEN],
}

/// Bytes of a tag: 64 bits in hexadecimal digits, and the quotes.
const TAG_LEN: usize = 18;

#[cfg(feature = "web")]
const HTML: &str = "text/html; charset=utf-8";
#[cfg(feature = "web")]
const CSS: &str = "text/css; charset=utf-8";
#[cfg(feature = "web")]
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
/// There is no registered type for TypeScript; a browser shows this one, and tools go by the name.
#[cfg(feature = "web")]
const TEXT: &str = "text/plain; charset=utf-8";
#[cfg(feature = "web")]
const JSON: &str = "application/json; charset=utf-8";
#[cfg(feature = "web")]
const SVG: &str = "image/svg+xml";

/// A file of this folder, which the build script has compressed.
#[cfg(feature = "web")]
macro_rules! file {
    ($path:literal, $type:ident, $source:literal) => {
        File::new(
            $path,
            $type,
            include_bytes!($source),
            include_bytes!(concat!(env!("OUT_DIR"), "/", $source, ".gz")),
        )
    };
}

#[cfg(feature = "web")]
static FILES: [File; 16] = [
    // The root, without its slash.
    file!("", HTML, "page/index.html"),
    file!("/page/page.css", CSS, "page/page.css"),
    file!("/page/page.js", JAVASCRIPT, "page/page.js"),
    file!("/page/login.js", JAVASCRIPT, "page/login.js"),
    file!("/page/chatrooms.js", JAVASCRIPT, "page/chatrooms.js"),
    file!("/page/outbox.js", JAVASCRIPT, "page/outbox.js"),
    file!("/page/list.js", JAVASCRIPT, "page/list.js"),
    file!("/page/conversation.js", JAVASCRIPT, "page/conversation.js"),
    file!("/page/composer.js", JAVASCRIPT, "page/composer.js"),
    file!("/page/people.js", JAVASCRIPT, "page/people.js"),
    file!("/page/trouble.js", JAVASCRIPT, "page/trouble.js"),
    file!("/page/element.js", JAVASCRIPT, "page/element.js"),
    file!("/page/icon.svg", SVG, "page/icon.svg"),
    file!("/loiter.js", JAVASCRIPT, "loiter.js"),
    file!("/loiter.d.ts", TEXT, "loiter.d.ts"),
    // Made of the table of calls by a test, and compared with it.
    file!("/openapi.json", JSON, "openapi.json"),
];
#[cfg(not(feature = "web"))]
static FILES: [File; 0] = [];

/// The file at a path, which has no trailing slash: the root's is empty.
pub fn file(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

/// The paths of all files.
pub fn paths() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|file| file.path)
}

impl File {
    #[cfg(any(feature = "web", test))]
    const fn new(
        path: &'static str,
        content_type: &'static str,
        plain: &'static [u8],
        packed: &'static [u8],
    ) -> Self {
        Self {
            path,
            plain: Representation::new(content_type, None, plain),
            packed: Representation::new(content_type, Some("gzip"), packed),
        }
    }

    /// As it was written.
    pub fn plain(&self) -> &Representation {
        &self.plain
    }

    /// Compressed.
    pub fn packed(&self) -> &Representation {
        &self.packed
    }
}

impl Representation {
    #[cfg(any(feature = "web", test))]
    const fn new(
        content_type: &'static str,
        coding: Option<&'static str>,
        content: &'static [u8],
    ) -> Self {
        Self {
            content_type,
            coding,
            content,
            tag: tag(content),
        }
    }

    /// The value of `Content-Type`, which is that of the file as it was written.
    pub fn content_type(&self) -> &'static str {
        self.content_type
    }

    /// The value of `Content-Encoding`, where there is one.
    pub fn coding(&self) -> Option<&'static str> {
        self.coding
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
