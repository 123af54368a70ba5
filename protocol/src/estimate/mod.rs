//! Rates and times, estimated, and predictions of trained models. `now` is always a parameter.

pub mod lightgbm;
mod linear;
mod rate;
mod token_bucket;

pub use linear::LinearModel;
pub use rate::RateMeter;
pub use token_bucket::TokenBucket;
