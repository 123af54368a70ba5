use dfaas_agent::datapath::decoders;

use super::cuts;
use crate::judge;

/// The frames of a trunk, and the requests in them: wherever the pieces end they are the same, each is written as it was read, and
/// a request that is passed on is whole and harmless.
///
/// # Panics
/// If not.
pub fn trunk(input: &[u8]) {
    let whole = decoders::trunk([input]);
    for pieces in cuts(input) {
        assert_eq!(decoders::trunk(pieces), whole);
    }
    if let Some(written) = whole {
        assert!(input.starts_with(&written), "a frame has two forms");
    }
    // As if it had come in a frame of its own.
    if let Some(request) = decoders::request(input) {
        let head = &input[..request.len];
        assert!(request.function.len() < request.len);
        if judge::FUNCTIONS
            .iter()
            .any(|name| name.as_bytes() == request.function)
        {
            let head = &head[..head.len() - 4];
            judge::harmless(head).unwrap_or_else(|wrong| panic!("{wrong}"));
        }
    }
}
