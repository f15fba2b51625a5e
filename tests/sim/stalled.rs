//! A stream of more than its client takes at once: what waits for it is one batch, and nothing is lost.

use fastrand::Rng;
use loiter::config::Config;
use loiter::job::Job;
use loiter::model::{Ticket, User};

use crate::ask::{Ask, Stream};
use crate::clients::{Client, Role};
use crate::data::{Data, chatroom_id, user_id};
use crate::ledger::Ledger;
use crate::line::Came;
use crate::request::Shape;
use crate::store::{Faults, Store};
use crate::trace::Trace;
use crate::world::World;

const MESSAGES: usize = 300;
/// Messages that a stream is told at once.
const BATCH: usize = 64;

#[test]
fn a_slow_reader_is_told_a_batch_at_a_time() {
    let mut world = world();
    let ask = Ask::Stream(Stream {
        chatroom: 1,
        since: Some(0),
        in_header: true,
    });
    world.connect(0);
    let id = world.clients[0].line.expect("connected");
    let line = world.lines.get_mut(&id).expect("connected");
    line.window = 1_000;
    let token = Some(world.tokens[0].clone());
    world.write_as(id, ask, Shape::default(), token);
    let mut most = 0;
    for _ in 0..100 {
        world.turn(true);
        let answers = world.lines[&id].answers.iter();
        let waiting = answers.filter(|(_, came)| matches!(came, Came::Event(_)));
        most = most.max(waiting.count());
    }
    assert_eq!(
        most, BATCH,
        "it is told that much, and no more before it is taken"
    );
    // A little at a time, then all that is left.
    for _ in 0..200 {
        world.listen(0);
        world.turn(true);
    }
    let read = world.clients[0].reader.read as usize;
    assert!((BATCH..MESSAGES).contains(&read), "{read} messages");
    world.rest();
    assert_eq!(world.clients[0].reader.read as usize, MESSAGES);
}

/// One client, and a chatroom in which much has been said.
fn world() -> World {
    let config = Config::default();
    let mut data = Data {
        session_lifetime_ms: config.session_lifetime.as_millis() as u64,
        ..Data::default()
    };
    data.add_user("ann", "right");
    data.add_chatroom(user_id(1));
    let store = Store::new(data, Faults::default(), 4096);
    let trace = Trace::new(("LOITER_SIM_SEED", 2003), false);
    let mut world = World::with(trace, Rng::with_seed(2003), config, store);
    (0..MESSAGES).for_each(|n| world.say(n));
    let data = &mut world.store.data;
    data.add_session(user_id(1), world.now, "slow");
    world.tokens.push("slow".to_owned());
    world.clients.push(Client::new(Role::Listener, 1, 0));
    world.ledger = Ledger::new(&world.store);
    world
}

impl World {
    fn say(&mut self, n: usize) {
        let nobody = self.loops[0].keys.insert(0);
        self.loops[0].keys.remove(nobody);
        let job = Job::SaveMessage {
            ticket: Ticket {
                connection: nobody,
                exchange: 0,
                event_loop: 1,
            },
            chatroom: chatroom_id(1),
            author: User {
                id: user_id(1),
                name: "ann".into(),
            },
            text: format!("m{n}").into(),
            nonce: None,
        };
        let saved = self.store.data.write(self.now, "", job);
        assert!(saved.is_some());
    }
}
