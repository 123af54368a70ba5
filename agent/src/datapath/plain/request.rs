//! The head of a plain request, read strictly and written anew for the next hop.

use std::time::Duration;

use crate::datapath::headers::millis;
use crate::datapath::path::{FUNCTION, name};

use super::left_out::LeftOut;
use super::lines::{END, Lines, Stop, is_named};
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
        let mut lines = Lines::new(bytes, limits.bytes);
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

/// What each byte may stand in (RFC 3986, 3.2 to 3.4): a path that needs no second look has no escapes.
const MAY_BE: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        if (byte as u8).is_ascii_alphanumeric() {
            table[byte] = IN_HOST | IN_PATH | IN_QUERY;
        }
        byte += 1;
    }
    let others: [(&[u8], u8); 5] = [
        (b"-._~!$&'()*+;=:", IN_HOST | IN_PATH | IN_QUERY),
        (b"%", IN_HOST | IN_QUERY),
        (b"[]", IN_HOST),
        (b",@/", IN_PATH | IN_QUERY),
        (b"?", IN_QUERY),
    ];
    let mut kind = 0;
    while kind < others.len() {
        let (bytes, places) = others[kind];
        let mut at = 0;
        while at < bytes.len() {
            table[bytes[at] as usize] = places;
            at += 1;
        }
        kind += 1;
    }
    table
};

/// Whether each byte may stand there.
fn are_of(bytes: &[u8], place: u8) -> bool {
    let places = |byte: &u8| MAY_BE[usize::from(*byte)];
    bytes.iter().fold(place, |all, byte| all & places(byte)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lines: &str) -> Found {
        Head::find(lines.replace('\n', "\r\n").as_bytes(), Limits::CLIENT)
    }

    fn plain(lines: &str) -> (Head, String) {
        let text = lines.replace('\n', "\r\n");
        let Found::Plain(head) = Head::find(text.as_bytes(), Limits::CLIENT) else {
            panic!("not plain: {lines}");
        };
        let added = Added {
            forwarded_for: b"x-forwarded-for: 192.0.2.1:7\r\n",
            forwarded_proto: b"x-forwarded-proto: http\r\n",
            call_id: b"x-call-id: id\r\n",
            start_time: b"x-start-time: 5\r\n",
        };
        let mut out = Vec::new();
        head.write(text.as_bytes(), &added, &mut out);
        (head, String::from_utf8(out).unwrap().replace("\r\n", "\n"))
    }

    #[test]
    fn a_plain_head_is_written_anew() {
        let (head, out) = plain(
            "POST /function/echo.dev/a?x=%2e HTTP/1.1\nHost: h\nConnection: Keep-Alive\nContent-Length: 3\n\
             DFaaS-Node-ID: forged\nX-Start-Time: 1\nAuthorization: Basic x\n\nabc",
        );
        assert_eq!(head.body, 3);
        assert!(!head.close && !head.head_only);
        assert_eq!(
            out,
            "POST /function/echo.dev/a?x=%2e HTTP/1.1\nHost: h\nContent-Length: 3\nAuthorization: Basic x\n\
             x-forwarded-for: 192.0.2.1:7\nx-forwarded-proto: http\nx-forwarded-host: h\nx-call-id: id\nx-start-time: 5\n"
        );
    }

    #[test]
    fn what_the_caller_gave_stays() {
        let (head, out) = plain(
            "HEAD /function/f HTTP/1.1\nHost: h\nX-Call-Id: mine\nx-forwarded-for: a\nx-forwarded-host: b\n\
             x-forwarded-proto: https\nconnection: close\n\n",
        );
        assert!(head.close && head.head_only && head.call_id.is_some() && head.within.is_none());
        assert!(
            out.contains("X-Call-Id: mine\n") && !out.contains("x-call-id: id"),
            "{out}"
        );
        assert!(!out.contains("x-forwarded-for: 192"), "{out}");
    }

    #[test]
    fn a_deadline_is_read_and_goes_on() {
        let call = |ms| format!("GET /function/f HTTP/1.1\nHost: h\nDFaaS-Deadline-Ms: {ms}\n\n");
        let (head, out) = plain(&call("250"));
        assert_eq!(head.within, Some(Duration::from_millis(250)));
        assert!(out.contains("DFaaS-Deadline-Ms: 250\n"), "{out}");
        assert_eq!(plain(&call("soon")).0.within, None);
        let twice = call("250\ndfaas-deadline-ms: 3");
        assert_eq!(found(&twice), Found::Other);
    }

    #[test]
    fn whatever_is_doubtful_is_left_to_others() {
        for lines in [
            "\nGET /function/f HTTP/1.1\nHost: h\n\n",
            "GET /function/f HTTP/1.0\nHost: h\n\n",
            "GET /function/f HTTP/1.1\n\n",
            "GET /function/f HTTP/1.1\nHost: h\nHost: h\n\n",
            "GET /function/f%2fx HTTP/1.1\nHost: h\n\n",
            "GET /function/f/%2e%2e HTTP/1.1\nHost: h\n\n",
            "GET /function/f/../../system HTTP/1.1\nHost: h\n\n",
            "GET /function/.. HTTP/1.1\nHost: h\n\n",
            "GET /system/functions HTTP/1.1\nHost: h\n\n",
            "GET http://h/function/f HTTP/1.1\nHost: h\n\n",
            "CONNECT h:1 HTTP/1.1\nHost: h\n\n",
            "GET /function/f?a#b HTTP/1.1\nHost: h\n\n",
            "GET /function/f HTTP/1.1\nHost: a, b\n\n",
            "GET /function/f HTTP/1.1\nHost: u@h\n\n",
            "POST /function/f HTTP/1.1\nHost: h\nContent-Length: 1\nContent-Length: 1\n\n",
            "POST /function/f HTTP/1.1\nHost: h\nContent-Length: 1, 1\n\n",
            "POST /function/f HTTP/1.1\nHost: h\nContent-Length: +1\n\n",
            "POST /function/f HTTP/1.1\nHost: h\nContent-Length: 65537\n\n",
            "POST /function/f HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n",
            "POST /function/f HTTP/1.1\nHost: h\nExpect: 100-continue\n\n",
            "GET /function/f HTTP/1.1\nHost: h\nConnection: upgrade\nUpgrade: websocket\n\n",
            "GET /function/f HTTP/1.1\nHost: h\nTE: trailers\n\n",
            "GET /function/f HTTP/1.1\nHost: h\nX: a\n b\n\n",
            "GET /function/f HTTP/1.1\nHost: h\nX : a\n\n",
        ] {
            assert_eq!(found(lines), Found::Other, "{lines}");
        }
        // A bare line feed at each place where one may be.
        let head = "GET /function/f HTTP/1.1\r\nHost: h\r\nX: a\r\n\r\n";
        for (at, _) in head.match_indices("\r\n") {
            let mut bare = head.to_owned();
            bare.remove(at);
            let found = Head::find(bare.as_bytes(), Limits::CLIENT);
            assert_eq!(found, Found::Other, "{bare:?}");
        }
        assert_eq!(
            Head::find(
                b"GET /function/f HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n",
                Limits::CLIENT
            ),
            Found::Other
        );
        assert_eq!(found("GET /function/f HTTP/1.1\nHost"), Found::Part);
    }
}
