//! The part of a swarm that waits: each connection parks a longpoll, checks what wakes it, and perhaps parks again.
//!
//! A run's chatrooms are its own and new, so the k-th message of each has the id k, and a poll knows which ones may come
//! next. What is wrong by itself is told at once: an id that does not grow (doubled), a message of another run or chatroom, or
//! one that was sent before the round began, though all was settled then (unexpected). What is missing only those can
//! tell who know what was sent; for them each poll's deliveries and the ids that it never saw are counted:
//!
//! A poll without `since` cannot be woken by a message that is saved between its wake and its return. Such a message is in the next list
//! where lists are long enough, and only ids that stand in no list of a poll are counted as passed over.

use std::mem;

use hdrhistogram::Histogram;

use crate::clock::{latencies, now_ns};
use crate::http::Answer;
use crate::list::{BadList, Last};
use crate::marker::Marker;
use crate::plan::Plan;
use crate::requests::Requests;
use crate::series::Series;
use crate::swarm::{Broken, Next, Role};
use crate::tally::Tally;

/// The polls of one worker.
pub(crate) struct Pollers {
    plan: Plan,
    requests: Requests,
    /// By poll: the id of the last message that it was woken with, or where there are no ids, what tells messages apart.
    woken_with: Vec<u32>,
    /// By poll, where they end by themselves: when it asked.
    asked_ns: Vec<u64>,
    /// Connections that are not broken.
    live: u64,
    round: Round,
    tally: Tally,
    /// What the last answer said.
    memo: Result<Option<Wake>, BadList>,
}

/// A message as far as a poll looks at it.
#[derive(Clone, Copy, Debug)]
struct Wake {
    first: u64,
    id: u64,
    chatroomid: u64,
    /// `None` for a message of another run.
    marker: Option<Marker>,
}

/// Deliveries since the last [`Pollers::end_round`].
pub(crate) struct Round {
    began_ns: u64,
    /// How many.
    pub(crate) delivered: u64,
    /// Those of them whose connections the server has closed since, for they asked nothing more.
    retired: u64,
    /// Messages that stand in no list of a poll that was woken before and after them, summed over polls.
    pub(crate) passed: u64,
    /// How long each took.
    pub(crate) latencies: Histogram<u64>,
    /// When.
    pub(crate) series: Series,
}

impl Pollers {
    /// Polls that are yet to be parked.
    pub(crate) fn new(plan: Plan) -> Self {
        Self {
            requests: Requests::new(&plan.target, &plan.sessions),
            woken_with: vec![0; plan.polls as usize],
            asked_ns: match plan.timeout_s {
                0 => Vec::new(),
                _ => vec![0; plan.polls as usize],
            },
            live: plan.polls,
            round: Round::new(),
            tally: Tally::default(),
            memo: Ok(None),
            plan,
        }
    }

    /// Connections that are not broken.
    pub(crate) fn live(&self) -> u64 {
        self.live
    }

    /// Deliveries in this round.
    pub(crate) fn delivered(&self) -> u64 {
        self.round.delivered
    }

    /// Whether every poll that still can be has been woken in this round.
    pub(crate) fn all_woken(&self) -> bool {
        self.round.delivered > 0 && self.round.delivered >= self.live + self.round.retired
    }

    /// Begins a new round; what the old one brought, and what went wrong in it.
    pub(crate) fn end_round(&mut self) -> (Round, Tally) {
        (
            mem::replace(&mut self.round, Round::new()),
            mem::take(&mut self.tally),
        )
    }

    fn wake(&self, last: Last<'_>) -> Wake {
        let marker = Marker::parse(last.text, &self.plan.run);
        let in_text = marker.map_or(0, |marker| marker.room);
        Wake {
            first: last.first,
            id: last.id,
            chatroomid: if last.id == 0 {
                in_text
            } else {
                last.chatroomid
            },
            marker,
        }
    }

    /// Compares the message that woke a poll with those that may.
    fn woken(&mut self, at: usize, wake: Wake, now_ns: u64) {
        let (chatroomid, _) = self.plan.place(at);
        let marker = match wake.marker {
            Some(marker) if wake.chatroomid == chatroomid && marker.room == chatroomid => marker,
            _ => {
                let what = || format!("a poll in chatroom {chatroomid} was woken with {wake:?}");
                return self.tally.unexpected(what);
            }
        };
        if marker.start_ns < self.round.began_ns {
            let what =
                || format!("a poll in chatroom {chatroomid} was woken too late, with {wake:?}");
            self.tally.unexpected(what);
        }
        if !self.is_new(at, wake, marker) {
            let again = || format!("a poll in chatroom {chatroomid} was woken again with {wake:?}");
            return self.tally.doubled(1, again);
        }
        self.round.delivered += 1;
        self.round.series.count(now_ns);
        let latency = now_ns.saturating_sub(marker.start_ns);
        self.round.latencies.saturating_record(latency.max(1));
    }

