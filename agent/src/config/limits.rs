//! The section `[limits]`.

use dfaas_protocol::allowance::Rates;
use dfaas_protocol::{CallRate, ClaimLimits};

use super::MemberLimits;
use super::file::LimitsSection;
use super::resolve::MAX_QUEUE;
use super::violations::Violations;

/// The most functions that fit into an offer.
const MAX_FUNCTIONS: usize = dfaas_protocol::wire::MAX_FUNCTIONS;
/// The most of anything a second: what a bucket can count, in units of a kilobyte for bytes.
const MAX_COUNT: u32 = 1_000_000;
const MAX_BYTES: u64 = 1_000_000_000;

pub(super) fn limits(v: &mut Violations, section: LimitsSection) -> MemberLimits {
    let mut rates = |kind: &str, count: u32, bytes: u64| {
        if count > MAX_COUNT {
            v.add(format!(
                "limits.{kind}s_per_second: {count} is out of range; give 0 (any number) to {MAX_COUNT}"
            ));
        }
        if bytes > MAX_BYTES {
            v.add(format!(
                "limits.{kind}_bytes_per_second: {bytes} is out of range; give 0 (any number) to {MAX_BYTES}"
            ));
        }
        Rates { count, bytes }
    };
    let messages = rates(
        "message",
        section.messages_per_second.unwrap_or(100),
        section.message_bytes_per_second.unwrap_or(4_000_000),
    );
    let calls = rates(
        "call",
        section.calls_per_second.unwrap_or(200_000),
        section.call_bytes_per_second.unwrap_or(500_000_000),
    );
    let generous = ClaimLimits::generous();
    let functions = section.offered_functions.unwrap_or(generous.functions);
    if !(1..=MAX_FUNCTIONS).contains(&functions) {
        v.add(format!(
            "limits.offered_functions: {functions} is out of range; give 1 to {MAX_FUNCTIONS}"
        ));
    }
    let rate = section.offered_rate.map_or(Ok(generous.rate), |rate| {
        CallRate::new(rate).ok_or(format!(
            "limits.offered_rate: {rate} is out of range; give 0.00001 to 1000000 calls a second"
        ))
    });
    let queue = section.offered_queue.unwrap_or(generous.queue);
    if queue > MAX_QUEUE {
        v.add(format!(
            "limits.offered_queue: {queue} is out of range; give 0 to {MAX_QUEUE} calls"
        ));
    }
    MemberLimits {
        messages,
        calls,
        claims: ClaimLimits {
            functions,
            slots: v.slots(
                "limits.offered_slots",
                section.offered_slots,
                generous.slots,
            ),
            rate: v.check(rate, generous.rate),
            queue,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigFile;

    fn read(text: &str) -> (MemberLimits, String) {
        let file: ConfigFile = toml::from_str(text).unwrap();
        let mut violations = Violations::default();
        let limits = limits(&mut violations, file.limits);
        (limits, format!("{violations:?}"))
    }

    #[test]
    fn zero_is_any_number() {
        let (limits, wrong) = read("[limits]\nmessages_per_second = 0\ncall_bytes_per_second = 0");
        assert_eq!(wrong, "Violations([])");
        assert_eq!((limits.messages.count, limits.calls.bytes), (0, 0));
        assert_eq!(limits.claims, ClaimLimits::generous());
    }

    #[test]
    fn what_cannot_be_is_named() {
        let text = "[limits]\nmessages_per_second = 2000000\ncall_bytes_per_second = 2000000000\n\
                    offered_functions = 0\noffered_slots = 0\noffered_rate = 0\noffered_queue = 200000";
        let (_, wrong) = read(text);
        for key in [
            "messages_per_second",
            "call_bytes_per_second",
            "offered_functions",
            "offered_slots",
            "offered_rate",
            "offered_queue",
        ] {
            assert!(wrong.contains(&format!("limits.{key}: ")), "{wrong}");
        }
    }
}
