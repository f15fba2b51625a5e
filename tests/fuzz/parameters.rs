//! Parameters: forms and JSON objects against another decoding, and that a call is the same wherever its parameters stand.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use loiter::api::{self, Route, Rules};
use loiter::chat::Call;
use loiter::http::{Event, Exchange, Form, FormFault, Limits};
use serde_json::Value;

/// More than any call has.
const PAIRS_MAX: usize = 256;

pub(crate) fn run(data: &[u8]) {
    let Some((&first, text)) = data.split_first() else {
        return;
    };
    match first {
        0..96 => assert_form(text),
        96..176 => assert_object(text),
        176.. => assert_same_call(first, text),
    }
}

type Pairs = Vec<(String, String)>;

fn assert_form(text: &[u8]) {
    let parsed = Form::parse(text);
    let Some(pairs) = pairs_of(text) else {
        assert!(parsed.is_err(), "{parsed:?}");
        return;
    };
    let again = encode(&pairs);
    let form = parsed.expect("the other decoding takes it");
    assert_has(&form, &pairs);
    // Written anew and read again it is the same.
    assert_eq!(Form::parse(again.as_bytes()).as_ref(), Ok(&form), "{again}");
    let object = object_of(&pairs);
    assert_eq!(Form::parse_json(object.as_bytes()), Ok(form), "{object}");
}

fn assert_has(form: &Form<'_>, pairs: &Pairs) {
    for (name, value) in pairs {
        assert_eq!(form.value(name), Some(&**value), "{name}");
        let longer = format!("{name}\0");
        if !pairs.iter().any(|(other, _)| *other == longer) {
            assert_eq!(form.value(&longer), None);
        }
    }
}

/// The pairs of a form, by a decoding of its own; none if it breaks a rule.
fn pairs_of(text: &[u8]) -> Option<Pairs> {
    let mut pairs = Pairs::new();
    for pair in text.split(|&byte| byte == b'&') {
        if pair.is_empty() {
            continue;
        }
        let mut parts = pair.splitn(2, |&byte| byte == b'=');
        let name = decoded(parts.next().expect("one part"))?;
        let value = decoded(parts.next().unwrap_or_default())?;
        if pairs.iter().any(|(other, _)| *other == name) || pairs.len() == PAIRS_MAX {
            return None;
        }
        pairs.push((name, value));
    }
    Some(pairs)
}

