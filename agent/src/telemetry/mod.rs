//! What the agent tells about itself while it runs.

pub mod logging;
