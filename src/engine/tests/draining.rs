//! A drain: who seems to be idle is read once more before it is let go.

use super::*;
use crate::engine::draining::PROBED_PER_TURN;

const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";

/// What the engine wants of a connection, one word each; of what is sent, how it ends its connection.
fn wanted(engine: &mut Engine) -> Vec<&'static str> {
    let outputs = std::iter::from_fn(|| engine.next_output());
    let word = |output| match output {
        Output::Send(_, bytes) => {
            match String::from_utf8_lossy(&bytes).contains("\r\nConnection: close\r\n") {
                true => "last answer",
                false => "answer",
            }
        }
        Output::Resume(_) => "resume",
        Output::Probe(_) => "probe",
        Output::Discard(_) => "discard",
        Output::Finish(_) => "finish",
        Output::Close(_) => "close",
        Output::Submit(_) | Output::Tell(..) => "more",
    };
    outputs.map(word).collect()
}

fn receive(engine: &mut Engine, key: ConnectionKey, input: &[u8]) -> Taken {
    let origin = || IpAddr::V4(Ipv4Addr::LOCALHOST);
    engine.receive(Now::default(), key, input, &origin)
}

/// An engine with so many connections, all idle.
fn idle(count: usize) -> (Engine, Vec<ConnectionKey>) {
    let mut keys: Arena<(), Connection> = Arena::default();
    let mut engine = Engine::new(&Config::default(), 0);
    let keys: Vec<_> = (0..count).map(|_| keys.insert(())).collect();
    for &key in &keys {
        engine.accept(Now::default(), key);
    }
    assert_eq!(wanted(&mut engine), [""; 0]);
    (engine, keys)
}

/// One connection, idle as a drain came to it.
fn drained() -> (Engine, ConnectionKey) {
    let (mut engine, keys) = idle(1);
    engine.drain(Now::default());
    engine.serve(Now::default());
    assert_eq!(wanted(&mut engine), ["probe"]);
    assert!(!engine.has_work());
    (engine, keys[0])
}

#[test]
fn who_has_asked_for_nothing_is_let_go_once_that_is_sure() {
    let (mut engine, key) = drained();
    engine.emptied(Now::default(), key);
    assert_eq!(wanted(&mut engine), ["finish"]);
    engine.finished(Now::default(), key);
    assert_eq!(wanted(&mut engine), ["close"]);
}

#[test]
fn what_had_come_and_was_not_read_is_answered() {
    let (mut engine, key) = drained();
    receive(&mut engine, key, REQUEST);
    engine.emptied(Now::default(), key);
    assert_eq!(wanted(&mut engine), ["last answer", "finish"]);
    engine.finished(Now::default(), key);
    // It lingers, so that the answer is not lost in a reset.
    engine.emptied(Now::default(), key);
    assert_eq!(wanted(&mut engine), [""; 0]);
    engine.ended(Now::default(), key);
    assert_eq!(wanted(&mut engine), ["close"]);
}

#[test]
fn half_a_request_has_its_time() {
    let (mut engine, key) = drained();
    receive(&mut engine, key, &REQUEST[..9]);
    engine.emptied(Now::default(), key);
    assert_eq!(wanted(&mut engine), [""; 0]);
    receive(&mut engine, key, REQUEST);
    assert_eq!(wanted(&mut engine), ["last answer", "finish"]);
}

#[test]
fn an_empty_line_is_no_request() {
    let (mut engine, key) = drained();
    receive(&mut engine, key, b"\r\n");
    engine.emptied(Now::default(), key);
    assert_eq!(wanted(&mut engine), ["finish"]);
}

#[test]
fn what_waits_behind_many_others_of_its_connection_has_come_too() {
    let (mut engine, keys) = idle(1);
    let many = REQUEST.repeat(REQUESTS_PER_OFFER + 2);
    let taken = receive(&mut engine, keys[0], &many);
    assert!(!taken.wants_more);
    engine.drain(Now::default());
    engine.serve(Now::default());
    let mut wants = wanted(&mut engine);
    assert_eq!(wants.split_off(REQUESTS_PER_OFFER), ["resume", "probe"]);
    receive(&mut engine, keys[0], &many[taken.consumed..]);
    assert_eq!(wanted(&mut engine), ["last answer", "finish"]);
}

#[test]
fn before_a_drain_nobody_is_let_go_for_being_idle() {
    let (mut engine, keys) = idle(1);
    engine.emptied(Now::default(), keys[0]);
    engine.serve(Now::default());
    assert_eq!(wanted(&mut engine), [""; 0]);
}

#[test]
fn who_comes_during_it_is_read_once_too() {
    let (mut engine, _) = idle(0);
    engine.drain(Now::default());
    engine.serve(Now::default());
    let mut keys: Arena<(), Connection> = Arena::default();
    let key = keys.insert(());
    engine.accept(Now::default(), key);
    assert_eq!(wanted(&mut engine), ["probe"]);
    receive(&mut engine, key, REQUEST);
    assert_eq!(wanted(&mut engine), ["last answer", "finish"]);
}

#[test]
fn very_many_are_read_in_slices_and_each_once() {
    let count = 3 * PROBED_PER_TURN + 1;
    let (mut engine, _) = idle(count);
    engine.drain(Now::default());
    let mut probed = Vec::new();
    while engine.has_work() {
        engine.serve(Now::default());
        let wants = wanted(&mut engine);
        assert!(wants.iter().all(|&want| want == "probe"), "{wants:?}");
        probed.push(wants.len());
    }
    assert_eq!(probed, [[PROBED_PER_TURN; 3].as_slice(), &[1]].concat());
}
