//! Many chatrooms, many polls, many senders: everything at once, as a busy server has it.
//!
//! What is proved, exactly. A poll without `since` is woken by messages that are saved while it is parked, so a message that
//! falls between its wake and its return wakes nobody; a client cannot tell from outside when it was parked. But ids count without
//! gaps, so of each poll's lists this holds or something is wrong: each is without gaps and goes beyond the one before it (else doubled),
//! and each is of its own chatroom, this run, and of a message sent since all were parked (else unexpected). Deliveries and the
//! ids that a poll passed over add up to the newest id that it saw; those in none of its lists are told, with what share they are. At the end
//! the senders stop, every poll is parked again and that is certain ([`crate::settle`]), and one more message goes to each
//! chatroom: each poll must get exactly that one. A poll that the server has forgotten is found then, and so is a
//! wake that was lost, because the poll is still waiting; so is a message that comes twice or late.

use std::time::{Duration, Instant};

use crate::askers::{self, Askers, Found, Pace, Until};
use crate::crew::Crew;
use crate::error::Error;
use crate::options::SpreadOptions;
use crate::parking::{Parked, park};
use crate::plot::{Line, Plot};
use crate::progress::Phase;
use crate::report::{Figure, Outcome, Report};
use crate::rps::{self, POINTS_MAX};
use crate::sends::Sends;
use crate::settle::settle;
use crate::setup::Setup;
use crate::subject::{Seen, Subject};
use crate::swarm::Swarm;
use crate::told::Told;

/// After the last wake: a second answer to the same poll would come in this time.
const ENCORE: Duration = Duration::from_millis(300);

/// What the busy part of the run brought.
struct Busy {
    sends: Sends,
    found: Found,
    told: Told,
    seen: Seen,
}

/// Runs it.
pub(crate) fn run(subject: &Subject, options: &SpreadOptions) -> Result<Outcome, Error> {
    // Two users: each of very many chatrooms costs a durable call for every user but the first.
    let mut setup = Setup::new(subject, options.polls.min(2))?;
    let chatrooms = setup.chatrooms(options.chatrooms)?;
    let plan = setup.plan(chatrooms.clone(), options.polls, true);
    let Parked { mut crew, .. } = park(subject, &mut setup, &plan, options.processes)?;
    // A new round, in which everything is sent after all are parked.
    let mut early = crew.tell()?;
    let busy = busy(subject, options, (&mut crew, &mut setup), &chatrooms)?;

    let mut tally = std::mem::take(&mut early.tally);
    tally.add(busy.told.tally.clone());
    tally.add(busy.found.tally.clone());
    let last = last(subject, (&mut crew, &mut setup), &chatrooms)?;
    tally.add(last.tally);
    let missing = options.polls.saturating_sub(last.delivered);
    let what = || format!("{missing} polls did not get the last message of their chatroom");
    tally.missing(missing, what);
    let sends = &busy.sends;
    sends.check_newest(&mut setup.admin, 1, &mut tally)?;

    let mut report = Report::default();
    report.add("polls", "polls", Figure::Count(options.polls));
    report.add("chatrooms", "chatrooms", Figure::Count(options.chatrooms));
    report.add("senders", "senders", Figure::Count(options.senders));
    let processes = crew.processes() as u64;
    report.add("processes", "client processes", Figure::Count(processes));
    crew.leave()?;
    busy.report(options, &mut report);
    Ok(Outcome::one(report, busy.plots(), tally))
}

/// Senders send and polls return, until time is up and every poll is parked again.
fn busy(
    subject: &Subject,
    options: &SpreadOptions,
    (crew, setup): (&mut Crew, &mut Setup),
    chatrooms: &[u64],
) -> Result<Busy, Error> {
    let (count, seconds) = (options.senders, options.seconds.as_secs());
    let sends = Sends::new(&subject.target, setup, count, chatrooms, true);
    let askers = Askers::new(sends, Pace::of(options.rate), count as usize, false);
    let layout = rps::layout(subject, setup, count);
    let mut swarm = Swarm::new(layout, askers).map_err(Error::io("open an epoll loop"))?;
    askers::open(&mut swarm, count as usize)?;
    let what = format!("{count} senders for {seconds} s");
    let phase = Phase::start(what, seconds);
    let watch = subject.watch()?;
    askers::drive(
        &mut swarm,
        Until::Time(options.seconds),
        subject.patience,
        |took| phase.at(took.as_secs()),
    )?;
    drop(phase);
    let _phase = Phase::start("waiting until all are parked", 0);
    silence(subject, options, (crew, setup))?;
    let seen = subject.seen(watch)?;
    let told = crew.tell()?;
    let (sends, found) = swarm.into_role().into_parts();
    Ok(Busy {
        sends,
        found,
        told,
        seen,
    })
}

