//! A range of addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The bits of an address in which IPv4's lie at the end, behind those that say so (RFC 4291 §2.5.5.2).
const BITS: u8 = 128;
const V4_BITS: u8 = 32;

/// A range of IPv4 or IPv6 addresses, in CIDR notation: `10.0.0.0/8`, `2001:db8::/32`, or one address alone.
///
/// An IPv4 address is in an IPv4 range in whichever way it comes: a socket that takes both kinds of peers gives it as
/// `::ffff:10.0.0.1`.
///
/// ```
/// let network: loiter::config::Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains("10.1.2.3".parse()?));
/// assert!(network.contains("::ffff:10.1.2.3".parse()?));
/// assert!(!network.contains("11.0.0.1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The first address.
    address: IpAddr,
    /// How many of its bits, of its own kind, all of the range have.
    prefix: u8,
}

impl Network {
    /// Whether an address is in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        // Of an IPv4 address none of ours can be a part: `::/0` is all of IPv6.
        let is_same_kind = address.to_canonical().is_ipv4() == self.address.is_ipv4();
        is_same_kind && masked(address, self.long_prefix()) == bits(self.address)
    }

    fn long_prefix(&self) -> u8 {
        match self.address {
            IpAddr::V4(_) => self.prefix + BITS - V4_BITS,
            IpAddr::V6(_) => self.prefix,
        }
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// An address's first bits, the rest zero.
fn masked(address: IpAddr, prefix: u8) -> u128 {
    let rest = u32::from(BITS - prefix);
    let mask = u128::MAX.checked_shl(rest).unwrap_or(0);
    bits(address) & mask
}

/// What is no range of addresses, or one that is written so that something else may be meant.
///
/// ```
/// use loiter::config::{Network, NotANetwork};
///
/// // The first address of that range is 10.0.0.0: which of both was meant?
/// assert_eq!("10.0.0.1/8".parse::<Network>(), Err(NotANetwork));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotANetwork;

impl fmt::Display for NotANetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be an address or a range of them that begins with its first one, such as 10.0.0.1, 10.0.0.0/8 or 2001:db8::/32")
    }
}

impl std::error::Error for NotANetwork {}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        // `::ffff:10.0.0.1` alone is IPv4; a range of such would be read in two ways.
        let parsed: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let address = match prefix {
            None => parsed.to_canonical(),
            Some(_) if parsed.to_canonical() != parsed => return Err(NotANetwork),
            Some(_) => parsed,
        };
        let most = if address.is_ipv4() { V4_BITS } else { BITS };
        let prefix = match prefix {
            None => most,
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                digits.parse().map_err(|_| NotANetwork)?
            }
            Some(_) => return Err(NotANetwork),
        };
        let network = Self { address, prefix };
        let is_whole = prefix <= most && masked(address, network.long_prefix()) == bits(address);
        is_whole.then_some(network).ok_or(NotANetwork)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        let network: Network = network.parse().expect(network);
        network.contains(address.parse().expect(address))
    }

    #[test]
    fn a_range_has_what_begins_as_it_does() {
        for (network, address) in [
            ("10.0.0.0/8", "10.255.255.255"),
            ("10.0.0.0/8", "::ffff:10.1.2.3"),
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3/32", "10.1.2.3"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("0.0.0.0/0", "203.0.113.9"),
            ("192.0.2.128/25", "192.0.2.129"),
            ("2001:db8::/32", "2001:db8:ffff::1"),
            ("::1", "::1"),
            ("::/0", "2001:db8::1"),
        ] {
            assert!(holds(network, address), "{address} in {network}");
        }
        for (network, address) in [
            ("10.0.0.0/8", "11.0.0.0"),
            ("10.0.0.0/8", "a00::"),
            ("10.1.2.3", "10.1.2.4"),
            ("192.0.2.128/25", "192.0.2.127"),
            ("0.0.0.0/0", "::1"),
            ("::/0", "10.0.0.1"),
            ("::/0", "::ffff:10.0.0.1"),
            ("2001:db8::/32", "2001:db9::"),
            ("::1", "::2"),
        ] {
            assert!(!holds(network, address), "{address} in {network}");
        }
    }

    #[test]
    fn what_could_mean_something_else_is_no_range() {
        for text in [
            "",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/-8",
            "10.0.0.0/8/8",
            "10.0.0.0/255.0.0.0",
            "10.0.0.1/8",
            "10.0.0/8",
            "10.0.0.0 /8",
            "::/129",
            "2001:db8::1/32",
            "::ffff:10.0.0.0/104",
            "localhost",
            "proxy.example/32",
            "10.0.0.1:80",
            "[::1]",
            "fe80::1%eth0",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork), "{text:?}");
        }
    }
}
