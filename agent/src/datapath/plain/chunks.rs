//! The framing of a chunked body, followed and not changed (RFC 9112, 7.1).

use thiserror::Error;

/// The longest line of a chunk's size with its extensions, and the longest trailer section, in bytes.
const MAX_LINE: u32 = 16 * 1024;

/// Where in a chunked body one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunks {
    /// In the line of a size: its value, its digits so far, and where in the line.
    Size {
        value: u64,
        digits: u8,
        part: SizePart,
        line: u32,
    },
    /// In data, so many bytes before its end.
    Data(u64),
    /// Behind data: so many of the two bytes of its line end were seen.
    DataEnd(u8),
    /// In the trailers.
    Trailers(Trailers),
    /// Behind the end.
    Ended,
}

/// Where in the line of a chunk's size one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SizePart {
    Digits,
    Extension,
    /// Behind the carriage return. A line feed alone ends a line for some and not for others.
    LineEnd,
}

/// Where in the trailers one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailers {
    /// The length of the line so far, and of all.
    line: u32,
    all: u32,
    /// Whether its carriage return was seen.
    ends: bool,
}

impl Trailers {
    const START: Trailers = Trailers {
        line: 0,
        all: 0,
        ends: false,
    };
}

/// The body is not chunked as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the answer's chunks are malformed")]
pub(crate) struct Malformed;

impl Chunks {
    /// Before the first chunk.
    pub(crate) const START: Chunks = Chunks::Size {
        value: 0,
        digits: 0,
        part: SizePart::Digits,
        line: 0,
    };

    /// Follows the next bytes. Returns how many of them belong to the body: all, unless it ended.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < bytes.len() && *self != Chunks::Ended {
            if let Chunks::Data(left) = self {
                let here = (*left).min((bytes.len() - at) as u64);
                *left -= here;
                at += here as usize;
                if *left == 0 {
                    *self = Chunks::DataEnd(0);
                }
                continue;
            }
            *self = self.step(bytes[at])?;
            at += 1;
        }
        Ok(at)
    }

    fn step(self, byte: u8) -> Result<Chunks, Malformed> {
        Ok(match self {
            Chunks::Size { line, .. } if line >= MAX_LINE => return Err(Malformed),
            Chunks::Size {
                value,
                digits,
                part,
                line,
            } => {
                let size = |value, digits, part| Chunks::Size {
                    value,
                    digits,
                    part,
                    line: line + 1,
                };
                match (part, byte) {
                    (SizePart::LineEnd, b'\n') if value == 0 => Chunks::Trailers(Trailers::START),
                    (SizePart::LineEnd, b'\n') => Chunks::Data(value),
                    (SizePart::LineEnd, _) | (_, b'\n') => return Err(Malformed),
                    (_, b'\r') if digits > 0 => size(value, digits, SizePart::LineEnd),
                    (SizePart::Extension, b'\r') => return Err(Malformed),
                    (SizePart::Extension, _) => size(value, digits, part),
                    (SizePart::Digits, b' ' | b'\t' | b';') if digits > 0 => {
                        size(value, digits, SizePart::Extension)
                    }
                    (SizePart::Digits, _) => {
                        let digit = (byte as char).to_digit(16).ok_or(Malformed)?;
                        if digits == 15 {
                            return Err(Malformed);
                        }
                        let value = value << 4 | u64::from(digit);
                        size(value, digits + 1, SizePart::Digits)
                    }
                }
            }
            Chunks::DataEnd(0) if byte == b'\r' => Chunks::DataEnd(1),
            Chunks::DataEnd(1) if byte == b'\n' => Chunks::START,
            Chunks::DataEnd(_) => return Err(Malformed),
            Chunks::Trailers(trailers) if trailers.all >= MAX_LINE => return Err(Malformed),
            Chunks::Trailers(Trailers { line, all, ends }) => match (ends, byte) {
                (true, b'\n') if line == 0 => Chunks::Ended,
                (true, b'\n') => Chunks::Trailers(Trailers {
                    line: 0,
                    all: all + 1,
                    ends: false,
                }),
                (true, _) | (false, b'\n') => return Err(Malformed),
                (false, _) => Chunks::Trailers(Trailers {
                    line: line + u32::from(byte != b'\r'),
                    all: all + 1,
                    ends: byte == b'\r',
                }),
            },
            Chunks::Data(_) | Chunks::Ended => self,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"5;a=b\r\nfirst\r\n0a \r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\nnext";

    #[test]
    fn the_end_is_found_however_the_bytes_come() {
        let whole = BODY.len() - "next".len();
        let mut chunks = Chunks::START;
        assert_eq!(chunks.follow(BODY), Ok(whole));
        assert_eq!(chunks, Chunks::Ended);
        let mut chunks = Chunks::START;
        let mut followed = 0;
        for byte in BODY.chunks(1) {
            followed += chunks.follow(byte).unwrap();
        }
        assert_eq!((followed, chunks), (whole, Chunks::Ended));
    }

    #[test]
    fn malformed_framing_is_refused() {
        for body in [
            &b"x\r\n"[..],
            b"\r\n",
            b"-1\r\n",
            b"3\r\nabcd\r\n",
            b"3\r\nabc\n\n",
            b"ffffffffffffffff\r\n",
            // Line feeds alone, and carriage returns.
            b"3\nabc\r\n",
            b"3;a=b\nabc\r\n",
            b"3\rabc\r\n",
            b"3\r\rabc\r\n",
            b"0\r\n\n",
            b"0\r\nX-Sum: 1\n\r\n",
            b"0\r\nX-Sum: 1\rY: 2\r\n\r\n",
        ] {
            assert_eq!(
                Chunks::START.clone().follow(body),
                Err(Malformed),
                "{body:?}"
            );
        }
    }
}
