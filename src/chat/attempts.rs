//! Failed logins, counted for each name and each address, in windows of a minute, with those that may still fail.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::rates::{KEPT, WINDOW_MS, make_room};
use crate::model::Customer;

/// Whose failures a counter counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Whose {
    Name(Arc<str>),
    Address(Customer),
}

/// What becomes of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may be tried, and counts as one that may fail until [`Attempts::end`].
    Try,
    /// If all that are being tried fail, it must not be.
    Wait,
    /// So many have failed that it must not be tried before then.
    Refuse { retry_after_s: u64 },
}

#[derive(Debug, Default)]
struct Counter {
    began_ms: u64,
    failures: u32,
    underway: u32,
}

/// The counters, and their limit.
#[derive(Debug)]
pub(super) struct Attempts {
    max: u32,
    counters: HashMap<Whose, Counter>,
}

impl Counter {
    /// Begins a new window where the last is over.
    fn refresh(&mut self, now_ms: u64) {
        if self.is_over(now_ms) {
            self.began_ms = now_ms;
            self.failures = 0;
        }
    }

    fn is_over(&self, now_ms: u64) -> bool {
        self.failures == 0 || now_ms >= self.began_ms + WINDOW_MS
    }

    fn verdict(&self, now_ms: u64, max: u32) -> Verdict {
        let failures = if self.is_over(now_ms) {
            0
        } else {
            self.failures
        };
        if failures >= max {
            let wait_ms = self.began_ms + WINDOW_MS - now_ms;
            Verdict::Refuse {
                retry_after_s: wait_ms.div_ceil(1000),
            }
        } else if failures + self.underway >= max {
            Verdict::Wait
        } else {
            Verdict::Try
        }
    }
}

impl Attempts {
    /// Counters that hold at `max` failures a minute; 0 is unlimited.
    pub(super) fn new(max: u32) -> Self {
        Self {
            max,
            counters: HashMap::new(),
        }
    }

    /// Says whether a login may be tried, and counts it if so.
    pub(super) fn begin(
        &mut self,
        now_ms: u64,
        name: Option<&Arc<str>>,
        address: IpAddr,
    ) -> Verdict {
        if self.max == 0 {
            return Verdict::Try;
        }
        let verdict = self.worst(now_ms, name, address);
        if verdict == Verdict::Try {
            for whose in whose(name, address) {
                self.counter(now_ms, whose).underway += 1;
            }
        }
        verdict
    }

    fn worst(&self, now_ms: u64, name: Option<&Arc<str>>, address: IpAddr) -> Verdict {
        let counters = whose(name, address).filter_map(|whose| self.counters.get(&whose));
        let verdicts = counters.map(|counter| counter.verdict(now_ms, self.max));
        let longest_s = |verdict: &Verdict| match verdict {
            Verdict::Try => 0,
            Verdict::Wait => 1,
            Verdict::Refuse { retry_after_s } => 1 + retry_after_s,
        };
        verdicts.max_by_key(longest_s).unwrap_or(Verdict::Try)
    }

    /// A login that was begun has ended.
    pub(super) fn end(
        &mut self,
        now_ms: u64,
        name: Option<&Arc<str>>,
        address: IpAddr,
        has_failed: bool,
    ) {
        if self.max == 0 {
            return;
        }
        for whose in whose(name, address) {
            let counter = self.counter(now_ms, whose.clone());
            counter.underway -= 1;
            if has_failed {
                counter.refresh(now_ms);
                counter.failures += 1;
            } else if counter.underway == 0 && counter.is_over(now_ms) {
                self.counters.remove(&whose);
            }
        }
    }

    fn counter(&mut self, now_ms: u64, whose: Whose) -> &mut Counter {
        if !self.counters.contains_key(&whose) {
            // Those that are counted on to end stay; their number is bounded by the store's queue.
            make_room(&mut self.counters, |counter| match counter.underway {
                0 => (!counter.is_over(now_ms)).then_some((counter.failures, counter.began_ms)),
                _ => KEPT,
            });
        }
        self.counters.entry(whose).or_default()
    }
}

fn whose(name: Option<&Arc<str>>, address: IpAddr) -> impl Iterator<Item = Whose> + use<> {
    name.cloned()
        .map(Whose::Name)
        .into_iter()
        .chain([Whose::Address(address.into())])
}

