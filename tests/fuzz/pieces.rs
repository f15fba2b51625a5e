//! An input's own say in how the network cuts it.
//!
//! The cuts come first, so that the rest stays text that a fuzzer's dictionary and a person can read.

/// At most so many sizes are told; then they begin anew.
const SIZES_MAX: u8 = 7;

/// What an input begins with: how what follows is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cuts<'a> {
    sizes: &'a [u8],
}

impl<'a> Cuts<'a> {
    /// A byte says how many sizes follow. What is behind them is the text.
    pub(crate) fn split_off(data: &'a [u8]) -> (Self, &'a [u8]) {
        let Some((&first, rest)) = data.split_first() else {
            return (Self { sizes: &[] }, &[]);
        };
        let count = usize::from(first & SIZES_MAX).min(rest.len());
        let (sizes, text) = rest.split_at(count);
        (Self { sizes }, text)
    }

    /// The pieces of a text, none of them empty; byte by byte if no size is told.
    pub(crate) fn pieces(self, text: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = text;
        let mut sizes = self.sizes.iter().cycle();
        std::iter::from_fn(move || {
            let size = sizes.next().map_or(1, |&size| usize::from(size).max(1));
            let (piece, behind) = rest.split_at(size.min(rest.len()));
            rest = behind;
            (!piece.is_empty()).then_some(piece)
        })
    }
}
