//! What a call is stamped with on its arrival.

use std::time::Duration;

use rand::Rng;

use crate::datapath::Context;

/// An id for a call whose caller gave none: 128 random bits as a UUID (RFC 9562, version 4). It is kept as the line of a head,
/// which requests and answers have alike.
#[derive(Debug)]
pub(crate) struct CallId([u8; CallId::NAME.len() + CallId::LENGTH + 2]);

/// Each byte in hexadecimal.
const HEXADECIMAL: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 0x0f]];
        byte += 1;
    }
    pairs
};

impl CallId {
    const NAME: &[u8] = b"x-call-id: ";
    /// Of the id.
    const LENGTH: usize = 36;

    /// A new id.
    pub(crate) fn new(context: &Context) -> CallId {
        let mut bits = [0u8; 16];
        context.rng.borrow_mut().fill_bytes(&mut bits);
        bits[6] = bits[6] & 0x0f | 0x40;
        bits[8] = bits[8] & 0x3f | 0x80;
        let mut line = [0; Self::NAME.len() + Self::LENGTH + 2];
        let (name, rest) = line.split_at_mut(Self::NAME.len());
        let (id, end) = rest.split_at_mut(Self::LENGTH);
        name.copy_from_slice(Self::NAME);
        id.copy_from_slice(&text(bits));
        end.copy_from_slice(b"\r\n");
        CallId(line)
    }

    /// Its text.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0[Self::NAME.len()..][..Self::LENGTH]
    }

    /// Its line.
    pub(crate) fn line(&self) -> &[u8] {
        &self.0
    }
}

/// A UUID as text.
fn text(bits: [u8; 16]) -> [u8; CallId::LENGTH] {
    /// Where the two digits of each byte are.
    const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    let mut text = [b'-'; CallId::LENGTH];
    for (byte, place) in bits.into_iter().zip(PLACES) {
        text[place..place + 2].copy_from_slice(&HEXADECIMAL[usize::from(byte)]);
    }
    text
}

/// When a call arrived, in nanoseconds of Unix time, as digits (OpenFaaS contract, part 4). It is kept as the line of a head.
#[derive(Debug)]
pub(crate) struct StartTime {
    /// With as many digits as the largest number has.
    line: [u8; StartTime::NAME.len() + 20 + 2],
    length: usize,
}

impl StartTime {
    const NAME: &[u8] = b"x-start-time: ";

    /// Of a call that arrived at that Unix time.
    pub(crate) fn new(unix: Duration) -> StartTime {
        let nanos = u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX);
        let mut buffer = itoa::Buffer::new();
        let mut line = [0; Self::NAME.len() + 20 + 2];
        let mut length = 0;
        for part in [Self::NAME, buffer.format(nanos).as_bytes(), b"\r\n"] {
            line[length..][..part.len()].copy_from_slice(part);
            length += part.len();
        }
        StartTime { line, length }
    }

    /// Its digits.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.line[Self::NAME.len()..self.length - 2]
    }

    /// Its line.
    pub(crate) fn line(&self) -> &[u8] {
        &self.line[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid() {
        let bits: [u8; 16] = std::array::from_fn(|n| n as u8 * 17);
        let expected = b"00112233-4455-6677-8899-aabbccddeeff";
        assert_eq!(&text(bits), expected);
    }

    #[test]
    fn stamps_are_lines_of_a_head() {
        for (unix, digits) in [
            (Duration::new(1_764_460_800, 7), "1764460800000000007"),
            (Duration::ZERO, "0"),
            (Duration::MAX, "18446744073709551615"),
        ] {
            let time = StartTime::new(unix);
            assert_eq!(time.as_bytes(), digits.as_bytes());
            let line = format!("x-start-time: {digits}\r\n");
            assert_eq!(time.line(), line.as_bytes());
        }
    }
}
