//! A chunked body (RFC 9112, 7.1), followed from its first byte to its end without a copy. It takes less than the grammar
//! allows: no blanks around a size, little in extensions.

/// The most bytes that a body's chunk extensions may have in all. Nothing uses them.
const MAX_EXTENSIONS: u16 = 1024;
/// The most bytes of trailers.
const MAX_TRAILERS: u16 = 8 * 1024;
/// The most digits of a size: 64 bits.
const MAX_DIGITS: u8 = 16;

/// Where in a chunked body the next byte is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chunked {
    step: Step,
    /// The size that is being read, then what is left of the chunk.
    left: u64,
    digits: u8,
    extensions: u16,
    trailers: u16,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
}

/// How a body goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is more to come.
    More,
    /// It has ended.
    Ended,
    /// It is not chunked as it should be.
    Broken,
}

impl Chunked {
    /// Follows the body through more bytes. Returns how many of them belong to it and are right.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> (usize, Progress) {
        let mut at = 0;
        while at < bytes.len() {
            if self.step == Step::Data {
                let here = usize::try_from(self.left)
                    .map_or(bytes.len() - at, |left| left.min(bytes.len() - at));
                at += here;
                self.left -= here as u64;
                if self.left == 0 {
                    self.step = Step::DataCr;
                }
                continue;
            }
            if self.step == Step::EndLf && bytes[at] == b'\n' {
                return (at + 1, Progress::Ended);
            }
            match self.next(bytes[at]) {
                Some(step) => self.step = step,
                None => return (at, Progress::Broken),
            }
            at += 1;
        }
        (at, Progress::More)
    }

    fn next(&mut self, byte: u8) -> Option<Step> {
        match (self.step, byte) {
            (Step::Size, b'\r') if self.digits > 0 => Some(Step::SizeLf),
            (Step::Size, b';') if self.digits > 0 => Some(Step::Extension),
            (Step::Size, _) => {
                let digit = char::from(byte).to_digit(16)?;
                self.digits += 1;
                self.left = self.left << 4 | u64::from(digit);
                (self.digits <= MAX_DIGITS).then_some(Step::Size)
            }
            (Step::Extension, b'\r') => Some(Step::SizeLf),
            (Step::Extension, _) => {
                self.extensions += 1;
                let right = is_text(byte) && self.extensions <= MAX_EXTENSIONS;
                right.then_some(Step::Extension)
            }
            (Step::SizeLf, b'\n') => {
                self.digits = 0;
                Some(if self.left == 0 {
                    Step::TrailerStart
                } else {
                    Step::Data
                })
            }
            (Step::DataCr, b'\r') => Some(Step::DataLf),
            (Step::DataLf, b'\n') => Some(Step::Size),
            (Step::TrailerStart, b'\r') => Some(Step::EndLf),
            (Step::Trailer, b'\r') => Some(Step::TrailerLf),
            (Step::TrailerStart | Step::Trailer, _) => {
                self.trailers += 1;
                let right = is_text(byte) && self.trailers <= MAX_TRAILERS;
                right.then_some(Step::Trailer)
            }
            (Step::TrailerLf, b'\n') => Some(Step::TrailerStart),
            _ => None,
        }
    }
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_however_the_bytes_come() {
        let text = b"5;a=b\r\nhello\r\n000A\r\n0123456789\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\nGET";
        let end = text.len() - 3;
        for step in 1..=text.len() {
            let mut body = Chunked::default();
            let mut at = 0;
            let progress = loop {
                let to = (at + step).min(text.len());
                let (n, progress) = body.advance(&text[at..to]);
                at += n;
                if progress != Progress::More {
                    break progress;
                }
            };
            assert_eq!((at, progress), (end, Progress::Ended), "{step}");
        }
        let (n, progress) = Chunked::default().advance(b"0\r\n\r\n");
        assert_eq!((n, progress), (5, Progress::Ended));
    }

    #[test]
    fn what_is_wrong_is_found_at_its_byte() {
        let long = format!("1;{}\r\n", "x".repeat(2000));
        let trailers = format!("0\r\n{}", "a: b\r\n".repeat(3000));
        for (text, at) in [
            ("\r\n", 0),
            ("-1\r\n", 0),
            ("+1\r\n", 0),
            (" 1\r\n", 0),
            ("1 \r\n", 1),
            ("0x1\r\n", 1),
            ("1\n", 1),
            ("1\rx", 2),
            ("11111111111111111\r\n", 16),
            ("2\r\nabc\r\n", 5),
            ("2\r\nab\n", 5),
            ("1;a\nb\r\n", 3),
            ("0\r\nA: b\n\r\n", 7),
            ("0\r\n\n", 3),
            (&long, 2 + 1024),
            (&trailers, 3 + 8192 / 4 * 6),
        ] {
            let got = Chunked::default().advance(text.as_bytes());
            assert_eq!(got, (at, Progress::Broken), "{:.40}", text);
        }
    }
}
