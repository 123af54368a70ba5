//! Rates and times, estimated. `now` is always a parameter.

mod rate;
mod token_bucket;

pub use rate::RateMeter;
pub use token_bucket::TokenBucket;
