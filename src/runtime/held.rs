//! What connections hold only while a request is half read or an answer half sent.
//!
//! It stands beside the connections, under their keys: one that holds nothing, as every parked poll does,
//! has two flags that say so and not even a pointer. Whoever changes what is held here keeps the flags true.

use std::collections::HashMap;

use super::unsent::Unsent;
use crate::model::ConnectionKey;

/// What the connections of one loop hold.
pub(super) struct Held {
    /// Bytes of one connection's input, at most.
    pub(super) input_max: usize,
    /// Input that was offered and not consumed; not empty.
    pub(super) input: HashMap<ConnectionKey, Vec<u8>>,
    /// Output behind the first piece in the outbox, or after a short write all of it.
    pub(super) output: Unsent,
}

impl Held {
    pub(super) fn new(input_max: usize, output_max: usize) -> Self {
        Self {
            input_max,
            input: HashMap::new(),
            output: Unsent::new(output_max),
        }
    }

    pub(super) fn clear(&mut self) {
        self.input.clear();
        self.output.clear();
    }
}
