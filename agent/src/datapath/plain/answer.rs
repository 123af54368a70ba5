//! The head of an answer to a plain request, read and written anew for the client.

use dfaas_protocol::Headroom;

use super::head_lines::{self, END, HeadLines, Stop, is_named};
use super::left_out::LeftOut;
use super::request::length;
use super::span::{MAX_HEAD, Span};

/// The most fields of an answer.
const MAX_FIELDS: usize = 128;
/// What a head begins with that is passed on as it is: up to here the reason follows.
const BEFORE_REASON: &[u8] = b"HTTP/1.1 200 ";

/// What was found at the beginning of the bytes that the other end sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The head is not whole yet.
    Part,
    /// An interim answer of so many bytes, to be skipped.
    Interim(usize),
    /// What is no answer, or one whose end is in doubt.
    Broken,
    /// An answer.
    Answer(Head),
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// So many bytes.
    Sized(u64),
    /// It says so itself.
    Chunked,
    /// The connection ends with it.
    UntilClose,
}

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Its bytes, with the empty line.
    pub(crate) len: usize,
    /// The status.
    pub(crate) status: u16,
    /// How its body ends.
    pub(crate) body: Body,
    /// Whether the connection can be used again when the body has ended.
    pub(crate) reusable: bool,
    /// Whether the platform's own limit refused the call.
    pub(crate) limiter: bool,
    /// Whether a neighbour refused the call.
    pub(crate) refused: bool,
    /// The headroom that a neighbour reports.
    pub(crate) headroom: Option<Headroom>,
    dated: bool,
    call_id: bool,
    start_time: bool,
    reason: Span,
    /// The lines that end here; nothing if all are to be written anew, as some have another form than this node would give
    /// them.
    left_out: Option<LeftOut>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    End,
    Dropped,
    Connection,
    ContentLength,
    TransferEncoding,
    Internal,
    Headroom,
    Refused,
    Date,
    CallId,
    StartTime,
    Server,
}

fn field(name: &[u8]) -> Field {
    match name.len() {
        2 if is_named(name, b"te") => Field::Dropped,
        4 if is_named(name, b"date") => Field::Date,
        7 if is_named(name, b"upgrade") => Field::Dropped,
        8 if is_named(name, b"x-server") => Field::Server,
        9 if is_named(name, b"x-call-id") => Field::CallId,
        10 if is_named(name, b"connection") => Field::Connection,
        10 if is_named(name, b"keep-alive") => Field::Dropped,
        12 if is_named(name, b"x-start-time") => Field::StartTime,
        13 if is_named(name, b"dfaas-node-id") => Field::Dropped,
        13 if is_named(name, b"dfaas-refused") => Field::Refused,
        14 if is_named(name, b"content-length") => Field::ContentLength,
        14 if is_named(name, b"dfaas-headroom") => Field::Headroom,
        16 if is_named(name, b"proxy-connection") => Field::Dropped,
        17 if is_named(name, b"transfer-encoding") => Field::TransferEncoding,
        18 if is_named(name, b"dfaas-forwarded-to") => Field::Dropped,
        18 if is_named(name, b"proxy-authenticate") => Field::Dropped,
        19 if is_named(name, b"x-openfaas-internal") => Field::Internal,
        19 if is_named(name, b"proxy-authorization") => Field::Dropped,
        _ => Field::End,
    }
}

/// Whether a line is for this node only.
fn ends_here(field: Field) -> bool {
    matches!(
        field,
        Field::Dropped | Field::Connection | Field::Headroom | Field::Refused | Field::Server
    )
}

/// The elements of a value that is a list.
fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// The fields of a head that was read before.
fn fields(head: &[u8]) -> impl Iterator<Item = head_lines::Field<'_>> {
    let mut lines = HeadLines::new(head, MAX_HEAD);
    let first = lines.first();
    std::iter::from_fn(move || first.ok().and_then(|_| lines.field().ok()?))
}

impl Head {
    /// Looks for an answer at the beginning of `bytes`. `head_only`: the request was one that is answered without a body.
    pub(crate) fn find(bytes: &[u8], head_only: bool) -> Found {
        match Head::read(bytes, head_only) {
            Ok(head) if head.status < 200 => Found::Interim(head.len),
            Ok(head) => Found::Answer(head),
            Err(Stop::Part) => Found::Part,
            Err(Stop::Malformed) => Found::Broken,
        }
    }

