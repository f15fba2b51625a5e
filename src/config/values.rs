//! How the text of a setting becomes a value: numbers, durations and addresses, each with its bounds.
//!
//! Every refusal is a sentence's end, "must be …", that says what is allowed; the setting's
//! name and what was given stand before it. So nobody has to look the bounds up.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Network, NotANetwork, NotAnOrigin, Origin};

/// A second: what durations are counted in.
pub const SECOND: u64 = 1;
/// A minute, in seconds.
pub const MINUTE: u64 = 60;
/// An hour, in seconds.
pub const HOUR: u64 = 60 * MINUTE;
/// A day, in seconds; a calendar's odd days are not meant.
pub const DAY: u64 = 24 * HOUR;

const UNITS: [(char, u64); 4] = [('d', DAY), ('h', HOUR), ('m', MINUTE), ('s', SECOND)];

/// Reads decimal digits within `allowed`.
pub fn number<T: TryFrom<u64>>(
    allowed: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |given| {
        decimal(given)
            .filter(|number| allowed.contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| {
                let (least, most) = (allowed.start(), allowed.end());
                match given.bytes().all(|byte| byte.is_ascii_digit()) && !given.is_empty() {
                    true => format!("must be from {least} to {most}"),
                    // Such as 16K.
                    false => format!("must be a number from {least} to {most}, in digits alone"),
                }
            })
    }
}

/// Reads `10s`, `5m`, `2h`, `30d`, or bare seconds, within `allowed` seconds.
pub fn duration(
    allowed: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |given| {
        seconds(given)
            .filter(|seconds| allowed.contains(seconds))
            .map(Duration::from_secs)
            .ok_or_else(|| {
                format!(
                    "must be a duration from {} to {}, such as {}",
                    written(*allowed.start()),
                    written(*allowed.end()),
                    examples(&allowed)
                )
            })
    }
}

/// As [`duration`], or `0` for none.
pub fn duration_or_none(
    allowed: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    let duration = duration(allowed);
    move |given| match seconds(given) {
        Some(0) => Ok(Duration::ZERO),
        _ => duration(given).map_err(|rule| format!("{rule}, or 0 for ever")),
    }
}

/// Reads an IP address and a port.
///
/// A name is refused, not resolved: it may stand for several addresses, for others tomorrow,
/// and for none while the resolver is away, which a start should not hang on.
///
/// # Errors
/// What is allowed, as the end of a sentence.
pub fn address(given: &str) -> Result<SocketAddr, String> {
    // A variable's comma-separated list may have a space after its commas.
    given.trim().parse().map_err(|_| {
        "must be an IP address and a port, such as 127.0.0.1:8000 or [::]:80 (a name is not resolved)".to_owned()
    })
}

/// Reads `true` or `false`.
///
/// # Errors
/// What is allowed, as the end of a sentence.
pub fn flag(given: &str) -> Result<bool, String> {
    given
        .parse()
        .map_err(|_| "must be true or false".to_owned())
}

/// Reads a web origin.
///
/// # Errors
/// What is allowed, as the end of a sentence.
pub fn origin(given: &str) -> Result<Origin, String> {
    given
        .trim()
        .parse()
        .map_err(|rule: NotAnOrigin| rule.to_string())
}

/// Reads an address, or a range of addresses.
///
/// # Errors
/// What is allowed, as the end of a sentence.
pub fn network(given: &str) -> Result<Network, String> {
    given
        .trim()
        .parse()
        .map_err(|rule: NotANetwork| rule.to_string())
}

/// The seconds of a duration; `None` for what is none, or counts more than fit.
fn seconds(given: &str) -> Option<u64> {
    let (count, unit) = UNITS
        .iter()
        .find_map(|&(letter, unit)| Some((given.strip_suffix(letter)?, unit)))
        .unwrap_or((given, SECOND));
    decimal(count)?.checked_mul(unit)
}

/// Digits only: `u64::from_str` takes a sign too.
fn decimal(given: &str) -> Option<u64> {
    let digits = given.bytes().all(|byte| byte.is_ascii_digit());
    given.parse().ok().filter(|_| digits)
}

