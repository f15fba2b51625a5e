//! The chat cores of several loops beside one another: boxes are filled here as the server fills them.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::job::{
    AddedRow, ChatroomRow, Completion, LOGINS_LOOP, RecentRows, RemovedRow, Saved, SessionRow,
};
use crate::model::{
    ChatroomId, Connection, ConnectionKey, Message, MessageId, Secret, User, UserId,
};

const SESSION: SessionHash = SessionHash([7; 32]);

fn user() -> User {
    User {
        id: UserId::new(1).expect("positive"),
        name: "ann".into(),
    }
}

fn room() -> ChatroomId {
    ChatroomId::new(7).expect("positive")
}

fn message(id: i64) -> Message {
    Message {
        id: MessageId::new(id).expect("positive"),
        chatroom: room(),
        user: user(),
        text: "hi".into(),
        time_unix_ms: 0,
    }
}

fn saved(id: i64) -> Completion {
    Completion::MessageSaved {
        ticket: ticket(9, 0),
        chatroom: room(),
        saved: Ok(Saved::New(message(id))),
    }
}

fn room_row() -> ChatroomRow {
    ChatroomRow {
        admin: UserId::new(2).expect("positive"),
        name: None,
        participants: Vec::new(),
    }
}

fn left() -> Completion {
    Completion::ParticipantRemoved {
        ticket: ticket(9, 0),
        chatroom: room(),
        removed: Ok(RemovedRow {
            left: Some(user().id),
            chatroom: room_row(),
        }),
    }
}

fn came_back() -> Completion {
    Completion::ParticipantAdded {
        ticket: ticket(9, 0),
        chatroom: room(),
        added: Ok(AddedRow {
            joined: user().id,
            chatroom: room_row(),
        }),
    }
}

fn ticket(event_loop: u16, exchange: u32) -> Ticket {
    let mut keys: Arena<(), Connection> = Arena::default();
    let connection: ConnectionKey = keys.insert(());
    Ticket {
        connection,
        exchange,
        event_loop,
    }
}

/// So many loops, and what has been answered: loop, exchange, and what.
struct Loops {
    chats: Vec<Chat>,
    answers: Vec<(u16, u32, String)>,
    told: VecDeque<(usize, Notice)>,
    /// Chatrooms that the store has been asked for, by loop.
    loads: Vec<u16>,
    logins: Vec<Ticket>,
    /// What the store has yet to say of sessions and users, where it is slow.
    slow: Option<VecDeque<(u16, Completion)>>,
    /// Whether the store knows the session.
    has_session: bool,
    /// Whose calls they are.
    session: SessionHash,
}

impl Loops {
    fn new(loops: u16, login_attempts: u32) -> Self {
        let config = Config {
            loops: loops.into(),
            login_attempts,
            ..Config::default()
        };
        Self {
            chats: (0..loops).map(|n| Chat::new(&config, n)).collect(),
            answers: Vec::new(),
            told: VecDeque::new(),
            loads: Vec::new(),
            logins: Vec::new(),
            slow: None,
            has_session: true,
            session: SESSION,
        }
    }

    fn call(&mut self, event_loop: u16, exchange: u32, call: Call) {
        let chat = &mut self.chats[usize::from(event_loop)];
        let ticket = ticket(event_loop, exchange);
        chat.call(Now::default(), ticket, Some(self.session), call);
        self.carry_out(event_loop);
    }

    fn poll(&mut self, event_loop: u16, exchange: u32) {
        let poll = SessionCall::Poll(PollCall {
            chatroom: room(),
            wanted: Wanted::default(),
            timeout_s: None,
            is_over: false,
        });
        self.call(event_loop, exchange, Call::InSession(poll));
    }

    fn end_polls(&mut self, event_loop: u16, exchange: u32) {
        let end = SessionCall::EndPolls {
            chatroom: room(),
            limit: None,
        };
        self.call(event_loop, exchange, Call::InSession(end));
    }

