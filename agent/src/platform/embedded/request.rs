//! What the embedded gateway and its functions read of a request.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

/// The most that is read of a body that nobody wants, in bytes.
const MAX_DISCARDED: usize = 256 * 1024;
/// How long the rest of such a body may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);

/// The value of a parameter of a query.
pub(super) fn parameter<'q>(query: Option<&'q str>, name: &str) -> Option<&'q str> {
    query?
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// Reads a body to its end; as long as something is left of it, a client that goes away is not noticed.
pub(super) async fn drain(mut body: Incoming) -> hyper::Result<()> {
    while !body.is_end_stream() {
        if body.frame().await.transpose()?.is_none() {
            break;
        }
    }
    Ok(())
}

/// Reads a body that nobody wants, beside the answer: a connection whose request was not read to the end cannot be used
/// again, and closing it under a sending client may cost it the answer.
pub(super) fn discard(mut body: Incoming) {
    if body.is_end_stream() {
        return;
    }
    let reading = async move {
        let mut read = 0;
        while read <= MAX_DISCARDED {
            match body.frame().await {
                Some(Ok(frame)) => read += frame.data_ref().map_or(0, |data| data.len()),
                Some(Err(_)) | None => return,
            }
        }
    };
    tokio::spawn(tokio::time::timeout(DISCARD_TIMEOUT, reading));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_by_its_whole_name() {
        let query = Some("msx=1&ms=20&ms=30&empty=");
        assert_eq!(parameter(query, "ms"), Some("20"));
        assert_eq!(parameter(query, "empty"), Some(""));
        assert_eq!(parameter(query, "m"), None);
        assert_eq!(parameter(None, "ms"), None);
    }
}
