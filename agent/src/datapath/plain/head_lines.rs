//! The lines of a head (RFC 9112, 2.2 and 5), read in one pass. What two readers could take for two things is malformed:
//! whitespace before a colon, lines that go on in the next one, a CR by itself, control characters. A line feed by itself
//! ends a line, and is told.

use super::span::{MAX_HEAD, Span};

/// The end of a line.
pub(super) const END: &[u8] = b"\r\n";

/// Why no head was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It is not whole yet.
    Part,
    /// It is none, or has more than may be.
    Malformed,
}

/// A field of a head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    /// A token.
    pub(super) name: &'a [u8],
    /// Without the blanks around it.
    pub(super) value: Span,
    /// The whole line, with its end.
    pub(super) line: Span,
}

/// The lines of a head, one after the other: the first one, and then the fields.
#[derive(Debug)]
pub(super) struct HeadLines<'a> {
    bytes: &'a [u8],
    /// The bytes that the head may have.
    most: usize,
    /// Where the next line begins.
    at: usize,
    /// Whether a line ended with a line feed by itself.
    bare: bool,
}

impl<'a> HeadLines<'a> {
    /// Of the head at the beginning of `bytes`, which has [`MAX_HEAD`] bytes and `most` at most.
    pub(super) fn new(bytes: &'a [u8], most: usize) -> HeadLines<'a> {
        let most = most.min(MAX_HEAD);
        HeadLines {
            bytes: &bytes[..bytes.len().min(most)],
            most,
            at: 0,
            bare: false,
        }
    }

    /// The first line, without its end.
    pub(super) fn first(&mut self) -> Result<&'a [u8], Stop> {
        let end = self.end_from(0)?;
        Ok(&self.bytes[..end])
    }

    /// The next field; nothing at the empty line that ends the head.
    pub(super) fn field(&mut self) -> Result<Option<Field<'a>>, Stop> {
        let start = self.at;
        let rest = &self.bytes[start..];
        let length = rest.iter().position(|byte| !is_token(*byte));
        let length = length.ok_or_else(|| self.part())?;
        if length == 0 {
            let end = self.end_from(start)?;
            return if end == start {
                Ok(None)
            } else {
                Err(Stop::Malformed)
            };
        }
        if rest[length] != b':' {
            return Err(Stop::Malformed);
        }
        let mut from = start + length + 1;
        while self.bytes.get(from).is_some_and(is_blank) {
            from += 1;
        }
        let mut to = self.end_from(from)?;
        while to > from && is_blank(&self.bytes[to - 1]) {
            to -= 1;
        }
        Ok(Some(Field {
            name: &rest[..length],
            value: Span::new(from, to),
            line: Span::new(start, self.at),
        }))
    }

    /// Where the line ends that goes on at `from`. The next one is behind it.
    fn end_from(&mut self, from: usize) -> Result<usize, Stop> {
        let mut end = from;
        loop {
            end += first_control(&self.bytes[end..]).ok_or_else(|| self.part())?;
            self.at = match self.bytes[end..] {
                [b'\t', ..] => {
                    end += 1;
                    continue;
                }
                [b'\r', b'\n', ..] => end + 2,
                [b'\n', ..] => {
                    self.bare = true;
                    end + 1
                }
                [b'\r'] => return Err(self.part()),
                _ => return Err(Stop::Malformed),
            };
            return Ok(end);
        }
    }

    /// The bytes of the head, of which the empty line was read.
    pub(super) fn len(&self) -> usize {
        self.at
    }

    fn part(&self) -> Stop {
        if self.bytes.len() == self.most {
            Stop::Malformed
        } else {
            Stop::Part
        }
    }

    /// Whether a line ended with a line feed by itself.
    pub(super) fn has_bare_ends(&self) -> bool {
        self.bare
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Where the first control character is. Eight bytes are looked at side by side: a byte below `n` borrows from the highest bit when `n` is
/// taken from it, and bytes above the first that does may be wrongly found.
fn first_control(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let (words, rest) = bytes.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let below = |word: u64, least| word.wrapping_sub(least * ONES) & !word;
        let controls = below(word, 0x20) | below(word ^ (0x7f * ONES), 1);
        let found = controls & (0x80 * ONES);
        if found != 0 {
            return Some(8 * index + found.trailing_zeros() as usize / 8);
        }
    }
    let last = rest.iter().position(u8::is_ascii_control)?;
    Some(8 * words.len() + last)
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

/// Whether a byte is of a token (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// Whether a field's name is that one, which is written in lower case. No byte of a token but an upper-case letter is another one of
/// a name in lower case with that bit set.
pub(super) fn is_named<const N: usize>(name: &[u8], other: &[u8; N]) -> bool {
    <&[u8; N]>::try_from(name).is_ok_and(|name| {
        let differs = name.iter().zip(other).map(|(a, b)| (a | 0x20) ^ b);
        differs.fold(0, |any, bits| any | bits) == 0
    })
}

#[cfg(test)]
mod tests;
