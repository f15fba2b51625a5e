//! Requests as the API's clients write them: parameters in the query or in a form.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Session;

/// A request under construction.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: String,
    path: String,
    query: String,
    fields: String,
    body: Option<Vec<u8>>,
}

/// `GET` of a path.
pub(crate) fn get(path: &str) -> Request {
    Request::new("GET", path)
}

/// `POST` to a path.
pub(crate) fn post(path: &str) -> Request {
    Request::new("POST", path)
}

/// Text as it may stand in a query.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

impl Request {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: String::new(),
            fields: String::new(),
            body: None,
        }
    }

    /// Adds a parameter to the query.
    pub(crate) fn with(self, name: &str, value: impl ToString) -> Self {
        let pair = format!("{name}={}", encoded(&value.to_string()));
        self.raw(&pair)
    }

    /// Adds to the query what stands there as it is.
    pub(crate) fn raw(mut self, pair: &str) -> Self {
        self.query
            .push(if self.query.is_empty() { '?' } else { '&' });
        self.query.push_str(pair);
        self
    }

    /// Adds a parameter to the form in the body.
    pub(crate) fn form(mut self, name: &str, value: impl ToString) -> Self {
        let pair = format!("{name}={}", encoded(&value.to_string()));
        let body = match self.body.take() {
            None => pair.into_bytes(),
            Some(before) => [&before, &b"&"[..], pair.as_bytes()].concat(),
        };
        match self.fields.contains("Content-Type") {
            true => self.body = Some(body),
            false => self = self.content("application/x-www-form-urlencoded", &body),
        }
        self
    }

    /// Gives it a body.
    pub(crate) fn content(mut self, media_type: &str, body: &[u8]) -> Self {
        self.body = Some(body.to_vec());
        self.field("Content-Type", media_type)
    }

    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Adds the session's cookie.
    pub(crate) fn of(self, session: &Session) -> Self {
        self.field("Cookie", &format!("session={}", session.token))
    }

    pub(crate) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let length = self
            .body
            .as_ref()
            .map(|body| format!("Content-Length: {}\r\n", body.len()));
        let head = format!(
            "{} {}{} HTTP/1.1\r\nHost: localhost\r\n{}{}\r\n",
            self.method,
            self.path,
            self.query,
            self.fields,
            length.unwrap_or_default()
        );
        [head.as_bytes(), self.body.as_deref().unwrap_or_default()].concat()
    }
}
