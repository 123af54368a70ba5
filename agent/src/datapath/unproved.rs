//! Connections whose other end has not proved yet who it is. They cost a file descriptor and a timer each, and anybody can make
//! them: so there are only so many. One too many ends the oldest, since a node that means it proves itself within milliseconds.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::remote::party_of;

/// The most in all.
const MOST: usize = 1024;
/// The most of one address; of IPv6, of one network of 64 bits.
const MOST_OF_ONE: usize = 128;

/// Those that there are, over all threads.
#[derive(Debug, Default)]
pub struct Unproved(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// In the order in which they came.
    waiting: BTreeMap<u64, Waiting>,
    of_one: HashMap<IpAddr, usize>,
    next: u64,
}

#[derive(Debug)]
struct Waiting {
    address: IpAddr,
    /// Dropped to end it.
    _end: oneshot::Sender<()>,
}

/// The place of one connection, given up when it is dropped.
#[derive(Debug)]
pub struct Place {
    all: Arc<Unproved>,
    number: u64,
    ended: oneshot::Receiver<()>,
}

impl Unproved {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from that address.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Place {
        let address = party_of(address);
        let (end, ended) = oneshot::channel();
        let mut table = self.lock();
        if table.of_one.get(&address).copied().unwrap_or(0) >= MOST_OF_ONE {
            table.end_oldest(|waiting| waiting.address == address);
        }
        if table.waiting.len() >= MOST {
            table.end_oldest(|_| true);
        }
        let number = table.next;
        table.next += 1;
        table.waiting.insert(number, Waiting { address, _end: end });
        *table.of_one.entry(address).or_default() += 1;
        drop(table);
        Place {
            all: Arc::clone(self),
            number,
            ended,
        }
    }
}

impl Table {
    fn end_oldest(&mut self, among: impl Fn(&Waiting) -> bool) {
        let mut waiting = self.waiting.iter();
        if let Some((number, _)) = waiting.find(|(_, waiting)| among(waiting)) {
            let number = *number;
            self.leave(number);
        }
    }

    fn leave(&mut self, number: u64) {
        let Some(Waiting { address, .. }) = self.waiting.remove(&number) else {
            return; // It was ended.
        };
        if let Some(count) = self.of_one.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.of_one.remove(&address);
            }
        }
    }
}

impl Place {
    /// Does that, unless others need the place before it is done.
    pub async fn hold<T>(mut self, proving: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            // Who has proved itself needs the place no more.
            biased;
            done = proving => Some(done),
            _ = &mut self.ended => None,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.lock().leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn ip(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from(0x0a00_0000 + n).into()
    }

    fn is_ended(place: &mut Place) -> bool {
        place.ended.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[tokio::test]
    async fn of_one_address_the_oldest_goes_and_others_stay() {
        let all = Arc::<Unproved>::default();
        let mut other = all.enter(ip(1));
        let mut places: Vec<_> = (0..MOST_OF_ONE + 2).map(|_| all.enter(ip(2))).collect();
        let ended = places.iter_mut().filter_map(|p| is_ended(p).then_some(()));
        assert_eq!(ended.count(), 2);
        assert!(is_ended(&mut places[0]) && is_ended(&mut places[1]));
        assert!(!is_ended(&mut other));
        let newest = places.pop().unwrap();
        let more: Vec<_> = (0..MOST_OF_ONE).map(|_| all.enter(ip(2))).collect();
        assert_eq!(newest.hold(pending::<()>()).await, None);
        drop(more);
        assert_eq!(other.hold(ready(7)).await, Some(7));
        drop(places);
        let table = all.lock();
        assert!(table.waiting.is_empty() && table.of_one.is_empty());
    }

    #[test]
    fn in_all_there_are_only_so_many() {
        let all = Arc::<Unproved>::default();
        let mut places: Vec<_> = (0..2 * MOST).map(|n| all.enter(ip(n as u32))).collect();
        assert_eq!(all.lock().waiting.len(), MOST);
        assert!(places[..MOST].iter_mut().all(is_ended));
        assert!(!places[MOST..].iter_mut().any(is_ended));
    }
}
