//! The head of a plain request, read strictly and written anew for the next hop.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::time::Duration;

use httparse::{Request, Status};

use crate::datapath::function_in;
use crate::datapath::headers::millis;

use super::left_out::LeftOut;

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
        fields: MAX_FIELDS,
    };
}

const MAX_FIELDS: usize = 72;

/// The empty line, and the end of each other one.
pub(super) const END: &[u8] = b"\r\n";

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
    pub(crate) function: Range<usize>,
    /// The path, without the query.
    pub(crate) path: Range<usize>,
    /// The method.
    pub(crate) method: Range<usize>,
    /// Whether the answer has no body whatever it says.
    pub(crate) head_only: bool,
    /// Whether the client ends the connection after this request.
    pub(crate) close: bool,
    /// The id that the caller gave the call.
    pub(crate) call_id: Option<Range<usize>>,
    /// Within what time the answer is of use, if the caller says so.
    pub(crate) within: Option<Duration>,
    forwarded_for: bool,
    forwarded_host: bool,
    forwarded_proto: bool,
    host: Range<usize>,
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

fn field(name: &str) -> Field {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    match name.len() {
        2 if is("te") => Field::NotPlain,
        4 if is("host") => Field::Host,
        6 if is("expect") => Field::NotPlain,
        7 if is("upgrade") || is("trailer") => Field::NotPlain,
        9 if is("x-call-id") => Field::CallId,
        10 if is("connection") => Field::Connection,
        10 if is("keep-alive") => Field::Dropped,
        12 if is("x-start-time") => Field::Dropped,
        13 if is("dfaas-node-id") || is("dfaas-refused") => Field::Dropped,
        14 if is("content-length") => Field::ContentLength,
        14 if is("dfaas-headroom") || is("dfaas-priority") => Field::Dropped,
        15 if is("x-forwarded-for") => Field::ForwardedFor,
        16 if is("x-forwarded-host") => Field::ForwardedHost,
        16 if is("proxy-connection") => Field::Dropped,
        17 if is("x-forwarded-proto") => Field::ForwardedProto,
        17 if is("transfer-encoding") => Field::NotPlain,
        17 if is("dfaas-deadline-ms") => Field::Deadline,
        18 if is("dfaas-forwarded-to") || is("proxy-authenticate") => Field::Dropped,
        19 if is("proxy-authorization") => Field::Dropped,
        _ => Field::End,
    }
}

impl Head {
    /// Looks for a plain request at the beginning of `bytes`.
    pub(crate) fn find(bytes: &[u8], limits: Limits) -> Found {
        // Empty lines before a request are allowed, and rare.
        if matches!(bytes.first(), Some(b'\r' | b'\n')) {
            return Found::Other;
        }
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut request = Request::new(&mut []);
        let len = match request.parse_with_uninit_headers(bytes, &mut fields) {
            Ok(Status::Complete(len)) if len <= limits.bytes => len,
            Ok(Status::Partial) if bytes.len() < limits.bytes => return Found::Part,
            _ => return Found::Other,
        };
        if request.headers.len() > limits.fields {
            return Found::Other;
        }
        Head::read(bytes, len, &request).map_or(Found::Other, Found::Plain)
    }

    fn read(bytes: &[u8], len: usize, request: &Request<'_, '_>) -> Option<Head> {
        // A line feed by itself ends a line for some and not for others. There are none but at the ends of lines.
        if request.version != Some(1) || !bytes[..len].ends_with(b"\r\n\r\n") {
            return None;
        }
        let method = request.method?;
        let known = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"];
        if !known.contains(&method) {
            return None;
        }
        let target = request.path?;
        let end = target.bytes().position(|b| matches!(b, b'?' | b'#'));
        let (path, rest) = target.split_at(end.unwrap_or(target.len()));
        if rest.as_bytes().contains(&b'#') {
            return None;
        }
        let function = plain_function(path)?;
        let mut head = Head {
            len,
            body: 0,
            function: place(bytes, function),
            path: place(bytes, path),
            method: place(bytes, method),
            head_only: method == "HEAD",
            close: false,
            call_id: None,
            within: None,
            forwarded_for: false,
            forwarded_host: false,
            forwarded_proto: false,
            host: 0..0,
            left_out: LeftOut::default(),
        };
        let mut sized = false;
        for (index, line) in request.headers.iter().enumerate() {
            let start = place(bytes, line.name).start;
            if !bytes[..start].ends_with(END) {
                return None;
            }
            let field = field(line.name);
            if matches!(field, Field::Dropped | Field::Connection) {
                let next = request.headers.get(index + 1);
                let end = next.map_or(len - END.len(), |next| place(bytes, next.name).start);
                head.left_out.add(start, end)?;
            }
            match field {
                Field::End | Field::Dropped => {}
                Field::NotPlain => return None,
                Field::Host if head.host.is_empty() && is_host(line.value) => {
                    head.host = place_bytes(bytes, line.value);
                }
                Field::Host => return None,
                Field::ContentLength if sized => return None,
                Field::ContentLength => {
                    sized = true;
                    head.body = length(line.value).filter(|n| *n <= MAX_BODY)?;
                }
                Field::Connection if line.value.eq_ignore_ascii_case(b"keep-alive") => {}
                Field::Connection if line.value.eq_ignore_ascii_case(b"close") => head.close = true,
                Field::Connection => return None,
                Field::CallId if head.call_id.is_none() => {
                    head.call_id = Some(place_bytes(bytes, line.value));
                }
                Field::CallId => return None,
                Field::Deadline if head.within.is_none() => head.within = millis(line.value),
                Field::Deadline => return None,
                Field::ForwardedFor => head.forwarded_for = true,
                Field::ForwardedHost => head.forwarded_host = true,
                Field::ForwardedProto => head.forwarded_proto = true,
            }
        }
        (!head.host.is_empty()).then_some(head)
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
            out.extend_from_slice(&bytes[self.host.clone()]);
            out.extend_from_slice(b"\r\n");
        }
        if self.call_id.is_none() {
            out.extend_from_slice(added.call_id);
        }
        out.extend_from_slice(added.start_time);
    }
}

/// The function in a path that needs no second look: no escapes, no dot segments.
fn plain_function(path: &str) -> Option<&str> {
    let function = function_in(path)?;
    let rest = &path.as_bytes()["/function/".len() + function.len()..];
    let plain = !rest.iter().any(|b| matches!(b, b'%' | b'\\'))
        && !rest.windows(2).any(|pair| pair == b"/.");
    plain.then_some(function)
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
    const OF_A_HOST: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < table.len() {
            table[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let others = b"-._~%!$&'()*+;=:[]";
        let mut at = 0;
        while at < others.len() {
            table[others[at] as usize] = true;
            at += 1;
        }
        table
    };
    !value.is_empty() && value.iter().all(|b| OF_A_HOST[usize::from(*b)])
}

fn place(bytes: &[u8], part: &str) -> Range<usize> {
    place_bytes(bytes, part.as_bytes())
}

/// Where a part that was borrowed from `bytes` lies in them.
pub(super) fn place_bytes(bytes: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr() as usize - bytes.as_ptr() as usize;
    start..start + part.len()
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
