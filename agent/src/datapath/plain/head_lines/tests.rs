//! The lines of heads, held against another reader.

use httparse::Status;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::*;

/// Names and values of the fields behind a first line, and the length of the whole.
type Read = (Vec<(Vec<u8>, Vec<u8>)>, usize);

fn read(head: &[u8]) -> Result<Read, Stop> {
    read_up_to(4096, head)
}

fn read_up_to(most: usize, head: &[u8]) -> Result<Read, Stop> {
    let mut lines = HeadLines::new(head, most);
    lines.first()?;
    let mut fields = Vec::new();
    while let Some(field) = lines.field()? {
        fields.push((field.name.to_vec(), field.value.of(head).to_vec()));
    }
    Ok((fields, lines.len()))
}

/// The same by another reader.
fn reference(head: &[u8]) -> Result<Read, Stop> {
    let first = head.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let mut fields = [httparse::EMPTY_HEADER; 128];
    match httparse::parse_headers(&head[first..], &mut fields) {
        Ok(Status::Complete((len, fields))) => {
            let own = fields.iter().map(|f| (f.name.into(), f.value.into()));
            Ok((own.collect(), first + len))
        }
        Ok(Status::Partial) => Err(Stop::Part),
        Err(_) => Err(Stop::Malformed),
    }
}

#[test]
fn fields_are_those_of_another_reader() {
    let pieces: [&[u8]; 24] = [
        b"\r\n",
        b"\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b": ",
        b":",
        b": a",
        b":\t b c\t",
        b" ",
        b"\t",
        b"Host",
        b"x-y",
        b"a_!#$%&'*+.^`|~9",
        b"\x00",
        b"\x1f",
        b"\x7f",
        b"\x80\xff",
        b"\"(),/;<=>?@[]{}",
        b"name: value\r\n",
        b"another-name:another value\r\n",
        b"n:\r\n",
        b"Content-Length: 10\r\n",
    ];
    let mut rng = SmallRng::seed_from_u64(9);
    let mut whole = 0;
    for _ in 0..300_000 {
        let mut head = b"first\r\n".to_vec();
        for _ in 0..rng.random_range(0..8) {
            // As likely right as not.
            let from = if rng.random() { 0 } else { 20 };
            head.extend_from_slice(pieces[from..].choose(&mut rng).unwrap());
        }
        let (own, other) = (read(&head), reference(&head));
        whole += u32::from(own.is_ok());
        let text = head.escape_ascii();
        match (&own, &other) {
            // What will be malformed need not be known at once.
            (Err(_), Err(_)) => {}
            _ => assert_eq!(own, other, "{text}"),
        }
    }
    assert!(whole > 30_000, "{whole}");
}

#[test]
fn a_part_is_none_yet_and_no_more_than_the_most_is_read() {
    let head = b"first\r\nname: value\r\nn:\r\n\r\nbody\x00";
    let len = head.len() - 5;
    assert_eq!(read(head).unwrap().1, len);
    for part in 0..len {
        assert_eq!(read(&head[..part]), Err(Stop::Part), "{part}");
        assert_eq!(read_up_to(part, head), Err(Stop::Malformed), "{part}");
    }
}

#[test]
fn the_first_control_is_found_wherever_it_is() {
    for len in [1, 7, 8, 9, 20] {
        let mut bytes = vec![b'a'; len];
        assert_eq!(first_control(&bytes), None);
        for at in 0..len {
            for byte in 0..=u8::MAX {
                bytes[at] = byte;
                let found = byte.is_ascii_control().then_some(at);
                assert_eq!(first_control(&bytes), found, "{byte}");
                // Bytes behind it may be anything.
                if let Some(behind) = bytes.get_mut(at + 1) {
                    *behind = b' ';
                    assert_eq!(first_control(&bytes), found, "{byte}");
                    bytes[at + 1] = b'a';
                }
            }
            bytes[at] = b'a';
        }
    }
}

#[test]
fn names_are_compared_as_tokens_are() {
    let of_a_token: Vec<u8> = (0..=u8::MAX).filter(|byte| is_token(*byte)).collect();
    assert_eq!(of_a_token.len(), 77);
    for a in &of_a_token {
        for b in b"abcdefghijklmnopqrstuvwxyz-" {
            assert_eq!(is_named(&[*a], &[*b]), a.eq_ignore_ascii_case(b));
        }
    }
    assert!(!is_named(b"host", b"hos") && !is_named(b"hos", b"host"));
}
