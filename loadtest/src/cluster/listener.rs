//! The thread of one server that hears of hints, asks the database, and tells the loops: one thing after the other.

use super::random::Random;

/// What others have committed that this server has polls for.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    /// When it was committed.
    pub(super) at: f64,
    /// When the hint is here; never, where it is lost.
    pub(super) heard: Option<f64>,
    /// When its message had come.
    pub(super) came: f64,
}

/// How the thread works, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listener {
    pub(super) ask_every: f64,
    /// What asking takes what others have written.
    pub(super) ask: f64,
    /// How often it asks for some of the chatrooms that it holds.
    pub(super) slice_every: f64,
    /// … and what that takes.
    pub(super) slice: f64,
    /// What fetching takes.
    pub(super) fetch: f64,
}

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// From when a message came until the loops were told, each.
    pub(super) latencies: Vec<f64>,
    pub(super) fetches: u64,
    pub(super) asks: u64,
}

impl Listener {
    /// All that is told; `news` in the order in which it was committed.
    pub(super) fn run(&self, news: &[News], random: &mut Random) -> Heard {
        let mut heard = Heard::default();
        let mut by_hint =
            Vec::from_iter((0..news.len()).filter_map(|at| Some((news[at].heard?, at))));
        by_hint.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut hints = by_hint.into_iter().peekable();
        let mut told = vec![false; news.len()];
        let mut left = news.len();
        // Up to here all is told by asking.
        let mut asked_up_to = 0;
        let mut ask_at = random.share() * self.ask_every;
        let mut slice_at = random.share() * self.slice_every;
        let mut now = 0.0;
        while left > 0 {
            if now >= slice_at {
                // It finds nothing that no row has told.
                slice_at += self.slice_every;
                now += self.slice;
            }
            if now >= ask_at {
                let begun = now;
                ask_at = begun + self.ask_every;
                now += self.ask;
                heard.asks += 1;
                let mut found = Vec::new();
                while asked_up_to < news.len() && news[asked_up_to].at <= begun {
                    if !told[asked_up_to] {
                        found.push(asked_up_to);
                    }
                    asked_up_to += 1;
                }
                if !found.is_empty() {
                    now += self.fetch;
                    heard.fetches += 1;
                }
                for at in found {
                    told[at] = true;
                    left -= 1;
                    heard.latencies.push(now - news[at].came);
                }
                continue;
            }
            let mut hinted = Vec::new();
            while let Some((_, at)) = hints.next_if(|(when, _)| *when <= now) {
                if !told[at] {
                    hinted.push(at);
                }
            }
            if hinted.is_empty() {
                let next = hints.peek().map_or(ask_at, |(when, _)| when.min(ask_at));
                now = next.min(slice_at).max(now);
                continue;
            }
            now += self.fetch;
            heard.fetches += 1;
            for at in hinted {
                told[at] = true;
                left -= 1;
                heard.latencies.push(now - news[at].came);
            }
        }
        heard.latencies.sort_by(f64::total_cmp);
        heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTENER: Listener = Listener {
        ask_every: 1.0,
        ask: 0.002,
        slice_every: 60.0,
        slice: 0.002,
        fetch: 0.001,
    };

    fn run(count: u32, hint: impl Fn(u32) -> Option<f64>) -> Heard {
        let mut random = Random::new(3);
        let mut at = 0.0;
        let news = (0..count).map(|n| {
            at += random.pause(100.0);
            News {
                at,
                heard: hint(n).map(|late| at + late),
                came: at,
            }
        });
        let news = Vec::from_iter(news);
        LISTENER.run(&news, &mut Random::new(4))
    }

    fn quantile(heard: &Heard, share: f64) -> f64 {
        heard.latencies[((heard.latencies.len() - 1) as f64 * share) as usize]
    }

    /// Where nothing is heard, the time until the next question is as likely short as long.
    #[test]
    fn asking_alone_takes_half_of_its_pause_and_at_most_all_of_it() {
        let heard = run(20_000, |_| None);
        assert_eq!(heard.latencies.len(), 20_000);
        let all = LISTENER.ask + LISTENER.fetch;
        for share in [0.1, 0.5, 0.99] {
            let late = quantile(&heard, share) - all - share;
            assert!(late.abs() < 0.03, "{share}: {late}");
        }
        assert!(quantile(&heard, 1.0) <= 1.0 + 2.0 * all);
    }

    #[test]
    fn a_hint_is_followed_up_at_once_but_for_what_is_under_way() {
        let heard = run(2000, |_| Some(0.0005));
        let least = 0.0005 + LISTENER.fetch;
        assert!((heard.latencies[0] - least).abs() < 1e-9);
        assert!((quantile(&heard, 0.5) - least) < LISTENER.fetch);
        assert!(quantile(&heard, 1.0) < least + LISTENER.ask + 2.0 * LISTENER.fetch);
    }

    #[test]
    fn a_hint_that_is_lost_costs_time_and_no_message() {
        let heard = run(20_000, |n| (n % 10 > 0).then_some(0.0005));
        assert_eq!(heard.latencies.len(), 20_000);
        assert!(quantile(&heard, 0.85) < 0.005);
        assert!(quantile(&heard, 0.96) > 0.3);
        assert!(quantile(&heard, 1.0) < 1.1);
    }
}
