//! What a lab makes an agent do wrong. The orders come from the process that started it, a JSON value a line of standard
//! input, so that nobody else can give them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use serde::{Deserialize, Serialize};

use crate::datapath::Shared;
use crate::overlay::Overlay;
use crate::platform::Pace;

/// An order. It holds until the next one of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Functions of the embedded platform take so many times longer, from 1e-6 to 1e6.
    Slow(f64),
    /// The share of the messages to neighbours that is lost, from 0 to 1.
    Lose(f64),
    /// Whether the node says, in offers and answers, that all its capacity is free.
    Lie(bool),
}

/// Who carries orders out.
#[derive(Clone)]
pub(super) struct Obedient {
    pub(super) pace: Arc<Pace>,
    pub(super) overlay: Overlay,
    pub(super) shared: Arc<Shared>,
}

impl Obedient {
    /// Carries out the order in a line.
    pub(super) fn obey(&self, line: &str) {
        match serde_json::from_str(line) {
            Ok(Order::Slow(times)) => self.pace.slow(times),
            Ok(Order::Lose(share)) => self.overlay.lose(share),
            Ok(Order::Lie(lies)) => self.shared.lies.store(lies, Relaxed),
            Err(error) => tracing::error!(%error, line, "this is no order of a lab; it is ignored"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_short_lines() {
        for (order, line) in [
            (Order::Slow(3.0), r#"{"slow":3.0}"#),
            (Order::Lose(0.5), r#"{"lose":0.5}"#),
            (Order::Lie(true), r#"{"lie":true}"#),
        ] {
            assert_eq!(serde_json::to_string(&order).unwrap(), line);
            assert_eq!(serde_json::from_str::<Order>(line).unwrap(), order);
        }
    }
}
