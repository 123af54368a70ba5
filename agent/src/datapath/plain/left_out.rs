//! The lines of a head that end at this node: the rest of the head is copied in spans between them.

use super::span::Span;

/// The most lines that can be left out. More are rare.
const MOST: usize = 6;

/// Where the lines lie, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    lines: [Span; MOST],
    count: u8,
}

impl LeftOut {
    /// Leaves out a line, which is behind the last one. Nothing if there are too many.
    pub(super) fn add(&mut self, line: Span) -> Option<()> {
        *self.lines.get_mut(usize::from(self.count))? = line;
        self.count += 1;
        Some(())
    }

    /// Appends everything else of the head.
    pub(super) fn copy_rest(&self, head: &[u8], out: &mut Vec<u8>) {
        let mut from = 0;
        for line in &self.lines[..usize::from(self.count)] {
            out.extend_from_slice(&head[from..line.start()]);
            from = line.end();
        }
        out.extend_from_slice(&head[from..]);
    }
}