#[cfg(test)]
mod tests {
    use super::super::rates::WINDOWS_MAX;
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn name(text: &str) -> Arc<str> {
        text.into()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn fail(attempts: &mut Attempts, now_ms: u64, name: Option<&Arc<str>>, address: IpAddr) {
        assert_eq!(attempts.begin(now_ms, name, address), Verdict::Try);
        attempts.end(now_ms, name, address, true);
    }

    fn refused(retry_after_s: u64) -> Verdict {
        Verdict::Refuse { retry_after_s }
    }

    #[test]
    fn holds_for_the_name_from_anywhere_and_for_the_address_with_any_name() {
        let mut attempts = Attempts::new(3);
        let (ann, bob) = (name("ann"), name("bob"));
        for second in 0..3 {
            fail(&mut attempts, second * 1000, Some(&ann), HERE);
        }
        let there = address("203.0.113.9");
        assert_eq!(attempts.begin(3000, Some(&ann), there), refused(57));
        assert_eq!(attempts.begin(3000, Some(&bob), HERE), refused(57));
        assert_eq!(attempts.begin(3000, None, HERE), refused(57));
        assert_eq!(attempts.begin(3000, Some(&bob), there), Verdict::Try);
        fail(&mut attempts, 60_000, Some(&ann), HERE);
        assert_eq!(attempts.begin(60_001, Some(&ann), HERE), Verdict::Try);
    }

    #[test]
    fn those_that_may_still_fail_hold_the_others_back() {
        let mut attempts = Attempts::new(2);
        let ann = name("ann");
        assert_eq!(attempts.begin(0, Some(&ann), HERE), Verdict::Try);
        assert_eq!(attempts.begin(0, Some(&ann), HERE), Verdict::Try);
        assert_eq!(attempts.begin(0, Some(&ann), HERE), Verdict::Wait);
        attempts.end(0, Some(&ann), HERE, false);
        assert_eq!(attempts.begin(0, Some(&ann), HERE), Verdict::Try);
        attempts.end(0, Some(&ann), HERE, true);
        assert_eq!(attempts.begin(0, Some(&ann), HERE), Verdict::Wait);
        attempts.end(0, Some(&ann), HERE, true);
        assert_eq!(attempts.begin(0, Some(&ann), HERE), refused(60));
    }

    #[test]
    fn who_logs_in_correctly_leaves_no_counter() {
        let mut attempts = Attempts::new(2);
        let ann = name("ann");
        assert_eq!(attempts.begin(0, Some(&ann), HERE), Verdict::Try);
        attempts.end(0, Some(&ann), HERE, false);
        assert!(attempts.counters.is_empty());
    }

    #[test]
    fn one_ipv6_customer_is_one_address() {
        let mut attempts = Attempts::new(1);
        fail(&mut attempts, 0, None, address("2001:db8::1"));
        assert_eq!(attempts.begin(0, None, address("2001:db8::2")), refused(60));
        assert_eq!(
            attempts.begin(0, None, address("2001:db8:0:1::1")),
            Verdict::Try
        );
    }

    #[test]
    fn zero_is_unlimited() {
        let mut attempts = Attempts::new(0);
        (0..100).for_each(|_| fail(&mut attempts, 0, None, HERE));
        assert!(attempts.counters.is_empty());
    }

    #[test]
    fn who_fills_the_counters_refuses_nobody_and_frees_no_name_to_be_guessed_at() {
        let mut attempts = Attempts::new(3);
        let ann = name("ann");
        (0..3).for_each(|n| fail(&mut attempts, n, Some(&ann), HERE));
        // One that is being tried is counted on to end.
        let underway = name("underway");
        let there = address("203.0.113.9");
        assert_eq!(attempts.begin(0, Some(&underway), there), Verdict::Try);
        for n in 0..2 * u32::try_from(WINDOWS_MAX).unwrap() {
            let stranger = name(&n.to_string());
            let address = std::net::Ipv4Addr::from_bits(n).into();
            fail(&mut attempts, 1000, Some(&stranger), address);
            assert!(attempts.counters.len() <= WINDOWS_MAX + 1);
        }
        assert_eq!(attempts.begin(2000, Some(&ann), there), refused(58));
        assert_eq!(attempts.begin(2000, None, HERE), refused(58));
        attempts.end(2000, Some(&underway), there, true);
        assert_eq!(attempts.begin(2000, Some(&underway), there), Verdict::Try);
    }
}
