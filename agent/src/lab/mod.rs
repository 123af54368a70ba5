//! The lab: a scenario of the simulator, run by real agents in real time.
//!
//! Its nodes are agents in processes of their own with embedded platforms. They reach each other only over relays, one for
//! each direction of a link, which do to bytes what the scenario says of links. The network, the load and each call's service time are
//! drawn by the simulator's own code, so that both run the very same experiment. Each agent may have a network of its own.

mod account;
pub(crate) mod compare;
mod config;
mod faults;
mod load;
mod namespaces;
mod process;
mod relay;
mod run;
mod site;
mod warm;

pub(crate) use process::{AgentProcess, LOOK, stop as stop_agents};
pub(crate) use run::run;
