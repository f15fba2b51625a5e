//! Senders in closed loop: each sends, waits until its message is durable, and sends the next.
//!
//! Every answer is checked: its list is without gaps and of the right chatroom, its last message is the one sent, and no id comes
//! twice. At the end all that was sent has been answered, so a chatroom's newest id must be the number of acknowledged messages:
//! less is loss, more is a message saved twice.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::clock::{latencies, now_ns};
use crate::error::Error;
use crate::http::{self, Answer};
use crate::list;
use crate::progress::Phase;
use crate::report::{Figure, Report};
use crate::server_stats::{Process, read};
use crate::setup::Setup;
use crate::swarm::{Broken, Layout, Next, Role, Swarm};
use crate::tally::Tally;
use crate::{SendOptions, ServerOptions};

/// Senders that may connect at a time.
const BATCH: usize = 512;
/// The longest wait for events before the time is looked at.
const TURN: Duration = Duration::from_millis(100);

/// Runs it for each number of senders in turn; the figures of each and all that went wrong.
pub(crate) fn run(
    server: &ServerOptions,
    options: &SendOptions,
    process: Option<&Process>,
) -> Result<(Vec<Report>, Tally), Error> {
    let mut setup = Setup::new(&server.url, 1)?;
    let mut tally = Tally::default();
    let mut reports = Vec::new();
    for count in &options.senders {
        let chatrooms = setup.chatrooms(options.chatrooms)?;
        let (report, found) = measure(server, options, process, (&mut setup, *count, chatrooms))?;
        tally.add(found);
        reports.push(report);
    }
    Ok((reports, tally))
}

fn measure(
    server: &ServerOptions,
    options: &SendOptions,
    process: Option<&Process>,
    (setup, count, chatrooms): (&mut Setup, u64, Vec<u64>),
) -> Result<(Report, Tally), Error> {
    let what = format!("{count} senders for {} s", options.seconds.as_secs());
    let phase = Phase::start(what, options.seconds.as_secs());
    let before = read(process)?;
    let senders = Senders::new(&server.url.host, setup, count, chatrooms);
    let layout = Layout {
        addr: server.url.addr,
        net: setup.net,
        first: 0,
        count: count as usize,
        batch: BATCH,
        probe: senders.probe(),
    };
    let mut swarm = Swarm::new(layout, senders).map_err(Error::io("open an epoll loop"))?;
    let took = drive(&mut swarm, &phase, options.seconds, server.patience)?;
    let after = read(process)?;
    let senders = swarm.role();
    senders.check_newest(&mut setup.admin)?;
    let mut report = senders.report(count, took);
    let cpu = after.cpu_ns_since(&before);
    if process.is_some() {
        let each = cpu / senders.latencies.len().max(1);
        report.add("cpu_per_message_ns", "CPU each", Figure::Nanos(each));
        let share = cpu as f64 / took.as_nanos() as f64;
        report.add("cpu", "server CPU", Figure::Cpu(share));
        report.add("pss_bytes", "server PSS", Figure::Bytes(after.memory.pss));
        report.detail("before", before.to_json());
        report.detail("after", after.to_json());
    }
    report.faults(&senders.tally);
    Ok((report, senders.tally.clone()))
}

/// Lets the senders send for `time`, then waits for the last answers, but no longer than `patience`.
/// How long it took from the start to the last answer.
fn drive(
    swarm: &mut Swarm<Senders>,
    phase: &Phase,
    time: Duration,
    patience: Duration,
) -> Result<Duration, Error> {
    let started = Instant::now();
    loop {
        let turned = swarm.turn(Some(TURN));
        turned.map_err(Error::io("wait for events"))?;
        let took = started.elapsed();
        phase.at(took.as_secs());
        let senders = swarm.role();
        senders.over = took >= time;
        if senders.over && (senders.sending == 0 || took >= time + patience) {
            return Ok(took);
        }
    }
}

/// The senders of one measurement.
struct Senders {
    host: String,
    session: String,
    run: String,
    chatrooms: Vec<Chatroom>,
    links: Vec<Sending>,
    /// Connections that wait for an answer.
    sending: u64,
    /// No more requests.
    over: bool,
    latencies: Histogram<u64>,
    tally: Tally,
}

