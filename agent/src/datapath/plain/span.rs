//! Places in a head.

/// The largest head that can be read, in bytes: a place in it takes two.
pub(super) const MAX_HEAD: usize = u16::MAX as usize;

/// Where something lies in a head of [`MAX_HEAD`] bytes at most. A head keeps some of these, and is moved often. Both places are in
/// one number, the end in its higher half: a CPU stalls where two small numbers that were just written are read as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span(u32);

impl Span {
    /// From `start` to before `end`, neither of which is above [`MAX_HEAD`].
    pub(super) fn new(start: usize, end: usize) -> Span {
        debug_assert!(start <= end && end <= MAX_HEAD);
        Span((end as u32) << 16 | start as u32)
    }

    /// What lies there.
    pub(crate) fn of(self, head: &[u8]) -> &[u8] {
        &head[self.start()..self.end()]
    }

    pub(super) fn start(self) -> usize {
        (self.0 & 0xffff) as usize
    }

    pub(super) fn end(self) -> usize {
        (self.0 >> 16) as usize
    }

    pub(super) fn is_empty(self) -> bool {
        self.start() == self.end()
    }
}
