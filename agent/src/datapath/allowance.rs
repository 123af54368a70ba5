//! What each neighbour may bring on the peer channel, over all its connections.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::{fmt, io};

use dfaas_protocol::allowance::{Allowance, Rates};
use dfaas_protocol::{NodeId, Time};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::Clock;

/// How many seconds' worth may come at once.
const BURST_S: u32 = 1;
/// More nodes are not remembered than this, but for those that are connected.
const MOST: usize = 1024;
/// The most connections of one neighbour at a time. One that forwards calls opens one for each that is no plain call.
const MOST_CONNECTIONS: u32 = 1024;

/// The allowances of all neighbours.
pub struct Allowances {
    rates: Rates,
    clock: Clock,
    table: Mutex<HashMap<NodeId, Arc<Neighbour>>>,
    refused: AtomicU64,
}

#[derive(Debug)]
struct Neighbour {
    allowance: Allowance,
    connections: AtomicU32,
}

/// A connection that counts itself out when it is dropped.
#[derive(Debug)]
struct Counted(Arc<Neighbour>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

impl fmt::Debug for Allowances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Allowances({:?})", self.rates)
    }
}

impl Allowances {
    /// Full ones.
    pub fn new(rates: Rates, clock: Clock) -> Allowances {
        Allowances {
            rates,
            clock,
            table: Mutex::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// What is left for a node on a new connection of its own; nothing if it has too many.
    pub fn connection(self: &Arc<Self>, node: NodeId) -> Option<Metered> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= MOST {
            table.retain(|_, neighbour| Arc::strong_count(neighbour) > 1);
        }
        let neighbour = table.entry(node).or_insert_with(|| {
            Arc::new(Neighbour {
                allowance: Allowance::new(self.rates, BURST_S),
                connections: AtomicU32::new(0),
            })
        });
        let before = neighbour.connections.fetch_add(1, Relaxed);
        let connection = Arc::new(Counted(Arc::clone(neighbour)));
        (before < MOST_CONNECTIONS).then(|| Metered {
            all: Arc::clone(self),
            connection,
            rest: 0,
        })
    }

    /// Calls that were refused, as their neighbour brought too many.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }
}

/// A connection's part of a neighbour's allowance.
#[derive(Debug)]
pub struct Metered {
    all: Arc<Allowances>,
    connection: Arc<Counted>,
    rest: u64,
}

impl Metered {
    /// Takes one call. Returns whether it may be taken; if not it is to be refused.
    pub fn take(&self, now: Time) -> bool {
        let takes = self.connection.0.allowance.take(now);
        if !takes {
            self.all.refused.fetch_add(1, Relaxed);
        }
        takes
    }

    /// So many bytes came.
    pub fn weigh(&mut self, bytes: usize) {
        let now = self.all.clock.now();
        let neighbour = &self.connection.0;
        neighbour.allowance.weigh(bytes, &mut self.rest, now);
    }

    /// The same for another part of the connection.
    pub fn again(&self) -> Metered {
        Metered {
            all: Arc::clone(&self.all),
            connection: Arc::clone(&self.connection),
            rest: 0,
        }
    }
}

/// A stream whose bytes are weighed as they come.
#[derive(Debug)]
pub struct Weighed<S> {
    stream: S,
    metered: Metered,
}

impl<S> Weighed<S> {
    /// That stream.
    pub const fn new(stream: S, metered: Metered) -> Weighed<S> {
        Weighed { stream, metered }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Weighed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let bytes = buf.filled().len() - before;
        if bytes > 0 {
            self.metered.weigh(bytes);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Weighed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    fn allowances(count: u32, bytes: u64) -> Arc<Allowances> {
        Arc::new(Allowances::new(Rates { count, bytes }, Clock::start()))
    }

    const NODE: NodeId = NodeId::from_key([7; 32]);

    #[test]
    fn a_neighbour_gets_no_more_by_more_connections() {
        let all = allowances(5, 0);
        let (a, b) = (all.connection(NODE).unwrap(), all.connection(NODE).unwrap());
        let taken = [&a, &b].map(|c| (0..10).filter(|_| c.take(Time::ZERO)).count());
        assert_eq!(taken, [5, 0]);
        assert_eq!(all.refused(), 15);
        let other = all.connection(NodeId::from_key([8; 32])).unwrap();
        assert!(other.take(Time::ZERO));
    }

    #[test]
    fn only_those_are_remembered_that_are_connected_where_there_are_many() {
        let all = allowances(1, 0);
        let _stays = all.connection(NODE);
        for n in 0..3000u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&n.to_be_bytes());
            all.connection(NodeId::from_key(key));
        }
        let table = all.table.lock().unwrap();
        assert!(table.len() <= MOST && table.contains_key(&NODE));
    }

    #[test]
    fn connections_count_while_a_part_of_them_is_there() {
        let all = allowances(1, 0);
        let mut there: Vec<_> = (0..MOST_CONNECTIONS)
            .map(|_| all.connection(NODE).unwrap())
            .collect();
        assert!(all.connection(NODE).is_none());
        assert!(all.connection(NodeId::from_key([8; 32])).is_some());
        let part = there.pop().map(|last| last.again());
        assert!(all.connection(NODE).is_none());
        drop(part);
        assert!(all.connection(NODE).is_some());
    }

    #[tokio::test]
    async fn what_is_read_is_weighed() {
        let all = allowances(0, 10 * 1024);
        let metered = all.connection(NODE).unwrap();
        let (call, bytes) = (metered.again(), vec![0; 100 * 1024]);
        let mut stream = Weighed::new(&bytes[..], metered);
        let now = Time::ZERO;
        assert!(call.take(now));
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        assert_eq!(read.len(), bytes.len());
        assert!(!call.take(now));
    }
}
