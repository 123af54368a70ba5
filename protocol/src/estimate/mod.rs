//! Rates and times, estimated, and predictions of trained models. `now` is always a parameter.

mod account;
mod decayed;
mod late;
mod levels;
pub mod lightgbm;
mod limit;
mod linear;
mod loss;
mod rate;
mod samples;
mod tail;
mod token_bucket;

pub use decayed::DecayedMean;
pub use limit::Limiter;
pub use linear::LinearModel;
pub use rate::RateMeter;
pub use samples::Samples;
pub use tail::Tail;
pub use token_bucket::TokenBucket;
