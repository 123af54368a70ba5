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
            // Nobody asked for another protocol.
            Some(101) | None => Found::Broken,
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
                    if size.replace(bytes).is_some_and(|before| before != bytes) {
                        return None;
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
        if head_only || matches!(status, 204 | 304) {
            head.body = Body::Sized(0);
        } else if chunked {
            // Both are there: the encoding holds (RFC 9112, 6.3), and the other end is not to be trusted further.
            if size.is_some() {
                head.reusable = false;
                head.left_out = None;
            }
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
        let chunked = self.body == Body::Chunked;
        let named: Vec<&[u8]> = lines(bytes)
            .filter(|(name, _)| field(name) == Field::Connection)
            .flat_map(|(name, line)| tokens(&line[name.len() + 1..]))
            .collect();
        for (name, line) in lines(bytes) {
            match field(name) {
                field if ends_here(field) => {}
                Field::ContentLength if chunked => {}
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
mod tests {
    use super::*;

    fn answer(lines: &str) -> Head {
        match Head::find(lines.replace('\n', "\r\n").as_bytes(), false) {
            Found::Answer(head) => head,
            other => panic!("{other:?}: {lines}"),
        }
    }

    #[test]
    fn the_end_of_a_body_is_known() {
        let sized = answer("HTTP/1.1 200 OK\nContent-Length: 12\n\n");
        assert_eq!((sized.body, sized.reusable), (Body::Sized(12), true));
        let chunked = answer("HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\n\n");
        assert_eq!((chunked.body, chunked.reusable), (Body::Chunked, true));
        let open = answer("HTTP/1.1 200 OK\n\n");
        assert_eq!((open.body, open.reusable), (Body::UntilClose, false));
        let none = answer("HTTP/1.1 204 No Content\n\n");
        assert_eq!((none.body, none.reusable), (Body::Sized(0), true));
        let old = answer("HTTP/1.0 200 OK\nContent-Length: 1\n\n");
        assert!(!old.reusable);
        let last = answer("HTTP/1.1 200 OK\nConnection: x, Close\nContent-Length: 1\n\n");
        assert!(!last.reusable);
    }

    #[test]
    fn an_answer_whose_end_is_in_doubt_is_broken() {
        for lines in [
            "HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: 2\n\n",
            "HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked\n\n",
            "HTTP/1.1 200 OK\nContent-Length: x\n\n",
            "HTTP/1.1 101 Switching Protocols\n\n",
            "nonsense\n\n",
            "\nHTTP/1.1 200 X: y\n\n",
        ] {
            let text = lines.replace('\n', "\r\n");
            assert_eq!(Head::find(text.as_bytes(), false), Found::Broken, "{lines}");
        }
        assert_eq!(
            Head::find(b"HTTP/1.1 100 Continue\r\n\r\nHTTP", false),
            Found::Interim(25)
        );
    }

    #[test]
    fn lines_are_passed_on_as_they_are_unless_their_form_is_another() {
        let written = |text: &str| {
            let Found::Answer(head) = Head::find(text.as_bytes(), false) else {
                panic!("{text:?}");
            };
            let mut out = Vec::new();
            head.write(text.as_bytes(), &mut out);
            (head.left_out.is_some(), String::from_utf8(out).unwrap())
        };
        let kept = "HTTP/1.1 404 Not Found\r\nA:  b c\r\nContent-Length: 1\r\n";
        assert_eq!(written(&format!("{kept}\r\n")), (true, kept.to_owned()));
        let dropped = "HTTP/1.1 404 Not Found\r\nTE: x\r\nA:  b c\r\nKeep-Alive: 5\r\nContent-Length: 1\r\n\r\n";
        assert_eq!(written(dropped), (true, kept.to_owned()));
        for other in [
            "HTTP/1.1 404 Not Found\nA:  b c\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\nA:  b c \nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\nA:  b c\t\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\nA:  b c\r\nContent-Length: 1\n\r\n",
            "HTTP/1.1 404 Not Found\r\nA:  b c\r\nContent-Length: 1 \n\r\n",
            "HTTP/1.1 404 Not Found\r\nA:  b c\r\nContent-Length: 1\r\n\n",
            "HTTP/1.0 404 Not Found\r\nA:  b c\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\nTE: 1\r\nTE: 2\r\nTE: 3\r\nTE: 4\r\nTE: 5\r\nTE: 6\r\nTE: 7\r\nA:  b c\r\n\
             Content-Length: 1\r\n\r\n",
        ] {
            assert_eq!(written(other), (false, kept.to_owned()), "{other:?}");
        }
        let empty = "HTTP/1.1 200 OK\r\nA:\r\nContent-Length: 0\r\n";
        assert_eq!(written(&format!("{empty}\r\n")), (true, empty.to_owned()));
        // Both lengths are there, and only one goes on.
        let both = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let one = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n";
        assert_eq!(written(both), (false, one.to_owned()));
    }

    #[test]
    fn what_the_connection_names_ends_with_it() {
        let text = "HTTP/1.1 200 OK\r\nX-Hop: 1\r\nConnection: keep-alive, x-hop\r\nA: b\r\nConnection: Content-Length,date\r\n\
                    Date: d\r\nContent-Length: 1\r\n\r\n";
        let Found::Answer(head) = Head::find(text.as_bytes(), false) else {
            panic!("{text:?}");
        };
        assert_eq!((head.body, head.reusable), (Body::Sized(1), true));
        let mut out = Vec::new();
        head.write(text.as_bytes(), &mut out);
        // Nobody may take away what says where the answer ends.
        let kept = "HTTP/1.1 200 OK\r\nA: b\r\nDate: d\r\nContent-Length: 1\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), kept);
    }

    #[test]
    fn what_is_between_nodes_stays_there() {
        let lines = "HTTP/1.1 200 Fine\nDFaaS-Headroom: -1/4\nDFaaS-Node-ID: forged\nX-Server: forged\nKeep-Alive: 5\n\
                     Connection: keep-alive\nContent-Length: 2\nX-Own: kept \n\n";
        let head = answer(lines);
        assert_eq!(head.headroom, Some(Headroom { free: -1, size: 4 }));
        let mut out = Vec::new();
        head.write(lines.replace('\n', "\r\n").as_bytes(), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nX-Own: kept\r\n"
        );
        assert!(answer("HTTP/1.1 503 x\nDFaaS-Refused: full\nContent-Length: 0\n\n").refused);
        assert!(
            answer("HTTP/1.1 429 x\nX-OpenFaaS-Internal: faas-middleware\nContent-Length: 0\n\n")
                .limiter
        );
    }
}
