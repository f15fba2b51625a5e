//! Bytes as they are put together, and then shared by all who get them.
//!
//! **A long one has pages of its own**, which go back to the system with the last who holds it. An allocator keeps what it was given
//! back, for the next who ask: after a hundred clients with long lists that would be a hundred megabytes that nobody uses.

pub use bytes::Bytes;
use memmap2::MmapMut;

/// Bytes from which on a buffer has pages of its own.
///
/// The system fills a page with zeros as it is first touched, which costs about what it costs to copy as much.
pub const LONG_BYTES: usize = 64 * 1024;

/// Bytes of the first pages that a growing buffer gets. What is not touched costs nothing.
const PAGES_MIN: usize = 4 * LONG_BYTES;

/// Bytes that grow at their end.
#[derive(Debug)]
pub struct Buffer(Room);

#[derive(Debug)]
enum Room {
    Short(Vec<u8>),
    Long { pages: MmapMut, used: usize },
}

impl Buffer {
    /// An empty one with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        // Where the system has no pages for us, the allocator may have some left.
        let pages = (bytes >= LONG_BYTES).then(|| MmapMut::map_anon(bytes).ok());
        Self(match pages.flatten() {
            Some(pages) => Room::Long { pages, used: 0 },
            None => Room::Short(Vec::with_capacity(bytes)),
        })
    }

    /// What it holds.
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Room::Short(bytes) => bytes,
            Room::Long { pages, used } => &pages[..*used],
        }
    }

    /// Appends.
    pub fn extend_from_slice(&mut self, more: &[u8]) {
        self.reserve(more.len());
        match &mut self.0 {
            Room::Short(bytes) => bytes.extend_from_slice(more),
            Room::Long { pages, used } => {
                pages[*used..*used + more.len()].copy_from_slice(more);
                *used += more.len();
            }
        }
    }

    fn reserve(&mut self, more: usize) {
        let held = self.as_slice().len();
        let needed = held + more;
        let has_room = match &self.0 {
            // A long one is here only because there were no pages.
            Room::Short(bytes) => {
                needed < LONG_BYTES || (PAGES_MIN.max(needed)..).contains(&bytes.capacity())
            }
            Room::Long { pages, .. } => needed <= pages.len(),
        };
        if !has_room {
            let mut grown = Self::with_capacity(needed.max(2 * held).max(PAGES_MIN));
            grown.extend_from_slice(self.as_slice());
            *self = grown;
        }
    }

    /// What it holds, to be shared.
    pub fn freeze(self) -> Bytes {
        match self.0 {
            Room::Short(bytes) => Bytes::from(bytes),
            Room::Long { pages, used } => Bytes::from_owner(pages).slice(..used),
        }
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

/// A copy that is shared.
pub fn share(bytes: &[u8]) -> Bytes {
    let mut buffer = Buffer::with_capacity(bytes.len());
    buffer.extend_from_slice(bytes);
    buffer.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_long(buffer: &Buffer) -> bool {
        matches!(buffer.0, Room::Long { .. })
    }

    #[test]
    fn what_is_put_in_comes_out_however_it_grows() {
        for piece in [1, 7, 4_000, LONG_BYTES - 1, LONG_BYTES, 5 * LONG_BYTES] {
            let mut buffer = Buffer::default();
            let mut wanted = Vec::new();
            for at in 0..(6 * LONG_BYTES / piece).max(2) {
                let text = vec![at as u8; piece];
                buffer.extend_from_slice(&text);
                wanted.extend_from_slice(&text);
                assert_eq!(is_long(&buffer), wanted.len() >= LONG_BYTES);
            }
            assert!(buffer.as_slice() == wanted, "in pieces of {piece}");
            assert!(buffer.freeze() == wanted, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_short_one_is_the_allocators() {
        assert!(!is_long(&Buffer::with_capacity(LONG_BYTES - 1)));
        assert!(is_long(&Buffer::with_capacity(LONG_BYTES)));
        assert_eq!(share(b"short"), "short");
        assert!(share(&[7; 2 * LONG_BYTES]) == [7; 2 * LONG_BYTES][..]);
    }
}
