use dfaas_agent::datapath::decoders::{self, Answer};

use super::cuts;

/// What a platform or a neighbour answers: a head has one end, what the client gets of it is read as the same, and a chunked body
/// ends in one place wherever the pieces end. The first byte says which is read.
///
/// # Panics
/// If not.
pub fn http(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else {
        return;
    };
    match kind % 3 {
        0 => chunks(bytes),
        kind => head(bytes, kind == 1),
    }
}

fn chunks(bytes: &[u8]) {
    let whole = decoders::chunks([bytes]);
    for pieces in cuts(bytes) {
        assert_eq!(decoders::chunks(pieces), whole);
    }
    if let Some((followed, true)) = whole {
        assert_eq!(decoders::chunks([&bytes[..followed]]), whole);
        let part = decoders::chunks([&bytes[..followed - 1]]);
        assert_eq!(part, Some((followed - 1, false)));
    }
}

fn head(bytes: &[u8], head_only: bool) {
    let found = decoders::answer(bytes, head_only);
    let (len, whole) = match &found {
        Answer::Interim(len) => (*len, None),
        Answer::Whole {
            len,
            status,
            written,
        } => (*len, Some((status, written))),
        Answer::Part | Answer::Broken => return,
    };
    assert_eq!(decoders::answer(&bytes[..len], head_only), found);
    assert_eq!(decoders::answer(&bytes[..len - 1], head_only), Answer::Part);
    let Some((status, written)) = whole else {
        return;
    };
    let mut again = written.clone();
    again.extend_from_slice(b"\r\n");
    let expected = Answer::Whole {
        len: again.len(),
        status: *status,
        written: written.clone(),
    };
    assert_eq!(decoders::answer(&again, head_only), expected);
}
