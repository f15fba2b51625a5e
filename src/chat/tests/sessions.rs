//! Sessions in use, and sessions that seem to have expired.

use super::*;

#[test]
fn the_store_hears_of_a_use_before_another_loop_could_take_the_session_for_expired() {
    for lifetime_ms in [1_000, 5_000, 60_000] {
        let config = Config {
            session_lifetime: std::time::Duration::from_millis(lifetime_ms),
            ..Config::default()
        };
        let mut chat = Chat::new(&config, 0);
        let row = SessionRow {
            user: user(),
            used_unix_ms: 0,
        };
        let mut told = 0;
        for unix_ms in (1..lifetime_ms * 3).step_by(50) {
            let now = Now {
                unix_ms,
                ..Now::default()
            };
            let call = Call::InSession(SessionCall::CreateChatroom { name: None });
            chat.call(now, ticket(0, 1), Some(SESSION), call);
            let found = Completion::SessionFound {
                event_loop: 0,
                session: SESSION,
                found: Ok(Some(row.clone())),
            };
            chat.complete(now, found);
            chat.serve(now, 10);
            while let Some(output) = chat.next_output() {
                if let Output::Submit(Job::TouchSessions { used }) = output {
                    told = used[0].1;
                }
            }
            assert!(
                unix_ms - told <= lifetime_ms / 5,
                "{unix_ms}, {told} of {lifetime_ms}"
            );
        }
    }
}

/// This loop may not know of the last use, which was another's.
#[test]
fn a_session_that_seems_to_have_expired_is_asked_for_before_it_is_refused() {
    let config = Config {
        session_lifetime: std::time::Duration::from_millis(1000),
        loops: 2,
        ..Config::default()
    };
    let mut chat = Chat::new(&config, 1);
    let at = |unix_ms| Now {
        unix_ms,
        ..Now::default()
    };
    let mut found_at = |now: Now, used_unix_ms: Option<u64>| {
        let call = Call::InSession(SessionCall::Chatrooms);
        chat.call(now, ticket(1, 1), Some(SESSION), call);
        let output = chat.next_output();
        let Some(Output::Submit(Job::FindSession { session, .. })) = output else {
            panic!("{output:?}")
        };
        let row = used_unix_ms.map(|used_unix_ms| SessionRow {
            user: user(),
            used_unix_ms,
        });
        let completion = Completion::SessionFound {
            event_loop: 1,
            session,
            found: Ok(row),
        };
        chat.complete(now, completion);
        chat.serve(now, 10);
        let output = chat.next_output();
        if let Some(Output::Submit(Job::LoadUser { user, .. })) = output {
            let completion = Completion::UserLoaded {
                event_loop: 1,
                user,
                chatrooms: Ok(Vec::new()),
            };
            chat.complete(now, completion);
            chat.serve(now, 10);
        }
        let outputs = output
            .into_iter()
            .chain(std::iter::from_fn(|| chat.next_output()));
        let answers = outputs.filter_map(|output| match output {
            Output::Answer(_, reply) => Some(shown(&reply)),
            _ => None,
        });
        answers.collect::<Vec<_>>()
    };
    assert_eq!(found_at(at(100), Some(100)), ["Chatrooms([])"]);
    assert_eq!(found_at(at(2000), Some(1900)), ["Chatrooms([])"]);
    assert_eq!(found_at(at(4000), None), ["Fault(NoSession)"]);
}
