//! The limit on failed logins over several loops.

use super::*;

fn log_in(loops: &mut Loops, event_loop: u16, exchange: u32) {
    let login = Call::LogIn {
        folded: Some("ann".into()),
        password: Secret("x".into()),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    loops.call(event_loop, exchange, login);
    loops.deliver_all();
}

fn verified(loops: &mut Loops, right: bool) {
    let ticket = loops.logins.remove(0);
    let login = match right {
        true => Ok((user(), Secret("token".into()))),
        false => Err(Fault::BadCredentials),
    };
    let completion = Completion::LoggedIn { ticket, login };
    assert_eq!(completion.audience(), Audience::One(LOGINS_LOOP));
    loops.complete(LOGINS_LOOP, completion);
    loops.deliver_all();
}

#[test]
fn failed_logins_count_for_all_loops_together() {
    let mut loops = Loops::new(3, 3);
    for (event_loop, exchange) in [(1, 1), (2, 1), (0, 1), (2, 2)] {
        log_in(&mut loops, event_loop, exchange);
    }
    // The fourth waits for those that may fail.
    assert_eq!(loops.logins.len(), 3);
    verified(&mut loops, true);
    let answered = loops.answered();
    assert_eq!((answered[0].0, answered[0].1), (1, 1));
    assert!(answered[0].2.starts_with("LoggedIn"), "{answered:?}");
    (0..3).for_each(|_| verified(&mut loops, false));
    let bad = "Fault(BadCredentials)";
    let wanted = [(2, 1), (0, 1), (2, 2)].map(|(n, exchange)| answer(n, exchange, bad));
    assert_eq!(loops.answered(), wanted);
    for event_loop in 0..3 {
        log_in(&mut loops, event_loop, 7);
        let refused = answer(event_loop, 7, "TooManyAttempts { retry_after_s: 60 }");
        assert_eq!(loops.answered(), [refused]);
    }
    loops.assert_idle();
}