    fn complete(&mut self, event_loop: u16, completion: Completion) {
        self.chats[usize::from(event_loop)].complete(Now::default(), completion);
        self.carry_out(event_loop);
    }

    /// What the store has loaded for a loop.
    fn loaded(&mut self, event_loop: u16, loaded: Result<i64, Fault>) {
        let loaded = loaded.map(|last| RecentRows {
            last: MessageId::new(last),
            messages: (1..=last).map(message).collect(),
        });
        let completion = Completion::ChatroomLoaded {
            event_loop,
            chatroom: room(),
            loaded,
        };
        self.complete(event_loop, completion);
    }

    /// Hands the next notice to those whom it is for.
    fn deliver(&mut self) {
        let (to, notice) = self.told.pop_front().expect("told");
        self.chats[to].hear(Now::default(), notice);
        self.carry_out(u16::try_from(to).expect("few"));
    }

    fn deliver_all(&mut self) {
        while !self.told.is_empty() {
            self.deliver();
        }
    }

    fn carry_out(&mut self, event_loop: u16) {
        let at = usize::from(event_loop);
        self.chats[at].serve(Now::default(), 100);
        while let Some(output) = self.chats[at].next_output() {
            match output {
                Output::Answer(ticket, reply) => {
                    assert_eq!(ticket.event_loop, event_loop, "the connection is elsewhere");
                    let answer = (event_loop, ticket.exchange, shown(&reply));
                    self.answers.push(answer);
                }
                Output::Tell(Audience::One(to), notice) => {
                    self.told.push_back((to.into(), notice));
                }
                Output::Tell(Audience::All, notice) => {
                    let others = (0..self.chats.len()).filter(|&other| other != at);
                    self.told.extend(others.map(|to| (to, notice.clone())));
                }
                Output::Submit(job) => self.submit(event_loop, job),
            }
        }
    }

    /// What the store knows of a session or a user.
    fn found(&mut self, event_loop: u16, completion: Completion) {
        match &mut self.slow {
            Some(slow) => slow.push_back((event_loop, completion)),
            None => self.complete(event_loop, completion),
        }
    }

    /// The slow store says all that it has been asked, and what that makes it be asked.
    fn catch_up(&mut self) {
        while let Some((event_loop, completion)) =
            self.slow.as_mut().expect("a slow one").pop_front()
        {
            self.complete(event_loop, completion);
        }
    }

    /// Sessions and users are found at once, unless the store is slow; the rest waits for the test.
    fn submit(&mut self, event_loop: u16, job: Job) {
        match job {
            Job::FindSession {
                event_loop: asker,
                session,
            } => {
                assert_eq!(asker, event_loop);
                let row = SessionRow {
                    user: user(),
                    used_unix_ms: 0,
                };
                let completion = Completion::SessionFound {
                    event_loop,
                    session,
                    found: Ok(self.has_session.then_some(row)),
                };
                self.found(event_loop, completion);
            }
            Job::LoadUser { user, .. } => {
                let completion = Completion::UserLoaded {
                    event_loop,
                    user,
                    chatrooms: Ok(vec![room()]),
                };
                self.found(event_loop, completion);
            }
            Job::LoadChatroom { .. } => self.loads.push(event_loop),
            Job::LogIn { ticket, .. } => {
                assert_eq!(event_loop, LOGINS_LOOP);
                self.logins.push(ticket);
            }
            _ => {}
        }
    }

    fn answered(&mut self) -> Vec<(u16, u32, String)> {
        std::mem::take(&mut self.answers)
    }

    #[track_caller]
    fn assert_idle(&self) {
        for chat in &self.chats {
            let Counts {
                held,
                logins,
                sweeps,
                ..
            } = chat.counts();
            assert_eq!((held, logins, sweeps), (0, 0, 0));
        }
    }
}

