//! The same bytes on one connection, whole and in pieces, while the store is quick and no time passes: the same answers.

use loiter_client::Answer;

use super::answers;
use super::world::World;
use crate::pieces::Cuts;

pub(crate) fn run(data: &[u8]) {
    let (cuts, text) = Cuts::split_off(data);
    let whole = answers([text]);
    assert_eq!(whole, answers(cuts.pieces(text)), "whole and cut differ");
}

fn answers<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut world = World::new(1);
    let mut answered = Vec::new();
    for piece in pieces {
        world.write(0, piece);
        world.rest();
        // Once the client has ended nobody keeps what it was sent.
        answered = match &world.connections[0] {
            Some(one) => answers::check(&one.written, &one.sent),
            None => break,
        };
    }
    if world.connections[0].is_some() {
        world.connection(0).has_fin = true;
    }
    world.rest();
    world.pass(10_000);
    world.rest();
    world.assert_empty();
    let parts = |answer: Answer| (answer.head, answer.body);
    answered.into_iter().map(parts).collect()
}
