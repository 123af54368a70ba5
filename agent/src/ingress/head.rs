//! The head of an HTTP/1 request, looked over line by line before a parser gets it.
//!
//! It answers two questions: where the request ends, and whether anybody could disagree about that (RFC 9112, 6.3 and
//! 11.2). Names, values and methods are the parser's business.

use memchr::memchr;

use crate::datapath::plain::is_host;

use super::chunked::Chunked;
use super::refusal::Refusal;

/// The longest head, in bytes.
pub(super) const MAX_HEAD: usize = 32 * 1024;
/// The most fields of a head.
pub(super) const MAX_FIELDS: u32 = 100;

/// What follows the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes, or none.
    Length(u64),
    /// Chunks.
    Chunked(Chunked),
}

/// What a look at the bytes so far has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The head is not whole yet.
    Partial,
    /// The head takes so many bytes, and this follows.
    Whole(usize, Body),
    /// It is not to be read on.
    Refused(Refusal),
}

/// A head that is being looked over. Each line is looked at once, however its bytes come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    /// Where the line begins that is not whole yet.
    line: usize,
    /// How far that line was searched for its end.
    searched: usize,
    fields: u32,
    begun: bool,
    http_10: bool,
    host: bool,
    length: Option<u64>,
    chunked: bool,
}

