//! All that the floor keeps: a table of sockets by their descriptors, and through it the lists of those that are parked.
//!
//! Descriptors are small numbers, the lowest that is free, so they are the table's index and the events' key. A place
//! is 12 bytes: the socket and the two ends of its link. A chatroom is the head of a ring, told from a socket by the
//! highest bit of its number, so that the first, the last and the only one of a list are taken out alike.

use std::os::fd::{AsRawFd, OwnedFd};

use super::request::CHATROOMS_MAX;

/// In no list.
const NONE: u32 = u32::MAX;
/// Set in the number of a chatroom, clear in that of a socket.
const CHATROOM: u32 = 1 << 31;

struct Place {
    socket: Option<OwnedFd>,
    next: u32,
    prev: u32,
}

const _: () = assert!(size_of::<Place>() == 12);

/// A chatroom: who is parked in it, and what was said last.
pub(super) struct Chatroom {
    next: u32,
    prev: u32,
    /// Its number.
    pub(super) id: u32,
    /// The id of the last message; 0 where there is none.
    pub(super) last: u64,
    /// Its text, as it stands in JSON.
    pub(super) text: Vec<u8>,
}

/// The table.
#[derive(Default)]
pub(super) struct Sockets {
    places: Vec<Place>,
    /// The chatroom 1 is the first.
    chatrooms: Vec<Chatroom>,
}

impl Sockets {
    /// Where a socket stands in the table.
    pub(super) fn key(socket: &OwnedFd) -> usize {
        // An open descriptor is never negative.
        socket.as_raw_fd().unsigned_abs() as usize
    }

    /// Takes a new socket, in no list.
    pub(super) fn insert(&mut self, socket: OwnedFd) {
        let key = Self::key(&socket);
        if key >= self.places.len() {
            self.places.resize_with(key + 1, || Place {
                socket: None,
                next: NONE,
                prev: NONE,
            });
        }
        self.places[key].socket = Some(socket);
    }

    /// The socket, where it is still there.
    pub(super) fn socket(&self, key: usize) -> Option<&OwnedFd> {
        self.places.get(key)?.socket.as_ref()
    }

    /// How many are open.
    #[cfg(test)]
    pub(super) fn open(&self) -> usize {
        let open = self.places.iter().filter(|place| place.socket.is_some());
        open.count()
    }

    /// Closes a socket, which takes it from the epoll too, and forgets where it was parked.
    pub(super) fn remove(&mut self, key: usize) {
        let Some(place) = self.places.get_mut(key) else {
            return;
        };
        place.socket = None;
        let (next, prev) = (place.next, place.prev);
        if next != NONE {
            self.join(prev, next);
            (self.places[key].next, self.places[key].prev) = (NONE, NONE);
        }
    }

    /// Whether a socket is parked.
    pub(super) fn is_parked(&self, key: usize) -> bool {
        self.places.get(key).is_some_and(|place| place.next != NONE)
    }

    /// Parks a socket, which must not be parked, behind all others of a chatroom.
    pub(super) fn park(&mut self, key: usize, chatroom: u32) {
        debug_assert!(!self.is_parked(key), "a socket is in one list");
        let head = CHATROOM | chatroom;
        let last = self.chatroom_mut(chatroom).prev;
        // A key comes from a descriptor, which has 31 bits.
        self.join(last, key as u32);
        self.join(key as u32, head);
    }

    /// Takes all out of a chatroom, first come first served, and closes those whose `deliver` fails; how many they were.
    pub(super) fn wake(&mut self, chatroom: u32, deliver: impl Fn(&OwnedFd) -> bool) -> u64 {
        let head = CHATROOM | chatroom;
        let mut next = self.chatroom_mut(chatroom).next;
        self.join(head, head);
        let mut woken = 0;
        while next & CHATROOM == 0 {
            let place = &mut self.places[next as usize];
            next = place.next;
            (place.next, place.prev) = (NONE, NONE);
            if !place.socket.as_ref().is_some_and(&deliver) {
                place.socket = None;
            }
            woken += 1;
        }
        woken
    }

    /// A chatroom that nobody has named before.
    pub(super) fn new_chatroom(&mut self) -> u32 {
        let id = (self.chatrooms.len() as u32 + 1).min(CHATROOMS_MAX - 1);
        self.chatroom_mut(id).id
    }

