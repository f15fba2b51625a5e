//! Messages that are sent once more.

use loiter::job::SavedBefore;
use loiter::model::MessageId;

use super::*;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn say_with(chatroom: ChatroomId, author: &User, text: &str, nonce: &str) -> Job {
    let mut job = say(chatroom, author, text);
    if let Job::SaveMessage { nonce: empty, .. } = &mut job {
        *empty = Some(nonce.into());
    }
    job
}

fn before(id: i64, author: &User) -> Result<Saved, Fault> {
    let (id, author) = (MessageId::new(id).expect("positive"), author.id);
    Ok(Saved::Before(SavedBefore { id, author }))
}

impl Fixture {
    fn send(&mut self, chatroom: ChatroomId, author: &User, nonce: &str) -> Result<Saved, Fault> {
        let job = say_with(chatroom, author, "x", nonce);
        field!(self.ask(job), MessageSaved, saved)
    }

    /// The id of a message that is new.
    fn send_new(&mut self, chatroom: ChatroomId, author: &User, nonce: &str) -> i64 {
        match self.send(chatroom, author, nonce) {
            Ok(Saved::New(message)) => message.id.get(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_message_that_is_sent_again_is_saved_once() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    assert_eq!(fixture.say(chatroom, &ann, "x").expect("saved").id.get(), 1);
    assert_eq!(fixture.send_new(chatroom, &ann, "a\0' \u{1f511}"), 2);
    assert_eq!(fixture.send_new(chatroom, &ann, "a\0"), 3);
    assert_eq!(
        fixture.send(chatroom, &ann, "a\0' \u{1f511}"),
        before(2, &ann)
    );
    fixture.reopen();
    assert_eq!(fixture.send(chatroom, &ann, "a\0"), before(3, &ann));
    assert_eq!(fixture.recent(chatroom, 50).messages.len(), 3);
    // Without a nonce the same text is another message.
    assert_eq!(fixture.say(chatroom, &ann, "x").expect("saved").id.get(), 4);
}

#[test]
fn a_nonce_is_of_one_user_in_one_chatroom() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let bob = fixture.user("bob");
    let chatrooms = [1, 2].map(|_| fixture.chatroom(&ann));
    for chatroom in chatrooms {
        fixture.add(chatroom, &ann, "bob").expect("added");
        assert_eq!(fixture.send_new(chatroom, &ann, "n"), 1);
        assert_eq!(fixture.send_new(chatroom, &bob, "n"), 2);
        assert_eq!(fixture.send_new(chatroom, &bob, "N"), 3);
    }
    for chatroom in chatrooms {
        assert_eq!(fixture.send(chatroom, &ann, "n"), before(1, &ann));
        assert_eq!(fixture.send(chatroom, &bob, "n"), before(2, &bob));
    }
}

#[test]
fn of_two_that_are_one_in_one_commit_the_second_is_the_repetition() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    let turn = [("1", "n"), ("2", "m"), ("3", "n")];
    let turn = turn.map(|(text, nonce)| say_with(chatroom, &ann, text, nonce));
    assert!(fixture.store().submit_all(turn).is_empty());
    for text in ["1", "2"] {
        assert_eq!(&*new_message(fixture.next()).expect("saved").text, text);
    }
    assert_eq!(field!(fixture.next(), MessageSaved, saved), before(1, &ann));
}

#[test]
fn who_is_not_in_a_chatroom_repeats_nothing_there() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let bob = fixture.user("bob");
    let chatroom = fixture.chatroom(&ann);
    fixture.add(chatroom, &ann, "bob").expect("added");
    assert_eq!(fixture.send_new(chatroom, &bob, "n"), 1);
    let left = fixture.remove(chatroom, &bob, Whom::Id(bob.id));
    left.expect("gone");
    let refused = Err(Fault::NotAParticipant);
    assert_eq!(fixture.send(chatroom, &bob, "n"), refused);
    assert_eq!(fixture.send(chatroom, &bob, "m"), refused);
    assert_eq!(fixture.send(nowhere(), &ann, "n"), refused);
    fixture.add(chatroom, &ann, "bob").expect("added");
    assert_eq!(fixture.send_new(chatroom, &bob, "m"), 2);
}

#[test]
fn a_nonce_counts_for_a_day() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    assert_eq!(fixture.send_new(chatroom, &ann, "n"), 1);
    assert_eq!(fixture.send_new(chatroom, &ann, "m"), 2);
    let mut other = fixture.other_program();
    for (nonce, age_ms) in [("n", DAY_MS + 1), ("m", DAY_MS - 60_000)] {
        let age = format!("UPDATE nonces SET time = time - {age_ms} WHERE nonce = '{nonce}'");
        assert_eq!(other.execute(&age), 1);
    }
    assert_eq!(fixture.send_new(chatroom, &ann, "n"), 3);
    assert_eq!(fixture.send(chatroom, &ann, "n"), before(3, &ann));
    assert_eq!(fixture.send(chatroom, &ann, "m"), before(2, &ann));
}

#[test]
fn nonces_that_count_no_longer_are_removed_a_few_at_a_time() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    assert_eq!(fixture.send_new(chatroom, &ann, "n"), 1);
    let old = (1..=600).map(|n| format!("(1, 1, 'old {n}', {n}, 0)"));
    let old = Vec::from_iter(old).join(", ");
    let mut other = fixture.other_program();
    other.execute(&format!("INSERT INTO nonces VALUES {old}"));
    fixture.reopen();
    for _ in 0..5 {
        fixture.chatroom(&ann);
    }
    assert_eq!(other.number("SELECT count(*) FROM nonces"), 1);
    let left = "SELECT count(*) FROM nonces WHERE nonce = 'n'";
    assert_eq!(other.number(left), 1);
    assert_eq!(fixture.send(chatroom, &ann, "n"), before(1, &ann));
}
