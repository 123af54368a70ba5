//! Read buffers that a thread uses again, as a fresh one for each call costs a fortieth of all its time.

use std::cell::RefCell;

use bytes::BytesMut;

/// How much is read at one time, in bytes.
pub const READ: usize = 16 * 1024;
/// Spare buffers that a thread keeps: a megabyte.
const MOST: usize = 64;
/// A buffer that grew beyond this is let go.
const LARGEST: usize = 2 * READ;

/// The spare buffers of one thread.
#[derive(Debug, Default)]
pub struct Buffers(RefCell<Vec<BytesMut>>);

impl Buffers {
    /// An empty buffer with room for [`READ`] bytes.
    pub fn take(&self) -> BytesMut {
        let spare = self.0.borrow_mut().pop();
        spare.unwrap_or_else(|| BytesMut::with_capacity(READ))
    }

    /// Takes a buffer back, unless it is too large or a part of it is still used elsewhere.
    pub fn give_back(&self, mut buffer: BytesMut) {
        if buffer.capacity() == 0 {
            return;
        }
        buffer.clear();
        let mut spare = self.0.borrow_mut();
        if spare.len() < MOST && buffer.try_reclaim(READ) && buffer.capacity() <= LARGEST {
            spare.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Buf;

    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_and_whole() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        let memory = buffer.as_ptr();
        buffer.extend_from_slice(&[7; 1000]);
        buffer.advance(900);
        buffers.give_back(buffer);
        let again = buffers.take();
        assert_eq!(again.as_ptr(), memory);
        assert!(again.is_empty() && again.capacity() >= READ);
    }

    #[test]
    fn what_is_shared_or_too_large_is_not_kept() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.extend_from_slice(&[7; 1000]);
        let part = buffer.split_to(10);
        buffers.give_back(buffer);
        buffers.give_back(BytesMut::with_capacity(LARGEST + 1));
        assert!(buffers.0.borrow().is_empty());
        assert_eq!(part[..], [7; 10]);
    }
}
