//! Whether the store can write.

use super::*;

#[test]
fn one_write_tells_all_who_ask_while_it_is_under_way() {
    let mut loops = Loops::new(1, 0);
    for (round, done) in [(0, Ok(())), (10, Err(Fault::StorageFailed))] {
        for n in 1..=3 {
            loops.call(0, round + n, Call::Readiness);
        }
        assert_eq!(loops.heard(), [""; 0]);
        let [ticket] = std::mem::take(&mut loops.probes)[..] else {
            panic!("not one");
        };
        loops.complete(0, Completion::Probed { ticket, done });
        let told = match done {
            Ok(()) => "Done",
            Err(_) => "NotReady",
        };
        let all = [1, 2, 3].map(|n| format!("{}: {told}", round + n));
        assert_eq!(loops.heard(), all);
    }
    assert_eq!(loops.chats[0].counts().sends, 0);
}
