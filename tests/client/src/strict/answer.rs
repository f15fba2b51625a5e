//! What holds for every answer of the server, and what tests assert of one.

use std::time::Duration;

use serde_json::Value;

use super::PATIENCE;
use crate::answer::{Answer, Method};

impl Answer {
    /// The body, which must be JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        self.value().unwrap_or_else(|| panic!("no JSON: {self:?}"))
    }

    /// The code of a failure; the sentence that goes with it must be one.
    #[track_caller]
    pub fn code(&self) -> String {
        let json = self.json();
        let members = json.as_object().expect("an object");
        let numbers = |names: &[&str]| names.iter().filter(|&&name| json[name].is_i64()).count();
        // These tell a number too.
        let more = match json["error"].as_str() {
            // … and where, if it is of several chatrooms.
            Some("since_ahead") => numbers(&["last", "chatroomid"]),
            Some("since_expired") => numbers(&["first", "chatroomid"]),
            _ => 0,
        };
        assert_eq!(members.len(), 2 + more, "{json}");
        let sentence = json["message"].as_str().expect("a sentence");
        assert!(sentence.ends_with('.') && sentence.contains(' '), "{json}");
        json["error"].as_str().expect("a code").to_owned()
    }

    /// Asserts the status and the code of a failure.
    #[track_caller]
    pub fn assert_failed(&self, status: u16, code: &str) {
        assert!(self.status >= 400, "{self:?}");
        assert_eq!((self.status, &*self.code()), (status, code), "{self:?}");
    }

    /// Asserts success, and returns what was answered.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body.escape_ascii());
        self.json()
    }

    /// What holds for every answer.
    pub fn assert_sound(&self, method: Method) {
        self.assert_written_to_the_letter();
        if self.status == 100 {
            assert_eq!(self.fields, [], "100 has no fields");
            return;
        }
        let date = self.field("date").expect("a Date");
        let date = httpdate::parse_http_date(date).expect(date);
        let age = date.elapsed().unwrap_or_default();
        assert!(age < PATIENCE + Duration::from_secs(1), "{age:?}");
        // A file may be kept, and has a tag to ask about it by.
        let is_file = self.field("etag").is_some();
        let caching = if is_file { "no-cache" } else { "no-store" };
        assert_eq!(self.field("cache-control"), Some(caching));
        assert_eq!(self.field("x-content-type-options"), Some("nosniff"));
        assert_eq!(self.field("transfer-encoding"), None);
        if matches!(self.status, 204 | 304) {
            assert_eq!(self.length(), None);
            assert_eq!(self.field("content-type"), None);
            return;
        }
        if is_file {
            assert!(self.status == 200 && self.length().is_some(), "{self:?}");
            return;
        }
        let content_type = self.field("content-type");
        assert_eq!(content_type, Some("application/json; charset=utf-8"));
        let length = self.length().expect("a Content-Length");
        if method == Method::Head {
            return;
        }
        assert_eq!(self.body.len(), length);
        assert_compact(&self.body);
        if self.status >= 400 {
            self.code();
        }
    }

    /// What a reader may be lenient about, and a writer must not count on.
    fn assert_written_to_the_letter(&self) {
        let head = str::from_utf8(&self.head).expect("a head is ASCII");
        let head = head.strip_suffix("\r\n\r\n").expect(head);
        let mut lines = head.split("\r\n");
        let start = lines.next().expect("a first line");
        let rest = start.strip_prefix("HTTP/1.1 ").expect(start);
        let (code, reason) = rest.split_once(' ').expect(start);
        assert_eq!(code.parse(), Ok(self.status), "{start}");
        assert!(!reason.is_empty(), "{start}");
        assert_eq!(lines.clone().count(), self.fields.len(), "{head}");
        for (line, (field, value)) in lines.zip(&self.fields) {
            let (name, rest) = line.split_once(": ").expect(line);
            assert_eq!((&name.to_ascii_lowercase(), rest), (field, &**value));
            let same = self.fields.iter().filter(|(other, _)| other == field);
            assert_eq!(same.count(), 1, "{field} in {head}");
        }
    }
}

/// No white space outside of strings.
fn assert_compact(json: &[u8]) {
    let (mut is_text, mut is_escaped) = (false, false);
    for &byte in json {
        assert!(
            is_text || !byte.is_ascii_whitespace(),
            "{}",
            json.escape_ascii()
        );
        let quotes = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_text ^= quotes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_sound(fields: &str, body: &str) -> bool {
        let date = httpdate::fmt_http_date(std::time::SystemTime::now());
        let text = format!(
            "HTTP/1.1 200 OK\r\nDate: {date}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
            Content-Type: application/json; charset=utf-8\r\n{fields}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let parsed = Answer::parse(text.as_bytes(), Method::Other, false);
        let (answer, _) = parsed.unwrap().unwrap();
        std::panic::catch_unwind(|| answer.assert_sound(Method::Other)).is_ok()
    }

    #[test]
    fn only_an_answer_that_keeps_the_conventions_is_sound() {
        assert!(is_sound("X: y\r\n", r#"{"a":"b c"}"#));
        assert!(!is_sound("", r#"{"a": 1}"#));
        assert!(!is_sound("X:y\r\n", "[]"));
        assert!(!is_sound("X: y\n", "[]"));
        assert!(!is_sound("X: y\r\nx: z\r\n", "[]"));
    }
}
