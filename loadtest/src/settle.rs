//! When is a poll parked? A client that has written one gets no answer that says so.
//!
//! What can be seen from outside is what is still on its way: for each socket the kernel shows in `/proc/net/tcp` the bytes that
//! the other end has not acknowledged and those that its own program has not read. So, once all polls are written:
//! first a look at which the clients' ends have nothing unacknowledged, so every poll has arrived. (Even on loopback that is
//! no matter of course: a full backlog of a CPU drops packets, which come again 200 ms later.) Then, later, a look at
//! which the server's ends have nothing unread, and its listener none that waits to be accepted: the server has read every poll, and
//! it handles what it reads at once. Then one cheap call, which is answered in a later turn of the
//! loop (where there are several loops, after a similar while on the others). Only then is a message sent. The check
//! destroys nothing, unlike an endpoll, and waits for no guessed time; delayed acknowledgements make it take up to 40 ms.
//!
//! Behind a proxy the same holds for each hop: a poll has arrived once it has been read there, and every connection has one behind it.
//!
//! Where the server's sockets cannot be seen (another machine, another network namespace), a fixed delay has to do.
//! Nothing false can come of it: a poll that was parked too late misses its message, and is counted as missing.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::connect::{ASKERS_FIRST, PORTS_PER_SOURCE};
use crate::error::Error;

/// Between two looks, which cost the kernel some 10 ms for each ten thousand sockets.
const PAUSE: Duration = Duration::from_millis(2);
/// The delay where nothing can be seen.
const BLIND: Duration = Duration::from_millis(500);
/// How long the server may leave bytes unread, at least.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the server has read all that `connections` connections wrote, and has taken a turn since. It is the last of `hops`; those before
/// it are proxies, the first of which the connections lead to.
/// When it was first seen with nothing left to read, which is before the last acknowledgement may be seen.
pub(crate) fn settle(
    hops: &[SocketAddr],
    connections: u64,
    client: &mut Client,
) -> Result<Instant, Error> {
    let until = Instant::now() + client.patience().max(PATIENCE);
    let (mut arrived, mut first_read) = (false, None);
    loop {
        // In the order in which a request passes: what has left one hop is seen at the next.
        let backlogs = hops.iter().map(|hop| look(*hop));
        let backlogs: Vec<Backlog> = backlogs
            .collect::<Result<_, _>>()
            .map_err(Error::io("read /proc/net/tcp"))?;
        if backlogs.first().is_none_or(|hop| hop.sockets < connections) {
            thread::sleep(BLIND);
            break;
        }
        if backlogs.iter().all(|hop| hop.unread == 0) {
            first_read.get_or_insert_with(Instant::now);
            // Sockets are shown one after the other: what arrived during this look may be unread behind it.
            if arrived {
                break;
            }
        }
        // Whoever has an answer yet to be read may ask again.
        arrived |= backlogs.iter().all(|hop| hop.is_quiet(connections));
        if Instant::now() > until {
            let e = io::Error::from(io::ErrorKind::TimedOut);
            return Err(Error::io("the server leaves requests unread")(e));
        }
        thread::sleep(PAUSE);
    }
    client.round_trip()?;
    Ok(first_read.unwrap_or_else(Instant::now))
}

/// What is on its way to the server, and from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Backlog {
    /// Established sockets of the server's port on the server's side.
    sockets: u64,
    /// Connections that are not made yet.
    connecting: u64,
    /// Bytes that clients wrote and that may not have arrived.
    unacknowledged: u64,
    /// Bytes and connections that have arrived and that the server has not taken.
    unread: u64,
    /// Bytes of the server's answers that their clients have not read.
    answers: u64,
}

