//! Rates and times, estimated. `now` is always a parameter.

mod decayed;
mod limit;
mod rate;
mod samples;
mod token_bucket;

pub use decayed::DecayedMean;
pub use limit::Limiter;
pub use rate::RateMeter;
pub use samples::Samples;
pub use token_bucket::TokenBucket;
