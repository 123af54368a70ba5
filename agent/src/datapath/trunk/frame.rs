//! The frames of a trunk: what two nodes say on a connection that carries many calls. Pure: bytes in, bytes out.
//!
//! A frame is its kind (one byte), the length of its payload (three), the number of its call (four), and the payload; numbers are
//! big-endian. Kinds with [`LAST`] end their call.

use std::time::Duration;

use dfaas_protocol::Headroom;
use dfaas_protocol::policy::{Asked, Priority};
use thiserror::Error;

/// Bytes before a payload.
pub(crate) const HEADER: usize = 8;
/// The largest payload: a plain request with all that a node adds to it. One that is longer is malformed.
pub(crate) const MAX_PAYLOAD: usize = 96 * 1024;
/// Bytes of an answer that may be sent before the other end has asked for more.
pub(crate) const WINDOW: u32 = 256 * 1024;
/// The most that is sent of an answer in one frame, so that no call keeps the others waiting for long.
pub(crate) const MAX_DATA: usize = 16 * 1024;
/// The longest reason of a refusal.
const MAX_REASON: usize = 64;

const CALL: u8 = 1;
const ANSWER: u8 = 2;
const DATA: u8 = 3;
const REFUSED: u8 = 4;
const RESET: u8 = 5;
const MORE: u8 = 6;
const CLOSING: u8 = 7;
/// Nothing of the call comes after this frame.
const LAST: u8 = 0x80;
/// In the byte with the priority of a call: the milliseconds follow within which its answer is of use, as four bytes.
const DEADLINE: u8 = 0x80;
/// Bytes of a headroom.
const HEADROOM: usize = 8;

/// A frame as it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// A call: what it asks for, and a whole plain HTTP/1.1 request. The numbers of calls only grow.
    Call {
        call: u32,
        asked: Asked,
        request: &'a [u8],
    },
    /// The beginning of an answer: the headroom of the function, and bytes of HTTP/1.1 from the status line on.
    Answer {
        call: u32,
        headroom: Option<Headroom>,
        bytes: &'a [u8],
        last: bool,
    },
    /// More bytes of an answer.
    Data {
        call: u32,
        bytes: &'a [u8],
        last: bool,
    },
    /// Nothing was executed, and why.
    Refused {
        call: u32,
        headroom: Option<Headroom>,
        why: &'a str,
    },
    /// The call is given up at the end that sends this: by the client, or because its answer broke off.
    Reset { call: u32 },
    /// So many more bytes of the call's answer may be sent.
    More { call: u32, bytes: u32 },
    /// The node takes no more calls on this connection; it ends when those on it have ended.
    Closing,
}

/// The other end does not keep to the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the other end sent what is no frame, or none that belongs there")]
pub(crate) struct Malformed;

impl<'a> Frame<'a> {
    /// The frame at the beginning of `bytes` with its length, header included; none if it is not whole yet.
    ///
    /// # Errors
    /// If there is none and will be none. Nothing after it can be read.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Option<(Frame<'a>, usize)>, Malformed> {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let length = length(header)?;
        let [kind, _, _, _, number @ ..] = *header;
        let Some(payload) = rest.get(..length) else {
            return Ok(None);
        };
        let frame = Frame::of(kind, u32::from_be_bytes(number), payload)?;
        Ok(Some((frame, HEADER + length)))
    }

    fn of(kind: u8, call: u32, payload: &'a [u8]) -> Result<Frame<'a>, Malformed> {
        let last = kind & LAST != 0;
        match kind & !LAST {
            CALL if !last => {
                let (asked, request) = read_asked(payload)?;
                Ok(Frame::Call {
                    call,
                    asked,
                    request,
                })
            }
            ANSWER => {
                let (headroom, bytes) = read_headroom(payload)?;
                Ok(Frame::Answer {
                    call,
                    headroom,
                    bytes,
                    last,
                })
            }
            DATA => Ok(Frame::Data {
                call,
                bytes: payload,
                last,
            }),
            REFUSED if last => {
                let (headroom, why) = read_headroom(payload)?;
                let why = std::str::from_utf8(why).map_err(|_| Malformed)?;
                if !is_reason(why) {
                    return Err(Malformed);
                }
                Ok(Frame::Refused {
                    call,
                    headroom,
                    why,
                })
            }
            RESET if last && payload.is_empty() => Ok(Frame::Reset { call }),
            MORE if !last => {
                let bytes = payload.try_into().map_err(|_| Malformed)?;
                let bytes = u32::from_be_bytes(bytes);
                Ok(Frame::More { call, bytes })
            }
            CLOSING if !last && call == 0 && payload.is_empty() => Ok(Frame::Closing),
            _ => Err(Malformed),
        }
    }
}

