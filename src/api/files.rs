//! Whether who asks for a file has it already.

use crate::http::Request;
use crate::web::File;

/// Whether a request says that its sender has the file as it is (`If-None-Match`, RFC 9110 §13.1.2).
///
/// The tags are compared weakly, as that field's are; ours have no comma, so that a list may be cut at each.
pub fn is_known(request: &Request<'_>, file: &File) -> bool {
    let mut tags = request
        .fields("if-none-match")
        .flat_map(|field| field.split(|&byte| byte == b','))
        .map(|tag| tag.trim_ascii());
    tags.any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == file.tag().as_bytes())
}
