//! What the environment and flags override.
