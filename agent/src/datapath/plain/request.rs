//! The head of a plain request, read strictly and written anew for the next hop.

use std::time::Duration;

use crate::datapath::headers::millis;
use crate::datapath::path::{FUNCTION, name};

use super::head_lines::{END, HeadLines, Stop, is_named};
use super::left_out::LeftOut;
use super::span::Span;

/// The largest body of a plain request, in bytes. It is kept whole, so that it can be sent again.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// How large the head of a plain request may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// In bytes.
    pub(crate) bytes: usize,
    fields: usize,
}

impl Limits {
    /// For a client's.
    pub(crate) const CLIENT: Limits = Limits {
        bytes: 16 * 1024,
        fields: 64,
    };
    /// For one that a neighbour sends on: it has added to it, see [`Added`].
    pub(crate) const NEIGHBOUR: Limits = Limits {
        bytes: Limits::CLIENT.bytes + 2 * 1024,
        fields: 72,
    };
}

/// What was found at the beginning of the bytes that a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The head is not whole yet, and plain so far.
    Part,
    /// Anything but a plain request. It may be right or wrong: that is not judged here.
    Other,
    /// A plain request.
    Plain(Head),
}

/// A plain request's head.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Its bytes, with the empty line.
    pub(crate) len: usize,
    /// Bytes of body that follow.
    pub(crate) body: usize,
    /// The function's name, as the path writes it.
    pub(crate) function: Span,
    /// The path, without the query.
    pub(crate) path: Span,
    /// The method.
    pub(crate) method: Span,
    /// Whether the answer has no body whatever it says.
    pub(crate) head_only: bool,
    /// Whether the client ends the connection after this request.
    pub(crate) close: bool,
    /// The id that the caller gave the call.
    pub(crate) call_id: Option<Span>,
    /// Within what time the answer is of use, if the caller says so.
    pub(crate) within: Option<Duration>,
    forwarded_for: bool,
    forwarded_host: bool,
    forwarded_proto: bool,
    host: Span,
    /// The lines that end here.
    left_out: LeftOut,
}

/// The lines that this node adds to a head that has them not yet, each with its end. What is the same for all calls of a
/// connection is made once.
#[derive(Debug)]
pub(crate) struct Added<'a> {
    /// The client's address.
    pub(crate) forwarded_for: &'a [u8],
    /// `http` or `https`.
    pub(crate) forwarded_proto: &'a [u8],
    /// The id of the call, where the caller gave none.
    pub(crate) call_id: &'a [u8],
    /// When the call arrived, in nanoseconds of Unix time.
    pub(crate) start_time: &'a [u8],
}

/// What a field means for a plain request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// Goes on as it is.
    End,
    /// Ends here, and means nothing.
    Dropped,
    Host,
    ContentLength,
    Connection,
    CallId,
    Deadline,
    ForwardedFor,
    ForwardedHost,
    ForwardedProto,
    /// A request with it is not plain.
    NotPlain,
}

fn field(name: &[u8]) -> Field {
    match name.len() {
        2 if is_named(name, b"te") => Field::NotPlain,
        4 if is_named(name, b"host") => Field::Host,
        6 if is_named(name, b"expect") => Field::NotPlain,
        7 if is_named(name, b"upgrade") || is_named(name, b"trailer") => Field::NotPlain,
        9 if is_named(name, b"x-call-id") => Field::CallId,
        10 if is_named(name, b"connection") => Field::Connection,
        10 if is_named(name, b"keep-alive") => Field::Dropped,
        12 if is_named(name, b"x-start-time") => Field::Dropped,
        13 if is_named(name, b"dfaas-node-id") => Field::Dropped,
        13 if is_named(name, b"dfaas-refused") => Field::Dropped,
        14 if is_named(name, b"content-length") => Field::ContentLength,
        14 if is_named(name, b"dfaas-headroom") => Field::Dropped,
        14 if is_named(name, b"dfaas-priority") => Field::Dropped,
        15 if is_named(name, b"x-forwarded-for") => Field::ForwardedFor,
        16 if is_named(name, b"x-forwarded-host") => Field::ForwardedHost,
        16 if is_named(name, b"proxy-connection") => Field::Dropped,
        17 if is_named(name, b"x-forwarded-proto") => Field::ForwardedProto,
        17 if is_named(name, b"transfer-encoding") => Field::NotPlain,
        17 if is_named(name, b"dfaas-deadline-ms") => Field::Deadline,
        18 if is_named(name, b"dfaas-forwarded-to") => Field::Dropped,
        18 if is_named(name, b"proxy-authenticate") => Field::Dropped,
        19 if is_named(name, b"proxy-authorization") => Field::Dropped,
        _ => Field::End,
    }
}

impl Head {
    /// Looks for a plain request at the beginning of `bytes`.
    pub(crate) fn find(bytes: &[u8], limits: Limits) -> Found {
        match Head::read(bytes, limits) {
            Ok(head) => Found::Plain(head),
            Err(Stop::Part) => Found::Part,
            Err(Stop::Malformed) => Found::Other,
        }
    }