/// Ids of a list, or what else it is.
fn shown(reply: &Reply) -> String {
    let ids = |list: &[u8]| {
        let list: serde_json::Value = serde_json::from_slice(list).expect("JSON");
        let ids = list.as_array().expect("a list").iter();
        ids.map(|message| message["id"].to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    match reply {
        Reply::Messages(list) => ids(list),
        Reply::Ended { polls, messages } => format!("{polls} ended: {}", ids(messages)),
        Reply::Failed(failure) => format!("{failure:?}"),
        reply => format!("{reply:?}"),
    }
}

fn answer(event_loop: u16, exchange: u32, what: &str) -> (u16, u32, String) {
    (event_loop, exchange, what.to_owned())
}

#[test]
fn an_endpoll_ends_the_polls_of_all_loops_and_is_answered_last() {
    let mut loops = Loops::new(3, 0);
    (0..3).for_each(|n| loops.poll(n, 1));
    loops.poll(2, 2);
    (0..3).for_each(|n| loops.loaded(n, Ok(1)));
    loops.end_polls(1, 5);
    assert_eq!(loops.answered(), [answer(1, 1, "1")]);
    loops.deliver_all();
    let wanted = [
        answer(0, 1, "1"),
        answer(2, 1, "1"),
        answer(2, 2, "1"),
        answer(1, 5, "4 ended: 1"),
    ];
    assert_eq!(loops.answered(), wanted);
    loops.assert_idle();
}

#[test]
fn each_loop_gives_its_own_list_and_the_caller_the_newest() {
    let mut loops = Loops::new(2, 0);
    loops.poll(0, 1);
    loops.poll(1, 1);
    (0..2).for_each(|n| loops.loaded(n, Ok(1)));
    loops.end_polls(1, 5);
    // Here a message has come before the other's poll is to end, and there too before it is answered.
    loops.complete(0, saved(2));
    assert_eq!(loops.answered(), [answer(1, 1, "1"), answer(0, 1, "1 2")]);
    loops.poll(0, 2);
    loops.deliver();
    loops.complete(1, saved(2));
    loops.deliver_all();
    let wanted = [answer(0, 2, "1 2"), answer(1, 5, "2 ended: 1 2")];
    assert_eq!(loops.answered(), wanted);
    loops.assert_idle();
}

#[test]
fn a_loop_without_the_list_loads_it_before_it_ends_polls() {
    let mut loops = Loops::new(2, 0);
    loops.poll(0, 1);
    assert_eq!(loops.loads, [0]);
    // Its load is on its way, and what is heard meanwhile waits for it.
    loops.complete(0, saved(2));
    loops.end_polls(1, 5);
    loops.loaded(1, Ok(1));
    loops.deliver();
    assert_eq!(loops.answered(), []);
    loops.loaded(0, Ok(2));
    loops.deliver_all();
    // Woken by the message or ended for the asker, and never with a list without it.
    let answered = loops.answered();
    assert_eq!(answered[0], answer(0, 1, "1 2"));
    assert_eq!((answered.len(), answered[1].1), (2, 5));
    loops.assert_idle();
}

#[test]
fn a_loop_that_cannot_load_keeps_its_polls_and_the_caller_is_told() {
    let mut loops = Loops::new(2, 0);
    loops.poll(0, 1);
    loops.loaded(0, Err(Fault::StorageFailed));
    loops.end_polls(1, 5);
    loops.loaded(1, Ok(1));
    loops.deliver();
    loops.loaded(0, Err(Fault::Overloaded));
    loops.deliver_all();
    let failed = [answer(1, 5, "Fault(StorageFailed)")];
    assert_eq!(loops.answered(), failed);
    assert_eq!(loops.chats[0].counts().held, 1);
    // It is asked again for who comes later.
    loops.end_polls(1, 6);
    loops.deliver();
    loops.loaded(0, Ok(1));
    loops.deliver_all();
    assert_eq!(
        loops.answered(),
        [answer(0, 1, "1"), answer(1, 6, "1 ended: 1")]
    );
    loops.assert_idle();
}

#[test]
fn an_endpoll_is_under_way_until_all_have_told() {
    let mut loops = Loops::new(3, 0);
    loops.poll(2, 1);
    (1..3).for_each(|n| loops.loaded(n, Ok(1)));
    loops.end_polls(1, 5);
    loops.loaded(1, Ok(1));
    assert_eq!(loops.chats[1].counts().sweeps, 1);
    loops.deliver_all();
    assert_eq!(loops.answered()[1], answer(1, 5, "1 ended: 1"));
    loops.assert_idle();
}

fn log_in(loops: &mut Loops, event_loop: u16, exchange: u32) {
    let login = Call::LogIn {
        folded: Some("ann".into()),
        password: Secret("x".into()),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    loops.call(event_loop, exchange, login);
    loops.deliver_all();
}

fn verified(loops: &mut Loops, right: bool) {
    let ticket = loops.logins.remove(0);
    let login = match right {
        true => Ok((user(), Secret("token".into()))),
        false => Err(Fault::BadCredentials),
    };
    let completion = Completion::LoggedIn { ticket, login };
    assert_eq!(completion.audience(), Audience::One(LOGINS_LOOP));
    loops.complete(LOGINS_LOOP, completion);
    loops.deliver_all();
}

#[test]
fn failed_logins_count_for_all_loops_together() {
    let mut loops = Loops::new(3, 3);
    for (event_loop, exchange) in [(1, 1), (2, 1), (0, 1), (2, 2)] {
        log_in(&mut loops, event_loop, exchange);
    }
    // The fourth waits for those that may fail.
    assert_eq!(loops.logins.len(), 3);
    verified(&mut loops, true);
    let answered = loops.answered();
    assert_eq!((answered[0].0, answered[0].1), (1, 1));
    assert!(answered[0].2.starts_with("LoggedIn"), "{answered:?}");
    (0..3).for_each(|_| verified(&mut loops, false));
    let bad = "Fault(BadCredentials)";
    let wanted = [(2, 1), (0, 1), (2, 2)].map(|(n, exchange)| answer(n, exchange, bad));
    assert_eq!(loops.answered(), wanted);
    for event_loop in 0..3 {
        log_in(&mut loops, event_loop, 7);
        let refused = answer(event_loop, 7, "TooManyAttempts { retry_after_s: 60 }");
        assert_eq!(loops.answered(), [refused]);
    }
    loops.assert_idle();
}

#[test]
fn an_endpoll_waits_for_the_polls_that_came_before_it() {
    for caller in [0, 1] {
        let mut loops = Loops::new(2, 0);
        // Warm there.
        loops.end_polls(0, 1);
        loops.loaded(0, Ok(1));
        loops.deliver_all();
        loops.answered();
        // Cold here: two polls wait for their session, and then for its user.
        loops.slow = Some(VecDeque::new());
        loops.poll(1, 2);
        loops.poll(1, 3);
        loops.end_polls(caller, 4);
        loops.deliver_all();
        assert_eq!(loops.answered(), []);
        loops.catch_up();
        loops.loaded(1, Ok(1));
        loops.deliver_all();
        let answers = loops.answered();
        assert!(answers.contains(&answer(1, 2, "1")), "{answers:?}");
        assert!(answers.contains(&answer(1, 3, "1")), "{answers:?}");
        assert_eq!(answers.last(), Some(&answer(caller, 4, "2 ended: 1")));
        loops.assert_idle();
    }
}

#[test]
fn an_endpoll_passes_by_nobody_who_is_about_to_park() {
    let mut loops = Loops::new(1, 0);
    // The chatroom is warm, the session is not.
    loops.end_polls(0, 1);
    loops.loaded(0, Ok(1));
    let forgotten = Completion::LoggedOut {
        ticket: ticket(9, 0),
        session: SESSION,
        done: Ok(()),
    };
    loops.complete(0, forgotten);
    loops.answered();
    loops.slow = Some(VecDeque::new());
    loops.poll(0, 2);
    let asked = loops.slow.as_mut().and_then(VecDeque::pop_front);
    let (_, session_found) = asked.expect("asked");
    // Before the poll that waited for it is begun again, the endpoll comes.
    loops.chats[0].complete(Now::default(), session_found);
    loops.end_polls(0, 3);
    loops.catch_up();
    let wanted = [answer(0, 2, "1"), answer(0, 3, "1 ended: 1")];
    assert_eq!(loops.answered(), wanted);
    loops.assert_idle();
}

#[test]
fn an_endpoll_of_a_session_that_is_gone_finds_nothing_to_end_elsewhere() {
    let mut loops = Loops::new(2, 0);
    loops.end_polls(0, 1);
    loops.loaded(0, Ok(1));
    loops.deliver_all();
    loops.answered();
    loops.slow = Some(VecDeque::new());
    loops.poll(1, 2);
    loops.end_polls(0, 3);
    loops.deliver_all();
    let gone = Completion::SessionFound {
        event_loop: 1,
        session: SESSION,
        found: Ok(None),
    };
    loops.complete(1, gone);
    loops.deliver_all();
    let wanted = [answer(1, 2, "Fault(NoSession)"), answer(0, 3, "0 ended: 1")];
    assert_eq!(loops.answered(), wanted);
    loops.assert_idle();
}

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

/// More polls than one turn serves, parked.
fn many_parked(loops: &mut Loops) -> u32 {
    loops.poll(0, 1);
    loops.loaded(0, Ok(1));
    (2..=300).for_each(|exchange| loops.poll(0, exchange));
    assert_eq!(loops.answered(), []);
    300
}

#[test]
fn who_has_left_hears_nothing_that_is_said_then() {
    let mut loops = Loops::new(1, 0);
    let polls = many_parked(&mut loops);
    loops.chats[0].complete(Now::default(), left());
    loops.complete(0, saved(2));
    // The first turn has begun both with the wake and with what ends them.
    let first = loops.answered();
    assert!((65..200).contains(&first.len()), "{}", first.len());
    while loops.chats[0].has_work() {
        loops.carry_out(0);
    }
    let rest = loops.answered();
    assert_eq!(first.len() + rest.len(), polls as usize);
    for (_, exchange, what) in first.iter().chain(&rest) {
        assert_eq!(what, "Fault(NotAParticipant)", "{exchange}");
    }
    loops.poll(0, 400);
    assert_eq!(loops.answered(), [answer(0, 400, "Fault(NotAParticipant)")]);
    loops.assert_idle();
}

#[test]
fn who_is_back_before_their_polls_have_ended_polls_anew() {
    let mut loops = Loops::new(1, 0);
    let polls = many_parked(&mut loops);
    loops.complete(0, left());
    loops.complete(0, came_back());
    assert!(loops.chats[0].has_work(), "they have not all ended yet");
    // This one waits for that, and the endpoll for it.
    loops.poll(0, 400);
    loops.end_polls(0, 401);
    while loops.chats[0].has_work() {
        loops.carry_out(0);
    }
    let mut answered = loops.answered();
    let own = answered.split_off(polls as usize);
    for (_, exchange, what) in &answered {
        assert_eq!(what, "Fault(NotAParticipant)", "{exchange}");
    }
    assert_eq!(own, [answer(0, 400, "1"), answer(0, 401, "1 ended: 1")]);
    loops.assert_idle();
}

#[test]
fn who_leaves_again_and_again_is_gone_in_the_end() {
    let mut loops = Loops::new(1, 0);
    many_parked(&mut loops);
    loops.complete(0, left());
    loops.complete(0, came_back());
    loops.poll(0, 400);
    loops.complete(0, left());
    while loops.chats[0].has_work() {
        loops.carry_out(0);
    }
    let answered = loops.answered();
    let refused = "Fault(NotAParticipant)";
    assert!(answered.iter().all(|(.., what)| what == refused));
    assert!(answered.contains(&answer(0, 400, refused)));
    assert_eq!(answered.len(), 301);
    loops.assert_idle();
}

#[test]
fn a_poll_that_waits_for_its_user_while_they_leave_does_not_park() {
    let mut loops = Loops::new(1, 0);
    loops.slow = Some(VecDeque::new());
    loops.poll(0, 1);
    // Its session is found, and its user asked for before they left.
    let asked = loops.slow.as_mut().and_then(VecDeque::pop_front);
    let (_, session_found) = asked.expect("asked");
    loops.complete(0, session_found);
    loops.complete(0, left());
    loops.catch_up();
    assert_eq!(loops.answered(), [answer(0, 1, "Fault(NotAParticipant)")]);
    loops.assert_idle();
}

fn password_changed() -> Completion {
    Completion::PasswordChanged {
        ticket: ticket(9, 0),
        user: user().id,
        session: SessionHash([8; 32]),
        done: Ok(()),
    }
}

#[test]
fn the_others_of_a_changed_password_hear_nothing_more_however_many_they_are() {
    let mut loops = Loops::new(1, 0);
    let polls = many_parked(&mut loops);
    loops.chats[0].complete(Now::default(), password_changed());
    // Before it has ended here the session is good for nothing.
    loops.poll(0, 400);
    loops.complete(0, saved(2));
    assert!(loops.chats[0].has_work(), "they have not all ended yet");
    while loops.chats[0].has_work() {
        loops.carry_out(0);
    }
    let answered = loops.answered();
    assert_eq!(answered.len(), polls as usize + 1);
    for (_, exchange, what) in answered {
        assert_eq!(what, "Fault(NoSession)", "{exchange}");
    }
    loops.assert_idle();
    assert_eq!(loops.chats[0].counts().remembered, (0, 0, 1));
}

#[test]
fn a_session_that_was_read_before_the_password_changed_is_none() {
    let mut loops = Loops::new(1, 0);
    loops.slow = Some(VecDeque::new());
    loops.poll(0, 1);
    loops.complete(0, password_changed());
    loops.catch_up();
    assert_eq!(loops.answered(), [answer(0, 1, "Fault(NoSession)")]);
    // So is one whose user was being loaded.
    loops.poll(0, 2);
    let asked = loops.slow.as_mut().and_then(VecDeque::pop_front);
    let (_, session_found) = asked.expect("asked");
    loops.complete(0, session_found);
    loops.has_session = false;
    loops.complete(0, password_changed());
    loops.catch_up();
    assert_eq!(loops.answered(), [answer(0, 2, "Fault(NoSession)")]);
    loops.assert_idle();
    assert_eq!(loops.chats[0].counts().remembered.1, 0);
}

#[test]
fn however_many_sessions_end_with_a_password_none_hears_more() {
    const SESSIONS: u8 = 200;
    let mut loops = Loops::new(1, 0);
    // They end in the order in which they came, and are woken in that in which they polled.
    for n in (8..=SESSIONS).rev() {
        loops.session = SessionHash([n; 32]);
        loops.call(0, 0, Call::InSession(SessionCall::Chatrooms));
    }
    loops.answered();
    for n in 8..=SESSIONS {
        loops.session = SessionHash([n; 32]);
        loops.poll(0, n.into());
    }
    loops.loaded(0, Ok(1));
    loops.chats[0].complete(Now::default(), password_changed());
    loops.chats[0].complete(Now::default(), saved(2));
    while loops.chats[0].has_work() {
        loops.carry_out(0);
    }
    let mut answered = loops.answered();
    answered.retain(|(.., what)| what != "Fault(NoSession)");
    assert_eq!(answered, [answer(0, 8, "1 2")]);
    loops.assert_idle();
    assert_eq!(loops.chats[0].counts().remembered, (1, 1, 1));
}
