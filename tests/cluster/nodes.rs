//! Three servers on one database, each a process of the built binary at an address of its own, where it comes back after it was killed.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use crate::server::{Killed, begin};

/// All of them.
pub(crate) struct Nodes {
    nodes: Vec<Node>,
    database: PathBuf,
    options: Vec<String>,
}

struct Node {
    address: SocketAddr,
    server: Option<Killed>,
}

/// A port of an address of this machine from which nobody connects, so that nobody else comes to have it meanwhile.
pub(crate) fn free(host: u8) -> SocketAddr {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, host], 0)));
    listener
        .and_then(|listener| listener.local_addr())
        .expect("a port")
}

impl Nodes {
    /// Starts them; returns the session of somebody who is in so many chatrooms.
    pub(crate) fn start(database: &str, options: Vec<String>, chatrooms: usize) -> (Self, String) {
        let nodes = (2..5).map(|host| Node {
            address: free(host),
            server: None,
        });
        let mut nodes = Self {
            nodes: nodes.collect(),
            database: database.into(),
            options,
        };
        nodes.start_one(0);
        // What one knows when it starts it has not to be told.
        let token = begin(nodes.nodes[0].address, chatrooms as u64);
        (1..nodes.nodes.len()).for_each(|at| nodes.start_one(at));
        (nodes, token)
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.nodes.iter().map(|node| node.address)
    }

    pub(crate) fn kill(&mut self, at: usize) {
        let node = self.node(at);
        node.server.take().expect("it is there").kill();
    }

    pub(crate) fn start_one(&mut self, at: usize) {
        let (options, database) = (self.options.clone(), self.database.clone());
        let node = self.node(at);
        node.server = Some(Killed::at(node.address, &options, &database, 1 + at % 2));
    }

    pub(crate) fn stand_still(&mut self, at: usize) {
        let node = self.node(at);
        node.server.as_ref().expect("it is there").stand_still();
    }

    pub(crate) fn go_on(&mut self, at: usize) {
        let node = self.node(at);
        node.server.as_ref().expect("it is there").go_on();
    }

    /// One after the other, whatever the number.
    fn node(&mut self, at: usize) -> &mut Node {
        let count = self.nodes.len();
        &mut self.nodes[at % count]
    }
}
