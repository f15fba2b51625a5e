//! What a login pays, counted: whether there is such a user must not be told by how long the answer takes.

use super::*;
use crate::model::ConnectionKey;
use crate::store::password::tests::paid_for;
use crate::store::sqlite::in_memory;

const CONFIGURED: u32 = 1500;

fn ticket() -> Ticket {
    Ticket {
        connection: ConnectionKey::from_bits(1 << 32).expect("a key"),
        exchange: 1,
        event_loop: 0,
    }
}

fn iterations(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

fn set_up(connection: &mut rusqlite::Connection) {
    for (name, number) in [("ann", CONFIGURED), ("old", 1000)] {
        let hash = PasswordHash::new("pw", iterations(number), &SystemRandom::new());
        let row = (name, name, hash.expect("random numbers").to_text(), 0);
        let add = "INSERT INTO users (name, folded, password, created) VALUES (?1, ?2, ?3, ?4)";
        connection.execute(add, row).expect("a user");
    }
}

/// A lane on a database whose users have the password `pw`: ann's hash has as many iterations as are configured, old's fewer.
fn lane() -> HashingLane {
    let readers = in_memory(set_up);
    HashingLane {
        queue: Arc::new(Queue::by_turns(1)),
        reader: Arc::new(readers),
        writing: Arc::new(Queue::new(1, 1)),
        outlet: Outlet::new(|_| (), |_, _| ()),
        iterations: iterations(CONFIGURED),
        random: SystemRandom::new(),
    }
}

fn log_in(lane: &HashingLane, name: Option<&str>, password: &str) -> Result<Write, JobError> {
    lane.log_in(ticket(), name, &Secret(password.into()))
}

#[test]
fn a_refused_login_pays_the_same_for_every_name() {
    let lane = lane();
    for name in [Some("ann"), Some("old"), Some("nobody"), None] {
        for password in ["", "PW", "pw "] {
            let paid = paid_for(|| {
                let refused = log_in(&lane, name, password).map(drop);
                let is_refused = matches!(refused, Err(JobError::Refused(Fault::BadCredentials)));
                assert!(is_refused, "{name:?}");
            });
            assert_eq!(paid, CONFIGURED, "{name:?} {password:?}");
        }
    }
}

#[test]
fn a_login_with_an_old_hash_makes_a_new_one_and_pays_for_it_once() {
    let lane = lane();
    let raised_by = |name| match log_in(&lane, Some(name), "pw") {
        Ok(Write::Session(session)) => session.raised,
        other => panic!("{other:?}"),
    };
    assert_eq!(paid_for(|| assert!(raised_by("ann").is_none())), CONFIGURED);
    let paid = paid_for(|| {
        let Raised { before, after } = raised_by("old").expect("it had fewer");
        assert!(before.starts_with("pbkdf2-sha256$1000$"));
        assert!(after.starts_with("pbkdf2-sha256$1500$"));
    });
    assert_eq!(paid, 2 * CONFIGURED);
}

#[test]
fn a_wrong_password_pays_the_same_for_a_change_of_it() {
    let lane = lane();
    for id in [1, 2, 3] {
        let user = UserId::new(id).expect("positive");
        let secret = |text: &str| Secret(text.into());
        let session = SessionHash([0; 32]);
        let paid = paid_for(|| {
            let changed =
                lane.change_password(ticket(), session, user, &secret("PW"), &secret("new"));
            assert!(matches!(
                changed,
                Err(JobError::Refused(Fault::BadCredentials))
            ));
        });
        assert_eq!(paid, CONFIGURED);
    }
}