/// Durations that are allowed, one in each unit.
fn examples(allowed: &RangeInclusive<u64>) -> String {
    let examples = [10 * SECOND, 5 * MINUTE, 2 * HOUR, 30 * DAY].into_iter();
    let examples = examples.filter(|seconds| allowed.contains(seconds));
    let examples = Vec::from_iter(examples.map(written));
    match examples.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => examples.concat(),
    }
}

/// A duration in the largest unit that divides it, as a person would write it.
fn written(seconds: u64) -> String {
    let (letter, unit) = UNITS
        .into_iter()
        .find(|&(_, unit)| seconds >= unit && seconds.is_multiple_of(unit))
        .unwrap_or(('s', SECOND));
    format!("{}{letter}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_four_units_and_bare_seconds() {
        for (given, expected) in [
            ("10s", 10),
            ("5m", 300),
            ("2h", 7_200),
            ("30d", 2_592_000),
            ("75", 75),
            ("0", 0),
            ("007s", 7),
        ] {
            assert_eq!(seconds(given), Some(expected), "{given}");
        }
    }

    #[test]
    fn what_is_no_duration_is_none() {
        for given in [
            "", "s", "-1s", "+1s", "1.5h", "10 s", " 10s", "10S", "10ms", "1h30m", "s10", "１s",
            "1w", "inf",
        ] {
            assert_eq!(seconds(given), None, "{given:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_none_and_does_not_wrap() {
        let most_days = u64::MAX / DAY;
        assert_eq!(seconds(&format!("{most_days}d")), Some(most_days * DAY));
        assert_eq!(seconds(&format!("{}d", most_days + 1)), None);
        assert_eq!(seconds("18446744073709551615"), Some(u64::MAX));
        assert_eq!(seconds("18446744073709551616s"), None);
        assert_eq!(seconds(&"9".repeat(1000)), None);
    }

    #[test]
    fn a_duration_out_of_bounds_is_told_the_bounds() {
        let read = duration(SECOND..=DAY);
        assert_eq!(read("1"), Ok(Duration::from_secs(1)));
        assert_eq!(read("24h"), Ok(Duration::from_secs(DAY)));
        for given in ["0", "0d", "86401", "2d", "soon"] {
            let refusal = read(given).expect_err(given);
            assert_eq!(
                refusal,
                "must be a duration from 1s to 1d, such as 10s, 5m or 2h"
            );
        }
        let all = duration(SECOND..=3650 * DAY)("soon").expect_err("none");
        assert!(all.ends_with("such as 10s, 5m, 2h or 30d"), "{all}");
        let few = duration(SECOND..=HOUR)("soon").expect_err("none");
        assert!(few.ends_with("such as 10s or 5m"), "{few}");
    }

    #[test]
    fn durations_are_written_in_their_largest_whole_unit() {
        for (given, expected) in [(0, "0s"), (59, "59s"), (90, "90s"), (120, "2m")] {
            assert_eq!(written(given), expected);
        }
        assert_eq!(written(36 * HOUR), "36h");
        assert_eq!(written(3650 * DAY), "3650d");
    }

    #[test]
    fn numbers_keep_both_bounds() {
        let read = number::<u32>(1..=200);
        assert_eq!(read("1"), Ok(1));
        assert_eq!(read("200"), Ok(200));
        for given in ["0", "201", "18446744073709551617"] {
            assert_eq!(read(given).expect_err(given), "must be from 1 to 200");
        }
        for given in ["-1", "+1", "1e2", "16K", "", " 1"] {
            let refusal = read(given).expect_err(given);
            assert_eq!(refusal, "must be a number from 1 to 200, in digits alone");
        }
    }

    #[test]
    fn a_number_that_its_type_cannot_hold_is_refused() {
        let read = number::<u8>(0..=1000);
        assert_eq!(read("255"), Ok(255));
        assert!(read("256").is_err());
    }

    #[test]
    fn addresses_are_numbers() {
        for given in [
            "127.0.0.1:8000",
            "[::]:80",
            "[::1]:0",
            "0.0.0.0:65535",
            " [::1]:1 ",
        ] {
            assert!(address(given).is_ok(), "{given}");
        }
        for given in [
            "",
            "8000",
            ":8000",
            "localhost:8000",
            "127.0.0.1",
            "::1:8000x",
            "127.0.0.1:65536",
            "1.2.3:80",
            "[::1]",
        ] {
            assert!(address(given).is_err(), "{given}");
        }
    }
}
