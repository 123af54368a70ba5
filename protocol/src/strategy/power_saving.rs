//! `power-saving`: as `node-margin`, but a node sheds load before it draws the power that it may.
//!
//! With MaxP = 0.70 · the limit of power: U = 100·P/MaxP of the predicted power P alone; the node is overloaded where
//! P > MaxP or any other limit is exceeded. The rest is [`node-margin`](super::NodeMargin)'s. Where power has no limit, the
//! CPU stands for it, as power grows with its use: MaxP is 0.70 · the limit of the CPU. Source: the reference's strategy of that
//! name in its second simulator. Not taken over: the load that is reduced by one call for each step of many, which goes on
//! sending long after the node is relieved.

use rand::Rng;

use super::prediction::Prediction;
use super::shedding::Shedding;
use super::usage::Limits;
use super::{NodeSettings, Observation, Plan, Strategy};

/// The part of the limit that is used.
const SAVING: f64 = 0.70;

/// The strategy `power-saving`.
#[derive(Debug)]
pub struct PowerSaving(Shedding);

impl PowerSaving {
    /// With those limits and groups.
    pub fn new(settings: &NodeSettings) -> PowerSaving {
        let limits = settings.limits;
        let points = match limits.power_microwatts {
            Some(power) => Limits {
                power_microwatts: Some(SAVING * power),
                ..Limits::default()
            },
            None => Limits {
                cpu_percent: limits.cpu_percent.map(|cpu| SAVING * cpu),
                ..Limits::default()
            },
        };
        PowerSaving(Shedding {
            overload: Limits {
                cpu_percent: points.cpu_percent.or(limits.cpu_percent),
                power_microwatts: points.power_microwatts,
                ..limits
            },
            points,
            groups: settings.groups.clone(),
            prediction: Prediction::new(settings),
        })
    }
}

impl Strategy for PowerSaving {
    fn plan(&mut self, seen: &Observation<'_>, rng: &mut dyn Rng) -> Plan {
        self.0.plan(seen, rng)
    }
}
