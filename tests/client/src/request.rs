//! Requests as the API's clients write them: parameters in the query or in a form.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::answer::Method;

/// The type of a form in a body.
const FORM: &str = "application/x-www-form-urlencoded";

/// A request under construction.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    path: String,
    query: String,
    host: String,
    fields: String,
    body: Option<Vec<u8>>,
}

/// `GET` of a path.
pub fn get(path: &str) -> Request {
    Request::new("GET", path)
}

/// `POST` to a path.
pub fn post(path: &str) -> Request {
    Request::new("POST", path)
}

/// Text as it may stand in a query.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

impl Request {
    /// A request without parameters, fields and body.
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: String::new(),
            host: "localhost".to_owned(),
            fields: String::new(),
            body: None,
        }
    }

    /// Sets the `Host` field, which is `localhost` otherwise.
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Adds a parameter to the query.
    pub fn with(self, name: &str, value: impl ToString) -> Self {
        let pair = format!("{name}={}", encoded(&value.to_string()));
        self.raw(&pair)
    }

    /// Adds to the query what stands there as it is.
    pub fn raw(mut self, pair: &str) -> Self {
        self.query
            .push(if self.query.is_empty() { '?' } else { '&' });
        self.query.push_str(pair);
        self
    }

    /// Adds a parameter to the form in the body.
    pub fn form(mut self, name: &str, value: impl ToString) -> Self {
        let pair = format!("{name}={}", encoded(&value.to_string()));
        match &mut self.body {
            None => self.content(FORM, pair.as_bytes()),
            Some(body) => {
                if !body.is_empty() {
                    body.push(b'&');
                }
                body.extend_from_slice(pair.as_bytes());
                self
            }
        }
    }

    /// Gives it a body.
    pub fn content(mut self, media_type: &str, body: &[u8]) -> Self {
        self.body = Some(body.to_vec());
        self.field("Content-Type", media_type)
    }

    /// Gives it a form in the body, as yet without parameters.
    pub fn with_form(self) -> Self {
        self.content(FORM, b"")
    }

    /// Adds a field to the head.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Adds the cookie of the session with this token.
    pub fn session(self, token: &str) -> Self {
        self.field("Cookie", &format!("session={token}"))
    }

    /// Whether its answer has a body.
    pub fn method(&self) -> Method {
        match &*self.method {
            "HEAD" => Method::Head,
            _ => Method::Other,
        }
    }

    /// Method and path, as they may be shown: parameters hold passwords.
    pub fn call(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The request as it is sent.
    pub fn bytes(&self) -> Vec<u8> {
        let length = self
            .body
            .as_ref()
            .map(|body| format!("Content-Length: {}\r\n", body.len()));
        let head = format!(
            "{} {}{} HTTP/1.1\r\nHost: {}\r\n{}{}\r\n",
            self.method,
            self.path,
            self.query,
            self.host,
            self.fields,
            length.unwrap_or_default()
        );
        [head.as_bytes(), self.body.as_deref().unwrap_or_default()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(request: &Request) -> String {
        String::from_utf8(request.bytes()).unwrap()
    }

    #[test]
    fn parameters_are_encoded_where_they_stand() {
        let request = get("/a/").with("x", "ü &").raw("since=7:1,9:2").host("h:1");
        assert_eq!(
            text(&request),
            "GET /a/?x=%C3%BC%20%26&since=7:1,9:2 HTTP/1.1\r\nHost: h:1\r\n\r\n"
        );
        let request = post("/b/").form("x", "1=2").form("y", 3).session("ab");
        assert!(text(&request).ends_with(
            "Content-Type: application/x-www-form-urlencoded\r\nCookie: session=ab\r\n\
            Content-Length: 11\r\n\r\nx=1%3D2&y=3"
        ));
        assert_eq!(request.call(), "POST /b/");
    }

    #[test]
    fn an_empty_form_says_that_it_is_empty() {
        let empty = post("/b/").with_form();
        assert!(text(&empty).ends_with("Content-Length: 0\r\n\r\n"));
        assert!(text(&empty.form("x", 1)).ends_with("Content-Length: 3\r\n\r\nx=1"));
    }
}
