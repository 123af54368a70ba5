//! The head of an answer to a plain request, read and written anew for the client.

use std::mem::MaybeUninit;
use std::ops::Range;

use dfaas_protocol::Headroom;
use httparse::{ParserConfig, Response, Status};

use super::left_out::LeftOut;
use super::request::{END, length, place_bytes};

/// The largest head of an answer, in bytes.
const MAX_HEAD: usize = 64 * 1024;
const MAX_FIELDS: usize = 128;
/// What a head begins with that is passed on as it is: up to here the reason follows.
const BEFORE_REASON: usize = "HTTP/1.1 200 ".len();

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
    reason: Range<usize>,
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
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    match name.len() {
        2 if is("te") => Field::Dropped,
        4 if is("date") => Field::Date,
        7 if is("upgrade") => Field::Dropped,
        8 if is("x-server") => Field::Server,
        9 if is("x-call-id") => Field::CallId,
        10 if is("connection") => Field::Connection,
        10 if is("keep-alive") => Field::Dropped,
        12 if is("x-start-time") => Field::StartTime,
        13 if is("dfaas-node-id") => Field::Dropped,
        13 if is("dfaas-refused") => Field::Refused,
        14 if is("content-length") => Field::ContentLength,
        14 if is("dfaas-headroom") => Field::Headroom,
        16 if is("proxy-connection") => Field::Dropped,
        17 if is("transfer-encoding") => Field::TransferEncoding,
        18 if is("dfaas-forwarded-to") || is("proxy-authenticate") => Field::Dropped,
        19 if is("x-openfaas-internal") => Field::Internal,
        19 if is("proxy-authorization") => Field::Dropped,
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

/// The lines of a head behind its first, each with its name and its end.
fn lines(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let each = head.split_inclusive(|byte| *byte == b'\n').skip(1);
    each.filter_map(|line| Some((&line[..memchr::memchr(b':', line)?], line)))
}

impl Head {
    /// Looks for an answer at the beginning of `bytes`. `head_only`: the request was one that is answered without a body.
    pub(crate) fn find(bytes: &[u8], head_only: bool) -> Found {
        // The parser would skip empty lines. Before an answer they are what is left of another one.
        if matches!(bytes.first(), Some(b'\r' | b'\n')) {
            return Found::Broken;
        }
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut response = Response::new(&mut []);
        let len = match ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            bytes,
            &mut fields,
        ) {
            Ok(Status::Complete(len)) if len <= MAX_HEAD => len,
            Ok(Status::Partial) if bytes.len() < MAX_HEAD => return Found::Part,
            _ => return Found::Broken,
        };
        match response.code {
            // Nobody asked for another protocol, and there are no classes below one.
            Some(..100 | 101) | None => Found::Broken,
            Some(100..=199) => Found::Interim(len),
            Some(status) => Head::read(bytes, len, status, &response, head_only)
                .map_or(Found::Broken, Found::Answer),
        }
    }

    fn read(
        bytes: &[u8],
        len: usize,
        status: u16,
        response: &Response<'_, '_>,
        head_only: bool,
    ) -> Option<Head> {
        let reason = match response.reason {
            None | Some("") => 0..0,
            Some(reason) => place_bytes(bytes, reason.as_bytes()),
        };
        let mut head = Head {
            len,
            status,
            body: Body::UntilClose,
            reusable: response.version == Some(1),
            limiter: false,
            refused: false,
            headroom: None,
            dated: false,
            call_id: false,
            start_time: false,
            left_out: (response.version == Some(1) && reason.start == BEFORE_REASON)
                .then(LeftOut::default),
            reason,
        };
        let mut size = None;
        let mut chunked = false;
        let mut end = head.reason.end + END.len();
        for line in &*response.headers {
            let field = field(line.name.as_bytes());
            let start = end;
            end = place_bytes(bytes, line.value).end + END.len();
            if let Some(left_out) = &mut head.left_out {
                // Space before a line's end, or another end, would have the next line begin elsewhere.
                let is_ours = bytes[..start].ends_with(END)
                    && place_bytes(bytes, line.name.as_bytes()).start == start;
                let fits = !ends_here(field) || left_out.add(start, end).is_some();
                if !(is_ours && fits) {
                    head.left_out = None;
                }
            }
            match field {
                Field::End | Field::Dropped | Field::Server => {}
                Field::ContentLength => {
                    let bytes = length(line.value)?;
                    if let Some(before) = size.replace(bytes) {
                        if before != bytes {
                            return None;
                        }
                        head.left_out = None;
                    }
                }
                Field::TransferEncoding => {
                    if chunked || !line.value.eq_ignore_ascii_case(b"chunked") {
                        return None;
                    }
                    chunked = true;
                }
                Field::Connection => {
                    for token in tokens(line.value) {
                        if token.eq_ignore_ascii_case(b"close") {
                            head.reusable = false;
                        } else if !token.eq_ignore_ascii_case(b"keep-alive") {
                            // It names lines that end here as well.
                            head.left_out = None;
                        }
                    }
                }
                Field::Internal => head.limiter = line.value == b"faas-middleware",
                Field::Refused => head.refused = true,
                Field::Headroom => {
                    head.headroom = std::str::from_utf8(line.value).ok()?.parse().ok();
                }
                Field::Date => head.dated = true,
                Field::CallId => head.call_id = true,
                Field::StartTime => head.start_time = true,
            }
        }
        if end + END.len() != len || !bytes[..end].ends_with(END) {
            head.left_out = None;
        }
        if chunked && size.is_some() {
            // The encoding holds (RFC 9112, 6.3), and the other end is not to be trusted further.
            head.reusable = false;
            head.left_out = None;
        }
        if head_only || matches!(status, 204 | 304) {
            head.body = Body::Sized(0);
        } else if chunked {
            head.body = Body::Chunked;
        } else if let Some(size) = size {
            head.body = Body::Sized(size as u64);
        } else {
            head.reusable = false;
        }
        Some(head)
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
        out.extend_from_slice(&bytes[self.reason.clone()]);
        out.extend_from_slice(END);
        // Of two lengths one goes on, and none beside an encoding.
        let mut sized = lines(bytes).any(|(name, _)| field(name) == Field::TransferEncoding);
        let named: Vec<&[u8]> = lines(bytes)
            .filter(|(name, _)| field(name) == Field::Connection)
            .flat_map(|(name, line)| tokens(&line[name.len() + 1..]))
            .collect();
        for (name, line) in lines(bytes) {
            match field(name) {
                field if ends_here(field) => {}
                Field::ContentLength if std::mem::replace(&mut sized, true) => {}
                Field::End if named.iter().any(|other| other.eq_ignore_ascii_case(name)) => {}
                _ => {
                    out.extend_from_slice(line.trim_ascii_end());
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
