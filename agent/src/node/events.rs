//! What happens to a node, and what it does then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dfaas_protocol::NodeId;
use dfaas_protocol::neighbours::Heard;
use dfaas_protocol::strategy::{Ask, StrategyName};
use dfaas_protocol::wire::Message;
use rand::RngExt;
use rand::seq::IndexedRandom;
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::time::MissedTickBehavior;

use crate::health::tell;
use crate::membership::{Membership, News};
use crate::overlay::{Overlay, OverlayEvent};
use crate::platform::Platform;

use super::advisor::Advisor;
use super::control::Control;

/// The period varies by this share, so that nodes do not act in step.
const JITTER: f64 = 0.1;
/// How often the neighbours are looked after.
const WATCH: Duration = Duration::from_millis(100);
/// How often slots are learned anew.
const LEARNING_STEP: Duration = Duration::from_millis(100);
/// How often one of the neighbours is told of all members.
const REPEAT: Duration = Duration::from_secs(30);
/// The pause between two messages of many.
const PACE: Duration = Duration::from_millis(20);

/// The control with the overlay that it speaks through, and with whom its strategy asks.
#[derive(Clone)]
pub(super) struct Events {
    control: Arc<Mutex<Control>>,
    overlay: Overlay,
    membership: Membership,
    advisor: Arc<Advisor>,
}

impl Events {
    pub(super) fn new(control: Control, overlay: Overlay, advisor: Advisor) -> Events {
        Events {
            membership: control.shared.tls.membership().clone(),
            control: Arc::new(Mutex::new(control)),
            overlay,
            advisor: Arc::new(advisor),
        }
    }

    pub(super) fn control(&self) -> MutexGuard<'_, Control> {
        // A panic while the lock was held leaves tables that are whole: each change is one step.
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    /// The period passed: measure, plan, tell the neighbours.
    pub(super) fn tick(&self) {
        let mut control = self.control();
        control.measure();
        let (told, ask) = control.plan();
        let ask = ask.map(|ask| (control.asks(), ask));
        let offer = control.offer();
        drop(control);
        self.overlay.broadcast(&offer);
        for (node, message) in told.messages() {
            self.overlay.send(node, &message);
        }
        if let Some((number, ask)) = ask {
            tokio::spawn(self.clone().ask_program(number, ask));
        }
    }

    /// Asks a program beside the agent, and plans with what it says.
    async fn ask_program(self, number: u64, ask: Ask) {
        let answer = self.advisor.ask(ask).await;
        let mut control = self.control();
        if control.answered(number, answer) {
            control.replan();
        }
    }

    /// Takes up another strategy.
    pub(super) fn switch(&self, name: StrategyName) {
        let mut control = self.control();
        control.switch(name);
        control.replan();
        tracing::info!(strategy = %name, "the strategy was switched");
    }

    /// Refuses calls of neighbours from now on, or takes them again.
    pub(super) fn cordon(&self, cordoned: bool) {
        let mut control = self.control();
        control.cordoned = cordoned;
        control.replan();
        drop(control);
        tracing::info!(cordoned, "the node was cordoned or uncordoned");
        self.offer_now();
    }

    /// Tells the neighbours at once what changed here.
    fn offer_now(&self) {
        let offer = self.control().offer();
        self.overlay.broadcast(&offer);
    }

    fn heard(&self, event: OverlayEvent) {
        // Signatures are verified outside the lock.
        if let OverlayEvent::Heard { from, message, .. } = &event {
            match message {
                Message::Members(members) => return self.membership.hear_members(*from, members),
                Message::Revocations(revocations) => {
                    return self.membership.hear_revocations(*from, revocations);
                }
                _ => {}
            }
        }
        let mut control = self.control();
        let now = control.shared.clock.now();
        let changed = match event {
            OverlayEvent::Heard {
                from,
                seen_at,
                message,
            } => match message {
                Message::Offer(offer) => {
                    let is_new = control.neighbours.get(from).is_none();
                    if is_new {
                        tracing::info!(node = %from, "a neighbour is heard");
                    }
                    let heard = control.hear_offer(from, seen_at, offer);
                    if is_new && let Some(round_trip) = self.overlay.round_trip(from) {
                        control.neighbours.measure(from, round_trip);
                    }
                    heard == Heard::Changed
                }
                Message::Grants(grants) => {
                    control.neighbours.hear_grants(from, grants, now) == Heard::Changed
                }
                Message::Margin(margin) => {
                    control.neighbours.hear_margin(from, margin, now) == Heard::Changed
                }
                Message::Prices(prices) => {
                    control.neighbours.hear_prices(from, prices, now) == Heard::Changed
                }
                Message::Bids(bids) => {
                    control.neighbours.hear_bids(from, bids, now) == Heard::Changed
                }
                Message::Farewell => {
                    tracing::info!(node = %from, "a neighbour takes no more calls");
                    control.neighbours.farewell(from, now)
                }
                Message::Question(about) => {
                    let answer = control.neighbours.is_asked(from, about, now);
                    drop(control);
                    if let Some(answer) = answer {
                        self.overlay.send(from, &Message::Sighting(answer));
                    }
                    return;
                }
                Message::Sighting(sighting) => {
                    control.neighbours.is_told(from, sighting, now);
                    false
                }
                // They were taken in above.
                Message::Members(_) | Message::Revocations(_) => false,
            },
            OverlayEvent::Measured { node, round_trip } => {
                control.neighbours.measure(node, round_trip);
                false
            }
            OverlayEvent::Lost { node } => {
                let known = control.neighbours.remove(node, now);
                if known {
                    tracing::info!(%node, "a neighbour was lost");
                }
                known
            }
            OverlayEvent::Joined { node } => {
                let offer = control.offer();
                drop(control);
                self.overlay.send(node, &offer);
                tokio::spawn(self.clone().tell_all_members(node));
                return;
            }
        };
        if changed {
            control.replan();
        }
    }

