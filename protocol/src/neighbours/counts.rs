//! What became of offers that were not taken as they are.

/// Counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfferCounts {
    /// Offers that were older than one that was already heard.
    pub stale: u64,
    /// Functions of which an offer claimed more than is believed.
    pub cut: u64,
    /// Offers that named too many functions.
    pub refused: u64,
}
