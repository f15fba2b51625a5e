//! A chatroom that does not exist and one that the caller is not in are the same: the same answers, after the same questions to the store.
//!
//! What takes the same way takes the same time. So the ways are compared, not times.

use super::*;
use crate::chat::several::{SeveralCall, Which};

/// Where others talk: this loop remembers it, as busy as it is.
fn foreign() -> ChatroomId {
    another_room()
}

fn nowhere() -> ChatroomId {
    ChatroomId::new(99).expect("positive")
}

/// Every call that names a chatroom.
fn calls(chatroom: ChatroomId) -> Vec<SessionCall> {
    let poll = |since| {
        SessionCall::Poll(PollCall {
            chatroom,
            wanted: Wanted { since, limit: None },
            timeout_s: None,
            is_over: false,
            is_ahead: false,
        })
    };
    let several = |chatrooms: Vec<ChatroomId>, since| {
        SessionCall::PollSeveral(Box::new(SeveralCall {
            chatrooms: Which::These(chatrooms),
            since,
            limit: None,
            timeout_s: None,
            is_over: false,
            is_ahead: false,
        }))
    };
    let since = Since::new(0);
    let whom = || crate::job::Whom::Id(user().id);
    let name = || crate::model::ChatroomName::parse("tea").expect("a name");
    vec![
        poll(None),
        poll(since),
        poll(Since::new(1000)),
        several(vec![room(), chatroom], None),
        several(vec![chatroom], Some(vec![(chatroom, since.expect("0"))])),
        SessionCall::Stream(StreamCall {
            chatroom,
            since,
            is_ahead: false,
        }),
        SessionCall::EndPolls {
            chatroom,
            limit: None,
        },
        SessionCall::Send {
            chatroom,
            text: "x".into(),
            limit: None,
            nonce: Some("n".into()),
        },
        SessionCall::History {
            chatroom,
            before: None,
            limit: None,
        },
        SessionCall::Participants { chatroom },
        SessionCall::Presence { chatroom },
        SessionCall::RenameChatroom {
            chatroom,
            name: name(),
        },
        SessionCall::AddParticipant {
            chatroom,
            whom: whom(),
        },
        SessionCall::RemoveParticipant {
            chatroom,
            whom: Some(whom()),
        },
        SessionCall::RemoveParticipant {
            chatroom,
            whom: None,
        },
    ]
}

/// A loop that remembers ann, who is in room 7, and bob, who polls in another one, in which a message was just saved.
fn loop_with_strangers() -> Chat {
    let mut chat = Chat::new(&Config::default(), 0);
    let bob = session_of(2);
    way(&mut chat, 1, SESSION, SessionCall::Chatrooms, nowhere());
    way(
        &mut chat,
        2,
        bob,
        poll_of(foreign(), Wanted::default()),
        nowhere(),
    );
    let newest = RecentRows {
        last: MessageId::new(1),
        messages: vec![message_in(foreign(), 1)],
    };
    let loaded = Completion::ChatroomLoaded {
        event_loop: 0,
        chatroom: foreign(),
        loaded: Ok(newest),
    };
    chat.complete(Now::default(), loaded);
    chat.complete(Now::default(), saved_in(foreign(), 2));
    way(
        &mut chat,
        3,
        bob,
        poll_of(foreign(), Wanted::default()),
        nowhere(),
    );
    assert_eq!(chat.counts().held, 1, "bob's poll is parked there");
    chat
}

/// What a call makes the core do, with the chatroom's id taken out. The store tells at once of sessions and users.
fn way(
    chat: &mut Chat,
    exchange: u32,
    session: SessionHash,
    call: SessionCall,
    chatroom: ChatroomId,
) -> Vec<String> {
    let (id, now) = (format!("{chatroom:?}"), Now::default());
    chat.call(
        now,
        ticket(0, exchange),
        Some(session),
        Call::InSession(call),
    );
    let mut way = Vec::new();
    loop {
        chat.serve(now, 100);
        let Some(output) = chat.next_output() else {
            return way;
        };
        way.push(format!("{output:?}").replace(&id, "ChatroomId(N)"));
        match output {
            Output::Submit(Job::FindSession { session, .. }) => {
                let row = SessionRow {
                    user: whose(session),
                    used_unix_ms: 0,
                };
                let found = Completion::SessionFound {
                    event_loop: 0,
                    session,
                    found: Ok(Some(row)),
                };
                chat.complete(now, found);
            }
            Output::Submit(Job::LoadUser { user: whom, .. }) => {
                let theirs = if whom == user().id { room() } else { foreign() };
                let loaded = Completion::UserLoaded {
                    event_loop: 0,
                    user: whom,
                    chatrooms: Ok(vec![theirs]),
                };
                chat.complete(now, loaded);
            }
            _ => {}
        }
    }
}

#[test]
fn a_foreign_chatroom_is_none_whichever_call_asks() {
    let calls_max = calls(foreign()).len();
    for at in 0..calls_max {
        let asked = |chatroom: ChatroomId| {
            let call = calls(chatroom).swap_remove(at);
            way(&mut loop_with_strangers(), 9, SESSION, call, chatroom)
        };
        let (there, nowhere) = (asked(foreign()), asked(nowhere()));
        assert_eq!(there, nowhere);
        // Refused here, or one question to the store, that it answers by who asks.
        assert_eq!(there.len(), 1, "{there:?}");
        let is_settled = ["Answer", "Submit"]
            .iter()
            .any(|what| there[0].starts_with(what));
        assert!(is_settled, "{there:?}");
    }
}

/// A loop that remembers nobody: what it has the store load is the same too.
#[test]
fn a_foreign_chatroom_is_none_right_after_a_start() {
    for at in 0..calls(foreign()).len() {
        let asked = |chatroom: ChatroomId| {
            let mut chat = Chat::new(&Config::default(), 0);
            let call = calls(chatroom).swap_remove(at);
            way(&mut chat, 9, SESSION, call, chatroom)
        };
        assert_eq!(asked(foreign()), asked(nowhere()));
    }
}
