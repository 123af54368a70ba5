use std::pin::pin;

use super::super::frame::WINDOW;
use super::*;

fn calls(body: &[u8]) -> (Rc<Calls>, TrunkCall) {
    let there = There {
        node: "n".into(),
        ip: "192.0.2.1".into(),
    };
    Calls::with(there, Asked::default(), [b"head ", body])
}

/// What the connection's task would send.
fn handed_over(calls: &Calls) -> Vec<u8> {
    let mut sent = Vec::new();
    let cx = Context::from_waker(Waker::noop());
    calls.hand_over(&mut sent, &cx);
    sent
}

fn data(call: u32, bytes: &[u8], last: bool) -> Frame<'_> {
    Frame::Data { call, bytes, last }
}

fn answer(call: u32, bytes: &[u8], last: bool) -> Frame<'_> {
    Frame::Answer {
        call,
        headroom: None,
        bytes,
        last,
    }
}

#[tokio::test]
async fn calls_are_answered_in_any_order() {
    let (calls, mut first) = calls(b"first");
    let mut second = calls.call(Asked::default(), [b"head ", b"second"]).unwrap();
    let sent = handed_over(&calls);
    let (frame, len) = Frame::read(&sent).unwrap().unwrap();
    assert_eq!(
        frame,
        Frame::Call {
            call: 1,
            asked: Asked::default(),
            request: b"head first"
        }
    );
    assert!(Frame::read(&sent[len..]).unwrap().is_some());
    {
        let mut waits = pin!(first.begins());
        assert!(futures::poll!(&mut waits).is_pending());
    }
    calls
        .take_in(answer(2, b"two", true), Instant::now())
        .unwrap();
    calls
        .take_in(answer(1, b"on", false), Instant::now())
        .unwrap();
    calls.take_in(data(1, b"e", true), Instant::now()).unwrap();
    first.begins().await.unwrap();
    let mut input = BytesMut::new();
    second.begins().await.unwrap();
    while second.more(&mut input).await.unwrap() {}
    while first.more(&mut input).await.unwrap() {}
    assert_eq!(input, "twoone"[..]);
    drop((first, second));
    assert!(calls.is_empty());
    assert_eq!(
        handed_over(&calls),
        b"",
        "calls that ended are not given up"
    );
}

#[tokio::test]
async fn what_was_not_handed_over_can_be_tried_elsewhere() {
    let (calls, mut sent) = calls(b"sent");
    handed_over(&calls);
    let mut unsent = calls.call(Asked::default(), [b"head ", b"unsent"]).unwrap();
    calls.end(calls.handed(), true, "the connection broke");
    assert!(matches!(sent.begins().await, Err(Failed::Broken { .. })));
    let failed = unsent.begins().await;
    assert!(matches!(failed, Err(Failed::Unsent { against: true, .. })));
    assert!(calls.call(Asked::default(), [b"head ", b"later"]).is_none());
}

#[tokio::test]
async fn a_call_that_is_dropped_is_given_up_at_the_other_end() {
    let (calls, call) = calls(b"x");
    drop(call);
    let sent = handed_over(&calls);
    let (_, len) = Frame::read(&sent).unwrap().unwrap();
    let (frame, _) = Frame::read(&sent[len..]).unwrap().unwrap();
    assert_eq!(frame, Frame::Reset { call: 1 });
    // Its answer was on its way.
    assert_eq!(
        calls.take_in(answer(1, b"late", false), Instant::now()),
        Ok(())
    );
    assert_eq!(
        calls.take_in(data(1, b"later", true), Instant::now()),
        Ok(())
    );
}

#[tokio::test]
async fn more_is_asked_for_when_what_came_was_taken() {
    let (calls, mut call) = calls(b"x");
    handed_over(&calls);
    let half = vec![7; (WINDOW / 2) as usize];
    calls
        .take_in(answer(1, &half, false), Instant::now())
        .unwrap();
    calls
        .take_in(data(1, &half, false), Instant::now())
        .unwrap();
    // The window is used up, and nothing was taken.
    assert_eq!(handed_over(&calls), b"");
    let mut input = BytesMut::new();
    assert!(call.more(&mut input).await.unwrap());
    let sent = handed_over(&calls);
    let (frame, _) = Frame::read(&sent).unwrap().unwrap();
    assert_eq!(
        frame,
        Frame::More {
            call: 1,
            bytes: WINDOW
        }
    );
    assert_eq!(calls.take_in(data(1, &half, false), Instant::now()), Ok(()));
    assert_eq!(calls.take_in(data(1, &half, false), Instant::now()), Ok(()));
    assert_eq!(
        calls.take_in(data(1, b"x", false), Instant::now()),
        Err(Malformed)
    );
}

#[test]
fn what_nobody_asked_for_is_refused() {
    for frames in [
        vec![answer(9, b"", true)],
        vec![answer(0, b"", true)],
        vec![data(1, b"before its head", false)],
        vec![answer(1, b"", false), answer(1, b"", false)],
        vec![answer(1, b"", true), data(1, b"", true)],
        vec![answer(1, b"", true), Frame::Reset { call: 1 }],
        vec![Frame::More { call: 1, bytes: 1 }],
        vec![Frame::Call {
            call: 1,
            asked: Asked::default(),
            request: b"",
        }],
    ] {
        let (calls, _call) = calls(b"x");
        handed_over(&calls);
        let (last, before) = frames.split_last().unwrap();
        for frame in before {
            calls.take_in(*frame, Instant::now()).unwrap();
        }
        assert_eq!(
            calls.take_in(*last, Instant::now()),
            Err(Malformed),
            "{frames:?}"
        );
    }
    // Before the call was sent.
    let (calls, _call) = calls(b"x");
    assert_eq!(
        calls.take_in(answer(1, b"", true), Instant::now()),
        Err(Malformed)
    );
}
