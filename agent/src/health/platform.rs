//! The health of the local platform.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use dfaas_protocol::{Health, HealthState, Time};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::deadline;
use crate::platform::Platform;

use super::pause;

/// How often the platform is checked.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a check may take.
const LIMIT: Duration = Duration::from_secs(2);

/// The health of the local platform, shared by the calls that find out about it and the control that tells the
/// neighbours.
#[derive(Debug)]
pub struct PlatformHealth {
    health: Arc<Health>,
    clock: Clock,
    changed: Notify,
}

impl PlatformHealth {
    /// A platform that is healthy until it shows that it is not.
    pub fn new(clock: Clock) -> PlatformHealth {
        PlatformHealth {
            health: Arc::default(),
            clock,
            changed: Notify::new(),
        }
    }

    /// What the gates of its functions ask.
    pub const fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Whether calls may be sent there, be it only some.
    pub fn is_up(&self) -> bool {
        self.health.state() != HealthState::Ejected
    }

    /// It answered a call, whatever it said.
    pub fn call_succeeded(&self) {
        self.tell(self.health.call_succeeded(|| self.clock.now()));
    }

    /// A call that was sent at `sent` was not connected, or its connection broke.
    pub fn call_failed(&self, sent: Time) {
        self.tell(self.health.call_failed(sent, self.clock.now()));
    }

    /// It is known to be down.
    pub fn is_down(&self) {
        self.tell(self.health.eject(self.clock.now()));
    }

    /// Waits until the state is another.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn checked(&self, passed: bool) {
        let now = self.clock.now();
        self.tell(if passed {
            self.health.check_passed(now)
        } else {
            self.health.check_failed(now)
        });
    }

    fn tell(&self, change: Option<HealthState>) {
        match change {
            Some(HealthState::Ejected) => tracing::warn!(
                "the platform does not answer; nothing is offered, and calls go to neighbours"
            ),
            Some(HealthState::Probation) => {
                tracing::info!("the platform answers again; it is let in step by step");
            }
            Some(HealthState::Healthy) => tracing::info!("the platform is healthy again"),
            // Nobody suspects a platform: it is asked.
            Some(HealthState::Suspected) | None => return,
        }
        self.changed.notify_one();
    }
}

/// Checks the platform for ever.
pub async fn watch_platform(health: Arc<PlatformHealth>, platform: Arc<dyn Platform>) {
    loop {
        let passed = deadline::within(LIMIT, pin!(platform.healthy())).await;
        let passed = passed.unwrap_or(false);
        health.checked(passed);
        tokio::time::sleep(pause(INTERVAL, passed, health.health.state())).await;
    }
}
