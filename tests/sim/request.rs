//! The bytes in which a client asks.

use crate::ask::Ask;

/// How it is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shape {
    pub(crate) is_head: bool,
    pub(crate) wants_close: bool,
    pub(crate) is_http10: bool,
    pub(crate) in_body: bool,
    /// The body is JSON.
    pub(crate) is_json: bool,
    pub(crate) is_chunked: bool,
    pub(crate) expects_continue: bool,
    pub(crate) has_slash: bool,
}

impl Ask {
    /// Its head, with whatever is written at once, and the body that may have to wait.
    pub(crate) fn render(&self, shape: &Shape, token: Option<&str>) -> (Vec<u8>, Vec<u8>) {
        let (start, form) = match self {
            Self::Garbage { bytes, .. } => return (bytes.clone(), Vec::new()),
            Self::Stray { line, .. } => ((*line).to_owned(), None),
            Self::Wrong { path, query } => (format!("GET {path}?{query}"), None),
            ask => ask.start(shape),
        };
        let version = if shape.is_http10 { "1.0" } else { "1.1" };
        let mut head = format!("{start} HTTP/{version}\r\nHost: sim\r\n");
        if let Some(token) = token {
            head += &format!("Cookie: a=b; session={token}\r\n");
        }
        if let Some(id) = self.last_event_id() {
            head += &format!("Last-Event-ID: {id}\r\n");
        }
        if shape.wants_close {
            head += "Connection: close\r\n";
        }
        let mut body = Vec::new();
        if let Some(form) = form {
            let form_type = "application/x-www-form-urlencoded";
            let media = if shape.is_json {
                "application/json"
            } else {
                form_type
            };
            head += &format!("Content-Type: {media}\r\n");
            if shape.expects_continue {
                head += "Expect: 100-continue\r\n";
            }
            if shape.is_chunked {
                head += "Transfer-Encoding: chunked\r\n";
                body = chunked(&form);
            } else {
                head += &format!("Content-Length: {}\r\n", form.len());
                body = form.into_bytes();
            }
        }
        head += "\r\n";
        (head.into_bytes(), body)
    }

    fn start(&self, shape: &Shape) -> (String, Option<String>) {
        let (method, path) = self.route();
        let parameters = self.parameters();
        let method = if shape.is_head { "HEAD" } else { method };
        let slash = if shape.has_slash { "/" } else { "" };
        let start = format!("{method} {path}{slash}");
        match shape.in_body {
            true if shape.is_json => (start, Some(object(parameters))),
            true => (start, Some(form(&parameters))),
            false if parameters.is_empty() => (start, None),
            false => (format!("{start}?{}", form(&parameters)), None),
        }
    }
}

fn form(parameters: &[(&str, String)]) -> String {
    let pairs = parameters.iter();
    let pairs = pairs.map(|(name, value)| format!("{name}={}", encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Flat, of strings and numbers.
fn object(parameters: Vec<(&str, String)>) -> String {
    let pairs = parameters.into_iter().map(|(name, value)| {
        let is_number = name == "chatroomid" || name == "limit";
        let value = match value.parse::<u64>() {
            Ok(number) if is_number => number.into(),
            _ => value.into(),
        };
        (name.to_owned(), value)
    });
    serde_json::Value::Object(pairs.collect()).to_string()
}

fn chunked(form: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for chunk in form.as_bytes().chunks(7) {
        body.extend(format!("{:x};x=y\r\n", chunk.len()).bytes());
        body.extend(chunk);
        body.extend(b"\r\n");
    }
    body.extend(b"0\r\nTrailer: x\r\n\r\n");
    body
}

fn encode(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b' ' => "+".to_owned(),
        byte if byte.is_ascii_alphanumeric() || byte == b'-' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    encoded.collect()
}
