//! Plain HTTP/1.1: heads that are read from bytes strictly and written anew, bodies that are followed to their end, and
//! exchanges in which bytes go out and come in. No message is built up.

mod answer;
mod chunks;
mod exchange;
mod head_lines;
mod left;
mod left_out;
mod request;
mod span;

pub(crate) use answer::{Body as AnswerEnd, Found as AnswerFound, Head as AnswerHead};
pub(crate) use chunks::Chunks;
pub(crate) use exchange::{Answer, Failed, Source, exchange, exchange_over};
pub(crate) use left::Left;
pub(crate) use request::{Added, Found, Head, Limits, is_host};
pub(crate) use span::Span;
