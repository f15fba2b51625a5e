//! Messages that are not kept for ever.

use loiter::job::{MessageRange, MessageRows};
use loiter::model::MessageId;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const HOUR_MS: i64 = 3_600_000;

fn keeping_an_hour() -> Fixture {
    Fixture::with(|config| config.retention = Some(HOUR))
}

impl Fixture {
    fn say_many(&mut self, chatroom: ChatroomId, author: &User, messages: usize) {
        for _ in 0..messages {
            self.submit(say(chatroom, author, "x"));
        }
        for _ in 0..messages {
            new_message(self.next()).expect("saved");
        }
    }

    /// Ends the store, and lets an hour pass for a chatroom's messages up to this one. A store that still ran could remove them at once,
    /// and tell nobody who is left to hear of it.
    fn age(&mut self, chatroom: ChatroomId, until: i64) {
        drop(self.store.take());
        let mut other = self.other_program();
        let ms = HOUR_MS + 1;
        let aged = other.execute(&format!(
            "UPDATE messages SET time = time - {ms} WHERE chatroom = {chatroom} AND id <= {until}"
        ));
        assert_ne!(aged, 0);
        other.execute(&format!(
            "UPDATE chatrooms SET oldest_time = oldest_time - {ms} WHERE id = {chatroom}"
        ));
    }

    /// What the next completion says has expired.
    fn expired(&mut self) -> (ChatroomId, i64) {
        match self.next() {
            Completion::MessagesExpired { chatroom, first } => (chatroom, first.get()),
            other => panic!("{other:?}"),
        }
    }

    fn rows(&mut self, chatroom: ChatroomId, user: &User) -> MessageRows {
        let job = Job::ReadMessages {
            ticket: ticket(1),
            chatroom,
            user: user.id,
            range: MessageRange::After(None),
            limit: 50,
        };
        field!(self.ask(job), MessagesRead, read).expect("in it")
    }
}

fn shown(rows: &MessageRows) -> Vec<i64> {
    rows.messages.iter().map(|(id, _)| id.get()).collect()
}

fn ids(messages: &[Message]) -> Vec<i64> {
    messages.iter().map(|message| message.id.get()).collect()
}

#[test]
fn messages_are_kept_for_ever_unless_they_are_not_to_be() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    fixture.say_many(chatroom, &ann, 3);
    fixture.age(chatroom, 3);
    fixture.reopen();
    fixture.chatroom(&ann);
    assert_eq!(ids(&fixture.recent(chatroom, 50).messages), [1, 2, 3]);
}

#[test]
fn old_messages_go_and_all_loops_are_told_what_is_left() {
    let mut fixture = keeping_an_hour();
    let ann = fixture.user("ann");
    let [some, none, other] = [1, 2, 3].map(|_| fixture.chatroom(&ann));
    for chatroom in [some, none, other] {
        fixture.say_many(chatroom, &ann, 4);
    }
    fixture.age(some, 2);
    fixture.age(other, 3);
    fixture.reopen();
    let mut expired = [fixture.expired(), fixture.expired()];
    expired.sort_unstable();
    assert_eq!(expired, [(some, 3), (other, 4)]);
    assert_eq!(ids(&fixture.recent(some, 50).messages), [3, 4]);
    assert_eq!(ids(&fixture.recent(none, 50).messages), [1, 2, 3, 4]);
    let rows = fixture.rows(other, &ann);
    assert_eq!((shown(&rows), rows.bounds.first.get()), (vec![4], 4));
    assert_eq!(rows.bounds.last, MessageId::new(4));
    assert_eq!(fixture.say(other, &ann, "x").expect("saved").id.get(), 5);
    // There is nothing more to say of them.
    fixture.reopen();
    fixture.chatroom(&ann);
}

#[test]
fn an_emptied_chatroom_goes_on_with_the_next_id() {
    let mut fixture = keeping_an_hour();
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    fixture.say_many(chatroom, &ann, 3);
    for last in [3, 4] {
        fixture.age(chatroom, last);
        fixture.reopen();
        assert_eq!(fixture.expired(), (chatroom, last + 1));
        let recent = fixture.recent(chatroom, 50);
        assert_eq!(
            (recent.last, recent.messages),
            (MessageId::new(last), vec![])
        );
        let rows = fixture.rows(chatroom, &ann);
        assert_eq!(
            (rows.bounds.first.get(), rows.bounds.last),
            (last + 1, MessageId::new(last))
        );
        let job = Job::ListOverview {
            ticket: ticket(1),
            user: ann.id,
        };
        let overview = field!(fixture.ask(job), OverviewListed, chatrooms).expect("a read");
        assert_eq!(overview[0].last, MessageId::new(last));
        fixture.reopen();
        let message = fixture.say(chatroom, &ann, "x").expect("saved");
        assert_eq!(message.id.get(), last + 1);
        let rows = fixture.rows(chatroom, &ann);
        assert_eq!(
            (shown(&rows), rows.bounds.first.get()),
            (vec![last + 1], last + 1)
        );
    }
}

#[test]
fn many_old_messages_go_a_few_at_a_time() {
    let mut fixture = keeping_an_hour();
    let ann = fixture.user("ann");
    let [long, short] = [1, 2].map(|_| fixture.chatroom(&ann));
    fixture.say_many(long, &ann, 700);
    fixture.say_many(short, &ann, 2);
    fixture.age(short, 2);
    fixture.age(long, 600);
    fixture.reopen();
    let mut told = Vec::new();
    while ![(long, 601), (short, 3)]
        .iter()
        .all(|last| told.contains(last))
    {
        told.push(fixture.expired());
    }
    let firsts = told.iter().filter(|(chatroom, _)| *chatroom == long);
    let firsts: Vec<i64> = firsts.map(|(_, first)| *first).collect();
    assert!(
        firsts
            .windows(2)
            .all(|pair| pair[0] < pair[1] && pair[1] - pair[0] <= 256),
        "{told:?}"
    );
    assert!(firsts.len() >= 3 && firsts[0] <= 257, "{told:?}");
    assert_eq!(fixture.rows(long, &ann).bounds.first.get(), 601);
}

#[test]
fn a_message_behind_one_that_is_kept_is_kept() {
    let mut fixture = keeping_an_hour();
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    fixture.say_many(chatroom, &ann, 4);
    fixture.age(chatroom, 1);
    // The system's clock was set back between two starts.
    let back = "UPDATE messages SET time = time - 3600001 WHERE id = 3";
    fixture.other_program().execute(back);
    fixture.reopen();
    assert_eq!(fixture.expired(), (chatroom, 2));
    assert_eq!(ids(&fixture.recent(chatroom, 50).messages), [2, 3, 4]);
}
