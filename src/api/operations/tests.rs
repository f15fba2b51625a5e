//! That `call` reads what the table says: each parameter, whether it must be there, and what it must be.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "the numbers are the test's own"
)]

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::api::{Rules, parse};
use crate::chat::{Call, SessionCall};
use crate::config::Config;
use crate::http::{Event, Exchange, Limits};

/// Why a call with these parameters is none.
fn refusal(operation: &Operation, parameters: &[(&str, &str)]) -> Option<String> {
    let query: Vec<String> = (parameters.iter())
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let (method, path, query) = (operation.method(), operation.path, query.join("&"));
    let bytes = format!("{method} {path}?{query} HTTP/1.1\r\nHost: h\r\n\r\n");
    let limits = Limits {
        head_max: 1 << 20,
        body_max: 1 << 20,
    };
    let mut exchange = Exchange::default();
    let received = exchange.receive(&mut None, bytes.as_bytes(), &limits);
    let Event::Request(request) = received.event else {
        panic!("{bytes}: no request");
    };
    let rules = Rules::from(&Config::default());
    let origin = || IpAddr::V4(Ipv4Addr::LOCALHOST);
    match parse(operation.route, &request, &origin, &rules) {
        Err(bad) | Ok(Call::InSession(SessionCall::Refused(bad))) => Some(bad.0),
        Ok(_) => None,
    }
}

/// What is right, at its least and at its most, and what is wrong.
fn examples(kind: Kind) -> (Vec<String>, Vec<String>) {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let sized = |count: u32| "x".repeat(count as usize);
    match kind {
        Kind::Integer(min, max) => (
            vec![min.to_string(), max.to_string()],
            vec![
                (min - 1).to_string(),
                (i128::from(max) + 1).to_string(),
                "x".to_owned(),
                String::new(),
            ],
        ),
        Kind::Text => (owned(&["x"]), vec![]),
        Kind::Bytes(min, max) => (
            vec![sized(min), sized(max)],
            vec![sized(min - 1), sized(max + 1)],
        ),
        Kind::Name => (
            vec![sized(1), sized(64)],
            vec![sized(0), sized(65), "%07".to_owned()],
        ),
        // Whoever is not there is not found, which is no bad parameter.
        Kind::User => (owned(&["7", "ann"]), vec![]),
        Kind::Chatrooms => (owned(&["7", "7,9", "all"]), owned(&["", "0", "7,", "x"])),
        Kind::Sinces => (owned(&["0", "12"]), owned(&["", "-1", "x", "7:12"])),
    }
}

fn right(parameter: &Parameter) -> String {
    examples(parameter.kind).0.swap_remove(0)
}

#[test]
fn every_call_takes_what_it_says_and_asks_for_what_it_says() {
    for operation in &OPERATIONS {
        let path = operation.path;
        let all: Vec<_> = (operation.parameters.iter())
            .map(|parameter| (parameter.name, right(parameter)))
            .collect();
        let given = |without: Option<&str>, instead: Option<&str>| {
            let pairs = all.iter().filter_map(|(name, value)| {
                let is_it = Some(*name) == without;
                let value = if is_it { instead? } else { value.as_str() };
                Some((*name, value))
            });
            refusal(operation, &pairs.collect::<Vec<_>>())
        };
        assert_eq!(given(None, None), None, "{path}");
        for parameter in operation.parameters {
            let name = parameter.name;
            let missing = parameter.is_required.then(|| format!("{name} is missing."));
            assert_eq!(given(Some(name), None), missing, "{path}");
            let (good, bad) = examples(parameter.kind);
            for value in good {
                // Of one chatroom pairs are wrong, of several a plain id is.
                let is_several = parameter.kind == Kind::Chatrooms && value != "7";
                let refusal = given(Some(name), Some(&value));
                assert_eq!(
                    refusal.is_some(),
                    is_several,
                    "{path} {name}={value}: {refusal:?}"
                );
            }
            for value in bad {
                let refusal = given(Some(name), Some(&value)).unwrap_or_default();
                assert!(
                    refusal.starts_with(name),
                    "{path} {name}={value}: {refusal:?}"
                );
            }
        }
    }
}

#[test]
fn no_call_takes_what_it_does_not_say() {
    for operation in &OPERATIONS {
        let own: Vec<_> = (operation.parameters.iter())
            .map(|parameter| (parameter.name, right(parameter)))
            .collect();
        for other in OPERATIONS.iter().flat_map(|other| other.parameters) {
            let name = other.name;
            if own.iter().all(|&(own, _)| own != name) {
                let mut given: Vec<_> = own.iter().map(|(name, value)| (*name, &**value)).collect();
                given.push((name, "%07-"));
                assert_eq!(
                    refusal(operation, &given),
                    None,
                    "{} {name}",
                    operation.path
                );
            }
        }
    }
}

#[test]
fn every_route_has_its_place() {
    for (at, operation) in OPERATIONS.iter().enumerate() {
        let path = operation.path;
        assert!(path.starts_with('/') && !path.ends_with('/'), "{path}");
        let others = OPERATIONS.iter().skip(at + 1);
        for other in others {
            assert!(
                other.path != path && other.route != operation.route,
                "{path}"
            );
        }
        let failures = operation.failures();
        assert!(
            failures.windows(2).all(|pair| pair[0] < pair[1]),
            "{path}: {failures:?}"
        );
    }
}