fn decoded(mut raw: &[u8]) -> Option<String> {
    let mut bytes = Vec::new();
    while let Some((&first, rest)) = raw.split_first() {
        raw = rest;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (digits, rest) = raw.split_at_checked(2)?;
                raw = rest;
                let digit = |byte: u8| char::from(byte).to_digit(16);
                u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).expect("two digits")
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn encode(pairs: &Pairs) -> String {
    let encoded = |text: &str| -> String {
        let one = |byte: u8| match byte {
            b' ' => "+".to_owned(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02x}"),
        };
        text.bytes().map(one).collect()
    };
    let one = |(name, value): &(String, String)| format!("{}={}", encoded(name), encoded(value));
    pairs.iter().map(one).collect::<Vec<_>>().join("&")
}

fn object_of(pairs: &Pairs) -> String {
    let quoted = |text: &String| Value::from(text.as_str()).to_string();
    let one = |(name, value): &(String, String)| format!("{} : {}", quoted(name), quoted(value));
    let members: Vec<String> = pairs.iter().map(one).collect();
    format!(" {{ {} }}\n", members.join(" , "))
}

/// What a map keeps of a flat object; none if it is not one. Of a name that is given twice it keeps one.
fn flat(text: &[u8]) -> Option<BTreeMap<String, Value>> {
    let Ok(Value::Object(members)) = serde_json::from_slice(text) else {
        return None;
    };
    let is_flat = members.values().all(|v| v.is_string() || v.is_number());
    is_flat.then(|| members.into_iter().collect())
}

/// How many members a flat object has: one more than it has commas outside of strings.
fn members(text: &[u8]) -> usize {
    let (mut commas, mut is_text, mut is_escaped, mut has_any) = (0, false, false, false);
    for &byte in text {
        has_any |= byte == b'"';
        commas += usize::from(byte == b',' && !is_text);
        is_text ^= byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
    }
    usize::from(has_any) + commas
}

fn assert_object(text: &[u8]) {
    let parsed = Form::parse_json(text);
    let members_in = members(text);
    match (flat(text), parsed) {
        (None, parsed) => {
            let is_none = text.is_empty() && parsed == Ok(Form::default());
            // One that is no object is told so, but a fault that stands before what makes it none comes first.
            assert!(is_none || parsed.is_err(), "{parsed:?}");
        }
        (Some(object), Ok(form)) => {
            assert_eq!(members_in, object.len(), "a name is given twice");
            for (name, value) in &object {
                let read = form.value(name).expect("it is there");
                match value {
                    Value::String(text) => assert_eq!(read, text),
                    number => assert_eq!(
                        serde_json::from_str::<Value>(read).ok().as_ref(),
                        Some(number)
                    ),
                }
            }
        }
        (Some(object), Err(FormFault::Twice(_))) => assert!(object.len() < members_in),
        (Some(_), Err(FormFault::TooMany)) => assert!(members_in > PAIRS_MAX),
        (Some(_), Err(fault)) => panic!("a flat object is refused: {fault:?}"),
    }
}

const ROUTES: [Route; 12] = [
    Route::Register,
    Route::Login,
    Route::ChangePassword,
    Route::GetUser,
    Route::Longpoll,
    Route::Stream,
    Route::Endpoll,
    Route::SendMessage,
    Route::NewChatroom,
    Route::AddToChatroom,
    Route::RemoveFromChatroom,
    Route::History,
];

/// The parameters stand in lines, a name and a value each, as far as they are text.
fn assert_same_call(how: u8, text: &[u8]) {
    let route = ROUTES[usize::from(how) % ROUTES.len()];
    let mut pairs = BTreeMap::new();
    for line in String::from_utf8_lossy(text).split('\0').take(PAIRS_MAX) {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        pairs.insert(name.to_owned(), value.to_owned());
    }
    let pairs: Pairs = pairs.into_iter().collect();
    let form = encode(&pairs);
    let in_query = call(route, &form, "text/plain", "");
    let in_form = call(route, "", "application/x-www-form-urlencoded", &form);
    assert_eq!(in_query, in_form, "{route:?}");
    let in_object = call(route, "", "application/json;a=b", &object_of(&pairs));
    assert_eq!(in_query, in_object, "{route:?}");
    // What the body says wins.
    let others: Pairs = pairs
        .iter()
        .map(|(name, _)| (name.clone(), "0".into()))
        .collect();
    let in_both = call(
        route,
        &encode(&others),
        "application/json",
        &object_of(&pairs),
    );
    assert_eq!(in_query, in_both, "{route:?}");
}

/// What a POST with these parameters means, secrets and all.
fn call(route: Route, query: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    let bytes = format!(
        "POST /x?{query} HTTP/1.1\r\nHost: h\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let limits = Limits {
        head_max: 1 << 20,
        body_max: 1 << 20,
    };
    let mut exchange = Exchange::default();
    let received = exchange.receive(&mut None, bytes.as_bytes(), &limits);
    assert_eq!(received.consumed, bytes.len());
    let Event::Request(request) = received.event else {
        panic!("no request: {:?}", received.event);
    };
    let rules = Rules {
        message_max: 100,
        password_chars_min: 2,
        session_cookie: "session",
    };
    let origin = || IpAddr::V4(Ipv4Addr::LOCALHOST);
    let call = api::parse(route, &request, &origin, &rules);
    let secret = match &call {
        Ok(Call::Register { password, .. } | Call::LogIn { password, .. }) => &*password.0,
        _ => "",
    };
    format!("{call:?} {secret:?}")
}