/// Bytes of the payload after a header.
pub(super) fn length(header: &[u8; HEADER]) -> Result<usize, Malformed> {
    let [_, a, b, c, ..] = *header;
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    (length <= MAX_PAYLOAD).then_some(length).ok_or(Malformed)
}

fn read_asked(payload: &[u8]) -> Result<(Asked, &[u8]), Malformed> {
    let (first, mut rest) = payload.split_first().ok_or(Malformed)?;
    let within = if first & DEADLINE == 0 {
        None
    } else {
        let (millis, request) = rest.split_first_chunk().ok_or(Malformed)?;
        rest = request;
        Some(Duration::from_millis(u32::from_be_bytes(*millis).into()))
    };
    let priority = Priority::new(first & !DEADLINE).ok_or(Malformed)?;
    Ok((Asked { priority, within }, rest))
}

fn read_headroom(payload: &[u8]) -> Result<(Option<Headroom>, &[u8]), Malformed> {
    let (headroom, rest) = payload.split_first_chunk::<HEADROOM>().ok_or(Malformed)?;
    let [a, b, c, d, size @ ..] = *headroom;
    let free = i32::from_be_bytes([a, b, c, d]);
    let headroom = match u32::from_be_bytes(size) {
        0 if free == 0 => None,
        0 => return Err(Malformed),
        size => Some(Headroom { free, size }),
    };
    Ok((headroom, rest))
}

fn header(out: &mut Vec<u8>, kind: u8, call: u32, length: usize) {
    debug_assert!(length <= MAX_PAYLOAD);
    out.extend_from_slice(&((u32::from(kind) << 24) | length as u32).to_be_bytes());
    out.extend_from_slice(&call.to_be_bytes());
}

fn write_headroom(out: &mut Vec<u8>, headroom: Option<Headroom>) {
    let Headroom { free, size } = headroom.unwrap_or(Headroom { free: 0, size: 0 });
    out.extend_from_slice(&free.to_be_bytes());
    out.extend_from_slice(&size.to_be_bytes());
}

const fn or_last(kind: u8, last: bool) -> u8 {
    if last { kind | LAST } else { kind }
}

/// Writes a call. Its request is shorter than [`MAX_PAYLOAD`].
pub(crate) fn write_call(out: &mut Vec<u8>, call: u32, asked: Asked, [head, body]: [&[u8]; 2]) {
    let length = head.len() + body.len();
    match asked.within {
        None => {
            header(out, CALL, call, 1 + length);
            out.push(asked.priority.get());
        }
        Some(within) => {
            let millis = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
            header(out, CALL, call, 5 + length);
            out.push(asked.priority.get() | DEADLINE);
            out.extend_from_slice(&millis.to_be_bytes());
        }
    }
    out.extend_from_slice(head);
    out.extend_from_slice(body);
}

