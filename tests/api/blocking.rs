//! The blocking client of tools, `loiter_client::Client`, as somebody would use it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use loiter_client::{Client, Error, Following, Gap, News, Pauses, Place};

use crate::serving::{PATIENCE, Serving};

/// Somebody who is logged in, with an impatience that no person would have.
fn user(place: impl Into<Place>, name: &str) -> Client {
    let pauses = Pauses {
        first: Duration::from_millis(1),
        longest: Duration::from_millis(20),
    };
    let mut client = Client::new(place)
        .with_pauses(pauses)
        .with_patience(PATIENCE);
    client.register(name, "pass & word").expect("registered");
    client.log_in(name, "pass & word").expect("logged in");
    client
}

fn code(error: Error) -> String {
    error.failure().expect("an answer").code.clone()
}

#[test]
fn it_makes_the_calls() -> Result<(), Error> {
    let serving = Serving::start();
    let mut ann = user(serving.address(), "ann");
    let mut bob = user(serving.address(), "bob");
    let found = bob.find_users("AN")?;
    assert_eq!(found, [ann.whoami()?]);
    assert_eq!(ann.find_users("x")?, []);
    let tea = ann.new_chatroom()?;
    assert_eq!(
        code(bob.participants(tea).unwrap_err()),
        "not_a_participant"
    );
    assert_eq!(
        ann.rename_chatroom(tea, "tea")?.name.as_deref(),
        Some("tea")
    );
    let both = ann.add_to_chatroom(tea, "bob")?.participants;
    assert_eq!(bob.participants(tea)?, both);
    assert_eq!(bob.chatrooms()?, [tea]);
    for id in 1..=3 {
        assert_eq!(ann.send(tea, &format!("{id} & more"))?, id);
    }
    let seen = bob.history(tea, Some(3), 1)?;
    assert_eq!((seen.len(), &*seen[0].message), (1, "2 & more"));
    assert_eq!(bob.history(tea, None, 200)?.len(), 3);
    let overview = &bob.overview()?[0];
    assert_eq!(
        (overview.chatroomid, overview.last, overview.participants),
        (tea, 3, 2)
    );
    let ended = bob.end_polls(tea)?;
    assert_eq!((ended.ended, ended.messages.len()), (0, 3));
    bob.leave_chatroom(tea)?;
    assert_eq!(
        ann.add_to_chatroom(tea, bob.whoami()?.userid)?.participants,
        both
    );
    assert_eq!(ann.remove_from_chatroom(tea, "bob")?.participants.len(), 1);
    let mut other = ann.beside();
    ann.change_password("pass & word", "pw")?;
    assert_eq!(other.whoami()?, ann.whoami()?);
    ann.log_out()?;
    assert_eq!(code(other.whoami().unwrap_err()), "no_session");
    Ok(())
}

#[test]
fn a_message_with_the_same_nonce_is_one() -> Result<(), Error> {
    let serving = Serving::start();
    let mut ann = user(serving.address(), "ann");
    let chatroom = ann.new_chatroom()?;
    assert_eq!(ann.send_as("n", chatroom, "hi")?, 1);
    assert_eq!(ann.send(chatroom, "hi")?, 2);
    assert_eq!(ann.send_as("n", chatroom, "hi")?, 1);
    Ok(())
}

