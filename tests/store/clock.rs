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
        let mut other = self.other_program();
        other.execute(&format!(
            "UPDATE messages SET time = {then} WHERE chatroom = {chatroom}"
        ));
        if !is_file() {
            other.execute(&format!(
                "UPDATE chatrooms SET last_time = {then} WHERE id = {chatroom}"
            ));
        }
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
        let id = message.id;
        let stored = format!("SELECT time FROM messages WHERE chatroom = {chatroom} AND id = {id}");
        assert_eq!(self.other_program().number(&stored), time);
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
    let mut other = fixture.other_program();
    other.execute(&format!(
        "UPDATE chatrooms SET last_message = 7, last_time = {then}"
    ));
    assert_eq!(fixture.time(chatroom, &ann, None), (8, then));
    // Which the removal of old messages relies on.
    assert_eq!(other.number("SELECT oldest_time FROM chatrooms"), then);
}

#[test]
fn a_session_that_was_used_in_the_future_is_good() {
    let mut fixture = Fixture::new();
    fixture.user("ann");
    let (_, token) = fixture.log_in("ann", "password").expect("logged in");
    let later = "UPDATE sessions SET created = created + 3600000, last_used = last_used + 3600000";
    fixture.other_program().execute(later);
    fixture.reopen();
    assert!(fixture.session(hash_of(&token)).is_some());
}
