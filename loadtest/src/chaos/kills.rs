//! Whoever polls with `since` and sends with a `nonce` loses nothing and doubles nothing, however often the server is killed.
//!
//! Senders send each message until it is answered; followers hear one chatroom or all. Whenever another share of the messages has been acknowledged,
//! the server is killed (SIGKILL), wherever it is then, and started anew on the same database and another port. In the end each follower has to have seen every
//! message of its chatrooms once, in the order of the ids.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use loiter_client::{Client, Following, Message, News, Pauses, Stop, Where, Whereabouts};
use rustix::process::{Pid, Signal, kill_process};

use super::field::launch;
use super::floods::Flood;
use super::options::ChaosOptions;
use super::verdict::Verdict;
use crate::error::Error;
use crate::host::{Host, Launch};
use crate::server_stats::Reading;
use crate::tally::Tally;

const SENDERS: u64 = 4;
const CHATROOMS: u64 = 2;
/// Messages between two kills.
const SHARE: u64 = 400;
/// What each follower asks for: a chatroom, or all, and a limit.
const FOLLOWERS: [(Option<u64>, Option<u8>); 6] = [
    (Some(1), None),
    (Some(2), None),
    (Some(1), Some(1)),
    (Some(2), Some(7)),
    (None, None),
    (None, Some(200)),
];
/// Far longer than any restart takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs it.
pub(super) fn run(flood: &Flood, options: &ChaosOptions) -> Result<Verdict, Error> {
    let folder = tempfile::Builder::new()
        .prefix("loiter-loadtest-")
        .tempdir();
    let folder = folder.map_err(Error::io("make a temporary folder"))?;
    let launch = on(launch(flood, options), &folder.path().join("loiter.db"));
    let kills = options.scaled(20, 3);
    // What is left of them is said when nobody is killed any more.
    let messages = (kills + 1) * SHARE;
    let server = launch.start()?;
    let mut crowd = Crowd::of(server.target.addr)?;
    let (mut tally, followed) = crowd.live_through(server, &launch, kills, messages)?;
    let delivered = followed.iter().map(|seen| seen.messages).sum::<u64>();
    let (mut lost, mut doubled) = (0, 0);
    for (seen, (chatroom, _)) in followed.into_iter().zip(FOLLOWERS) {
        let wanted = match chatroom {
            Some(_) => messages / CHATROOMS,
            None => messages,
        };
        lost += wanted.saturating_sub(seen.messages - seen.doubled);
        doubled += seen.doubled;
        tally.add(seen.tally);
    }
    tally.missing(lost, || format!("{lost} messages were lost"));
    tally.doubled(doubled, || format!("{doubled} messages were doubled"));
    Ok(Verdict {
        counts: vec![
            ("kills", kills),
            ("messages acknowledged", messages),
            ("deliveries to followers", delivered),
            ("lost", lost),
            ("doubled", doubled),
        ],
        tally,
        name: flood.name,
        polite: None,
        polite_may_be_refused: false,
        before: Reading::default(),
        rounds: Vec::new(),
        peak: 0,
        first_peak: 0,
    })
}

/// The same on a database that outlives it.
fn on(mut launch: Launch, database: &Path) -> Launch {
    for arg in &mut launch.args {
        if arg == "{dir}/loiter.db" {
            *arg = database.to_string_lossy().into_owned();
        }
    }
    launch
}

/// All clients of one user.
struct Crowd {
    whereabouts: Whereabouts,
    session: String,
    stops: Vec<Stop>,
}

/// What a follower has seen.
#[derive(Default)]
struct Seen {
    messages: u64,
    doubled: u64,
    tally: Tally,
}

impl Crowd {
    fn of(addr: SocketAddr) -> Result<Self, Error> {
        let mut client = Client::new(addr);
        client.register("chaos", "chaos")?;
        client.log_in("chaos", "chaos")?;
        for _ in 0..CHATROOMS {
            client.new_chatroom()?;
        }
        let whereabouts = Whereabouts::default();
        whereabouts.set(Where::At(addr));
        Ok(Self {
            whereabouts,
            session: client.session().unwrap_or_default().to_owned(),
            stops: Vec::new(),
        })
    }

    fn client(&mut self) -> Client {
        let pauses = Pauses {
            first: Duration::from_millis(1),
            longest: Duration::from_millis(50),
        };
        let client = Client::new(self.whereabouts.place())
            .with_session(&self.session)
            .with_patience(PATIENCE)
            .with_pauses(pauses);
        self.stops.push(client.stop());
        client
    }

    fn end(&self) {
        self.stops.iter().for_each(Stop::stop);
        self.whereabouts.set(Where::Gone);
    }