    /// Notes what is said in a chatroom, and counts it.
    pub(super) fn say(&mut self, chatroom: u32, text: &[u8]) {
        let chatroom = self.chatroom_mut(chatroom);
        chatroom.last += 1;
        chatroom.text.clear();
        chatroom.text.extend_from_slice(text);
    }

    /// The chatroom, made where it is new.
    pub(super) fn chatroom(&mut self, id: u32) -> &Chatroom {
        self.chatroom_mut(id)
    }

    fn chatroom_mut(&mut self, id: u32) -> &mut Chatroom {
        for new in self.chatrooms.len() as u32 + 1..=id {
            self.chatrooms.push(Chatroom {
                next: CHATROOM | new,
                prev: CHATROOM | new,
                id: new,
                last: 0,
                text: Vec::new(),
            });
        }
        &mut self.chatrooms[id as usize - 1]
    }

    fn join(&mut self, prev: u32, next: u32) {
        *self.link(prev).0 = next;
        *self.link(next).1 = prev;
    }

    /// What follows, and what goes before.
    fn link(&mut self, at: u32) -> (&mut u32, &mut u32) {
        if at & CHATROOM == 0 {
            let place = &mut self.places[at as usize];
            (&mut place.next, &mut place.prev)
        } else {
            let chatroom = &mut self.chatrooms[(at & !CHATROOM) as usize - 1];
            (&mut chatroom.next, &mut chatroom.prev)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::os::unix::net::UnixStream;

    /// Sockets that are parked in chatroom 1 in this order; their keys.
    fn parked(count: usize) -> (Sockets, Vec<usize>) {
        let mut sockets = Sockets::default();
        let keys = (0..count).map(|_| {
            let (socket, _) = UnixStream::pair().unwrap();
            let socket = OwnedFd::from(socket);
            let key = Sockets::key(&socket);
            sockets.insert(socket);
            sockets.park(key, 1);
            key
        });
        let keys = keys.collect();
        (sockets, keys)
    }

    fn woken(sockets: &mut Sockets, chatroom: u32) -> Vec<usize> {
        let woken = RefCell::new(Vec::new());
        let count = sockets.wake(chatroom, |socket| {
            woken.borrow_mut().push(Sockets::key(socket));
            true
        });
        assert_eq!(count, woken.borrow().len() as u64);
        woken.into_inner()
    }

    #[test]
    fn who_came_first_is_served_first_and_once() {
        let (mut sockets, keys) = parked(4);
        assert!(woken(&mut sockets, 2).is_empty());
        assert_eq!(woken(&mut sockets, 1), keys);
        assert!(woken(&mut sockets, 1).is_empty());
        sockets.park(keys[2], 3);
        assert!(sockets.is_parked(keys[2]) && !sockets.is_parked(keys[1]));
        assert!(woken(&mut sockets, 1).is_empty());
        assert_eq!(woken(&mut sockets, 3), [keys[2]]);
    }

    #[test]
    fn any_of_a_list_may_go() {
        for gone in 0..4 {
            let (mut sockets, mut keys) = parked(4);
            sockets.remove(keys[gone]);
            assert!(sockets.socket(keys[gone]).is_none());
            keys.remove(gone);
            assert_eq!(woken(&mut sockets, 1), keys);
        }
        let (mut sockets, keys) = parked(1);
        sockets.remove(keys[0]);
        sockets.remove(keys[0]);
        assert!(woken(&mut sockets, 1).is_empty());
    }

    #[test]
    fn who_cannot_be_served_is_closed() {
        let (mut sockets, keys) = parked(3);
        let dead = keys[1];
        assert_eq!(sockets.wake(1, |socket| Sockets::key(socket) != dead), 3);
        assert!(sockets.socket(dead).is_none());
        assert!(sockets.socket(keys[0]).is_some() && sockets.socket(keys[2]).is_some());
    }

    #[test]
    fn chatrooms_count_up_whoever_names_them() {
        let mut sockets = Sockets::default();
        assert_eq!(sockets.new_chatroom(), 1);
        assert_eq!(sockets.chatroom(5).last, 0);
        assert_eq!(sockets.new_chatroom(), 6);
        sockets.say(5, b"a");
        sockets.say(5, b"b");
        let chatroom = sockets.chatroom(5);
        assert_eq!((chatroom.last, &chatroom.text[..]), (2, &b"b"[..]));
    }
}
