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
pub(super) struct Lines<'a> {
    bytes: &'a [u8],
    /// The bytes that the head may have.
    most: usize,
    /// Where the next line begins.
    at: usize,
    /// Whether a line ended with a line feed by itself.
    bare: bool,
}

impl<'a> Lines<'a> {
    /// Of the head at the beginning of `bytes`, which has [`MAX_HEAD`] bytes and `most` at most.
    pub(super) fn new(bytes: &'a [u8], most: usize) -> Lines<'a> {
        let most = most.min(MAX_HEAD);
        Lines {
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
mod tests {
    use httparse::Status;
    use rand::rngs::SmallRng;
    use rand::seq::IndexedRandom;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// Names and values of the fields behind a first line, and the length of the whole.
    type Read = (Vec<(Vec<u8>, Vec<u8>)>, usize);

    fn read(head: &[u8]) -> Result<Read, Stop> {
        read_up_to(4096, head)
    }

    fn read_up_to(most: usize, head: &[u8]) -> Result<Read, Stop> {
        let mut lines = Lines::new(head, most);
        lines.first()?;
        let mut fields = Vec::new();
        while let Some(field) = lines.field()? {
            fields.push((field.name.to_vec(), field.value.of(head).to_vec()));
        }
        Ok((fields, lines.len()))
    }

    /// The same by another reader.
    fn reference(head: &[u8]) -> Result<Read, Stop> {
        let first = head.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let mut fields = [httparse::EMPTY_HEADER; 128];
        match httparse::parse_headers(&head[first..], &mut fields) {
            Ok(Status::Complete((len, fields))) => {
                let own = fields.iter().map(|f| (f.name.into(), f.value.into()));
                Ok((own.collect(), first + len))
            }
            Ok(Status::Partial) => Err(Stop::Part),
            Err(_) => Err(Stop::Malformed),
        }
    }

    #[test]
    fn fields_are_those_of_another_reader() {
        let pieces: [&[u8]; 24] = [
            b"\r\n",
            b"\r\n",
            b"\r\n",
            b"\r\n\r\n",
            b"\n",
            b"\r",
            b": ",
            b":",
            b": a",
            b":\t b c\t",
            b" ",
            b"\t",
            b"Host",
            b"x-y",
            b"a_!#$%&'*+.^`|~9",
            b"\x00",
            b"\x1f",
            b"\x7f",
            b"\x80\xff",
            b"\"(),/;<=>?@[]{}",
            b"name: value\r\n",
            b"another-name:another value\r\n",
            b"n:\r\n",
            b"Content-Length: 10\r\n",
        ];
        let mut rng = SmallRng::seed_from_u64(9);
        let mut whole = 0;
        for _ in 0..300_000 {
            let mut head = b"first\r\n".to_vec();
            for _ in 0..rng.random_range(0..8) {
                // As likely right as not.
                let from = if rng.random() { 0 } else { 20 };
                head.extend_from_slice(pieces[from..].choose(&mut rng).unwrap());
            }
            let (own, other) = (read(&head), reference(&head));
            whole += u32::from(own.is_ok());
            let text = head.escape_ascii();
            match (&own, &other) {
                // What will be malformed need not be known at once.
                (Err(_), Err(_)) => {}
                _ => assert_eq!(own, other, "{text}"),
            }
        }
        assert!(whole > 30_000, "{whole}");
    }

    #[test]
    fn a_part_is_none_yet_and_no_more_than_the_most_is_read() {
        let head = b"first\r\nname: value\r\nn:\r\n\r\nbody\x00";
        let len = head.len() - 5;
        assert_eq!(read(head).unwrap().1, len);
        for part in 0..len {
            assert_eq!(read(&head[..part]), Err(Stop::Part), "{part}");
            assert_eq!(read_up_to(part, head), Err(Stop::Malformed), "{part}");
        }
    }

    #[test]
    fn the_first_control_is_found_wherever_it_is() {
        for len in [1, 7, 8, 9, 20] {
            let mut bytes = vec![b'a'; len];
            assert_eq!(first_control(&bytes), None);
            for at in 0..len {
                for byte in 0..=u8::MAX {
                    bytes[at] = byte;
                    let found = byte.is_ascii_control().then_some(at);
                    assert_eq!(first_control(&bytes), found, "{byte}");
                    // Bytes behind it may be anything.
                    if let Some(behind) = bytes.get_mut(at + 1) {
                        *behind = b' ';
                        assert_eq!(first_control(&bytes), found, "{byte}");
                        bytes[at + 1] = b'a';
                    }
                }
                bytes[at] = b'a';
            }
        }
    }

    #[test]
    fn names_are_compared_as_tokens_are() {
        let of_a_token: Vec<u8> = (0..=u8::MAX).filter(|byte| is_token(*byte)).collect();
        assert_eq!(of_a_token.len(), 77);
        for a in &of_a_token {
            for b in b"abcdefghijklmnopqrstuvwxyz-" {
                assert_eq!(is_named(&[*a], &[*b]), a.eq_ignore_ascii_case(b));
            }
        }
        assert!(!is_named(b"host", b"hos") && !is_named(b"hos", b"host"));
    }
}