    fn live_through(
        &mut self,
        server: Host,
        launch: &Launch,
        kills: u64,
        messages: u64,
    ) -> Result<(Tally, Vec<Seen>), Error> {
        let clients = FOLLOWERS.map(|_| self.client());
        let speakers = [(); SENDERS as usize].map(|()| self.client());
        thread::scope(|scope| {
            let followers = clients
                .into_iter()
                .zip(FOLLOWERS)
                .map(|(client, (room, limit))| {
                    scope.spawn(move || follow(client, room, limit, messages))
                });
            let followers = Vec::from_iter(followers);
            let (tell, told) = mpsc::channel();
            for (sender, client) in speakers.into_iter().enumerate() {
                let tell = tell.clone();
                scope.spawn(move || speak(client, sender as u64, messages / SENDERS, &tell));
            }
            drop(tell);
            let mut tally = Tally::default();
            let lived = self.kill(server, launch, kills, &told, &mut tally);
            // Those who have not seen all by then wait in vain.
            let until = Instant::now() + PATIENCE;
            let done = |followers: &[ScopedJoinHandle<'_, Seen>]| {
                followers.iter().all(ScopedJoinHandle::is_finished)
            };
            while lived.is_ok() && !done(&followers) && Instant::now() < until {
                thread::sleep(Duration::from_millis(20));
            }
            self.end();
            let seen = followers.into_iter().map(|follower| {
                follower
                    .join()
                    .map_err(|_| Error::Worker("a follower failed".into()))
            });
            let seen = seen.collect::<Result<Vec<_>, _>>();
            lived.and_then(Host::end)?;
            Ok((tally, seen?))
        })
    }

    /// Kills the server again and again, and leaves the last one once all is said.
    fn kill(
        &self,
        mut server: Host,
        launch: &Launch,
        kills: u64,
        told: &Receiver<Result<(), String>>,
        tally: &mut Tally,
    ) -> Result<Host, Error> {
        for _ in 0..kills {
            hear(told, SHARE, tally)?;
            self.whereabouts.set(Where::Nowhere);
            let pid = i32::try_from(server.pid).ok().and_then(Pid::from_raw);
            let killed = pid.map_or(Ok(()), |pid| kill_process(pid, Signal::KILL));
            killed.map_err(|e| Error::io("kill the server")(e.into()))?;
            // That it does not end in good order is what is wanted.
            drop(server);
            server = launch.start()?;
            self.whereabouts.set(Where::At(server.target.addr));
        }
        hear(told, u64::MAX, tally)?;
        Ok(server)
    }
}

/// Hears of so many messages, or of all that are left.
fn hear(told: &Receiver<Result<(), String>>, count: u64, tally: &mut Tally) -> Result<(), Error> {
    for _ in 0..count {
        match told.recv_timeout(PATIENCE) {
            Ok(Ok(())) => {}
            Ok(Err(what)) => tally.unexpected(|| what),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {
                return Err(Error::Host(
                    "the server acknowledges nothing any more".into(),
                ));
            }
        }
    }
    Ok(())
}

fn speak(mut client: Client, sender: u64, messages: u64, tell: &Sender<Result<(), String>>) {
    for n in 0..messages {
        let (chatroom, text) = (n % CHATROOMS + 1, format!("{sender}-{n}"));
        let sent = client.send_as(&text, chatroom, &text);
        let told = sent.map(drop).map_err(|e| format!("{text}: {e}"));
        // Where nobody hears, the run has failed already.
        if tell.send(told).is_err() {
            return;
        }
    }
}

fn follow(mut client: Client, chatroom: Option<u64>, limit: Option<u8>, messages: u64) -> Seen {
    let (mut seen, mut last) = (Seen::default(), [0; CHATROOMS as usize + 1]);
    let following = chatroom.map_or_else(Following::all, |id| Following::of([id]));
    let rooms = chatroom.map_or_else(|| Vec::from_iter(1..=CHATROOMS), |id| vec![id]);
    let wanted = messages / CHATROOMS * rooms.len() as u64;
    let following = rooms
        .iter()
        .fold(following.strict(), |following, &id| following.since(id, 0));
    let following = match limit {
        Some(limit) => following.limit(limit),
        None => following,
    };
    let followed = client.follow(following, |news| {
        match news {
            News::Messages(list) => list
                .iter()
                .for_each(|message| seen.take(message, &mut last)),
            News::Gap(gap) => seen.tally.missing(1, || format!("{gap:?}")),
        }
        match seen.messages - seen.doubled < wanted {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    if let Err(e) = followed
        && !matches!(e, loiter_client::Error::Stopped)
    {
        seen.tally.unexpected(|| format!("a follower: {e}"));
    }
    seen
}

impl Seen {
    fn take(&mut self, message: &Message, last: &mut [u64]) {
        self.messages += 1;
        let Some(last) = last.get_mut(message.chatroomid as usize) else {
            self.tally
                .unexpected(|| format!("a strange chatroom: {message:?}"));
            return;
        };
        // What is passed over is missing in the sum.
        self.doubled += u64::from(message.id <= *last);
        *last = message.id.max(*last);
    }
}
