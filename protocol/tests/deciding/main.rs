//! What is decided: the strategies against figures worked out by hand, and deliveries, gates and weights against whatever
//! proptest finds.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod all_local;
mod any_route;
mod auction;
mod balancers;
mod costs;
mod delivery;
mod external;
mod gate;
mod headroom;
mod health;
mod near;
mod platform;
mod recalc;
mod site;
mod standing;
mod static_share;
mod usage;
mod weights;