fn look(addr: SocketAddr) -> io::Result<Backlog> {
    let mut backlog = Backlog::default();
    // A listener on [::] serves IPv4 too, and its connections stand in the second table.
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        match File::open(table) {
            Ok(file) => backlog.add(BufReader::with_capacity(1 << 20, file), addr.port())?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(backlog)
}

impl Backlog {
    /// Whether all that so many clients wrote has arrived, and they have read all that was answered.
    fn is_quiet(&self, connections: u64) -> bool {
        self.sockets >= connections
            && [self.connecting, self.unacknowledged, self.answers] == [0; 3]
    }

    fn add(&mut self, mut table: impl BufRead, port: u16) -> io::Result<()> {
        let mut line = String::new();
        while table.read_line(&mut line)? != 0 {
            if let Some(row) = Row::of(&line) {
                self.count(&row, port);
            }
            line.clear();
        }
        Ok(())
    }

    fn count(&mut self, row: &Row, port: u16) {
        // Those who ask all the while are no polls, and would never let it be silent.
        if row.is_of_askers {
            return;
        }
        let established = row.state == ESTABLISHED;
        if row.local == port && (established || row.state == LISTEN) {
            self.sockets += u64::from(established);
            self.unread += row.unread;
            self.answers += row.unacknowledged;
        }
        if row.remote == port && row.state == SYN_SENT {
            self.connecting += 1;
        }
        if row.remote == port && established {
            self.unacknowledged += row.unacknowledged;
            self.answers += row.unread;
        }
    }
}

const ESTABLISHED: u8 = 0x01;
const SYN_SENT: u8 = 0x02;
/// A listener's receive queue counts connections that wait to be accepted.
const LISTEN: u8 = 0x0A;

/// One socket as the table shows it.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    local: u16,
    remote: u16,
    state: u8,
    unacknowledged: u64,
    unread: u64,
    /// Whether one of its ends is in the addresses of those who ask.
    is_of_askers: bool,
}

impl Row {
    /// `None` for the table's head.
    fn of(line: &str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let mut is_of_askers = false;
        let mut port = || {
            let (ip, port) = fields.next()?.rsplit_once(':')?;
            is_of_askers |= is_askers(ip);
            u16::from_str_radix(port, 16).ok()
        };
        let (local, remote) = (port()?, port()?);
        let state = u8::from_str_radix(fields.next()?, 16).ok()?;
        let (unacknowledged, unread) = fields.next()?.split_once(':')?;
        Some(Self {
            local,
            remote,
            state,
            unacknowledged: u64::from_str_radix(unacknowledged, 16).ok()?,
            unread: u64::from_str_radix(unread, 16).ok()?,
            is_of_askers,
        })
    }
}

/// Whether an address as the table shows it (the four bytes of IPv4 as a number of this machine, perhaps behind those of a mapped one) is one
/// that [`ASKERS_FIRST`] leads to.
fn is_askers(ip: &str) -> bool {
    let at = ip.len().saturating_sub(8);
    let digits = ip.get(at..).and_then(|ip| u32::from_str_radix(ip, 16).ok());
    digits.is_some_and(|ip| {
        let [first, _net, high, _low] = ip.to_ne_bytes();
        first == 127 && u64::from(high) == ASKERS_FIRST / PORTS_PER_SOURCE / 256
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 11 1
   1: 0100007F:1F40 0100007F:9C40 01 00000000:00000010 00:00000000 00000000     0        0 12 1
   2: 0100007F:9C40 0100007F:1F40 01 00000020:00000099 00:00000000 00000000     0        0 13 1
   3: 0100007F:1F40 01FA077F:9C40 01 00000000:00000010 00:00000000 00000000     0        0 14 1
   4: 0100007F:1F40 0100007F:9C41 06 00000000:00000007 00:00000000 00000000     0        0 0 3
   5: 0100007F:9C42 0100007F:1F40 02 00000001:00000000 00:00000000 00000000     0        0 14 1
";

    #[test]
    fn each_side_counts_for_its_own_direction() {
        let mut backlog = Backlog::default();
        backlog.add(TABLE.as_bytes(), 8000).unwrap();
        let expected = Backlog {
            sockets: 1,
            connecting: 1,
            unacknowledged: 0x20,
            unread: 0x13,
            answers: 0x99,
        };
        assert_eq!(backlog, expected);
    }

    #[test]
    fn it_is_quiet_when_all_are_there_and_nothing_is_on_its_way() {
        let quiet = Backlog {
            sockets: 2,
            unread: 7,
            ..Backlog::default()
        };
        assert!(quiet.is_quiet(2));
        assert!(!quiet.is_quiet(3));
        for loud in [
            Backlog {
                connecting: 1,
                ..quiet
            },
            Backlog {
                unacknowledged: 1,
                ..quiet
            },
            Backlog {
                answers: 1,
                ..quiet
            },
        ] {
            assert!(!loud.is_quiet(2), "{loud:?}");
        }
    }

    #[test]
    fn a_line_that_is_no_socket_is_passed_over() {
        assert_eq!(Row::of(""), None);
        assert_eq!(Row::of(TABLE.lines().next().unwrap()), None);
    }
}
