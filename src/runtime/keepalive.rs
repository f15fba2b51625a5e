//! How a peer is found that has vanished without a word.

use std::io;
use std::time::Duration;

use socket2::{Socket, TcpKeepalive};

/// How long a peer that takes nothing is borne with, whatever the send timeout is: one that has vanished behind an answer looks
/// the same, and the API promises that it is found within a minute.
const PATIENCE_MAX: Duration = Duration::from_secs(55);

/// When the system gives a silent peer up, whether or not anything is under way to it.
///
/// While nothing is, keepalive asks after the silence of `Config::keepalive`, 25 s say, and then about every third of that,
/// 8 s; unanswered four times it gives up, at 25 + 4 × 8 = 57 s. While something is, keepalive is silent and the user timeout
/// counts, from the first byte not acknowledged, where retransmission alone would go on for a quarter of an hour.
///
/// But Linux lets a user timeout also overrule the number of probes: an idle connection ends at the first probe
/// due after it, however few went unanswered before. A short one would so end a parked poll for a single lost packet.
/// This one, 55 s, lies between the last two probes, at 49 and 57 s: both rules end at 57 s, and only silence all
/// along ends anything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keepalive {
    idle: Duration,
    interval: Duration,
    probes: u32,
    user_timeout: Duration,
}

impl Keepalive {
    /// `keepalive` is of whole seconds, at least 5. A peer that is there and takes none of its answer is given `send_timeout` at
    /// least, as far as a minute allows it: the user timeout counts against it too.
    pub(super) fn new(keepalive: Duration, send_timeout: Duration) -> Self {
        let interval = Duration::from_secs(keepalive.as_secs() * 8 / 25);
        let probes = 4;
        let last = keepalive + interval * probes;
        Self {
            idle: keepalive,
            interval,
            probes,
            user_timeout: (last - interval / 4).max(send_timeout.min(PATIENCE_MAX)),
        }
    }

    /// All options that a connection has; for a listener, and so for each socket accepted from it, from its first moment.
    pub(super) fn set_all(self, socket: &Socket) -> io::Result<()> {
        // An answer is written whole: there is nothing that Nagle's algorithm could wait for.
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(self.idle)
                .with_interval(self.interval)
                .with_retries(self.probes),
        )?;
        socket.set_tcp_user_timeout(Some(self.user_timeout))
    }

    /// Whether a socket has all options: it has the one that is set last.
    pub(super) fn is_set(self, socket: &Socket) -> bool {
        let has = socket.tcp_user_timeout().ok().flatten();
        has == Some(self.user_timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vanished_peer_is_found_at_the_last_probe_by_either_rule() {
        for secs in 5..=2 * 60 * 60 {
            let keepalive = Keepalive::new(Duration::from_secs(secs), Duration::ZERO);
            let probe = |n| keepalive.idle + keepalive.interval * n;
            let last = probe(keepalive.probes);
            assert!(last.as_secs() * 25 <= secs * 57, "{keepalive:?}");
            assert!(keepalive.user_timeout <= last, "{keepalive:?}");
            assert!(
                keepalive.user_timeout > probe(keepalive.probes - 1),
                "{keepalive:?}"
            );
        }
    }

    #[test]
    fn the_usual_one_keeps_what_the_api_promises() {
        let keepalive = Keepalive::new(Duration::from_secs(25), Duration::from_secs(3600));
        assert_eq!(
            keepalive.idle + keepalive.interval * keepalive.probes,
            Duration::from_secs(57)
        );
    }

    #[test]
    fn whoever_takes_nothing_has_the_send_timeout_but_no_more_than_a_minute() {
        let bears = |send_timeout| {
            let send_timeout = Duration::from_secs(send_timeout);
            Keepalive::new(Duration::from_secs(5), send_timeout).user_timeout
        };
        assert_eq!(bears(30), Duration::from_secs(30));
        assert_eq!(bears(3600), PATIENCE_MAX);
    }
}
