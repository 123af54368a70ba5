//! Rates and times, estimated, and predictions of trained models. `now` is always a parameter.

pub mod lightgbm;
mod rate;
mod token_bucket;

pub use rate::RateMeter;
pub use token_bucket::TokenBucket;
