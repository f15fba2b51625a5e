//! More clients than files: the server may not spin, those who are connected go on, and when some of them leave, newcomers come in again.
//!
//! Once the limit is there from the start, and the server knows how many it can take; once it is lowered under a server that runs, so that the system itself
//! refuses to accept.

use std::thread;
use std::time::{Duration, Instant};

use loiter_client::get;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use super::field::Field;
use super::herd::Herd;
use crate::error::Error;

/// The limit of a server that has few.
pub(super) const FEW: u64 = 256;
/// How long the full server is looked at.
const LOOK: Duration = Duration::from_secs(3);
/// The share of a CPU that it may take meanwhile, in percent.
const CPU_MAX: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(60);
/// After that long nobody else comes in.
const FULL: Duration = Duration::from_secs(2);

/// The limit is lowered while the server runs.
pub(super) fn taken_away(field: &mut Field<'_>) -> Result<(), Error> {
    let pid = field.process()?.pid();
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let files = field.process()?.files();
    let files = files.map_err(Error::io("count the server's files"))?;
    let set = |current| {
        let limit = Rlimit {
            current,
            maximum: getrlimit(Resource::Nofile).maximum,
        };
        let set = prlimit(pid, Resource::Nofile, limit);
        set.map_err(|e| Error::io("change the server's limit on files")(e.into()))
    };
    // Numbers, not a count: one below the limit may be free among those that it has.
    let room = field.options.scaled(500, 50);
    let old = set(Some(files + room))?;
    let crowded = crowd(field, 2 * room);
    set(old.current)?;
    crowded
}

/// The limit is there before the server is.
pub(super) fn few_from_the_start(field: &mut Field<'_>) -> Result<(), Error> {
    crowd(field, 2 * FEW)
}

fn crowd(field: &mut Field<'_>, clients: u64) -> Result<(), Error> {
    let ask = get("/message/chatrooms/").session(&field.session()).bytes();
    let mut herd = Herd::connect(field.addr(), clients, None)?;
    herd.say(|_| ask.clone());
    // Whoever is not answered within that time waits to be accepted.
    herd.go_on(FULL, |_| false);
    let is_in = |m: &super::herd::Member| m.end.is_none() && m.statuses == [200];
    let waits = |m: &super::herd::Member| m.end.is_none() && m.statuses.is_empty();
    let (inside, told, waiting) = (herd.count(is_in), herd.answers(503), herd.count(waits));
    field.count("clients", clients);
    field.count("came in", inside);
    field.count("told 503", told);
    field.count("left to wait", waiting);
    field.must(inside > 0 && inside < clients, || {
        format!("{inside} of {clients} came in: the files did not run out")
    });
    let others = clients - inside - told - waiting;
    field.expect("broken", others, 0);

    let cpu = cpu(field)?;
    field.most("% of a CPU while full", cpu);
    field.must(cpu < CPU_MAX, || {
        format!("a full server takes {cpu} % of a CPU")
    });

    let (mut inside_herd, rest) = parted(herd, is_in);
    inside_herd.say(|_| ask.clone());
    inside_herd.go_on(PATIENCE, |herd| herd.answers(200) == 2 * inside);
    let answered = inside_herd.count(|m| m.statuses == [200, 200]);
    field.expect("inside and answered again", answered, inside);

    // Some leave, and as many newcomers find a place.
    drop(rest);
    let leave = inside / 2;
    inside_herd.members.truncate((inside - leave) as usize);
    let until = Instant::now() + PATIENCE;
    while field.files_more()? > inside - leave && Instant::now() < until {
        thread::sleep(Duration::from_millis(20));
    }
    let newcomers = (leave / 2).max(1);
    let mut new = Herd::connect(field.addr(), newcomers, None)?;
    new.say(|_| ask.clone());
    let is_told = |herd: &Herd| herd.answers(200) == newcomers;
    new.go_on(PATIENCE, is_told);
    let taken = new.answers(200);
    field.expect("newcomers taken when some had left", taken, newcomers);
    Ok(())
}

/// What the server takes of a CPU while nobody asks it anything, in percent.
fn cpu(field: &mut Field<'_>) -> Result<u64, Error> {
    let polite = field.polite.as_ref();
    polite.inspect(|polite| polite.rests());
    // What was under way ends meanwhile.
    thread::sleep(Duration::from_millis(500));
    let before = field.subject.read()?;
    thread::sleep(LOOK);
    let after = field.subject.read()?;
    field.polite.as_ref().inspect(|polite| polite.wakes());
    let taken = u128::from(after.cpu_ns_since(&before));
    let percent = 100 * taken / LOOK.as_nanos();
    Ok(u64::try_from(percent).unwrap_or(u64::MAX))
}

fn parted(herd: Herd, is: impl Fn(&super::herd::Member) -> bool) -> (Herd, Herd) {
    let (yes, no) = herd.members.into_iter().partition(|member| is(member));
    (Herd { members: yes }, Herd { members: no })
}
