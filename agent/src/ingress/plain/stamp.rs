//! What a call is stamped with on its arrival.

use std::time::{SystemTime, UNIX_EPOCH};

use rand::Rng;

use crate::datapath::Context;

/// An id for a call whose caller gave none: 128 random bits as a UUID (RFC 9562, version 4).
#[derive(Debug)]
pub(crate) struct CallId([u8; 36]);

impl CallId {
    /// A new id.
    pub(crate) fn new(context: &Context) -> CallId {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut bits = [0u8; 16];
        context.rng.borrow_mut().fill_bytes(&mut bits);
        bits[6] = bits[6] & 0x0f | 0x40;
        bits[8] = bits[8] & 0x3f | 0x80;
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (index, byte) in bits.into_iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                at += 1;
            }
            text[at] = DIGITS[usize::from(byte >> 4)];
            text[at + 1] = DIGITS[usize::from(byte & 0x0f)];
            at += 2;
        }
        CallId(text)
    }

    /// Its text.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// When a call arrived, in nanoseconds of Unix time, as digits (OpenFaaS contract, part 4).
#[derive(Debug)]
pub(crate) struct StartTime {
    digits: [u8; 20],
    from: usize,
}

impl StartTime {
    /// Now.
    pub(crate) fn now() -> StartTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut left = u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX);
        let mut digits = [b'0'; 20];
        let mut from = digits.len();
        while left > 0 {
            from -= 1;
            digits[from] = b'0' + (left % 10) as u8;
            left /= 10;
        }
        StartTime { digits, from }
    }

    /// Its digits.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.digits[self.from..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_time_is_of_this_century() {
        let time = StartTime::now();
        let digits = std::str::from_utf8(time.as_bytes()).unwrap();
        let nanos: u64 = digits.parse().unwrap();
        // Between 2020 and 2200.
        assert!((1_577_836_800_000_000_000..7_258_118_400_000_000_000).contains(&nanos));
    }
}
