//! Messages that are sent once more.

use super::*;
use crate::job::{MessageBounds, MessageRange, MessageRows, SavedBefore};
use crate::model::MessageList;

/// Sends a message for the second time, as far as the store's answer to that.
fn sent_again(limit: Option<u32>) -> Loops {
    let mut loops = Loops::new(1, 0);
    let send = SessionCall::Send {
        chatroom: room(),
        text: "hi".into(),
        nonce: Some("n".into()),
        limit: limit.map(|limit| Limit::new(limit.into()).expect("in its bounds")),
    };
    loops.call(0, 1, Call::InSession(send));
    let before = SavedBefore {
        id: MessageId::new(1).expect("positive"),
        author: user().id,
    };
    loops.complete(
        0,
        Completion::MessageSaved {
            ticket: ticket(0, 1),
            chatroom: room(),
            saved: Ok(Saved::Before(before)),
        },
    );
    loops
}

impl Loops {
    /// What the sender gets when the store has said `read` of the list.
    fn sent(mut self, limit: u32, read: Result<MessageRows, Fault>) -> Vec<String> {
        let range = MessageRange::Before(None);
        let asked = Job::ReadMessages {
            ticket: ticket(0, 1),
            chatroom: room(),
            user: user().id,
            range,
            limit,
        };
        assert_eq!(format!("{:?}", self.reads), format!("{:?}", [asked]));
        self.complete(
            0,
            Completion::MessagesRead {
                ticket: ticket(0, 1),
                chatroom: room(),
                range,
                read,
            },
        );
        assert_eq!(self.chats[0].counts().sends, 0);
        self.assert_idle();
        self.heard()
    }
}

fn three() -> MessageRows {
    MessageRows {
        messages: MessageList::from_iter(&(1..=3).map(message).collect::<Vec<_>>()),
        bounds: MessageBounds {
            first: MessageId::new(1).expect("positive"),
            last: MessageId::new(3),
        },
    }
}

#[test]
fn the_sender_gets_the_id_of_the_first_and_the_list_as_it_is_now() {
    assert_eq!(sent_again(None).sent(50, Ok(three())), ["1: sent 1: 1 2 3"]);
    let _ = sent_again(Some(3)).sent(3, Ok(three()));
    // No more than others get.
    let _ = sent_again(Some(200)).sent(50, Ok(three()));
}

#[test]
fn who_has_left_meanwhile_is_told_nothing_of_what_is_said_there() {
    let mut loops = sent_again(None);
    loops.complete(0, left());
    let refused = "1: Fault(NotAParticipant)";
    assert_eq!(loops.sent(50, Err(Fault::NotAParticipant)), [refused]);
}