    fn read(bytes: &[u8], limits: Limits) -> Result<Head, Stop> {
        let mut lines = HeadLines::new(bytes, limits.bytes);
        let mut head = Head::of_line(lines.first()?).ok_or(Stop::Malformed)?;
        let mut fields = 0;
        let mut sized = false;
        while let Some(line) = lines.field()? {
            fields += 1;
            let field = field(line.name);
            if matches!(field, Field::Dropped | Field::Connection) {
                head.left_out.add(line.line).ok_or(Stop::Malformed)?;
            }
            let value = line.value.of(bytes);
            match field {
                Field::End | Field::Dropped => {}
                Field::Host if head.host.is_empty() && is_host(value) => head.host = line.value,
                Field::ContentLength if !sized => {
                    sized = true;
                    let length = length(value).filter(|n| *n <= MAX_BODY);
                    head.body = length.ok_or(Stop::Malformed)?;
                }
                Field::Connection if value.eq_ignore_ascii_case(b"keep-alive") => {}
                Field::Connection if value.eq_ignore_ascii_case(b"close") => head.close = true,
                Field::CallId if head.call_id.is_none() => head.call_id = Some(line.value),
                Field::Deadline if head.within.is_none() => head.within = millis(value),
                Field::ForwardedFor => head.forwarded_for = true,
                Field::ForwardedHost => head.forwarded_host = true,
                Field::ForwardedProto => head.forwarded_proto = true,
                Field::Host
                | Field::ContentLength
                | Field::Connection
                | Field::CallId
                | Field::Deadline
                | Field::NotPlain => return Err(Stop::Malformed),
            }
        }
        head.len = lines.len();
        // A line feed by itself ends a line for some and not for others.
        if fields > limits.fields || lines.has_bare_ends() || head.host.is_empty() {
            return Err(Stop::Malformed);
        }
        Ok(head)
    }

    /// What the first line says, if it is that of a plain request: a known method, a call of a function whose path needs no second
    /// look, as it has no escapes and no dot segments, and HTTP/1.1.
    fn of_line(line: &[u8]) -> Option<Head> {
        let space = line.iter().position(|byte| *byte == b' ')?;
        let head_only = match &line[..space] {
            b"GET" | b"POST" | b"PUT" | b"DELETE" | b"PATCH" | b"OPTIONS" => false,
            b"HEAD" => true,
            _ => return None,
        };
        let target = line[space + 1..].strip_suffix(b" HTTP/1.1")?;
        let called = target.strip_prefix(FUNCTION.as_bytes())?;
        let asks = called.iter().position(|byte| *byte == b'?');
        let (called, query) = called.split_at(asks.unwrap_or(called.len()));
        let name = name(called)?;
        let inner = &called[name..];
        let is_dotted = inner.windows(2).any(|pair| pair == b"/.");
        if is_dotted || !are_of(inner, IN_PATH) || !are_of(query, IN_QUERY) {
            return None;
        }
        if !target.is_ascii() && std::str::from_utf8(target).is_err() {
            return None;
        }
        let path = space + 1;
        let function = path + FUNCTION.len();
        Some(Head {
            len: 0,
            body: 0,
            function: Span::new(function, function + name),
            path: Span::new(path, function + called.len()),
            method: Span::new(0, space),
            head_only,
            close: false,
            call_id: None,
            within: None,
            forwarded_for: false,
            forwarded_host: false,
            forwarded_proto: false,
            host: Span::default(),
            left_out: LeftOut::default(),
        })
    }

    /// Writes the head for the next hop, all but the empty line at its end, so that an attempt can add to it.
    pub(crate) fn write(&self, bytes: &[u8], added: &Added<'_>, out: &mut Vec<u8>) {
        self.left_out.copy_rest(&bytes[..self.len - END.len()], out);
        if !self.forwarded_for {
            out.extend_from_slice(added.forwarded_for);
        }
        if !self.forwarded_proto {
            out.extend_from_slice(added.forwarded_proto);
        }
        if !self.forwarded_host {
            out.extend_from_slice(b"x-forwarded-host: ");
            out.extend_from_slice(self.host.of(bytes));
            out.extend_from_slice(b"\r\n");
        }
        if self.call_id.is_none() {
            out.extend_from_slice(added.call_id);
        }
        out.extend_from_slice(added.start_time);
    }
}

/// A Content-Length of digits only.
pub(crate) fn length(value: &[u8]) -> Option<usize> {
    if value.is_empty() || value.len() > 18 {
        return None;
    }
    value.iter().try_fold(0, |length, digit| {
        let digit = digit.is_ascii_digit().then(|| usize::from(digit - b'0'))?;
        Some(length * 10 + digit)
    })
}

/// Whether a value has the characters of a host and port (RFC 3986, 3.2), and no comma, which is a sign of two values in
/// one.
pub(crate) fn is_host(value: &[u8]) -> bool {
    !value.is_empty() && are_of(value, IN_HOST)
}

const IN_HOST: u8 = 1;
const IN_PATH: u8 = 2;
const IN_QUERY: u8 = 4;

/// What each byte may stand in. A host is strict (RFC 3986, 3.2.2). Of a target what is sent is passed on, as many send what should
/// be escaped; but a path that needs no second look has no escapes, and no target has a fragment.
const MAY_BE: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = match byte as u8 {
            ..=b' ' | b'#' | 0x7f => 0,
            b'%' => IN_HOST | IN_QUERY,
            b'?' | b'\\' => IN_QUERY,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => IN_HOST | IN_PATH | IN_QUERY,
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+'
            | b';' | b'=' | b':' | b'[' | b']' => IN_HOST | IN_PATH | IN_QUERY,
            _ => IN_PATH | IN_QUERY,
        };
        byte += 1;
    }
    table
};

/// Whether each byte may stand there.
fn are_of(bytes: &[u8], place: u8) -> bool {
    let places = |byte: &u8| MAY_BE[usize::from(*byte)];
    bytes.iter().fold(place, |all, byte| all & places(byte)) != 0
}

#[cfg(test)]
mod tests;