/// Waits until no delivery is on its way and every poll is parked again: the server has sent all that it had to, the workers have read
/// it and asked again (they count only between two turns), and the server has read that.
fn silence(
    subject: &Subject,
    options: &SpreadOptions,
    (crew, setup): (&mut Crew, &mut Setup),
) -> Result<(), Error> {
    let mut before = None;
    loop {
        settle(&subject.hops(), options.polls, &mut setup.admin)?;
        let delivered = crew.delivered()?;
        if before.replace(delivered) == Some(delivered) {
            return Ok(());
        }
    }
}

/// Now that all is silent: one more message to each chatroom.
fn last(
    subject: &Subject,
    (crew, setup): (&mut Crew, &mut Setup),
    chatrooms: &[u64],
) -> Result<Told, Error> {
    let rooms = chatrooms.len() as u64;
    let phase = Phase::start(format!("waking {rooms} chatrooms"), rooms);
    let mut tally = crate::tally::Tally::default();
    for (sent, room) in (1..).zip(chatrooms) {
        setup.send(*room, None, &mut tally)?;
        phase.at(sent);
    }
    crew.woken(Instant::now() + subject.patience)?;
    std::thread::sleep(ENCORE);
    let mut told = crew.tell()?;
    told.tally.add(tally);
    Ok(told)
}

impl Busy {
    fn report(&self, options: &SpreadOptions, report: &mut Report) {
        let (told, found) = (&self.told, &self.found);
        let sent: u64 = self.sends.acknowledged().map(|(_, count)| count).sum();
        report.add("messages", "messages", Figure::Count(sent));
        let seconds = found.took.as_secs_f64().max(1e-9);
        let rate = Figure::PerSecond(sent as f64 / seconds);
        report.add("messages_per_second", "messages", rate);
        report.add("delivered", "delivered", Figure::Count(told.delivered));
        let rate = Figure::PerSecond(told.delivered as f64 / seconds);
        report.add("deliveries_per_second", "deliveries", rate);
        let whole = sent * options.polls / options.chatrooms.max(1);
        let share = told.delivered as f64 / whole.max(1) as f64;
        let label = "delivered of messages times polls";
        report.add("delivered_share", label, Figure::Cpu(share));
        let label = "ids in no list of a poll";
        report.add("passed", label, Figure::Count(told.passed));
        report.quantiles("delivery", "send to delivery", &told.latencies);
        report.quantiles("send", "send to answer", &found.latencies);
        if !found.late.is_empty() {
            let late = Figure::Nanos(found.late.value_at_quantile(0.99));
            report.add("late_p99_ns", "own lateness p99", late);
        }
        let each = ("cpu_per_delivery_ns", "CPU for each delivery, all in");
        self.seen.report(each, told.delivered, found.took, report);
    }

    fn plots(&self) -> Vec<Plot> {
        let (told, found) = (&self.told, &self.found);
        let lines = [
            ("deliveries", &told.latencies),
            ("answers to senders", &found.latencies),
        ];
        let rates = told.series.rates(found.began_ns, POINTS_MAX);
        let messages = found.series.rates(found.began_ns, POINTS_MAX);
        let rates = vec![Line::new("deliveries", rates)];
        let messages = vec![Line::new("messages", messages)];
        vec![
            Plot::latencies("Send to delivery, send to answer", &lines),
            Plot::over_time("Deliveries over time", "deliveries", rates),
            Plot::over_time("Messages over time", "messages", messages),
        ]
    }
}
