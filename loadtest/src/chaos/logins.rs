//! Logins by the hundred at once. Each costs a good part of a second of hashing; no message may wait for that.

use std::time::Duration;

use loiter_client::post;

use super::field::Field;
use super::herd::Herd;
use super::options::ChaosOptions;
use crate::error::Error;

const PATIENCE: Duration = Duration::from_secs(600);

/// The server's options: a hash costs here what it costs by default.
pub(super) fn server(_: &ChaosOptions) -> Vec<String> {
    vec!["--password-iterations=600000".to_owned()]
}

/// Runs it.
pub(super) fn run(field: &mut Field<'_>) -> Result<(), Error> {
    let logins = field.options.scaled(200, 10);
    let (name, password) = field.setup.credentials();
    let login = post("/login/")
        .form("username", name)
        .form("password", password);
    let login = login.bytes();
    let mut herd = Herd::connect(field.addr(), logins, None)?;
    herd.say(|_| login.clone());
    herd.go_on(PATIENCE, |herd| {
        herd.count(|m| m.end.is_some() || !m.statuses.is_empty()) == logins
    });
    field.count("logins at once", logins);
    let (good, refused) = (herd.answers(200), herd.answers(503));
    field.count("answered 200", good);
    field.count("answered 503", refused);
    let retries = herd.members.iter().map(|m| m.retries).sum();
    field.expect("of these with Retry-After", retries, refused);
    field.must(good > 0 && good + refused == logins, || {
        format!("of {logins} logins {good} were answered 200 and {refused} 503")
    });
    Ok(())
}
