//! Where a server is that is restarted somewhere else, told by whoever restarts it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::Place;

/// What is known of where the server is. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Whereabouts(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    place: Mutex<Where>,
    changed: Condvar,
}

/// Where a server is.
#[derive(Clone, Copy, Debug, Default)]
pub enum Where {
    /// It will be somewhere, and is waited for. Nobody tries where it was: somebody else may be there by now.
    #[default]
    Nowhere,
    /// There.
    At(SocketAddr),
    /// It does not come back: it cannot be found.
    Gone,
}

impl Whereabouts {
    /// Tells all clients where it is from now on.
    pub fn set(&self, place: Where) {
        *self.0.place() = place;
        self.0.changed.notify_all();
    }

    /// The place, wherever it is. Finding it waits for as long as it is nowhere, and no [`Stop`](crate::Stop) ends that.
    pub fn place(&self) -> Place {
        let shared = Arc::clone(&self.0);
        Place::found_by("loiter", move || shared.find())
    }
}

impl Shared {
    fn find(&self) -> io::Result<Vec<SocketAddr>> {
        let is_nowhere = |place: &mut Where| matches!(place, Where::Nowhere);
        let place = self.changed.wait_while(self.place(), is_nowhere);
        match *place.unwrap_or_else(PoisonError::into_inner) {
            Where::At(address) => Ok(vec![address]),
            _ => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }

    fn place(&self) -> MutexGuard<'_, Where> {
        // Nothing panics in here.
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::strict::PATIENCE;

    #[test]
    fn who_looks_while_it_is_nowhere_finds_where_it_comes() {
        let (first, second) = (
            SocketAddr::from(([127, 0, 0, 1], 1)),
            SocketAddr::from(([127, 0, 0, 1], 2)),
        );
        let whereabouts = Whereabouts::default();
        whereabouts.set(Where::At(first));
        let place = whereabouts.place();
        assert_eq!(place.find().unwrap(), [first]);
        for yields in 0..100 {
            whereabouts.set(Where::Nowhere);
            let (tell, told) = mpsc::channel();
            let place = place.clone();
            thread::spawn(move || tell.send(place.find().unwrap()));
            (0..yields).for_each(|_| thread::yield_now());
            whereabouts.set(Where::At(second));
            assert_eq!(told.recv_timeout(PATIENCE), Ok(vec![second]));
        }
        whereabouts.set(Where::Gone);
        let gone = place.find().unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
