//! Sessions: the cookie, the hash that the database keeps of it, and those in use in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use ring::digest;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::App;
use crate::failure::Failure;

/// SHA-256 of a cookie's value.
pub(crate) type Token = [u8; 32];

/// A session in use.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) user: i64,
    pub(crate) name: String,
    pub(crate) token: Token,
}

/// The sessions in memory; what is not here may still be in the database.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<Token, Arc<Session>>>);

impl Sessions {
    fn map(&self) -> MutexGuard<'_, HashMap<Token, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn insert(&self, session: Session) -> Arc<Session> {
        let session = Arc::new(session);
        let mut map = self.map();
        // Two requests may have loaded it at the same time: polls are told apart by which one they share.
        Arc::clone(map.entry(session.token).or_insert(session))
    }

    pub(crate) fn remove(&self, token: &Token) {
        self.map().remove(token);
    }

    fn find(&self, token: &Token) -> Option<Arc<Session>> {
        self.map().get(token).cloned()
    }
}

/// A new cookie's value.
pub(crate) fn new_cookie() -> String {
    let mut random = [0; 32];
    SystemRandom::new()
        .fill(&mut random)
        .expect("the system has random bytes");
    let hex = |byte: &u8| format!("{byte:02x}");
    random.iter().map(hex).collect()
}

/// What the database keeps of a cookie's value.
pub(crate) fn token(cookie: &str) -> Token {
    let hash = digest::digest(&digest::SHA256, cookie.as_bytes());
    hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The session that a request's cookie names.
pub(crate) struct Caller(pub(crate) Arc<Session>);

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        let fields = parts.headers.get_all(header::COOKIE).iter();
        let mut pairs = fields
            .filter_map(|field| field.to_str().ok())
            .flat_map(|field| field.split(';'));
        let cookie = pairs
            .find_map(|pair| pair.trim().strip_prefix("session="))
            .ok_or(Failure::NoSession)?;
        let token = token(cookie);
        if let Some(session) = app.sessions.find(&token) {
            return Ok(Self(session));
        }
        let found = app.store.session(token).await?.ok_or(Failure::NoSession)?;
        Ok(Self(app.sessions.insert(found)))
    }
}