/// What is known of one chatroom.
struct Chatroom {
    id: u64,
    acknowledged: u64,
    /// By id less one, whether an answer had it. Ids are dense, so this is a bit vector with the bits at leisure.
    seen: Vec<bool>,
}

/// What one connection is about.
#[derive(Clone, Default)]
struct Sending {
    count: u64,
    sent_ns: u64,
    waits: bool,
}

impl Senders {
    fn new(host: &str, setup: &Setup, count: u64, chatrooms: Vec<u64>) -> Self {
        let chatrooms = chatrooms.into_iter().map(|id| Chatroom {
            id,
            acknowledged: 0,
            seen: Vec::new(),
        });
        Self {
            host: host.to_owned(),
            session: setup.sessions[0].clone(),
            run: setup.run.clone(),
            chatrooms: chatrooms.collect(),
            links: vec![Sending::default(); count as usize],
            sending: 0,
            over: false,
            latencies: latencies(),
            tally: Tally::default(),
        }
    }

    fn probe(&self) -> Vec<u8> {
        let path = "/message/chatrooms/";
        http::request("GET", path, &self.host, Some(&self.session)).into_bytes()
    }

    fn text(&self, at: usize) -> String {
        format!("{}.{at}.{}", self.run, self.links[at].count)
    }

    fn no_longer_sending(&mut self, at: usize) {
        if std::mem::take(&mut self.links[at].waits) {
            self.sending -= 1;
        }
    }

    /// Checks the list of an answer that says that the message is saved.
    fn acknowledged(&mut self, at: usize, body: &[u8]) {
        let text = self.text(at);
        let room = at % self.chatrooms.len();
        let room = &mut self.chatrooms[room];
        room.acknowledged += 1;
        let last = match list::check(body) {
            Ok(Some(last)) => last,
            Ok(None) => {
                let what = || "a send was answered with no message".to_owned();
                return self.tally.unexpected(what);
            }
            Err(bad) => {
                let what = || format!("a send was answered with {bad}");
                return self.tally.unexpected(what);
            }
        };
        if (last.chatroomid, &last.text) != (room.id, &text) {
            let what = || format!("{text} to {} was answered {last:?}", room.id);
            return self.tally.unexpected(what);
        }
        let place = usize::try_from(last.id.saturating_sub(1)).unwrap_or(usize::MAX);
        // An id far beyond what was sent would be a fault of its own; the newest id shows it at the end.
        if place > room.seen.len() + self.links.len() {
            let what = || format!("id {} came after {} messages", last.id, room.seen.len());
            return self.tally.unexpected(what);
        }
        if place >= room.seen.len() {
            room.seen.resize(place + 1, false);
        }
        if std::mem::replace(&mut room.seen[place], true) {
            let what = || format!("two messages of {} have the id {}", room.id, last.id);
            self.tally.doubled(1, what);
        }
    }

    /// Compares each chatroom's newest id with what was acknowledged.
    fn check_newest(&mut self, admin: &mut crate::client::Client) -> Result<(), Error> {
        for room in &self.chatrooms {
            let newest = admin.newest(room.id)?.map_or(0, |last| last.id);
            let acknowledged = room.acknowledged;
            let what = || format!("{} holds {newest} of {acknowledged} messages", room.id);
            let lost = acknowledged.saturating_sub(newest);
            self.tally.missing(lost, what);
            let more = newest.saturating_sub(acknowledged);
            self.tally.doubled(more, what);
        }
        Ok(())
    }

    fn report(&self, count: u64, took: Duration) -> Report {
        let mut report = Report::default();
        report.add("senders", "senders", Figure::Count(count));
        let rooms = self.chatrooms.len() as u64;
        report.add("chatrooms", "chatrooms", Figure::Count(rooms));
        let acknowledged = self.chatrooms.iter().map(|room| room.acknowledged).sum();
        report.add("acknowledged", "durable", Figure::Count(acknowledged));
        let rate = acknowledged as f64 / took.as_secs_f64();
        report.add("messages_per_second", "rate", Figure::PerSecond(rate));
        let at = |quantile| Figure::Nanos(self.latencies.value_at_quantile(quantile));
        report.add("p50_ns", "p50", at(0.5));
        report.add("p99_ns", "p99", at(0.99));
        report.add("max_ns", "max", Figure::Nanos(self.latencies.max()));
        report
    }
}