    fn read(bytes: &[u8], head_only: bool) -> Result<Head, Stop> {
        let mut lines = HeadLines::new(bytes, MAX_HEAD);
        let mut head = Head::of_line(lines.first()?).ok_or(Stop::Malformed)?;
        let mut count = 0;
        let mut size = None;
        let mut chunked = false;
        // Whether it is to be written line by line.
        let mut anew = head.left_out.is_none();
        while let Some(line) = lines.field()? {
            count += 1;
            let field = field(line.name);
            if ends_here(field)
                && let Some(left_out) = &mut head.left_out
            {
                anew |= left_out.add(line.line).is_none();
            }
            let value = line.value.of(bytes);
            match field {
                Field::End | Field::Dropped | Field::Server => {}
                Field::ContentLength => {
                    let bytes = length(value).ok_or(Stop::Malformed)?;
                    if let Some(before) = size.replace(bytes) {
                        if before != bytes {
                            return Err(Stop::Malformed);
                        }
                        anew = true;
                    }
                }
                Field::TransferEncoding => {
                    if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                        return Err(Stop::Malformed);
                    }
                    chunked = true;
                }
                Field::Connection => {
                    for token in tokens(value) {
                        if token.eq_ignore_ascii_case(b"close") {
                            head.reusable = false;
                        } else if !token.eq_ignore_ascii_case(b"keep-alive") {
                            // It names lines that end here as well.
                            anew = true;
                        }
                    }
                }
                Field::Internal => head.limiter = value == b"faas-middleware",
                Field::Refused => head.refused = true,
                Field::Headroom => {
                    let text = std::str::from_utf8(value).map_err(|_| Stop::Malformed)?;
                    head.headroom = text.parse().ok();
                }
                Field::Date => head.dated = true,
                Field::CallId => head.call_id = true,
                Field::StartTime => head.start_time = true,
            }
        }
        head.len = lines.len();
        if count > MAX_FIELDS {
            return Err(Stop::Malformed);
        }
        if chunked && size.is_some() {
            // The encoding holds (RFC 9112, 6.3), and the other end is not to be trusted further.
            head.reusable = false;
            anew = true;
        }
        if anew || lines.has_bare_ends() {
            head.left_out = None;
        }
        if head_only || matches!(head.status, 204 | 304) {
            head.body = Body::Sized(0);
        } else if chunked {
            head.body = Body::Chunked;
        } else if let Some(size) = size {
            head.body = Body::Sized(size as u64);
        } else {
            head.reusable = false;
        }
        Ok(head)
    }

    /// What the first line says, if it is that of an answer.
    fn of_line(line: &[u8]) -> Option<Head> {
        let (minor, rest) = line.strip_prefix(b"HTTP/1.")?.split_first()?;
        let (status, reason) = rest.strip_prefix(b" ")?.split_first_chunk::<3>()?;
        if !matches!(minor, b'0' | b'1') || !matches!(reason, [] | [b' ', ..]) {
            return None;
        }
        let status = length(status)? as u16;
        // There are no classes below one, and nobody asked for another protocol.
        if status < 100 || status == 101 {
            return None;
        }
        let is_new = *minor == b'1';
        Some(Head {
            len: 0,
            status,
            body: Body::UntilClose,
            reusable: is_new,
            limiter: false,
            refused: false,
            headroom: None,
            dated: false,
            call_id: false,
            start_time: false,
            left_out: (is_new && !reason.is_empty()).then(LeftOut::default),
            reason: Span::new(BEFORE_REASON.len().min(line.len()), line.len()),
        })
    }

    /// Writes the head for the client, all but the empty line at its end.
    pub(crate) fn write(&self, bytes: &[u8], out: &mut Vec<u8>) {
        let bytes = &bytes[..self.len];
        let Some(left_out) = &self.left_out else {
            return self.write_anew(bytes, out);
        };
        left_out.copy_rest(&bytes[..bytes.len() - END.len()], out);
    }

    fn write_anew(&self, bytes: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 ");
        let mut digits = [b'0'; 3];
        for (place, digit) in digits.iter_mut().zip([100, 10, 1]) {
            *place += (self.status / digit % 10) as u8;
        }
        out.extend_from_slice(&digits);
        out.push(b' ');
        out.extend_from_slice(self.reason.of(bytes));
        out.extend_from_slice(END);
        // Of two lengths one goes on, and none beside an encoding.
        let mut sized = fields(bytes).any(|line| field(line.name) == Field::TransferEncoding);
        let named: Vec<&[u8]> = fields(bytes)
            .filter(|line| field(line.name) == Field::Connection)
            .flat_map(|line| tokens(line.value.of(bytes)))
            .collect();
        for line in fields(bytes) {
            match field(line.name) {
                field if ends_here(field) => {}
                Field::ContentLength if std::mem::replace(&mut sized, true) => {}
                Field::End
                    if named
                        .iter()
                        .any(|name| name.eq_ignore_ascii_case(line.name)) => {}
                _ => {
                    out.extend_from_slice(line.line.of(bytes).trim_ascii_end());
                    out.extend_from_slice(END);
                }
            }
        }
    }

    /// Whether the answer says when it was made.
    pub(crate) fn is_dated(&self) -> bool {
        self.dated
    }

    /// Whether the answer says when its call began.
    pub(crate) fn has_start_time(&self) -> bool {
        self.start_time
    }

    /// Whether the answer names its call.
    pub(crate) fn has_call_id(&self) -> bool {
        self.call_id
    }
}

#[cfg(test)]
mod tests;
