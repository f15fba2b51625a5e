//! Durable messages: senders in closed loop, each of which waits until its message is on disk, or in open loop on a schedule.

use crate::askers::{self, Askers, Found, Pace, Until};
use crate::error::Error;
use crate::options::SendOptions;
use crate::progress::Phase;
use crate::report::{Figure, Outcome, Report};
use crate::rps;
use crate::sends::Sends;
use crate::setup::Setup;
use crate::subject::Subject;
use crate::swarm::Swarm;
use crate::tally::Tally;

/// Runs it for each number of senders in turn.
pub(crate) fn run(subject: &Subject, options: &SendOptions) -> Result<Outcome, Error> {
    let mut setup = Setup::new(subject, 1)?;
    let mut tally = Tally::default();
    let (mut reports, mut all) = (Vec::new(), Vec::new());
    for count in &options.senders {
        let chatrooms = setup.chatrooms(options.chatrooms)?;
        let (report, found) = measure(subject, options, &mut setup, (*count, &chatrooms))?;
        tally.add(found.tally.clone());
        reports.push(report);
        all.push((format!("{count} senders"), found));
    }
    Ok(Outcome {
        reports,
        plots: rps::plots("Send to answer, durable", "messages", &all),
        tally,
        summary: None,
    })
}

fn measure(
    subject: &Subject,
    options: &SendOptions,
    setup: &mut Setup,
    (count, chatrooms): (u64, &[u64]),
) -> Result<(Report, Found), Error> {
    let seconds = options.seconds.as_secs();
    let phase = Phase::start(format!("{count} senders for {seconds} s"), seconds);
    let sends = Sends::new(&subject.target, setup, count, chatrooms, false);
    let askers = Askers::new(sends, Pace::of(options.rate), count as usize, false);
    let layout = rps::layout(subject, setup, count);
    let mut swarm = Swarm::new(layout, askers).map_err(Error::io("open an epoll loop"))?;
    askers::open(&mut swarm, count as usize)?;
    let watch = subject.watch()?;
    askers::drive(
        &mut swarm,
        Until::Time(options.seconds),
        subject.patience,
        |took| phase.at(took.as_secs()),
    )?;
    let seen = subject.seen(watch)?;
    let (sends, mut found) = swarm.into_role().into_parts();
    sends.check_newest(&mut setup.admin, 0, &mut found.tally)?;

    let mut report = Report::default();
    report.add("senders", "senders", Figure::Count(count));
    let rooms = chatrooms.len() as u64;
    report.add("chatrooms", "chatrooms", Figure::Count(rooms));
    let acknowledged = sends.acknowledged().map(|(_, count)| count).sum();
    report.add("acknowledged", "durable", Figure::Count(acknowledged));
    found.report(&mut report);
    let each = ("cpu_per_message_ns", "CPU each");
    seen.report(each, acknowledged, found.took, &mut report);
    report.faults(&found.tally);
    Ok((report, found))
}
