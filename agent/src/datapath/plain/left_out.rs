//! The lines of a head that end at this node: the rest of the head is copied in spans between them.

/// The most lines that can be left out. More are rare.
const MOST: usize = 6;

/// Where the lines begin and end, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    places: [(u16, u16); MOST],
    count: usize,
}

impl LeftOut {
    /// Leaves the line from `start` to `end` out, which is behind the last one. Nothing if there are too many, or it is too far
    /// behind the head's beginning.
    pub(super) fn add(&mut self, start: usize, end: usize) -> Option<()> {
        let place = self.places.get_mut(self.count)?;
        *place = (u16::try_from(start).ok()?, u16::try_from(end).ok()?);
        self.count += 1;
        Some(())
    }

    /// Appends everything else of the head.
    pub(super) fn copy_rest(&self, head: &[u8], out: &mut Vec<u8>) {
        let mut from = 0;
        for (start, end) in &self.places[..self.count] {
            out.extend_from_slice(&head[from..usize::from(*start)]);
            from = usize::from(*end);
        }
        out.extend_from_slice(&head[from..]);
    }
}
