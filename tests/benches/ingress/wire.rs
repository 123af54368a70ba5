//! As much of HTTP/1.1 as the load and the backend need, read from bytes as they came.

/// How a message's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After so many bytes.
    Length(usize),
    /// After the last chunk.
    Chunked,
}

/// What matters of the head of a request or a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of the head, the empty line included.
    pub(crate) bytes: usize,
    /// How the body ends.
    pub(crate) framing: Framing,
    /// Whether the connection ends after this message.
    pub(crate) close: bool,
}

/// Reads the head of a message; nothing as long as it is not whole.
///
/// # Errors
/// If a length is not a number.
pub(crate) fn head(bytes: &[u8]) -> anyhow::Result<Option<Head>> {
    let mut head = Head {
        bytes: 0,
        framing: Framing::Length(0),
        close: false,
    };
    let mut rest = bytes;
    let mut first = true;
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let line = rest[..end].trim_ascii_end();
        rest = &rest[end + 1..];
        if line.is_empty() {
            head.bytes = bytes.len() - rest.len();
            return Ok(Some(head));
        }
        if first {
            head.close = line.ends_with(b"HTTP/1.0");
            first = false;
        } else if let Some(value) = value_of(line, b"content-length") {
            head.framing = Framing::Length(std::str::from_utf8(value)?.parse()?);
        } else if value_of(line, b"transfer-encoding").is_some() {
            head.framing = Framing::Chunked;
        } else if let Some(value) = value_of(line, b"connection") {
            head.close |= value.eq_ignore_ascii_case(b"close");
        }
    }
    Ok(None)
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (own, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    own.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

/// The path of a request.
pub(crate) fn path(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == b' ').nth(1).unwrap_or_default()
}

/// Reads a chunked body that begins with `bytes`: the bytes that it takes, and the bytes of data in it; nothing as long
/// as it is not whole.
///
/// # Errors
/// If a chunk's size is not a number.
pub(crate) fn chunked(bytes: &[u8]) -> anyhow::Result<Option<(usize, usize)>> {
    let (mut at, mut data) = (0, 0);
    loop {
        let Some(line) = bytes[at..].iter().position(|b| *b == b'\n') else {
            return Ok(None);
        };
        let size = std::str::from_utf8(bytes[at..at + line].trim_ascii())?;
        let size = usize::from_str_radix(size, 16)?;
        at += line + 1 + size + 2;
        data += size;
        if bytes.len() < at {
            return Ok(None);
        }
        if size == 0 {
            return Ok(Some((at, data)));
        }
    }
}
