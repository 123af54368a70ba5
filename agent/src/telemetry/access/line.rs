//! A line of the access log.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use dfaas_protocol::{FunctionName, NodeId};
use serde::Serialize;

use crate::routing::Outcome;
use crate::telemetry::turned_away::TurnedAway;

/// The most that is logged of an id that a caller gave, and of a path, in bytes.
const LONGEST: usize = 1024;

/// What is known of a call. It is put into words by the thread that writes.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) time: SystemTime,
    pub(super) call_id: Option<Box<str>>,
    pub(super) client: IpAddr,
    pub(super) method: Box<str>,
    pub(super) path: Box<str>,
    pub(super) function: Option<FunctionName>,
    pub(super) status: u16,
    pub(super) outcome: Outcome,
    /// Why it never became a call, if it did not.
    pub(super) turned_away: Option<TurnedAway>,
    pub(super) node: Option<NodeId>,
    pub(super) attempts: u32,
    pub(super) bytes_in: Option<u64>,
    pub(super) bytes_out: u64,
    pub(super) total: Duration,
    pub(super) upstream: Option<Duration>,
}

/// The line as it is written. Field names are a contract with whoever reads the log: add, do not rename.
#[derive(Serialize)]
struct Words<'a> {
    time: String,
    call_id: Option<&'a str>,
    client: IpAddr,
    method: &'a str,
    path: &'a str,
    function: Option<&'a str>,
    status: u16,
    outcome: &'static str,
    node: Option<NodeId>,
    attempts: u32,
    bytes_in: Option<u64>,
    bytes_out: u64,
    ms: f64,
    upstream_ms: Option<f64>,
    turned_away: Option<&'static str>,
}

impl Line {
    /// Appends the line with its end.
    pub(super) fn append(&self, text: &mut Vec<u8>) {
        let words = Words {
            time: rfc3339(self.time),
            call_id: self.call_id.as_deref(),
            client: self.client.to_canonical(),
            method: &self.method,
            path: &self.path,
            function: self.function.as_ref().map(FunctionName::as_str),
            status: self.status,
            outcome: self.outcome.as_str(),
            node: self.node,
            attempts: self.attempts,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            ms: milliseconds(self.total),
            upstream_ms: self.upstream.map(milliseconds),
            turned_away: self.turned_away.map(TurnedAway::as_str),
        };
        let before = text.len();
        match serde_json::to_writer(&mut *text, &words) {
            Ok(()) => text.push(b'\n'),
            // Plain values written to memory do not fail; if they do, no half line may stay.
            Err(_) => text.truncate(before),
        }
    }
}

/// No more of it than is logged.
pub(super) fn shortened(text: &str) -> Box<str> {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}

/// With three digits after the point.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

/// A time in UTC as RFC 3339 writes it, to the millisecond.
fn rfc3339(time: SystemTime) -> String {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let millis = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The date that is so many days after 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| {
        let fourth = year.is_multiple_of(4);
        fourth && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    // Four hundred years always have the same number of days.
    let mut year = 1970 + days / 146_097 * 400;
    let mut left = days % 146_097;
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if left < length {
            break;
        }
        left -= length;
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    (year, month as u64 + 1, left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_has_them() {
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (13_574_563_200_000, "2400-02-29T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(at(millis)), text);
        }
    }

    #[test]
    fn a_line_is_an_object() {
        let line = Line {
            time: SystemTime::UNIX_EPOCH,
            call_id: Some("a\"b\u{fffd}".into()),
            client: "::ffff:192.0.2.1".parse().unwrap(),
            method: "POST".into(),
            path: "/function/f/x".into(),
            function: Some(FunctionName::parse("f").unwrap()),
            status: 200,
            outcome: Outcome::RunHere,
            turned_away: None,
            node: Some(NodeId::from_key([1; 32])),
            attempts: 1,
            bytes_in: None,
            bytes_out: 7,
            total: Duration::from_micros(1500),
            upstream: Some(Duration::from_micros(1001)),
        };
        let mut text = Vec::new();
        line.append(&mut text);
        line.append(&mut text);
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert_eq!(shortened(&"ä".repeat(LONGEST)).len(), LONGEST);
        let read: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let node = NodeId::from_key([1; 32]).to_string();
        let expected = serde_json::json!({
            "time": "1970-01-01T00:00:00.000Z", "call_id": "a\"b\u{fffd}", "client": "192.0.2.1",
            "method": "POST", "path": "/function/f/x", "function": "f.openfaas-fn", "status": 200,
            "outcome": "run_here", "node": node, "attempts": 1, "bytes_in": null, "bytes_out": 7,
            "ms": 1.5, "upstream_ms": 1.001, "turned_away": null,
        });
        assert_eq!(read, expected);
    }
}
