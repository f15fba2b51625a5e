//! Responses as a strict client reads them: status line, fields, a body of the length that was told.

use serde_json::Value;

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) closes: bool,
    pub(crate) token: Option<String>,
    pub(crate) has_allow: bool,
    pub(crate) has_retry_after: bool,
    /// Of the message that was sent.
    pub(crate) message_id: Option<i64>,
    pub(crate) body: Value,
}

/// A status line and fields.
pub(crate) struct Head<'a> {
    pub(crate) status: u16,
    fields: &'a str,
}

impl<'a> Head<'a> {
    /// Reads one, and says what stands behind it.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), String> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.ok_or("no empty line")?;
        let head = str::from_utf8(&bytes[..end]).map_err(|_| "the head is not text")?;
        let (start, fields) = head.split_once("\r\n").unwrap_or((head, ""));
        let status = start.strip_prefix("HTTP/1.1 ").and_then(|s| s.get(..3));
        let status: u16 = (status.and_then(|s| s.parse().ok())).ok_or("no status")?;
        let head = Self { status, fields };
        if head.field("Date").is_none() || head.field("Cache-Control") != Some("no-store") {
            return Err(format!("Date or Cache-Control is missing: {fields}"));
        }
        if head.field("X-Content-Type-Options") != Some("nosniff") {
            return Err(format!("a browser may guess what this is: {fields}"));
        }
        Ok((head, &bytes[end + 4..]))
    }

    pub(crate) fn field(&self, name: &str) -> Option<&'a str> {
        let lines = self.fields.split("\r\n");
        let values = lines.filter_map(|line| line.split_once(": "));
        let mut values = values.filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value);
        assert!(
            values.next().is_none(),
            "{name} stands twice: {}",
            self.fields
        );
        value
    }

    pub(crate) fn closes(&self) -> bool {
        self.field("Connection") == Some("close")
    }
}

impl Answer {
    /// Reads exactly one response.
    pub(crate) fn parse(bytes: &[u8], is_head: bool) -> Result<Self, String> {
        let (head, body) = Head::parse(bytes)?;
        let status = head.status;
        let field = |name: &str| head.field(name);
        let length = match field("Content-Length") {
            None if status == 204 => 0,
            Some(length) => length.parse::<usize>().map_err(|e| e.to_string())?,
            None => return Err("no Content-Length".to_owned()),
        };
        if body.len() != if is_head { 0 } else { length } {
            return Err(format!("{} bytes behind a head for {length}", body.len()));
        }
        let body = match body {
            [] => Value::Null,
            body => serde_json::from_slice(body).map_err(|e| e.to_string())?,
        };
        let token = field("Set-Cookie")
            .and_then(|cookie| cookie.strip_prefix("session="))
            .and_then(|cookie| cookie.split(';').next());
        Ok(Self {
            status,
            closes: head.closes(),
            token: token.map(str::to_owned),
            has_allow: field("Allow").is_some(),
            has_retry_after: field("Retry-After").is_some(),
            message_id: field("Loiter-Message-Id").and_then(|id| id.parse().ok()),
            body,
        })
    }

    /// The failure's code; empty where it is none.
    pub(crate) fn code(&self) -> &str {
        self.body["error"].as_str().unwrap_or_default()
    }

    pub(crate) fn is(&self, status: u16, code: &str) -> bool {
        self.status == status && (self.body.is_null() || self.code() == code)
    }
}
