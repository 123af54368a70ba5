//! What a call is stamped with on its arrival.

use std::time::{SystemTime, UNIX_EPOCH};

use rand::Rng;

use crate::datapath::Context;

/// An id for a call whose caller gave none: 128 random bits as a UUID (RFC 9562, version 4).
#[derive(Debug)]
pub(crate) struct CallId([u8; 36]);

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
    /// A new id.
    pub(crate) fn new(context: &Context) -> CallId {
        let mut bits = [0u8; 16];
        context.rng.borrow_mut().fill_bytes(&mut bits);
        bits[6] = bits[6] & 0x0f | 0x40;
        bits[8] = bits[8] & 0x3f | 0x80;
        CallId(text(bits))
    }

    /// Its text.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A UUID as text.
fn text(bits: [u8; 16]) -> [u8; 36] {
    /// Where the two digits of each byte are.
    const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    let mut text = [b'-'; 36];
    for (byte, place) in bits.into_iter().zip(PLACES) {
        text[place..place + 2].copy_from_slice(&HEXADECIMAL[usize::from(byte)]);
    }
    text
}

/// When a call arrived, in nanoseconds of Unix time, as digits (OpenFaaS contract, part 4).
#[derive(Debug)]
pub(crate) struct StartTime {
    /// As many as the largest number has.
    digits: [u8; 20],
    length: usize,
}

impl StartTime {
    /// Now.
    pub(crate) fn now() -> StartTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let nanos = u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX);
        let mut buffer = itoa::Buffer::new();
        let text = buffer.format(nanos).as_bytes();
        let mut digits = [0; 20];
        digits[..text.len()].copy_from_slice(text);
        StartTime {
            digits,
            length: text.len(),
        }
    }

    /// Its digits.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.digits[..self.length]
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
    fn a_start_time_is_of_this_century() {
        let time = StartTime::now();
        let digits = std::str::from_utf8(time.as_bytes()).unwrap();
        let nanos: u64 = digits.parse().unwrap();
        // Between 2020 and 2200.
        assert!((1_577_836_800_000_000_000..7_258_118_400_000_000_000).contains(&nanos));
    }
}