impl Role for Senders {
    fn request(&mut self, at: usize, out: &mut Vec<u8>) {
        self.links[at].count += 1;
        let room = self.chatrooms[at % self.chatrooms.len()].id;
        let text = self.text(at);
        let path = format!("/message/sendMessage/?chatroomid={room}&message={text}");
        let request = http::request("POST", &path, &self.host, Some(&self.session));
        out.extend_from_slice(request.as_bytes());
        self.sending += 1;
        self.links[at].waits = true;
        self.links[at].sent_ns = now_ns();
    }

    fn answered(&mut self, at: usize, answer: &Answer<'_>, now_ns: u64) -> Next {
        self.no_longer_sending(at);
        if answer.status == 200 {
            let latency = now_ns.saturating_sub(self.links[at].sent_ns);
            self.latencies.saturating_record(latency.max(1));
            self.acknowledged(at, answer.body);
        } else {
            let body = String::from_utf8_lossy(answer.body);
            let status = answer.status;
            self.tally
                .unexpected(|| format!("a send was answered {status} {body}"));
        }
        if self.over { Next::Rest } else { Next::Ask }
    }

    fn broken(&mut self, at: usize, why: Broken) {
        self.no_longer_sending(at);
        if !matches!(why, Broken::Closed { resting: true }) {
            self.tally.unexpected(|| format!("a sender broke: {why}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn senders() -> Senders {
        Senders {
            host: "h".into(),
            session: "s".into(),
            run: "ab".into(),
            chatrooms: vec![Chatroom {
                id: 7,
                acknowledged: 0,
                seen: Vec::new(),
            }],
            links: vec![Sending::default(); 2],
            sending: 0,
            over: false,
            latencies: latencies(),
            tally: Tally::default(),
        }
    }

    fn answer(senders: &mut Senders, at: usize, id: u64, text: &str) -> Next {
        let body = format!(r#"[{{"id":{id},"chatroomid":7,"message":"{text}"}}]"#);
        let answer = Answer {
            status: 200,
            body: body.as_bytes(),
            session: None,
            close: false,
            len: 0,
        };
        senders.answered(at, &answer, u64::MAX)
    }

    #[test]
    fn each_sender_gets_its_own_message_back() {
        let mut senders = senders();
        let mut out = Vec::new();
        senders.request(0, &mut out);
        senders.request(1, &mut out);
        assert_eq!(senders.sending, 2);
        let path = "POST /message/sendMessage/?chatroomid=7&message=ab.0.1 ";
        assert!(out.starts_with(path.as_bytes()));
        assert_eq!(answer(&mut senders, 1, 1, "ab.1.1"), Next::Ask);
        senders.over = true;
        assert_eq!(answer(&mut senders, 0, 2, "ab.0.1"), Next::Rest);
        assert_eq!(senders.sending, 0);
        assert_eq!(senders.chatrooms[0].acknowledged, 2);
        assert!(senders.tally.is_clean());
    }

    #[test]
    fn another_text_and_an_id_again_are_found() {
        let mut senders = senders();
        let mut out = Vec::new();
        senders.request(0, &mut out);
        answer(&mut senders, 0, 1, "ab.1.1");
        assert_eq!(senders.tally.unexpected, 1);
        senders.request(0, &mut out);
        answer(&mut senders, 0, 1, "ab.0.2");
        senders.request(0, &mut out);
        answer(&mut senders, 0, 1, "ab.0.3");
        assert_eq!(senders.tally.doubled, 1);
        senders.request(0, &mut out);
        answer(&mut senders, 0, 1 << 60, "ab.0.4");
        assert_eq!(senders.tally.unexpected, 2);
    }

    #[test]
    fn a_sender_that_breaks_waits_no_longer() {
        let mut senders = senders();
        senders.request(0, &mut Vec::new());
        senders.broken(0, Broken::Closed { resting: false });
        senders.broken(1, Broken::Closed { resting: true });
        assert_eq!((senders.sending, senders.tally.unexpected), (0, 1));
    }
}