    /// Tells a neighbour of all members and revocations, a message at a time, as a queue holds only a few.
    async fn tell_all_members(self, to: NodeId) {
        for message in self.membership.everything() {
            self.overlay.send(to, &message);
            tokio::time::sleep(PACE).await;
        }
    }

    /// Tells all neighbours what is new of members, for ever; and now and then one of them everything, as it may have missed
    /// something.
    pub(super) async fn tell_of_members(self, news: Arc<AsyncMutex<News>>) {
        if self.membership.federation().is_none() {
            return;
        }
        let mut news = news.lock().await;
        loop {
            let pause = REPEAT.mul_f64(rand::rng().random_range(0.75..1.25));
            match tokio::time::timeout(pause, news.recv()).await {
                Ok(Some(message)) => self.overlay.broadcast(&message),
                Ok(None) => return,
                Err(_) => {
                    let neighbours = self.overlay.neighbours();
                    let one = neighbours.choose(&mut rand::rng()).copied();
                    if let Some(one) = one {
                        self.clone().tell_all_members(one).await;
                    }
                }
            }
        }
    }

    /// Handles what the overlay says until it ends.
    pub(super) async fn hear(self, events: Arc<AsyncMutex<mpsc::Receiver<OverlayEvent>>>) {
        let mut events = events.lock().await;
        while let Some(event) = events.recv().await {
            self.heard(event);
        }
    }

    /// Ticks for ever.
    pub(super) async fn keep_time(self, period: Duration) {
        loop {
            self.tick();
            let factor = rand::rng().random_range(1.0 - JITTER..1.0 + JITTER);
            tokio::time::sleep(period.mul_f64(factor)).await;
        }
    }

    /// Looks after the neighbours: who is silent, and what others say of it.
    fn look_after(&self) {
        let mut control = self.control();
        let now = control.shared.clock.now();
        let watched = control.neighbours.watch(now, &mut rand::rng());
        if !watched.expired.is_empty() {
            control.replan();
        }
        drop(control);
        for question in watched.questions {
            self.overlay
                .send(question.ask, &Message::Question(question.about));
        }
        for (node, state) in watched.changes {
            tell(node, Some(state));
        }
        for node in &watched.expired {
            tracing::info!(%node, "a neighbour was not heard any more and is left out");
        }
    }

    /// Looks after the neighbours for ever.
    pub(super) async fn keep_watch(self) {
        let mut looks = tokio::time::interval(WATCH);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.look_after();
        }
    }

    /// Learns the slots of functions that declare none, for ever.
    pub(super) async fn learn(self) {
        let mut steps = tokio::time::interval(LEARNING_STEP);
        steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            steps.tick().await;
            self.control().learn();
        }
    }

    /// Asks the platform for its functions.
    pub(super) async fn ask(&self, platform: &dyn Platform) {
        let listed = platform.functions().await;
        let mut control = self.control();
        let changed = match listed {
            Ok(functions) => control.deployed(functions),
            Err(error) => {
                let news = control.not_listed();
                if news {
                    tracing::warn!(%error, "the platform does not say what it has; nothing is offered");
                }
                news
            }
        };
        if changed {
            control.replan();
            drop(control);
            self.offer_now();
        }
    }

    /// Asks the platform for its functions for the first time. If it does not answer there is nothing to wait for: it is
    /// down.
    pub(super) async fn ask_first(&self, platform: &dyn Platform) {
        self.ask(platform).await;
        let control = self.control();
        if !control.platform_up() {
            control.shared.platform.is_down();
        }
    }

    /// Follows the platform's health: neighbours hear at once what became of the offers, and what the platform has is
    /// asked anew when it comes back.
    pub(super) async fn follow_platform(self, platform: Arc<dyn Platform>) {
        let shared = Arc::clone(&self.control().shared);
        loop {
            shared.platform.changed().await;
            if shared.platform.is_up() {
                self.ask(platform.as_ref()).await;
            }
            self.offer_now();
        }
    }

    /// Asks the platform for its functions, again and again.
    pub(super) async fn watch(self, platform: Arc<dyn Platform>, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            self.ask(platform.as_ref()).await;
        }
    }
}
