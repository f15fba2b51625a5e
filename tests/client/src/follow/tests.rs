//! Following, told by a server whose answers are written down.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::model::Overview;
use crate::pauses::Pauses;
use crate::scripted::Scripted;
use crate::scripted::Turn::{self, Answer, Last, Ok as Good, Open};
use crate::strict::PATIENCE;

const NOTHING_SAID: &str = r#"[{"chatroomid":7,"admin":1,"participants":1,"last":0}]"#;

/// A message of chatroom 7 in JSON.
macro_rules! said {
    ($id:literal) => {
        said!(7, $id)
    };
    ($chatroom:literal, $id:literal) => {
        concat!(
            r#"{"id":"#,
            $id,
            r#","chatroomid":"#,
            $chatroom,
            r#","userid":1,"username":"ann","message":"hi","time":"2026-11-23T08:00:00.000Z"}"#
        )
    };
}

/// What is heard up to the message that `is_last`: chatroom and id of each, and gaps.
fn follow(
    client: &mut Client,
    following: impl Into<Following>,
    is_last: (u64, u64),
) -> (Vec<(u64, u64)>, Vec<Gap>) {
    let (mut heard, mut gaps) = (Vec::new(), Vec::new());
    let followed = client.follow(following, |news| {
        match news {
            News::Messages(messages) => {
                heard.extend(messages.iter().map(|m| (m.chatroomid, m.id)));
            }
            News::Gap(gap) => gaps.push(gap),
        }
        match heard.last() == Some(&is_last) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    followed.unwrap();
    (heard, gaps)
}

/// The parameters of the polls that were asked; other calls by their path.
fn asked(server: Scripted) -> Vec<String> {
    let requests = server.requests();
    let without_rest = |request: &String| {
        let target = request.split(' ').nth(1).unwrap();
        let target = target.split("&timeout").next().unwrap();
        target.trim_start_matches("/message/longpoll/?").to_owned()
    };
    requests.iter().map(without_rest).collect()
}

#[test]
fn the_newest_message_is_learned_first() {
    let overview = r#"[{"chatroomid":9,"admin":1,"participants":1,"last":3},
        {"chatroomid":7,"name":"tea","admin":1,"participants":1,"last":12}]"#;
    let server = Scripted::new([
        Good(overview),
        Good("[]"),
        Good(concat!("[", said!(13), ",", said!(14), "]")),
        Good(concat!("[", said!(15), "]")),
    ]);
    let (heard, _) = follow(&mut server.client(), 7, (7, 15));
    assert_eq!(heard, [(7, 13), (7, 14), (7, 15)]);
    assert_eq!(
        asked(server),
        [
            "/message/overview/",
            "chatroomid=7&since=12",
            "chatroomid=7&since=12",
            "chatroomid=7&since=14",
        ]
    );
}

#[test]
fn what_passes_is_only_a_delay() {
    let failed = r#"{"error":"storage_failed","message":"It cannot be read."}"#;
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n[";
    let server = Scripted::new([
        Last("HTTP/1.1 503 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        Good(NOTHING_SAID),
        Last(cut),
        Last(""),
        Answer(500, "", failed),
        Answer(502, "", "<html>"),
        Good(concat!("[", said!(1), "]")),
    ]);
    let (heard, _) = follow(&mut server.client(), [7], (7, 1));
    assert_eq!(heard, [(7, 1)]);
    assert_eq!(asked(server)[2..], ["chatroomid=7&since=0"; 5]);
}

#[test]
fn what_does_not_follow_is_not_told() {
    let server = Scripted::new([
        Good(concat!("[", said!(4), ",", said!(6), "]")),
        Good(concat!("[", said!(4), ",", said!(5), ",", said!(6), "]")),
    ]);
    let following = Following::of([7, 7]).since(7, 3).since(8, 1).limit(2);
    let (heard, _) = follow(&mut server.client(), following, (7, 6));
    assert_eq!(heard, [(7, 4), (7, 5), (7, 6)]);
    let polls = asked(server);
    assert_eq!(
        polls,
        [
            "chatroomid=7&since=3&limit=2",
            "chatroomid=7&since=4&limit=2"
        ]
    );
}

#[test]
fn whoever_is_strict_takes_what_does_not_follow_for_an_error() {
    for list in [
        concat!("[", said!(4), ",", said!(6), "]"),
        concat!("[", said!(3), ",", said!(4), "]"),
    ] {
        let server = Scripted::new([Good(list)]);
        let following = Following::of([7]).since(7, 3).strict();
        let failed = server.client().follow(following, |news| panic!("{news:?}"));
        assert!(matches!(failed, Err(Error::Lacking(_))), "{failed:?}");
        server.requests();
    }
}

#[test]
fn whoever_is_told_nothing_new_does_not_ask_forever() {
    let server = Scripted::new([Good(concat!("[", said!(3), "]"))]);
    let following = Following::of([7]).since(7, 3);
    let failed = server.client().follow(following, |news| panic!("{news:?}"));
    assert!(matches!(failed, Err(Error::Lacking(_))), "{failed:?}");
    server.requests();
}

#[test]
fn what_does_not_pass_ends_it() {
    for (status, code) in [(401, "no_session"), (500, "not_a_participant")] {
        let bodies = [
            r#"{"error":"no_session","message":"There is none."}"#,
            r#"{"error":"not_a_participant","message":"You are not."}"#,
        ];
        let body = bodies.into_iter().find(|body| body.contains(code)).unwrap();
        let server = Scripted::new([Good("[]"), Answer(status, "", body)]);
        let failed = server.client().follow(7, |news| panic!("{news:?}"));
        let failed = failed.unwrap_err();
        assert_eq!(failed.failure().unwrap().code, code);
        assert_eq!(asked(server)[1], "chatroomid=7&since=0");
    }
}

#[test]
fn a_gap_is_told_and_passed() {
    let expired = r#"{"error":"since_expired","message":"It is gone.","first":9}"#;
    let ahead = r#"{"error":"since_ahead","message":"It is not said.","last":2}"#;
    let server = Scripted::new([
        Answer(410, "", expired),
        Good(concat!("[", said!(9), "]")),
        Answer(409, "", ahead),
        Good(concat!("[", said!(3), "]")),
    ]);
    let following = Following::of([7]).since(7, 3);
    let (heard, gaps) = follow(&mut server.client(), following, (7, 3));
    assert_eq!(heard, [(7, 9), (7, 3)]);
    let (chatroomid, since) = (7, 3);
    let expired = Gap::Expired {
        chatroomid,
        since,
        first: 9,
    };
    let ahead = Gap::Ahead {
        chatroomid,
        since: 9,
        last: 2,
    };
    assert_eq!(gaps, [expired, ahead]);
    let since = asked(server);
    let since = since.iter().map(|poll| poll.rsplit_once('=').unwrap().1);
    assert_eq!(Vec::from_iter(since), ["3", "8", "9", "2"]);
}

#[test]
fn several_chatrooms_are_one_poll() {
    let server = Scripted::new([
        Good(r#"[{"chatroomid":9,"admin":1,"participants":1,"last":40}]"#),
        Good(concat!("[", said!(7, 13), ",", said!(9, 41), "]")),
        Good(concat!("[", said!(9, 42), "]")),
    ]);
    let following = Following::of([7, 9]).since(7, 12);
    let (heard, _) = follow(&mut server.client(), following, (9, 42));
    assert_eq!(heard, [(7, 13), (9, 41), (9, 42)]);
    assert_eq!(
        asked(server)[1..],
        [
            "chatroomid=7,9&since=7:12,9:40",
            "chatroomid=7,9&since=7:13,9:41"
        ]
    );
}

#[test]
fn of_several_chatrooms_the_server_says_where_the_gap_is() {
    let expired = r#"{"error":"since_expired","message":"It is gone.","first":6,"chatroomid":8}"#;
    let server = Scripted::new([
        Answer(410, "", expired),
        Good(concat!("[", said!(8, 6), "]")),
    ]);
    let following = Following::of([7, 8]).since(7, 12).since(8, 2);
    let (heard, gaps) = follow(&mut server.client(), following, (8, 6));
    assert_eq!(heard, [(8, 6)]);
    let gap = Gap::Expired {
        chatroomid: 8,
        since: 2,
        first: 6,
    };
    assert_eq!(gaps, [gap]);
    assert_eq!(asked(server)[1], "chatroomid=7,8&since=7:12,8:5");
}

#[test]
fn of_all_chatrooms_those_joined_meanwhile_are_told_from_their_first_message() {
    let server = Scripted::new([
        Good("[]"),
        Good(concat!("[", said!(7, 2), "]")),
        Good(r#"[{"chatroomid":7,"admin":1,"participants":1,"last":2}]"#),
        Good(concat!("[", said!(7, 1), ",", said!(7, 2), "]")),
        Good("[]"),
        Good(
            r#"[{"chatroomid":7,"admin":1,"participants":1,"last":2},
            {"chatroomid":8,"admin":1,"participants":1,"last":1}]"#,
        ),
        Good(concat!("[", said!(8, 1), "]")),
    ]);
    let (heard, _) = follow(&mut server.client(), Following::all(), (8, 1));
    assert_eq!(heard, [(7, 1), (7, 2), (8, 1)]);
    assert_eq!(
        asked(server),
        [
            "/message/overview/",
            "chatroomid=all",
            "/message/overview/",
            "chatroomid=all&since=7:0",
            "chatroomid=all&since=7:2",
            "/message/overview/",
            "chatroomid=all&since=7:2,8:0",
        ]
    );
}

#[test]
fn of_all_chatrooms_those_left_are_asked_for_no_more_and_go_on_where_they_were() {
    let failed = r#"{"error":"not_a_participant","message":"You are not."}"#;
    let server = Scripted::new([
        Good(NOTHING_SAID),
        Good(concat!("[", said!(7, 1), "]")),
        Answer(500, "", failed),
        Good("[]"),
        Good("[]"),
        Good(r#"[{"chatroomid":7,"admin":1,"participants":1,"last":3}]"#),
        Good(concat!("[", said!(7, 2), ",", said!(7, 3), "]")),
    ]);
    let (heard, _) = follow(&mut server.client(), Following::all(), (7, 3));
    assert_eq!(heard, [(7, 1), (7, 2), (7, 3)]);
    let asked = asked(server);
    assert_eq!(asked[4], "chatroomid=all");
    assert_eq!(asked[6], "chatroomid=all&since=7:1");
}

#[test]
fn of_more_chatrooms_than_have_room_those_spoken_in_last_have_pairs() {
    let overview = |(chatroomid, last): (u64, u64)| Overview {
        chatroomid,
        name: None,
        admin: 1,
        participants: 1,
        last,
    };
    let mut reading = Reading::new(BTreeMap::new());
    let rows = [(9, 4), (7, 2), (8, 10)].map(overview);
    reading.take_stock(&rows, true);
    assert_eq!(reading.pairs(100).text, "7:2,8:10,9:4");
    assert!(reading.is_whole(&reading.pairs(13)));
    // Each has its comma.
    for (bytes, text) in [(12, "7:2,9:4"), (7, "9:4"), (3, "")] {
        let pairs = reading.pairs(bytes);
        assert_eq!(pairs.text, text);
        assert!(!reading.is_whole(&pairs));
    }
    // Where something is known to be there comes first.
    reading.take_stock(&[(9, 4), (7, 2), (8, 11)].map(overview), false);
    assert_eq!(reading.pairs(5).text, "8:10");
    // And whoever knows less than was told has to say so.
    reading.take_stock(&[(9, 4), (8, 10), (7, 1)].map(overview), false);
    assert_eq!(reading.pairs(4).text, "7:2");
    reading.go_on(7, 1, true);
    assert_eq!(reading.pairs(4).text, "9:4");
}

/// Three chatrooms, of which two have pairs in [`narrow`]: 9 and 8.
const THREE: &str = r#"[{"chatroomid":100000000000009,"admin":1,"participants":1,"last":2},
    {"chatroomid":100000000000008,"admin":1,"participants":1,"last":2},
    {"chatroomid":100000000000007,"admin":1,"participants":1,"last":2}]"#;
const SEVEN: u64 = 100_000_000_000_007;
const EIGHT: u64 = SEVEN + 1;

fn narrow() -> Following {
    Following::all().query_max("all".len() + PAIR_MAX)
}

/// The polls among what was asked, with the last digits of the chatrooms.
fn pairs_asked(server: Scripted) -> Vec<String> {
    let asked = asked(server).into_iter();
    let pairs = asked.filter_map(|poll| Some(poll.split_once("since=")?.1.to_owned()));
    pairs
        .map(|pairs| pairs.replace("10000000000000", ""))
        .collect()
}

#[test]
fn what_is_said_without_a_pair_is_told_where_it_follows_and_else_asked_for() {
    let server = Scripted::new([
        Good(THREE),
        Good(concat!("[", said!(100000000000007, 3), "]")),
        Good(concat!("[", said!(100000000000008, 4), "]")),
        Good(concat!(
            "[",
            said!(100000000000008, 3),
            ",",
            said!(100000000000008, 4),
            "]"
        )),
    ]);
    let (heard, _) = follow(&mut server.client(), narrow().strict(), (EIGHT, 4));
    assert_eq!(heard, [(SEVEN, 3), (EIGHT, 3), (EIGHT, 4)]);
    assert_eq!(pairs_asked(server), ["8:2,9:2", "7:3,9:2", "7:3,8:2"]);
}

#[test]
fn what_is_said_without_a_pair_and_without_a_sign_is_found_by_the_overview() {
    const SAID: &str = r#"[{"chatroomid":100000000000009,"admin":1,"participants":1,"last":2},
    {"chatroomid":100000000000008,"admin":1,"participants":1,"last":2},
    {"chatroomid":100000000000007,"admin":1,"participants":1,"last":3}]"#;
    let server = Scripted::new([
        Good(THREE),
        Good(THREE),
        Good(concat!("[", said!(100000000000008, 3), "]")),
        Good(SAID),
        Good(concat!("[", said!(100000000000007, 3), "]")),
    ]);
    // It is time for an overview before each poll.
    let following = narrow().timeout(Duration::ZERO);
    let (heard, _) = follow(&mut server.client(), following, (SEVEN, 3));
    assert_eq!(heard, [(EIGHT, 3), (SEVEN, 3)]);
    assert_eq!(pairs_asked(server), ["8:2,9:2", "7:2,8:3"]);
}

#[test]
fn chatrooms_that_leave_no_room_for_a_pair_are_refused() {
    let following = Following::of([7, 8]).query_max(PAIR_MAX + 2);
    // Nobody is there, nor asked.
    let mut client = Client::new(std::net::SocketAddr::from(([127, 0, 0, 1], 9)));
    let refused = client.follow(following, |news| panic!("{news:?}"));
    assert!(matches!(refused, Err(Error::TooMany)), "{refused:?}");
}

#[test]
fn polls_that_end_at_once_with_nothing_are_repeated_later_each_time() {
    let server = Scripted::new([
        Good("[]"),
        Good("[]"),
        Good("[]"),
        Good("[]"),
        Good(concat!("[", said!(1), "]")),
    ]);
    let pauses = Pauses {
        first: Duration::from_millis(40),
        longest: Duration::from_secs(3600),
    };
    let mut client = server.client().with_pauses(pauses);
    let begun = Instant::now();
    follow(&mut client, Following::of([7]).since(7, 0), (7, 1));
    // Half of 40, 80, 160 and 320 at least.
    assert!(begun.elapsed() >= Duration::from_millis(300));
    server.requests();
}

#[test]
fn a_stop_from_another_thread_ends_a_poll_and_a_pause() {
    let scripts: [fn() -> Vec<Turn>; 2] = [
        || vec![Good(NOTHING_SAID), Open("")],
        || {
            let later = Answer(503, "Retry-After: 3600\r\n", "");
            vec![Good(NOTHING_SAID), later]
        },
    ];
    for script in scripts {
        let server = Scripted::new(script());
        // It would wait for longer than the test does.
        let mut client = server.client().with_patience(PATIENCE * 100);
        let (stop, (tell, told)) = (client.stop(), mpsc::channel());
        thread::spawn(move || {
            let followed = client.follow(7, |news| panic!("{news:?}"));
            tell.send((followed, client.whoami())).unwrap();
        });
        server.wait_for(2);
        stop.stop();
        let (followed, next) = told.recv_timeout(PATIENCE).unwrap();
        followed.unwrap();
        assert!(matches!(next, Err(Error::Stopped)), "{next:?}");
        server.requests();
    }
}
