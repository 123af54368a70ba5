//! What it costs to find out whether fewer slots serve as much.

/// That share of the throughput may be lost to trials of fewer slots, over [`MEMORY`] seconds.
const SHARE: f64 = 0.01;
/// For so many seconds a loss is remembered.
const MEMORY: f64 = 20.0;
/// What may be lost at first, when nothing is known, in seconds of full throughput. No more is saved up later.
const AT_FIRST: f64 = 2.0;

/// What trials of fewer slots have cost of late, in seconds of full throughput; below zero is what they may cost beyond [`SHARE`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss(f64);

impl Default for Loss {
    fn default() -> Loss {
        Loss(-AT_FIRST)
    }
}

impl Loss {
    /// A trial has cost so much; less than nothing where more was served.
    pub(super) fn add(&mut self, seconds: f64) {
        self.0 += seconds;
    }

    /// So much time has passed.
    pub(super) fn fade(&mut self, seconds: f64) {
        self.0 = (self.0 * (-seconds / MEMORY).exp()).max(-AT_FIRST);
    }

    /// Whether more may be lost.
    pub(super) fn is_small(self) -> bool {
        self.0 < SHARE * MEMORY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_made_up_for_in_time() {
        let mut loss = Loss::default();
        loss.add(AT_FIRST);
        assert!(loss.is_small());
        loss.add(1.0);
        assert!(!loss.is_small());
        loss.fade(MEMORY);
        assert!(!loss.is_small());
        loss.fade(MEMORY);
        assert!(loss.is_small());
        // What is not lost is not saved up.
        loss.add(-100.0);
        loss.fade(0.0);
        loss.add(AT_FIRST + 0.3);
        assert!(!loss.is_small());
    }
}
