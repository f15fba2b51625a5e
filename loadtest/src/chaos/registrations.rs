//! Registrations by the hundred at once, all from one address. They are hashed as logins are; who logs in from another address must be let in
//! before they are through.

use std::time::Duration;

use loiter_client::post;

use super::field::Field;
use super::herd::{Herd, Member};
use crate::clock::now_ns;
use crate::connect::askers_source;
use crate::error::Error;

/// Who log in meanwhile, one after the other.
const LOGINS: u64 = 3;
const PATIENCE: Duration = Duration::from_secs(600);

/// Runs it.
pub(super) fn run(field: &mut Field<'_>) -> Result<(), Error> {
    let registrations = field.options.scaled(500, 100);
    let mut herd = Herd::connect(field.addr(), registrations, None)?;
    let names = format!("{}-{}", field.setup.run, now_ns());
    herd.say(|at| {
        let register = post("/register/").form("username", format!("{names}-{at}"));
        register.form("password", &names).bytes()
    });
    let is_answered = |member: &Member| member.end.is_some() || !member.statuses.is_empty();
    // Then all places are taken, by registrations alone.
    herd.go_on(PATIENCE, |herd| {
        herd.answers(503) > 0 || herd.count(is_answered) == registrations
    });
    let let_in = logins(field)?;
    herd.hear();
    let waiting = registrations - herd.count(is_answered);
    field.must(waiting > 0, || {
        "nobody waited to be registered any more".into()
    });
    herd.go_on(PATIENCE, |herd| herd.count(is_answered) == registrations);
    field.count("registrations at once from one address", registrations);
    let (good, refused) = (herd.answers(200), herd.answers(503));
    field.count("answered 200", good);
    field.expect("answered 503", refused, registrations - good);
    let retries = herd.members.iter().map(|m| m.retries).sum();
    field.expect("of these with Retry-After", retries, refused);
    field.must(refused > 0, || "nobody was too many".into());
    field.count("still waiting when the last login was answered", waiting);
    field.expect("logins from another address meanwhile", let_in, LOGINS);
    Ok(())
}

/// Logs in from another address, again and again; how many were let in.
fn logins(field: &Field<'_>) -> Result<u64, Error> {
    let (name, password) = field.setup.credentials();
    let login = post("/login/")
        .form("username", name)
        .form("password", password);
    let login = login.bytes();
    let source = askers_source(field.addr(), field.setup.net);
    let mut let_in = 0;
    for _ in 0..LOGINS {
        let mut one = Herd::connect_from(source, field.addr(), 1, None)?;
        one.say(|_| login.clone());
        one.go_on(PATIENCE, |one| {
            one.count(|m| m.end.is_some() || !m.statuses.is_empty()) == 1
        });
        let_in += one.answers(200);
    }
    Ok(let_in)
}
