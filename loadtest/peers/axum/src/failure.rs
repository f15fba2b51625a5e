//! What a call answers when it cannot be done, by the contract's codes.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

/// A failure of a call.
#[derive(Debug)]
pub(crate) enum Failure {
    BadParameter(String),
    NoSession,
    BadCredentials,
    UsernameTaken,
    NotAdmin,
    NoSuchUser,
    /// Not in the chatroom, or there is none; 500 or 403 by what the document says of the call.
    NotAParticipant(StatusCode),
    BodyTooLarge,
    NotFound,
    MethodNotAllowed,
    StorageFailed,
}

impl Failure {
    fn parts(&self) -> (StatusCode, &'static str, &str) {
        match self {
            Self::BadParameter(why) => (StatusCode::BAD_REQUEST, "bad_parameter", why),
            Self::NoSession => (StatusCode::UNAUTHORIZED, "no_session", "Log in first."),
            Self::BadCredentials => (
                StatusCode::UNAUTHORIZED,
                "bad_credentials",
                "The name or the password is wrong.",
            ),
            Self::UsernameTaken => (
                StatusCode::CONFLICT,
                "username_taken",
                "This name is taken.",
            ),
            Self::NotAdmin => (
                StatusCode::FORBIDDEN,
                "not_admin",
                "Only the chatroom's admin may do this.",
            ),
            Self::NoSuchUser => (
                StatusCode::NOT_FOUND,
                "no_such_user",
                "There is no such user.",
            ),
            Self::NotAParticipant(status) => (
                *status,
                "not_a_participant",
                "You are not in this chatroom.",
            ),
            Self::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "The body is too large.",
            ),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "not_found",
                "There is nothing at this path.",
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "This path does not take this method.",
            ),
            Self::StorageFailed => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "storage_failed",
                "The database failed; nothing was saved.",
            ),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, code, message) = self.parts();
        let body = serde_json::json!({"error": code, "message": message}).to_string();
        let mut response = json(body.into());
        *response.status_mut() = status;
        response
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(e: rusqlite::Error) -> Self {
        eprintln!("storage: {e}");
        Self::StorageFailed
    }
}

/// 200 with a body of JSON.
pub(crate) fn json(body: Bytes) -> Response {
    const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
    let mut response = Response::new(Body::from(body));
    let fields = response.headers_mut();
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(header::CONTENT_TYPE, JSON);
    response
}
