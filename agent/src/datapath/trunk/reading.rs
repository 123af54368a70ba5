//! Frames as they come, piece by piece.

use super::frame::{Frame, HEADER, Malformed, length};

/// A frame that was longer does not keep its memory.
const MOST_KEPT: usize = 16 * 1024;

/// Reads frames out of pieces that end anywhere. Only what lies across two pieces is copied.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The beginning of a frame whose rest has not come.
    part: Vec<u8>,
}

impl Reading {
    /// Gives each frame that is whole now to `take`.
    ///
    /// # Errors
    /// If there is none and will be none, or one that `take` refuses. Nothing after it can be read.
    pub(crate) fn follow(
        &mut self,
        mut piece: &[u8],
        mut take: impl FnMut(Frame<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        while !self.part.is_empty() && !piece.is_empty() {
            let whole = match self.part.first_chunk() {
                Some(header) => HEADER + length(header)?,
                None => HEADER,
            };
            let missing = whole - self.part.len();
            let (now, later) = piece.split_at(missing.min(piece.len()));
            self.part.extend_from_slice(now);
            piece = later;
            if let Some((frame, _)) = Frame::read(&self.part)? {
                take(frame)?;
                self.part.clear();
                self.part.shrink_to(MOST_KEPT);
            }
        }
        while let Some((frame, len)) = Frame::read(piece)? {
            take(frame)?;
            piece = &piece[len..];
        }
        self.part.extend_from_slice(piece);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dfaas_protocol::policy::Asked;

    use super::super::frame::{MAX_PAYLOAD, write_call, write_closing, write_data, write_reset};
    use super::*;

    fn written() -> Vec<u8> {
        let mut out = Vec::new();
        write_call(
            &mut out,
            1,
            Asked::default(),
            [b"GET / HTTP/1.1\r\n", b"\r\n"],
        );
        write_reset(&mut out, 1);
        write_data(&mut out, 2, &[7; 300], false);
        write_data(&mut out, 2, b"", true);
        write_closing(&mut out);
        out
    }

    fn frames(pieces: &[&[u8]]) -> Result<Vec<String>, Malformed> {
        let (mut reading, mut frames) = (Reading::default(), Vec::new());
        for piece in pieces {
            reading.follow(piece, |frame| {
                frames.push(format!("{frame:?}"));
                Ok(())
            })?;
        }
        Ok(frames)
    }

    #[test]
    fn wherever_pieces_end_the_frames_are_the_same() {
        let all = written();
        let whole = frames(&[&all]).unwrap();
        assert_eq!(whole.len(), 5);
        for first in 0..=all.len() {
            for second in first..=all.len() {
                let pieces = [&all[..first], &all[first..second], &all[second..]];
                assert_eq!(frames(&pieces).as_ref(), Ok(&whole), "{first}, {second}");
            }
        }
        let single: Vec<&[u8]> = all.chunks(1).collect();
        assert_eq!(frames(&single), Ok(whole));
    }

    #[test]
    fn what_is_no_frame_is_refused_wherever_pieces_end() {
        let mut bytes = written();
        let [_, a, b, c] = (MAX_PAYLOAD as u32 + 1).to_be_bytes();
        bytes.extend_from_slice(&[1, a, b, c, 0, 0, 0, 9]);
        for at in 0..=bytes.len() {
            let (first, second) = bytes.split_at(at);
            assert_eq!(frames(&[first, second]), Err(Malformed), "{at}");
        }
    }

    #[test]
    fn what_is_refused_is_the_last() {
        let mut reading = Reading::default();
        let mut seen = 0;
        let followed = reading.follow(&written(), |_| {
            seen += 1;
            Err(Malformed)
        });
        assert_eq!((followed, seen), (Err(Malformed), 1));
    }
}
