//! Users: register, log in, log out, be found.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use ring::pbkdf2;
use ring::rand::{SecureRandom as _, SystemRandom};
use rusqlite::OptionalExtension as _;

use crate::failure::{Failure, json};
use crate::parameters::Parameters;
use crate::session::{Caller, new_cookie, token};
use crate::{App, user_json, users_json};

const NAME_MAX: usize = 64;
const PASSWORD_MAX: usize = 1024;
const FOUND_MAX: i64 = 50;
const MAX_AGE_S: u64 = 30 * 24 * 3600;

pub(crate) async fn register(
    State(app): State<Arc<App>>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let (name, password) = (
        parameters.text("username")?.to_owned(),
        parameters.text("password")?.to_owned(),
    );
    if !is_name(&name) {
        return Err(Failure::BadParameter("username is not a name.".into()));
    }
    if password.is_empty() || password.len() > PASSWORD_MAX {
        return Err(Failure::BadParameter(
            "password is too short or too long.".into(),
        ));
    }
    let iterations = app.iterations;
    let hash = blocking(move || hashed(&password, iterations)).await?;
    let folded = name.to_lowercase();
    let user = app.store.write(move |connection| {
        let sql =
            "INSERT INTO users (name, folded, password) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        if connection.execute(sql, [&name, &folded, &hash])? == 0 {
            return Err(Failure::UsernameTaken);
        }
        Ok(user_json(connection.last_insert_rowid(), &name))
    });
    Ok(json(user.await?.into()))
}

pub(crate) async fn login(
    State(app): State<Arc<App>>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let (name, password) = (
        parameters.text("username")?.to_lowercase(),
        parameters.text("password")?.to_owned(),
    );
    let found = app.store.read(move |connection| {
        let sql = "SELECT id, name, password FROM users WHERE folded = ?1";
        let row = connection.query_row(sql, [name], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        });
        row.optional()
    });
    let found: Option<(i64, String, String)> = found.await?;
    let iterations = app.iterations;
    let (user, name) = blocking(move || match found {
        Some((user, name, hash)) if verifies(&password, &hash) => Some((user, name)),
        Some(_) => None,
        // The same time whether or not the user exists.
        None => {
            hashed(&password, iterations);
            None
        }
    })
    .await?
    .ok_or(Failure::BadCredentials)?;

    let cookie = new_cookie();
    let token = token(&cookie);
    let saved = app.store.write(move |connection| {
        let sql = "INSERT INTO sessions (token, user) VALUES (?1, ?2)";
        Ok(connection.execute(sql, rusqlite::params![&token[..], user])?)
    });
    saved.await?;
    let body = user_json(user, &name);
    Ok(with_cookie(json(body.into()), &cookie, MAX_AGE_S))
}

pub(crate) async fn logout(
    State(app): State<Arc<App>>,
    Caller(session): Caller,
) -> Result<Response, Failure> {
    let token = session.token;
    let gone = app.store.write(move |connection| {
        let sql = "DELETE FROM sessions WHERE token = ?1";
        Ok(connection.execute(sql, [&token[..]])?)
    });
    gone.await?;
    app.sessions.remove(&session.token);
    app.rooms.each(|room| room.log_out(&session));
    Ok(with_cookie(json(r#"{"status":"ok"}"#.into()), "", 0))
}

pub(crate) async fn find(
    State(app): State<Arc<App>>,
    _caller: Caller,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let from = parameters.text("name")?.to_lowercase();
    if from.is_empty() {
        return Err(Failure::BadParameter("name is empty.".into()));
    }
    let beyond = format!("{from}{}", char::MAX);
    let users = app.store.read(move |connection| {
        let sql = "SELECT id, name FROM users WHERE folded >= ?1 AND folded < ?2 ORDER BY folded LIMIT ?3";
        let mut statement = connection.prepare_cached(sql)?;
        users_json(statement.query_map(rusqlite::params![from, beyond, FOUND_MAX], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?)
    });
    let users = users.await?;
    let body = if users == "[]" { "{}".into() } else { users };
    Ok(json(body.into()))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Failure::StorageFailed)
}

fn with_cookie(mut response: Response, cookie: &str, max_age: u64) -> Response {
    let field = format!("session={cookie}; HttpOnly; SameSite=Lax; Path=/; Max-Age={max_age}");
    let field = HeaderValue::from_str(&field).expect("hexadecimal digits");
    response.headers_mut().insert(header::SET_COOKIE, field);
    response
}

fn is_name(name: &str) -> bool {
    (1..=NAME_MAX).contains(&name.chars().count())
        && name.trim() == name
        && !name.chars().any(char::is_control)
}

/// `iterations$salt$hash`, the latter two in hexadecimal.
fn hashed(password: &str, iterations: NonZeroU32) -> String {
    let mut salt = [0; 16];
    SystemRandom::new()
        .fill(&mut salt)
        .expect("the system has random bytes");
    let mut hash = [0; 32];
    let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
    pbkdf2::derive(algorithm, iterations, &salt, password.as_bytes(), &mut hash);
    format!("{iterations}${}${}", hex(&salt), hex(&hash))
}

fn verifies(password: &str, stored: &str) -> bool {
    let mut parts = stored.split('$');
    let mut verify = || {
        let iterations = parts.next()?.parse().ok()?;
        let (salt, hash) = (bytes(parts.next()?)?, bytes(parts.next()?)?);
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::verify(algorithm, iterations, &salt, password.as_bytes(), &hash).ok()
    };
    verify().is_some()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pairs = (0..hex.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_verified() {
        let hash = hashed("correct horse", NonZeroU32::new(10).unwrap());
        assert!(verifies("correct horse", &hash));
        assert!(!verifies("correct", &hash));
        assert!(!verifies("", "garbage"));
    }

    #[test]
    fn names_have_letters_and_no_edges() {
        for good in ["a", "Ä b", &"x".repeat(64)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", " a", "a\n", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
