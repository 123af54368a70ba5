//! The agent's own answers.

use bytes::Bytes;
use dfaas_protocol::delivery::Rejection;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::AnswerBody;

/// An answer of one line of text.
pub fn text(status: StatusCode, text: impl Into<String>) -> Response<AnswerBody> {
    let mut line: String = text.into();
    line.push('\n');
    let mut response = Response::new(AnswerBody::Own(Bytes::from(line)));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// The answer to a client whose call nobody can serve: 404 where nobody has the function, else 503 with `Retry-After`.
pub fn refuse(function: &str, rejection: Rejection) -> Response<AnswerBody> {
    let unavailable = |why: String| {
        let mut response = text(StatusCode::SERVICE_UNAVAILABLE, why);
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        response
    };
    match rejection {
        Rejection::Unknown => text(
            StatusCode::NOT_FOUND,
            format!("function {function} is not deployed here, and no neighbour offers it"),
        ),
        Rejection::Full => unavailable(format!(
            "function {function} is overloaded: no free slot and no room to wait here, and no \
             neighbour takes the call; try again"
        )),
        Rejection::PlatformDown => unavailable(format!(
            "function {function} cannot be served: the platform of this node does not answer, and \
             no neighbour takes the call; try again"
        )),
        Rejection::PlatformRefused => unavailable(format!(
            "function {function} is overloaded: the platform of this node refuses the call, and no \
             neighbour takes it; try again"
        )),
        Rejection::NotTaken => unavailable(format!(
            "function {function} is not deployed here, and no neighbour that has it takes the \
             call; try again"
        )),
        Rejection::OverGrant => unavailable(format!(
            "function {function}: more calls than were granted to this neighbour"
        )),
        Rejection::ByStrategy => unavailable(format!(
            "function {function} is overloaded, and the strategy of this node sheds the call; try again"
        )),
        Rejection::NotHere => unavailable(format!("function {function} is not deployed here")),
        Rejection::Late => unavailable(format!(
            "function {function} cannot answer before the call's deadline; nothing was executed"
        )),
        Rejection::Dropped => unavailable(format!(
            "function {function} is overloaded: the call could not start in time, or calls of \
             higher priority took its place; nothing was executed; try again"
        )),
        Rejection::Closed => unavailable(format!(
            "function {function} does not run here for other nodes"
        )),
    }
}