/// Writes the beginning of an answer, which has no more than [`MAX_PAYLOAD`] less a headroom.
pub(crate) fn write_answer(
    out: &mut Vec<u8>,
    call: u32,
    headroom: Option<Headroom>,
    bytes: &[u8],
    last: bool,
) {
    header(out, or_last(ANSWER, last), call, HEADROOM + bytes.len());
    write_headroom(out, headroom);
    out.extend_from_slice(bytes);
}

/// Writes more of an answer, [`MAX_DATA`] at most.
pub(crate) fn write_data(out: &mut Vec<u8>, call: u32, bytes: &[u8], last: bool) {
    header(out, or_last(DATA, last), call, bytes.len());
    out.extend_from_slice(bytes);
}

/// Whether that can be the reason of a refusal: one lower-case word.
pub(crate) fn is_reason(why: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b == b'-';
    why.len() <= MAX_REASON && why.bytes().all(word)
}

/// Writes a refusal, for a reason of one lower-case word.
pub(crate) fn write_refused(out: &mut Vec<u8>, call: u32, headroom: Option<Headroom>, why: &str) {
    debug_assert!(why.len() <= MAX_REASON);
    header(out, REFUSED | LAST, call, HEADROOM + why.len());
    write_headroom(out, headroom);
    out.extend_from_slice(why.as_bytes());
}

/// Writes that a call is given up.
pub(crate) fn write_reset(out: &mut Vec<u8>, call: u32) {
    header(out, RESET | LAST, call, 0);
}

/// Writes how much more of a call's answer may be sent.
pub(crate) fn write_more(out: &mut Vec<u8>, call: u32, bytes: u32) {
    header(out, MORE, call, 4);
    out.extend_from_slice(&bytes.to_be_bytes());
}