impl Head {
    /// Looks at the head's bytes so far, from its first one on.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Found {
        while let Some(at) = memchr(b'\n', &bytes[self.searched..]) {
            let end = self.searched + at;
            if end >= MAX_HEAD {
                return Found::Refused(Refusal::TooLarge);
            }
            let Some(line) = bytes[self.line..end].strip_suffix(b"\r") else {
                return Found::Refused(Refusal::LineEnd);
            };
            self.line = end + 1;
            self.searched = self.line;
            let looked = match line {
                // Empty lines before a request are from clients that send one too many behind a body.
                [] if !self.begun => Ok(()),
                [] => return self.whole(),
                _ if !self.begun => self.request_line(line),
                _ => self.field(line),
            };
            if let Err(refusal) = looked {
                return Found::Refused(refusal);
            }
        }
        self.searched = bytes.len();
        if bytes.len() >= MAX_HEAD {
            return Found::Refused(Refusal::TooLarge);
        }
        match bytes.get(self.line) {
            // Whoever speaks another protocol is told at once, and need not send a line end for it.
            Some(&first) if !self.begun && first != b'\r' && !is_token(first) => {
                Found::Refused(Refusal::RequestLine)
            }
            _ => Found::Partial,
        }
    }

    fn whole(&self) -> Found {
        match (self.length, self.chunked) {
            _ if !self.host && !self.http_10 => Found::Refused(Refusal::Host),
            (Some(_), true) => Found::Refused(Refusal::BothLengths),
            (None, true) if self.http_10 => Found::Refused(Refusal::TransferEncoding),
            (None, true) => Found::Whole(self.line, Body::Chunked(Chunked::default())),
            (length, false) => Found::Whole(self.line, Body::Length(length.unwrap_or(0))),
        }
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        self.begun = true;
        let method = line
            .iter()
            .position(|b| *b == b' ')
            .ok_or(Refusal::RequestLine)?;
        if method == 0 || !line[..method].iter().copied().all(is_token) {
            return Err(Refusal::RequestLine);
        }
        let rest = &line[method + 1..];
        let target = if let Some(target) = rest.strip_suffix(b" HTTP/1.1") {
            target
        } else if let Some(target) = rest.strip_suffix(b" HTTP/1.0") {
            self.http_10 = true;
            target
        } else if rest.windows(6).any(|w| w == b" HTTP/") {
            return Err(Refusal::Version);
        } else {
            return Err(Refusal::RequestLine);
        };
        // A fragment is no part of a target, and a parser would cut it off.
        let of_a_path = |b: &u8| *b > b' ' && *b != 0x7f && *b != b'#';
        if target.first() == Some(&b'/') && target.iter().all(of_a_path) {
            Ok(())
        } else {
            Err(Refusal::Target)
        }
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Refusal> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(Refusal::TooManyFields);
        }
        match line[0] | 0x20 {
            b'c' => {
                if let Some(value) = value_of(line, b"content-length") {
                    let length = decimal(value).ok_or(Refusal::ContentLength)?;
                    if self.length.replace(length).is_some() {
                        return Err(Refusal::ContentLength);
                    }
                }
            }
            b't' => {
                if let Some(value) = value_of(line, b"transfer-encoding") {
                    if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                        return Err(Refusal::TransferEncoding);
                    }
                    self.chunked = true;
                }
            }
            b'h' => {
                if let Some(value) = value_of(line, b"host") {
                    if self.host || !(value.is_empty() || is_host(value)) {
                        return Err(Refusal::Host);
                    }
                    self.host = true;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The value of a field line with that name, which is in lower case.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    start.eq_ignore_ascii_case(name).then(|| {
        let from = value.iter().position(|b| !blank(b)).unwrap_or(value.len());
        let to = value
            .iter()
            .rposition(|b| !blank(b))
            .map_or(from, |n| n + 1);
        &value[from..to]
    })
}

/// A number of digits and nothing else.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Characters of tokens (RFC 9110, 5.6.2), such as methods.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str) -> Found {
        Head::default().scan(text.as_bytes())
    }

    fn with(fields: &str) -> Found {
        scan(&format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n"))
    }

    #[test]
    fn the_end_of_a_request_is_found_however_its_bytes_come() {
        let text = b"\r\nPOST /a?b HTTP/1.1\r\nhost:\tx:1 \r\nCONTENT-length: 012\r\n\r\nrest";
        let whole = text.len() - 4;
        for step in 1..text.len() {
            let mut head = Head::default();
            let found = (step..)
                .step_by(step)
                .map(|n| head.scan(&text[..n.min(text.len())]))
                .find(|found| *found != Found::Partial);
            assert_eq!(found, Some(Found::Whole(whole, Body::Length(12))), "{step}");
        }
        assert_eq!(with(""), Found::Whole(27, Body::Length(0)));
        let chunked = with("Transfer-Encoding: Chunked\r\n");
        assert!(
            matches!(chunked, Found::Whole(55, Body::Chunked(_))),
            "{chunked:?}"
        );
        // Names that only begin alike are others'.
        let others = with("Content-Length-X: a\r\nHosts: a b\r\nTransfer-Encodings: x\r\n");
        assert!(
            matches!(others, Found::Whole(_, Body::Length(0))),
            "{others:?}"
        );
    }

    #[test]
    fn doubtful_heads_are_refused() {
        for (fields, refusal) in [
            (
                "Content-Length: 5\r\nContent-Length: 5\r\n",
                Refusal::ContentLength,
            ),
            ("Content-Length: 5, 5\r\n", Refusal::ContentLength),
            ("Content-Length: +5\r\n", Refusal::ContentLength),
            ("Content-Length: 0x5\r\n", Refusal::ContentLength),
            ("Content-Length:\r\n", Refusal::ContentLength),
            (
                "Content-Length: 18446744073709551616\r\n",
                Refusal::ContentLength,
            ),
            (
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                Refusal::BothLengths,
            ),
            (
                "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                Refusal::BothLengths,
            ),
            (
                "Transfer-Encoding: gzip, chunked\r\n",
                Refusal::TransferEncoding,
            ),
            (
                "Transfer-Encoding: \"chunked\"\r\n",
                Refusal::TransferEncoding,
            ),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                Refusal::TransferEncoding,
            ),
            ("Host: y\r\n", Refusal::Host),
            ("A: b\n\r\n", Refusal::LineEnd),
            ("\n", Refusal::LineEnd),
        ] {
            assert_eq!(with(fields), Found::Refused(refusal), "{fields:?}");
        }
        for (text, refusal) in [
            ("GET / HTTP/1.1\r\n\r\n", Refusal::Host),
            ("GET / HTTP/1.1\r\nHost: a,b\r\n", Refusal::Host),
            ("GET / HTTP/1.1\r\nHost: a@b\r\n", Refusal::Host),
            (
                "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
                Refusal::TransferEncoding,
            ),
            ("GET /\r\n", Refusal::RequestLine),
            ("GET\r\n", Refusal::RequestLine),
            (" GET / HTTP/1.1\r\n", Refusal::RequestLine),
            ("G(T / HTTP/1.1\r\n", Refusal::RequestLine),
            ("\u{16}\u{3}\u{1}", Refusal::RequestLine),
            ("GET / HTTP/2.0\r\n", Refusal::Version),
            ("GET / HTTP/1.1 \r\n", Refusal::Version),
            ("GET  / HTTP/1.1\r\n", Refusal::Target),
            ("GET http://x/ HTTP/1.1\r\n", Refusal::Target),
            ("CONNECT x:443 HTTP/1.1\r\n", Refusal::Target),
            ("OPTIONS * HTTP/1.1\r\n", Refusal::Target),
            ("GET /a#b HTTP/1.1\r\n", Refusal::Target),
            ("GET /a b HTTP/1.1\r\n", Refusal::Target),
            ("GET /a\0b HTTP/1.1\r\n", Refusal::Target),
        ] {
            assert_eq!(scan(text), Found::Refused(refusal), "{text:?}");
        }
    }

    #[test]
    fn a_head_has_a_largest_size() {
        let long = "a".repeat(MAX_HEAD);
        assert_eq!(scan(&long), Found::Refused(Refusal::TooLarge));
        assert_eq!(
            with(&format!("A: {long}\r\n")),
            Found::Refused(Refusal::TooLarge)
        );
        assert_eq!(
            with(&"a: b\r\n".repeat(100)),
            Found::Refused(Refusal::TooManyFields)
        );
        assert!(matches!(with(&"a: b\r\n".repeat(99)), Found::Whole(..)));
    }
}
