//! What time it is outside, as one thread tells it in the heads of calls.

use std::cell::{Cell, RefCell};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// How long one look at the clock of the system holds: whoever sets that clock is followed within this time.
const HOLDS: Duration = Duration::from_secs(1);

/// Tells the time of moments that were looked at before, so that a call looks at one clock only.
#[derive(Debug)]
pub struct WallClock {
    /// A moment, and the Unix time of it.
    looked: Cell<(Instant, Duration)>,
    /// The last date, with the second that it is of.
    date: RefCell<(u64, String)>,
}

impl WallClock {
    /// A clock that has looked.
    pub fn start() -> WallClock {
        WallClock {
            looked: Cell::new(look()),
            date: RefCell::default(),
        }
    }

    /// The Unix time of a moment that has just passed.
    pub fn at(&self, moment: Instant) -> Duration {
        let (looked, unix) = self.looked.get();
        match moment.checked_duration_since(looked) {
            Some(since) if since < HOLDS => unix + since,
            Some(_) => {
                let (now, unix) = look();
                self.looked.set((now, unix));
                unix.saturating_sub(now.saturating_duration_since(moment))
            }
            None => unix.saturating_sub(looked.saturating_duration_since(moment)),
        }
    }

    /// Appends the date of a moment that has just passed, as an IMF-fixdate (RFC 9110, 5.6.7). Its text is made once a second.
    pub fn write_date(&self, moment: Instant, out: &mut Vec<u8>) {
        let unix = self.at(moment).as_secs();
        let mut date = self.date.borrow_mut();
        if date.0 != unix || date.1.is_empty() {
            *date = (unix, text(unix));
        }
        out.extend_from_slice(date.1.as_bytes());
    }
}

fn look() -> (Instant, Duration) {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH);
    (Instant::now(), unix.unwrap_or_default())
}

fn text(unix: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn moments_keep_their_distance_and_old_looks_do_not_hold() {
        let clock = WallClock::start();
        let (looked, unix) = clock.looked.get();
        let ms = Duration::from_millis;
        assert_eq!(clock.at(looked + ms(999)), unix + ms(999));
        assert_eq!(clock.at(looked - ms(5)), unix - ms(5));
        assert_eq!(clock.looked.get(), (looked, unix));
        // As if the system's clock had been set forward since the last look, an hour ago.
        let (hour, now) = (SECOND * 3600, Instant::now());
        clock.looked.set((now - hour, unix - hour * 2));
        let told = clock.at(now);
        assert!(told.abs_diff(unix) < hour / 2, "{told:?}, {unix:?}");
        assert!(clock.looked.get().0 >= now);
    }

    #[test]
    fn a_date_changes_with_the_second() {
        let now = Instant::now();
        let clock = WallClock::start();
        let date = |millis| {
            clock.looked.set((now, Duration::from_millis(millis)));
            let mut out = Vec::new();
            clock.write_date(now, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(date(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(784_111_777_999), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(784_111_778_000), "Sun, 06 Nov 1994 08:49:38 GMT");
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
