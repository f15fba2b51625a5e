//! What can go wrong with a call, and whether it is worth asking again.

use std::fmt;
use std::io;
use std::time::Duration;

use serde_json::Value;

use crate::answer::Answer;

/// Why a call has not succeeded.
#[derive(Debug)]
pub enum Error {
    /// The server cannot be reached, or the connection broke or was silent for too long; the text says what was tried. Whether the server
    /// has done it is not known.
    Io(String, io::Error),
    /// The server has answered, and not with success.
    Failed(Box<Failure>),
    /// The server has answered with success, but without what the contract promises.
    Lacking(&'static str),
    /// So many chatrooms do not fit into one poll: nothing was asked.
    TooMany,
    /// Somebody has stopped this client.
    Stopped,
}

/// An answer that tells of a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Method and path of the call, without its parameters.
    pub call: String,
    /// The status code.
    pub status: u16,
    /// The failure's code; empty where the answer is not the server's own, but a proxy's, say.
    pub code: String,
    /// A sentence for a person, or else the answer's body.
    pub message: String,
    /// Which chatroom it is, of several (`since_ahead`, `since_expired`).
    pub chatroomid: Option<u64>,
    /// The chatroom's newest id (`since_ahead`).
    pub last: Option<u64>,
    /// The oldest id that is kept (`since_expired`).
    pub first: Option<u64>,
    /// How long to wait before asking again.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// Whether the same may succeed later, and repeating it does no harm where repeating does none at all: a broken connection, a server
    /// that is overloaded or ends, a database that cannot be written to, a proxy without a server behind it.
    pub fn is_passing(&self) -> bool {
        match self {
            // What is not HTTP will not be HTTP the next time.
            Self::Io(_, error) => error.kind() != io::ErrorKind::InvalidData,
            Self::Failed(failure) => match failure.status {
                502..=504 => true,
                500 => failure.code == "storage_failed",
                _ => false,
            },
            Self::Lacking(_) | Self::TooMany | Self::Stopped => false,
        }
    }

    /// How long the server asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.failure()?.retry_after
    }

    /// The answer, where there is one and it tells of a failure.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

impl Failure {
    fn of(call: &str, answer: &Answer) -> Self {
        let json = answer.value().unwrap_or_default();
        let text = |name: &str| json[name].as_str().map(str::to_owned);
        let body = || String::from_utf8_lossy(&answer.body).into_owned();
        let seconds = answer.field("retry-after").and_then(|s| s.parse().ok());
        Self {
            call: call.to_owned(),
            status: answer.status,
            code: text("error").unwrap_or_default(),
            message: text("message").unwrap_or_else(body),
            chatroomid: json["chatroomid"].as_u64(),
            last: json["last"].as_u64(),
            first: json["first"].as_u64(),
            retry_after: seconds.map(Duration::from_secs),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was answered {}", self.call, self.status)?;
        for part in [&self.code, &self.message] {
            if !part.is_empty() {
                write!(f, " {part}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(what, error) => write!(f, "{what}: {error}"),
            Self::Failed(failure) => write!(f, "{failure}"),
            Self::Lacking(what) => write!(f, "the answer lacks {what}"),
            Self::TooMany => f.write_str(
                "so many chatrooms do not fit into one poll: follow them by several, or all",
            ),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            _ => None,
        }
    }
}

impl Error {
    /// The failure that an answer tells of.
    pub(crate) fn failed(call: &str, answer: &Answer) -> Self {
        Self::Failed(Box::new(Failure::of(call, answer)))
    }

    /// For `map_err`: says what was tried.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io(what.into(), error)
    }
}

/// The JSON of a successful answer.
pub(crate) fn json(answer: &Answer) -> Result<Value, Error> {
    answer.value().ok_or(Error::Lacking("JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Method;

    fn failure(status: u16, fields: &str, body: &str) -> Failure {
        let length = body.len();
        let text = format!("HTTP/1.1 {status} X\r\n{fields}Content-Length: {length}\r\n\r\n{body}");
        let parsed = Answer::parse(text.as_bytes(), Method::Other, false);
        Failure::of("GET /a/", &parsed.unwrap().unwrap().0)
    }

    #[test]
    fn a_failure_tells_what_the_answer_tells() {
        let body = r#"{"error":"since_ahead","message":"It is ahead.","last":12}"#;
        let ahead = failure(409, "", body);
        assert_eq!(
            (&*ahead.code, ahead.last, ahead.first),
            ("since_ahead", Some(12), None)
        );
        assert_eq!(
            ahead.to_string(),
            "GET /a/ was answered 409 since_ahead It is ahead."
        );
        let busy = failure(503, "Retry-After: 2\r\n", "<html>");
        assert_eq!(busy.retry_after, Some(Duration::from_secs(2)));
        assert_eq!(busy.to_string(), "GET /a/ was answered 503 <html>");
    }

    #[test]
    fn only_what_passes_is_worth_a_repetition() {
        let is_passing = |status, code: &str| {
            let body = format!(r#"{{"error":"{code}","message":"It is so."}}"#);
            Error::Failed(Box::new(failure(status, "", &body))).is_passing()
        };
        assert!(is_passing(503, "overloaded") && is_passing(500, "storage_failed"));
        assert!(!is_passing(500, "not_a_participant") && !is_passing(401, "no_session"));
        assert!(Error::Io(String::new(), io::ErrorKind::ConnectionReset.into()).is_passing());
        let garbled = crate::head::Malformed::Unframed.into();
        assert!(!Error::Io(String::new(), garbled).is_passing());
    }
}