#[test]
fn whoever_follows_misses_nothing_when_the_server_starts_anew() -> Result<(), Error> {
    let mut serving = Serving::start();
    let address = Arc::new(Mutex::new(serving.address()));
    let place = {
        let address = Arc::clone(&address);
        Place::found_by("loiter", move || Ok(vec![*address.lock().expect("sound")]))
    };
    let mut ann = user(place, "ann");
    let chatroom = ann.new_chatroom()?;
    ann.send(chatroom, "before it follows")?;
    let (mut follower, mut late) = (ann.beside(), ann.beside());
    let (stop, (tell, told)) = (follower.stop(), mpsc::channel());
    let following = thread::spawn(move || {
        follower.follow([chatroom], |news| {
            let News::Messages(messages) = news else {
                panic!("{news:?}");
            };
            let told = messages
                .iter()
                .try_for_each(|message| tell.send(message.id));
            told.map_or(ControlFlow::Break(()), ControlFlow::Continue)
        })
    });
    // What is said before the overview counts as before: from when it hears one on, it hears all.
    let mut heard = None;
    while heard.is_none() {
        ann.send(chatroom, "anybody there?")?;
        heard = told.try_recv().ok();
    }
    let first = heard.expect("an id");
    let mut last = first;
    for _ in 0..3 {
        serving = serving.restart(|_| {});
        *address.lock().expect("sound") = serving.address();
        last = ann.send(chatroom, "still there?")?;
    }
    for id in first + 1..=last {
        assert_eq!(told.recv_timeout(PATIENCE), Ok(id));
    }
    stop.stop();
    following.join().expect("no panic")?;
    assert!(told.try_recv().is_err(), "nothing came twice");
    // Whoever comes late and knows where they were hears the same.
    let mut all = Vec::new();
    late.follow(
        Following::of([chatroom]).since(chatroom, 0).limit(3),
        |news| {
            let News::Messages(messages) = news else {
                panic!("{news:?}");
            };
            all.extend(messages.iter().map(|message| message.id));
            match all.last() == Some(&last) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        },
    )?;
    assert_eq!(all, Vec::from_iter(1..=last));
    Ok(())
}

#[test]
fn whoever_knows_more_than_the_server_is_told() -> Result<(), Error> {
    let serving = Serving::start();
    let mut ann = user(serving.address(), "ann");
    let chatroom = ann.new_chatroom()?;
    ann.send(chatroom, "hi")?;
    let mut gaps = Vec::new();
    ann.follow(Following::of([chatroom]).since(chatroom, 9), |news| {
        match news {
            News::Gap(gap) => gaps.push(gap),
            News::Messages(messages) => panic!("{messages:?}"),
        }
        ControlFlow::Break(())
    })?;
    let ahead = Gap::Ahead {
        chatroomid: chatroom,
        since: 9,
        last: 1,
    };
    assert_eq!(gaps, [ahead]);
    Ok(())
}

#[test]
fn whoever_is_in_more_chatrooms_than_a_poll_has_room_for_misses_nothing() -> Result<(), Error> {
    const CHATROOMS: usize = 200;
    const MESSAGES: usize = 400;
    let serving = Serving::with(|config| config.max_head = 1024);
    let mut ann = user(serving.address(), "ann");
    let mut ids = Vec::new();
    for _ in 0..CHATROOMS {
        ids.push(ann.new_chatroom()?);
    }
    // All that are asked for, were there room.
    let since = |following: Following| ids.iter().fold(following, |all, id| all.since(*id, 0));
    let refused = ann.follow(since(Following::all()), |news| panic!("{news:?}"));
    assert_eq!(
        refused
            .expect_err("too long")
            .failure()
            .expect("an answer")
            .status,
        414
    );
    let timeout = Duration::from_secs(1);
    let narrow = since(Following::all())
        .query_max(600)
        .timeout(timeout)
        .strict();
    let mut follower = ann.beside();
    let (stop, (tell, ended)) = (follower.stop(), mpsc::channel());
    let (mut told, mut count) = (BTreeMap::new(), 0);
    thread::scope(|scope| {
        let following = scope.spawn(|| {
            let followed = follower.follow(narrow, |news| {
                let News::Messages(messages) = news else {
                    panic!("{news:?}");
                };
                for message in messages {
                    let last = told.entry(message.chatroomid).or_insert(0);
                    assert_eq!(message.id, *last + 1, "in {}", message.chatroomid);
                    *last = message.id;
                }
                count += messages.len();
                match count == MESSAGES {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
            tell.send(()).expect("heard");
            followed
        });
        // Here and there, and often where nobody has spoken for long.
        let said =
            (0..MESSAGES).try_for_each(|n| ann.send(ids[n * 37 % CHATROOMS], "hi").map(|_| ()));
        if said.is_err() || ended.recv_timeout(PATIENCE).is_err() {
            stop.stop();
        }
        following.join().expect("no panic").and(said)
    })?;
    assert!(ids.iter().all(|id| told.get(id) == Some(&2)));
    Ok(())
}
