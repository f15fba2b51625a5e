//! The part of a swarm that waits: each connection parks a longpoll, checks what wakes it, and perhaps parks again.
//!
//! A run's chatrooms are its own and new, so the k-th message of each has the id k, and a poll knows which one comes
//! next. A message's text is `<run>.<time of sending>`: every delivery measures itself.

use hdrhistogram::Histogram;

use crate::clock::{latencies, now_ns};
use crate::http::{self, Answer};
use crate::list::{self, BadList, Last};
use crate::plan::Plan;
use crate::swarm::{Broken, Next, Role};
use crate::tally::Tally;

/// The text of a message that is sent now.
pub(crate) fn text(run: &str) -> String {
    format!("{run}.{}", now_ns())
}

/// The polls of one worker.
pub(crate) struct Pollers {
    plan: Plan,
    /// By poll: the id of the last message that it was woken with.
    woken_with: Vec<u32>,
    /// Connections that are not broken.
    live: u64,
    round: Round,
    tally: Tally,
    /// The last body and its meaning: all who are woken by one message get the same bytes.
    memo: (Vec<u8>, Result<Option<Last>, BadList>),
}

/// Deliveries since the last [`Pollers::end_round`].
pub(crate) struct Round {
    /// How many.
    pub(crate) delivered: u64,
    /// How long each took.
    pub(crate) latencies: Histogram<u64>,
}

impl Pollers {
    /// Polls that are yet to be parked.
    pub(crate) fn new(plan: Plan) -> Self {
        Self {
            woken_with: vec![0; plan.polls as usize],
            live: plan.polls,
            round: Round::new(),
            tally: Tally::default(),
            memo: (b"[]".to_vec(), Ok(None)),
            plan,
        }
    }

    /// Connections that are not broken.
    pub(crate) fn live(&self) -> u64 {
        self.live
    }

    /// Whether every poll that still can be has been woken in this round.
    pub(crate) fn all_woken(&self) -> bool {
        self.round.delivered > 0 && self.round.delivered >= self.live
    }

    /// Begins a new round; what the old one brought, and what went wrong in it.
    pub(crate) fn end_round(&mut self) -> (Round, Tally) {
        (
            std::mem::replace(&mut self.round, Round::new()),
            std::mem::take(&mut self.tally),
        )
    }

    /// Compares the message that woke a poll with the one that had to.
    fn woken(&mut self, at: usize, last: &Last, now_ns: u64) {
        let (chatroomid, _) = self.plan.place(at);
        let sent_ns = sent_ns(&last.text, &self.plan.run);
        let (Some(sent_ns), true) = (sent_ns, last.chatroomid == chatroomid) else {
            return self
                .tally
                .unexpected(|| format!("a poll in {chatroomid} was woken with {last:?}"));
        };
        let before = u64::from(self.woken_with[at]);
        if last.id <= before {
            let again = || format!("a poll woken with {before} was woken with {}", last.id);
            return self.tally.doubled(1, again);
        }
        // Ids passed over were never delivered; who counts deliveries against messages finds them missing.
        self.woken_with[at] = u32::try_from(last.id).unwrap_or(u32::MAX);
        self.round.delivered += 1;
        let latency = now_ns.saturating_sub(sent_ns);
        self.round.latencies.saturating_record(latency.max(1));
    }
}

impl Role for Pollers {
    fn request(&mut self, at: usize, out: &mut Vec<u8>) {
        let (chatroomid, session) = self.plan.place(at);
        let path = format!("/message/longpoll/?chatroomid={chatroomid}");
        let request = http::request("GET", &path, &self.plan.host, Some(session));
        out.extend_from_slice(request.as_bytes());
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
        if self.memo.0 != answer.body {
            self.memo = (answer.body.to_vec(), list::check(answer.body));
        }
        match self.memo.1.clone() {
            Ok(Some(last)) => self.woken(at, &last, now_ns),
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
            Broken::Closed { resting: true } => {}
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
            delivered: 0,
            latencies: latencies(),
        }
    }
}

fn sent_ns(text: &str, run: &str) -> Option<u64> {
    text.strip_prefix(run)?.strip_prefix('.')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::plan;

    fn wake(pollers: &mut Pollers, at: usize, status: u16, body: &str) -> Next {
        let answer = Answer {
            status,
            body: body.as_bytes(),
            session: None,
            close: false,
            len: 0,
        };
        pollers.answered(at, &answer, 1_500)
    }

    fn list(id: u64, chatroomid: u64, text: &str) -> String {
        format!(r#"[{{"id":{id},"chatroomid":{chatroomid},"message":"{text}"}}]"#)
    }

    #[test]
    fn each_wake_is_counted_once_and_measured() {
        let mut pollers = Pollers::new(plan());
        for at in 0..4 {
            assert!(!pollers.all_woken());
            let (room, _) = pollers.plan.place(at);
            assert_eq!(
                wake(&mut pollers, at, 200, &list(1, room, "ab.500")),
                Next::Ask
            );
        }
        assert!(pollers.all_woken());
        let (round, tally) = pollers.end_round();
        assert!(tally.is_clean(), "{tally:?}");
        assert_eq!((round.delivered, round.latencies.max()), (4, 1000));
        assert!(!pollers.all_woken());
    }

    #[test]
    fn a_wake_again_is_doubled_and_a_strangers_is_unexpected() {
        let mut pollers = Pollers::new(plan());
        let (room, _) = pollers.plan.place(0);
        wake(&mut pollers, 0, 200, &list(2, room, "ab.1"));
        wake(&mut pollers, 0, 200, &list(2, room, "ab.1"));
        wake(&mut pollers, 0, 200, &list(1, room, "ab.1"));
        wake(&mut pollers, 0, 200, &list(3, room + 5, "ab.1"));
        wake(&mut pollers, 0, 200, &list(3, room, "other.1"));
        wake(&mut pollers, 0, 200, "[]");
        wake(&mut pollers, 0, 200, "{}");
        let (round, tally) = pollers.end_round();
        assert_eq!(round.delivered, 1);
        assert_eq!((tally.doubled, tally.unexpected), (2, 4));
    }

    #[test]
    fn who_cannot_be_woken_is_not_waited_for() {
        let mut pollers = Pollers::new(plan());
        assert_eq!(wake(&mut pollers, 0, 500, "{}"), Next::Close);
        pollers.broken(1, Broken::Closed { resting: false });
        assert_eq!(pollers.live(), 2);
        for at in 2..4 {
            let (room, _) = pollers.plan.place(at);
            wake(&mut pollers, at, 200, &list(1, room, "ab.1"));
        }
        assert!(pollers.all_woken());
        pollers.broken(2, Broken::Closed { resting: true });
        assert_eq!(pollers.end_round().1.unexpected, 2);
    }

    #[test]
    fn a_text_carries_its_time() {
        assert!(sent_ns(&text("ab"), "ab").is_some());
        assert_eq!(sent_ns("ab.x", "ab"), None);
    }
}
