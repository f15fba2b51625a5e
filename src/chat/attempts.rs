//! Failed logins, counted for each name and each address, in windows of a minute.
//!
//! Only failures count, and they are counted when the password has been verified. So what one
//! guesser gets in a minute is at most the limit and what the password lane holds at a time;
//! in exchange nobody is refused for logging in correctly many times at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

const WINDOW_MS: u64 = 60_000;
/// Counters kept at a time. A failure costs a whole password hash, of which a machine
/// makes a few hundred a minute: only windows that are over are ever thrown out for room.
const COUNTERS_MAX: usize = 16_384;

/// Whose failures a counter counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Whose {
    Name(Arc<str>),
    /// An IPv4 address, or the /64 that one IPv6 customer has.
    Address(IpAddr),
}

#[derive(Debug)]
struct Window {
    began_ms: u64,
    failures: u32,
}

/// The counters, and their limit.
#[derive(Debug)]
pub(super) struct Attempts {
    max: u32,
    windows: HashMap<Whose, Window>,
}

impl Attempts {
    /// Counters that hold at `max` failures a minute; 0 is unlimited.
    pub(super) fn new(max: u32) -> Self {
        Self {
            max,
            windows: HashMap::new(),
        }
    }

    /// Whether a login may be tried; if not, in how many seconds.
    pub(super) fn check(
        &self,
        now_ms: u64,
        name: Option<&Arc<str>>,
        address: IpAddr,
    ) -> Result<(), u64> {
        let wait_ms = whose(name, address)
            .filter_map(|whose| self.wait_ms(now_ms, &whose))
            .max();
        match wait_ms {
            Some(wait_ms) => Err(wait_ms.div_ceil(1000)),
            None => Ok(()),
        }
    }

    fn wait_ms(&self, now_ms: u64, whose: &Whose) -> Option<u64> {
        let window = self.windows.get(whose)?;
        let end_ms = window.began_ms + WINDOW_MS;
        (window.failures >= self.max && now_ms < end_ms).then(|| end_ms - now_ms)
    }

    /// Counts a failed login.
    pub(super) fn failed(&mut self, now_ms: u64, name: Option<&Arc<str>>, address: IpAddr) {
        if self.max == 0 {
            return;
        }
        for whose in whose(name, address) {
            if !self.windows.contains_key(&whose) {
                self.make_room(now_ms);
            }
            let window = self.windows.entry(whose).or_insert(Window {
                began_ms: now_ms,
                failures: 0,
            });
            if now_ms >= window.began_ms + WINDOW_MS {
                *window = Window {
                    began_ms: now_ms,
                    failures: 0,
                };
            }
            window.failures = window.failures.saturating_add(1);
        }
    }

    fn make_room(&mut self, now_ms: u64) {
        if self.windows.len() >= COUNTERS_MAX {
            self.windows
                .retain(|_, window| now_ms < window.began_ms + WINDOW_MS);
        }
        if self.windows.len() >= COUNTERS_MAX {
            let oldest = self
                .windows
                .iter()
                .min_by_key(|(_, window)| window.began_ms);
            if let Some(oldest) = oldest.map(|(whose, _)| whose.clone()) {
                self.windows.remove(&oldest);
            }
        }
    }
}

fn whose(name: Option<&Arc<str>>, address: IpAddr) -> impl Iterator<Item = Whose> + use<> {
    let address = match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.into(),
            None => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        },
    };
    name.cloned()
        .map(Whose::Name)
        .into_iter()
        .chain([Whose::Address(address)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn name(text: &str) -> Arc<str> {
        text.into()
    }

    #[test]
    fn holds_for_the_name_from_anywhere_and_for_the_address_with_any_name() {
        let mut attempts = Attempts::new(3);
        for second in 0..3 {
            assert_eq!(
                attempts.check(second * 1000, Some(&name("ann")), HERE),
                Ok(())
            );
            attempts.failed(second * 1000, Some(&name("ann")), HERE);
        }
        let there = "203.0.113.9".parse().expect("an address");
        assert_eq!(attempts.check(3000, Some(&name("ann")), there), Err(57));
        assert_eq!(attempts.check(3000, Some(&name("bob")), HERE), Err(57));
        assert_eq!(attempts.check(3000, None, HERE), Err(57));
        assert_eq!(attempts.check(3000, Some(&name("bob")), there), Ok(()));
        assert_eq!(attempts.check(60_000, Some(&name("ann")), HERE), Ok(()));
        attempts.failed(60_000, Some(&name("ann")), HERE);
        assert_eq!(attempts.check(60_001, Some(&name("ann")), HERE), Ok(()));
    }

    #[test]
    fn one_ipv6_customer_is_one_address() {
        let mut attempts = Attempts::new(1);
        let [a, b, c] = ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]
            .map(|text| text.parse().expect("an address"));
        attempts.failed(0, None, a);
        assert_eq!(attempts.check(0, None, b), Err(60));
        assert_eq!(attempts.check(0, None, c), Ok(()));
    }

    #[test]
    fn zero_is_unlimited() {
        let mut attempts = Attempts::new(0);
        (0..100).for_each(|_| attempts.failed(0, None, HERE));
        assert_eq!(attempts.check(0, None, HERE), Ok(()));
        assert!(attempts.windows.is_empty());
    }

    #[test]
    fn the_counters_are_bounded() {
        let mut attempts = Attempts::new(1);
        for n in 0..COUNTERS_MAX as u64 + 100 {
            attempts.failed(n, Some(&name(&n.to_string())), HERE);
        }
        assert_eq!(attempts.windows.len(), COUNTERS_MAX);
    }
}