    /// A poll has ended by itself.
    fn expired(&mut self, at: usize, now_ns: u64) {
        let due_ns = self.asked_ns[at] + self.plan.timeout_s * 1_000_000_000;
        if now_ns < due_ns {
            let early_ms = (due_ns - now_ns) / 1_000_000;
            let what = || format!("a poll ended {early_ms} ms before its time");
            return self.tally.unexpected(what);
        }
        self.round.delivered += 1;
        self.round.series.count(now_ns);
        self.round
            .latencies
            .saturating_record((now_ns - due_ns).max(1));
    }

    fn is_new(&mut self, at: usize, wake: Wake, marker: Marker) -> bool {
        let before = u64::from(self.woken_with[at]);
        if wake.id == 0 {
            // Without ids only the same message twice in a row can be told: by the microsecond of its start.
            let key = (marker.start_ns / 1000) as u32;
            return mem::replace(&mut self.woken_with[at], key) != key;
        }
        self.round.passed += wake.first.saturating_sub(before + 1);
        if wake.id <= before {
            return false;
        }
        self.woken_with[at] = u32::try_from(wake.id).unwrap_or(u32::MAX);
        true
    }
}

impl Role for Pollers {
    fn opened(&mut self, _at: usize) -> Next {
        Next::Ask
    }

    fn request(&mut self, at: usize, out: &mut Vec<u8>) {
        let (chatroomid, session) = self.plan.place(at);
        let timeout_s = self.plan.timeout_s;
        if let Some(asked_ns) = self.asked_ns.get_mut(at) {
            *asked_ns = now_ns();
            return (self.requests).timed_poll(chatroomid, timeout_s, session, out);
        }
        self.requests.poll(chatroomid, session, out);
    }

    fn answered(&mut self, at: usize, answer: &Answer<'_>, now_ns: u64) -> Next {
        if answer.status != 200 {
            self.live -= 1;
            let body = String::from_utf8_lossy(answer.body);
            let status = answer.status;
            self.tally
                .unexpected(|| format!("a poll was answered {status} {body}"));
            return Next::Close;
        }
        if !answer.again {
            let heard = self.plan.target.dialect.hear(answer.body);
            self.memo = heard.map(|last| last.map(|last| self.wake(last)));
        }
        match &self.memo {
            Ok(Some(wake)) => self.woken(at, *wake, now_ns),
            Ok(None) if self.plan.timeout_s > 0 => self.expired(at, now_ns),
            Ok(None) => self
                .tally
                .unexpected(|| "a poll was woken without a message".into()),
            Err(bad) => self
                .tally
                .unexpected(|| format!("a poll was woken with {bad}")),
        }
        if self.plan.repark {
            Next::Ask
        } else {
            Next::Rest
        }
    }

    fn broken(&mut self, _at: usize, why: Broken) {
        self.live = self.live.saturating_sub(1);
        match why {
            // A connection at rest has had its message; to close it is the server's right.
            Broken::Closed { resting: true } => self.round.retired += 1,
            Broken::Uninvited => self.tally.doubled(1, || "a poll was answered twice".into()),
            Broken::Closed { resting: false } | Broken::Io(_) | Broken::Malformed(_) => {
                self.tally.unexpected(|| format!("a poll broke: {why}"));
            }
        }
    }
}

