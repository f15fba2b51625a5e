//! What is read of a chatroom's messages.

use loiter::job::{MessageRange, MessageRows, News};
use loiter::model::MessageId;

use super::*;

fn id(number: i64) -> Option<MessageId> {
    Some(MessageId::new(number).expect("positive"))
}

fn ids(rows: &MessageRows) -> Vec<i64> {
    rows.messages.iter().map(|(id, _)| id.get()).collect()
}

impl Fixture {
    fn read(
        &mut self,
        chatroom: ChatroomId,
        user: &User,
        range: MessageRange,
        limit: u32,
    ) -> Result<MessageRows, Fault> {
        let job = Job::ReadMessages {
            ticket: ticket(5),
            chatroom,
            user: user.id,
            range,
            limit,
        };
        match self.ask(job) {
            Completion::MessagesRead {
                ticket: asked,
                chatroom: of,
                range: of_range,
                read,
            } => {
                assert_eq!((asked, of, of_range), (ticket(5), chatroom, range));
                read
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_range_of_messages_is_read_from_either_side_and_comes_oldest_first() {
    use MessageRange::{After, Before};
    let mut fixture = Fixture::new();
    let ann = fixture.user("Ann");
    let bob = fixture.user("bob");
    let chatrooms = [1, 2, 3].map(|_| fixture.chatroom(&ann));
    let chatroom = chatrooms[1];
    fixture.add(chatroom, &ann, "bob").expect("added");
    let mut said = Vec::new();
    for number in 1..=7 {
        for neighbour in [chatrooms[0], chatrooms[2]] {
            fixture.say(neighbour, &ann, "elsewhere").expect("saved");
        }
        let author = if number % 2 == 0 { &bob } else { &ann };
        said.push(fixture.say(chatroom, author, "here").expect("saved"));
    }
    for (range, limit, expected) in [
        (After(None), 50, 1..8),
        (After(None), 3, 1..4),
        (After(id(2)), 3, 3..6),
        (After(id(5)), 3, 6..8),
        (After(id(7)), 3, 1..1),
        (After(id(i64::MAX)), 3, 1..1),
        (After(id(2)), 0, 1..1),
        (Before(None), 50, 1..8),
        (Before(None), 3, 5..8),
        (Before(id(5)), 3, 2..5),
        (Before(id(3)), 3, 1..3),
        (Before(id(1)), 3, 1..1),
        (Before(id(i64::MAX)), 2, 6..8),
    ] {
        let rows = fixture.read(chatroom, &bob, range, limit).expect("in it");
        let expected = said.iter().filter(|said| expected.contains(&said.id.get()));
        assert_eq!(rows.messages, expected.collect(), "{range:?}");
        assert_eq!(
            (Some(rows.bounds.first), rows.bounds.last),
            (id(1), id(7)),
            "{range:?}"
        );
    }
}

#[test]
fn a_chatroom_in_which_nothing_was_said_begins_with_what_comes() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    for range in [MessageRange::After(None), MessageRange::Before(None)] {
        let rows = fixture.read(chatroom, &ann, range, 50).expect("in it");
        assert_eq!(ids(&rows), [0; 0]);
        assert_eq!((Some(rows.bounds.first), rows.bounds.last), (id(1), None));
    }
}

#[test]
fn who_is_not_in_a_chatroom_reads_nothing_of_it() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let bob = fixture.user("bob");
    let chatroom = fixture.chatroom(&ann);
    fixture.say(chatroom, &ann, "x").expect("saved");
    for (chatroom, user) in [(chatroom, &bob), (nowhere(), &ann), (chatroom, &nobody())] {
        let read = fixture.read(chatroom, user, MessageRange::After(None), 50);
        assert_eq!(read, Err(Fault::NotAParticipant));
    }
}

#[test]
fn a_read_range_sees_every_message_that_was_told() {
    let mut fixture = Fixture::with(|config| config.workers = 4);
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    for number in 1..=200 {
        let saved = fixture.say(chatroom, &ann, "x").expect("saved");
        let before = MessageId::new(number - 1);
        let read = fixture.read(chatroom, &ann, MessageRange::After(before), 50);
        let rows = read.expect("in it");
        assert_eq!(rows.bounds.last, Some(saved.id));
        assert_eq!(rows.messages, [&saved].into_iter().collect());
    }
}

#[test]
fn what_is_newer_in_several_chatrooms_is_read_at_one_time_and_in_their_order() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("Ann");
    let bob = fixture.user("bob");
    let chatrooms = [1, 2, 3].map(|_| fixture.chatroom(&ann));
    let [first, second, third] = chatrooms;
    for chatroom in [third, first, first, third, second] {
        fixture.say(chatroom, &ann, "x").expect("saved");
    }
    let mut read = |user: &User, since: &[(ChatroomId, Option<MessageId>)], limit| {
        let job = Job::ReadNews {
            ticket: ticket(5),
            user: user.id,
            since: since.to_vec(),
            limit,
        };
        let Completion::NewsRead {
            ticket: asked,
            read,
        } = fixture.ask(job)
        else {
            panic!("another completion");
        };
        assert_eq!(asked, ticket(5));
        read.map(|news| match news {
            News::Messages(messages) => {
                let shown = messages.iter().map(|(id, json)| {
                    let json: serde_json::Value = serde_json::from_slice(json).expect("JSON");
                    let chatroom = json["chatroomid"].as_i64().and_then(ChatroomId::new);
                    (chatroom.expect("an id"), id.get())
                });
                shown.collect::<Vec<_>>()
            }
            News::Expired { .. } => panic!("nothing has expired"),
        })
    };
    let all = [(first, id(1)), (second, None), (third, None)];
    let news = vec![(first, 2), (second, 1), (third, 1), (third, 2)];
    assert_eq!(read(&ann, &all, 50), Ok(news.clone()));
    assert_eq!(read(&ann, &all, 3), Ok(news[..3].to_vec()));
    assert_eq!(read(&ann, &[(second, id(1))], 50), Ok(vec![]));
    assert_eq!(read(&ann, &[], 50), Ok(vec![]));
    assert_eq!(read(&bob, &all, 50), Err(Fault::NotAParticipant));
}
