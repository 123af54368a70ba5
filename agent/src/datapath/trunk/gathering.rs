//! Gathering frames before they are sent.

use std::task::Context;

use crate::datapath::wake_after_sockets;

/// With so many bytes there is nothing to wait for.
const ENOUGH: usize = 128 * 1024;
/// Turns of the runtime that frames wait at most.
const MOST_TURNS: u8 = 32;
/// Turns in a row that may bring nothing.
const MOST_EMPTY: u8 = 3;

/// Frames that wait for more, one turn of the runtime after the other: what is ready to be read now joins them, and no time is waited
/// for. A turn that brings nothing ends it, unless more turns than that brought something: then what they wait for comes one by one,
/// about as fast as a turn goes by, and a turn costs less than to send each by itself and wake the other end for it.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    bytes: usize,
    /// Turns that brought something.
    fruitful: u8,
    /// Turns since then.
    empty: u8,
    turns: u8,
}

impl Gathering {
    /// Whether so many bytes are to wait for more. Their task is woken then when the runtime has looked at all sockets.
    pub(crate) fn goes_on(&mut self, bytes: usize, cx: &mut Context<'_>) -> bool {
        if bytes > self.bytes {
            self.bytes = bytes;
            self.fruitful += 1;
            self.empty = 0;
        } else {
            self.empty += 1;
        }
        let patience = self.fruitful.min(MOST_EMPTY + 1);
        let goes_on = self.empty < patience && bytes < ENOUGH && self.turns < MOST_TURNS;
        if goes_on {
            self.turns += 1;
            wake_after_sockets(cx);
        } else {
            *self = Gathering::default();
        }
        goes_on
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;

    /// How many turns it goes on when these are the bytes that wait, one turn after the other; the last ones for ever.
    async fn turns(bytes: impl IntoIterator<Item = usize>) -> usize {
        let mut gathering = Gathering::default();
        let mut bytes = bytes.into_iter();
        let (mut last, mut turns) = (0, 0);
        poll_fn(move |cx| {
            loop {
                last = bytes.next().unwrap_or(last);
                if !gathering.goes_on(last, cx) {
                    return Poll::Ready(turns);
                }
                turns += 1;
            }
        })
        .await
    }

    #[tokio::test]
    async fn a_frame_waits_one_turn_and_more_of_them_longer() {
        assert_eq!(turns([0]).await, 0);
        assert_eq!(turns([100]).await, 1);
        assert_eq!(turns([100, 200]).await, 3);
        assert_eq!(turns([100, 200, 300]).await, 5);
        assert_eq!(turns([100, 200, 300, 400, 500, 600]).await, 9);
    }

    #[tokio::test]
    async fn what_comes_after_empty_turns_is_waited_for_as_well() {
        assert_eq!(turns([100, 200, 200, 300, 300, 300, 400]).await, 10);
    }

    #[tokio::test]
    async fn no_frame_waits_for_ever() {
        assert_eq!(turns(1..).await, usize::from(MOST_TURNS));
        assert_eq!(turns([100, ENOUGH]).await, 1);
    }
}