/// Writes that no more calls are taken.
pub(crate) fn write_closing(out: &mut Vec<u8>) {
    header(out, CLOSING, 0, 0);
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{Rng, RngExt, SeedableRng};

    use super::*;

    const ASKED: Asked = Asked {
        priority: Priority::HIGHEST,
        within: None,
    };
    const SOON: Asked = Asked {
        within: Some(Duration::from_millis(0x0102)),
        ..ASKED
    };

    fn written() -> Vec<u8> {
        let mut out = Vec::new();
        let headroom = Some(Headroom { free: -3, size: 8 });
        write_call(&mut out, 1, ASKED, [b"GET / HTTP/1.1\r\n", b"\r\n"]);
        write_call(&mut out, 2, SOON, [b"GET /b HTTP/1.1\r\n", b"\r\n"]);
        write_answer(&mut out, 1, headroom, b"HTTP/1.1 200 OK", false);
        write_data(&mut out, 1, b"abc", true);
        write_refused(&mut out, 2, None, "not-here");
        write_reset(&mut out, 3);
        write_more(&mut out, u32::MAX, 70_000);
        write_closing(&mut out);
        out
    }

    fn frames(mut bytes: &[u8]) -> Vec<Frame<'_>> {
        let mut frames = Vec::new();
        while let Some((frame, len)) = Frame::read(bytes).unwrap() {
            frames.push(frame);
            bytes = &bytes[len..];
        }
        assert_eq!(bytes, b"");
        frames
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = written();
        let expected = [
            Frame::Call {
                call: 1,
                asked: ASKED,
                request: b"GET / HTTP/1.1\r\n\r\n",
            },
            Frame::Call {
                call: 2,
                asked: SOON,
                request: b"GET /b HTTP/1.1\r\n\r\n",
            },
            Frame::Answer {
                call: 1,
                headroom: Some(Headroom { free: -3, size: 8 }),
                bytes: b"HTTP/1.1 200 OK",
                last: false,
            },
            Frame::Data {
                call: 1,
                bytes: b"abc",
                last: true,
            },
            Frame::Refused {
                call: 2,
                headroom: None,
                why: "not-here",
            },
            Frame::Reset { call: 3 },
            Frame::More {
                call: u32::MAX,
                bytes: 70_000,
            },
            Frame::Closing,
        ];
        assert_eq!(frames(&bytes), expected);
    }

    #[test]
    fn the_bytes_of_a_frame_are_these() {
        let mut out = Vec::new();
        write_data(&mut out, 0x0102_0304, b"hi", true);
        assert_eq!(out, b"\x83\x00\x00\x02\x01\x02\x03\x04hi");
        out.clear();
        write_call(&mut out, 7, SOON, [b"h", b"i"]);
        assert_eq!(
            out,
            b"\x01\x00\x00\x07\x00\x00\x00\x07\x89\x00\x00\x01\x02hi"
        );
        out.clear();
        write_refused(&mut out, 7, Some(Headroom { free: -1, size: 2 }), "full");
        assert_eq!(
            out,
            b"\x84\x00\x00\x0c\x00\x00\x00\x07\xff\xff\xff\xff\x00\x00\x00\x02full"
        );
    }

    #[test]
    fn a_part_of_a_frame_is_none_yet() {
        let mut out = Vec::new();
        write_call(&mut out, 1, SOON, [b"GET / HTTP/1.1\r\n", b"\r\n"]);
        for part in 0..out.len() {
            assert_eq!(Frame::read(&out[..part]), Ok(None));
        }
    }

    #[test]
    fn what_is_no_frame_is_refused_before_its_payload_came() {
        let too_long = (MAX_PAYLOAD as u32 + 1).to_be_bytes();
        let [_, a, b, c] = too_long;
        assert_eq!(Frame::read(&[CALL, a, b, c, 0, 0, 0, 1]), Err(Malformed));
        for bytes in [
            // Kinds that are none, and calls and windows that would be the last of theirs.
            &b"\x00\0\0\0\0\0\0\x01"[..],
            b"\x08\0\0\0\0\0\0\x01",
            b"\x81\0\0\0\0\0\0\x01",
            b"\x86\0\0\x04\0\0\0\x01\0\0\0\x01",
            // Refusals and resets that would not.
            b"\x04\0\0\x08\0\0\0\x01\0\0\0\0\0\0\0\0",
            b"\x05\0\0\0\0\0\0\x01",
            // A deadline that is cut off, and a priority that is none.
            b"\x01\0\0\x04\0\0\0\x01\x85\0\0\x01",
            b"\x01\0\0\x05\0\0\0\x01\x8a\0\0\0\x01",
            // Payloads of other lengths than theirs.
            b"\x85\0\0\x01\0\0\0\x01a",
            b"\x06\0\0\x03\0\0\0\x01abc",
            b"\x07\0\0\x01\0\0\0\0a",
            b"\x07\0\0\0\0\0\0\x01",
            b"\x02\0\0\x07\0\0\0\x01abcdefg",
            // Headroom of nothing, and a reason that is no word.
            b"\x02\0\0\x08\0\0\0\x01\0\0\0\x01\0\0\0\0",
            b"\x84\0\0\x0a\0\0\0\x01\0\0\0\0\0\0\0\0a\n",
        ] {
            assert_eq!(Frame::read(bytes), Err(Malformed), "{bytes:?}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic_or_read_beyond_them() {
        let mut rng = SmallRng::seed_from_u64(7);
        let whole = written();
        for _ in 0..200_000 {
            let mut bytes = whole.clone();
            for _ in 0..rng.random_range(1..8) {
                let at = rng.random_range(0..bytes.len());
                bytes[at] = rng.random();
            }
            let from = rng.random_range(0..bytes.len());
            let mut rest = &bytes[from..];
            while let Ok(Some((_, len))) = Frame::read(rest) {
                assert!((HEADER..=rest.len()).contains(&len));
                rest = &rest[len..];
            }
        }
        let mut noise = [0; 64];
        for _ in 0..200_000 {
            rng.fill_bytes(&mut noise);
            if let Ok(Some((_, len))) = Frame::read(&noise) {
                assert!(len <= noise.len());
            }
        }
    }
}
