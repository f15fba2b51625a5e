//! The system's clock may have been wrong, or be wrong now. What is stored of other times stands in for what it said then.

use super::*;

const HOUR_MS: i64 = 3_600_000;

fn system_unix_ms() -> i64 {
    let now = std::time::SystemTime::now();
    let since = now
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    i64::try_from(since.as_millis()).expect("this age")
}

impl Fixture {
    /// As if the clock had been ahead by an hour when all of this was said.
    fn was_ahead(&mut self, chatroom: ChatroomId) -> i64 {
        let then = system_unix_ms() + HOUR_MS;
        let late = "UPDATE messages SET time = ?2 WHERE chatroom = ?1";
        self.sqlite()
            .execute(late, (chatroom.get(), then))
            .expect("later");
        then
    }

    fn time(&mut self, chatroom: ChatroomId, author: &User, nonce: Option<&str>) -> (i64, i64) {
        let job = Job::SaveMessage {
            ticket: ticket(1),
            chatroom,
            author: author.clone(),
            text: "x".into(),
            nonce: nonce.map(Into::into),
        };
        let message = new_message(self.ask(job)).expect("saved");
        let time = i64::try_from(message.time_unix_ms).expect("this age");
        // What is told is what is stored.
        let stored = "SELECT time FROM messages WHERE chatroom = ?1 AND id = ?2";
        let stored =
            (self.sqlite()).query_row(stored, (chatroom.get(), message.id.get()), |row| row.get(0));
        assert_eq!(stored, Ok(time));
        (message.id.get(), time)
    }
}

#[test]
fn a_clock_that_is_set_back_leaves_a_chatrooms_order_and_no_others_time() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let [ahead, other] = [1, 2].map(|_| fixture.chatroom(&ann));
    fixture.say(ahead, &ann, "x").expect("saved");
    let then = fixture.was_ahead(ahead);
    // Also over a restart, for what is remembered and what is not, and with a nonce.
    for (id, nonce) in [(2, None), (3, Some("a")), (4, None), (5, Some("b"))] {
        if id % 2 == 0 {
            fixture.reopen();
        }
        assert_eq!(fixture.time(ahead, &ann, nonce), (id, then));
    }
    let (_, time) = fixture.time(other, &ann, None);
    assert!((time - system_unix_ms()).abs() < HOUR_MS / 2, "{time}");
}

#[test]
fn an_emptied_chatroom_begins_no_earlier_than_it_ended() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    let then = system_unix_ms() + HOUR_MS;
    let emptied = "UPDATE chatrooms SET last_message = 7, last_time = ?1";
    fixture.sqlite().execute(emptied, (then,)).expect("emptied");
    assert_eq!(fixture.time(chatroom, &ann, None), (8, then));
    // Which the removal of old messages relies on.
    let oldest = "SELECT oldest_time FROM chatrooms";
    let oldest = fixture.sqlite().query_row(oldest, (), |row| row.get(0));
    assert_eq!(oldest, Ok(then));
}

#[test]
fn a_session_that_was_used_in_the_future_is_good() {
    let mut fixture = Fixture::new();
    fixture.user("ann");
    let (_, token) = fixture.log_in("ann", "password").expect("logged in");
    let later = "UPDATE sessions SET created = created + ?1, last_used = last_used + ?1";
    fixture.sqlite().execute(later, (HOUR_MS,)).expect("later");
    fixture.reopen();
    assert!(fixture.session(hash_of(&token)).is_some());
}