impl Round {
    fn new() -> Self {
        Self {
            began_ns: now_ns(),
            delivered: 0,
            retired: 0,
            passed: 0,
            latencies: latencies(),
            series: Series::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use crate::plan::tests::plan;

    fn wake(pollers: &mut Pollers, at: usize, status: u16, body: &str) -> Next {
        let answer = Answer {
            status,
            body: body.as_bytes(),
            close: false,
            len: 0,
            again: false,
        };
        pollers.answered(at, &answer, pollers.round.began_ns + 1_500)
    }

    fn text(pollers: &Pollers, run: &str, room: u64) -> String {
        format!("{run}.{room}.1.1.{}", pollers.round.began_ns + 500)
    }

    fn list(pollers: &Pollers, ids: (u64, u64), chatroomid: u64) -> String {
        let text = text(pollers, "ab", chatroomid);
        let messages: Vec<String> = (ids.0..=ids.1)
            .map(|id| format!(r#"{{"id":{id},"chatroomid":{chatroomid},"message":"{text}"}}"#))
            .collect();
        format!("[{}]", messages.join(","))
    }

    #[test]
    fn each_wake_is_counted_once_and_measured() {
        let mut pollers = Pollers::new(plan());
        for at in 0..4 {
            assert!(!pollers.all_woken());
            let (room, _) = pollers.plan.place(at);
            let body = list(&pollers, (1, 1), room);
            assert_eq!(wake(&mut pollers, at, 200, &body), Next::Ask);
        }
        assert!(pollers.all_woken());
        let (round, tally) = pollers.end_round();
        assert!(tally.is_clean(), "{tally:?}");
        assert_eq!((round.delivered, round.passed), (4, 0));
        assert_eq!(round.latencies.max(), 1000);
        assert!(!pollers.all_woken());
    }

    #[test]
    fn a_wake_again_is_doubled_and_a_strangers_is_unexpected() {
        let mut pollers = Pollers::new(plan());
        let (room, _) = pollers.plan.place(0);
        for (id, chatroomid) in [(2, room), (2, room), (1, room), (3, room + 5)] {
            let body = list(&pollers, (1, id), chatroomid);
            wake(&mut pollers, 0, 200, &body);
        }
        let stranger = list(&pollers, (3, 3), room).replace("ab.", "other.");
        wake(&mut pollers, 0, 200, &stranger);
        wake(&mut pollers, 0, 200, "[]");
        wake(&mut pollers, 0, 200, "{}");
        let (round, tally) = pollers.end_round();
        assert_eq!(round.delivered, 1);
        assert_eq!((tally.doubled, tally.unexpected), (2, 4));
    }

    #[test]
    fn only_ids_in_no_list_are_passed_over() {
        let mut pollers = Pollers::new(plan());
        let (room, _) = pollers.plan.place(0);
        for ids in [(1, 1), (1, 3), (6, 7)] {
            let body = list(&pollers, ids, room);
            wake(&mut pollers, 0, 200, &body);
        }
        let (round, tally) = pollers.end_round();
        assert_eq!((round.delivered, round.passed), (3, 2));
        assert!(tally.is_clean());
    }

    #[test]
    fn a_message_from_before_the_round_is_unexpected() {
        let mut pollers = Pollers::new(plan());
        let (room, _) = pollers.plan.place(0);
        let body = list(&pollers, (1, 1), room);
        pollers.round.began_ns += 1_000;
        wake(&mut pollers, 0, 200, &body);
        assert_eq!(pollers.end_round().1.unexpected, 1);
    }

    #[test]
    fn who_cannot_be_woken_is_not_waited_for() {
        let mut pollers = Pollers::new(plan());
        assert_eq!(wake(&mut pollers, 0, 500, "{}"), Next::Close);
        pollers.broken(1, Broken::Closed { resting: false });
        assert_eq!(pollers.live(), 2);
        for at in 2..4 {
            assert!(!pollers.all_woken(), "{at} is waited for");
            let (room, _) = pollers.plan.place(at);
            let body = list(&pollers, (1, 1), room);
            wake(&mut pollers, at, 200, &body);
            // Whoever was woken and asks nothing more may be closed before the last is.
            pollers.broken(at, Broken::Closed { resting: true });
        }
        assert!(pollers.all_woken());
        assert_eq!(pollers.end_round().1.unexpected, 2);
    }

    #[test]
    fn who_ends_by_itself_must_not_do_so_before_its_time() {
        let mut plan = plan();
        plan.timeout_s = 2;
        let mut pollers = Pollers::new(plan);
        let mut out = Vec::new();
        pollers.request(0, &mut out);
        assert!(out.starts_with(b"GET /message/longpoll/?timeout=2&"));
        assert_eq!(wake(&mut pollers, 0, 200, "[]"), Next::Ask);
        pollers.asked_ns[0] -= 3_000_000_000;
        assert_eq!(wake(&mut pollers, 0, 200, "[]"), Next::Ask);
        let (round, tally) = pollers.end_round();
        assert_eq!((round.delivered, tally.unexpected), (1, 1));
    }

    #[test]
    fn without_ids_the_text_tells_messages_apart() {
        let mut plan = plan();
        plan.target.dialect = Dialect::Nchan;
        let mut pollers = Pollers::new(plan);
        let (room, _) = pollers.plan.place(0);
        let body = format!(r#"{{"message":"{}"}}"#, text(&pollers, "ab", room));
        wake(&mut pollers, 0, 200, &body);
        wake(&mut pollers, 0, 200, &body);
        wake(&mut pollers, 1, 200, &body);
        let (round, tally) = pollers.end_round();
        assert_eq!(round.delivered, 1);
        assert_eq!((tally.doubled, tally.unexpected), (1, 1));
    }
}
