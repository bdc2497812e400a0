//! How long a step takes on many processes, worked out on paper.

use crate::Link;

/// The bytes that each rank tells all others with a step: its loss.
const LOSS: f64 = 64.0;

/// The share of the passes before the loss: going back multiplies by each matrix twice, going forward once.
const FORWARD: f64 = 1.0 / 3.0;

/// What a step of data-parallel training costs, to work out how long it takes on a number of ranks over a link.
///
/// A rank needs `c = overhead + examples · example` seconds for the forward and the backward pass over its examples. A
/// bucket of B bytes of the gradient is complete after a share of these; it is sent once the previous message has arrived,
/// by `l(b) = (n − 1) · message + latency + b / bandwidth` seconds for the b = B (n − 1)/n bytes of other ranks:
///
/// ```text
/// e₀ = c/3 + l(64 (n − 1))                             the loss, once the forward pass is done
/// eₖ = max(eₖ₋₁, shareₖ · c) + l(Bₖ (n − 1)/n)         the gradient, while the backward pass goes on
/// step = max(e, c) + update / n + l(θ (n − 1)/n)       the own part's update, the parameters
/// ```
///
/// This is what an exchange does that is [sharded](crate::MpiExchange::sharded); one that is not updates all of θ.
/// On one rank a step takes `c + update`. `docs/scaling.md` compares it with real processes.
///
/// ```
/// use std::time::Duration;
///
/// use downhill_mpi::{Link, Plan};
///
/// // 20 µs for each example, and θ of 4 MB, three quarters of which are complete only at the end of the backward pass.
/// let plan = Plan::new(20e-6).update(0.5e-3).bucket(0.8, 1e6).bucket(1.0, 3e6);
/// let link = Link::new(Duration::from_micros(100), 1.25e9);
/// let one = plan.step(1, 512, &link);
/// let sixteen = plan.step(16, 512, &link);
/// assert!((one.seconds - 10.74e-3).abs() < 1e-5);
/// assert!((sixteen.seconds - 15.72e-3).abs() < 1e-5);
/// // Sixteen times the examples, 11 times as many in a second.
/// assert!((16.0 * one.seconds / sixteen.seconds - 10.93).abs() < 0.01);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    example: f64,
    overhead: f64,
    update: f64,
    message: f64,
    /// The share of the passes after which a bucket is complete, and its bytes; from the end of θ.
    buckets: Vec<(f64, f64)>,
}

/// How long a step takes by a [`Plan`], in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// The whole step.
    pub seconds: f64,
    /// The forward and the backward pass.
    pub passes: f64,
    /// The messages, whether training waits for them or not.
    pub messages: f64,
    /// The messages that are hidden behind the backward pass.
    pub hidden: f64,
}

impl Plan {
    /// Creates a plan by the seconds that the forward and the backward pass take for one example on one process.
    #[must_use]
    pub fn new(example: f64) -> Self {
        Self { example, overhead: 0.0, update: 0.0, message: 0.0, buckets: Vec::new() }
    }

    /// Sets the seconds that a step takes without any example.
    #[must_use]
    pub fn overhead(mut self, seconds: f64) -> Self {
        self.overhead = seconds;
        self
    }

    /// Sets the seconds in which one process updates all parameters.
    #[must_use]
    pub fn update(mut self, seconds: f64) -> Self {
        self.update = seconds;
        self
    }

    /// Sets the seconds of processor time that a message to one other rank takes, besides the link's latency.
    #[must_use]
    pub fn message(mut self, seconds: f64) -> Self {
        self.message = seconds;
        self
    }

    /// Adds a bucket of the gradient by the share of the passes after which it is complete and its bytes; the first one is
    /// that at the end of θ.
    #[must_use]
    pub fn bucket(mut self, share: f64, bytes: f64) -> Self {
        self.buckets.push((share, bytes));
        self
    }

    /// The bytes of θ.
    #[must_use]
    pub fn bytes(&self) -> f64 {
        self.buckets.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Works out a step on this number of ranks, each with this number of examples.
    #[must_use]
    pub fn step(&self, ranks: usize, examples: usize, link: &Link) -> Estimate {
        let passes = self.overhead + examples as f64 * self.example;
        if ranks <= 1 {
            return Estimate { seconds: passes + self.update, passes, messages: 0.0, hidden: 0.0 };
        }
        let others = (ranks - 1) as f64;
        let others_share = others / ranks as f64;
        let message =
            |bytes: f64| others * self.message + link.latency().as_secs_f64() + bytes / link.bytes_per_second();
        let loss = message(LOSS * others);
        let (mut arrived, mut early) = (FORWARD * passes + loss, loss);
        for (share, bytes) in &self.buckets {
            let seconds = message(bytes * others_share);
            arrived = arrived.max(share * passes) + seconds;
            early += seconds;
        }
        let waited_for = (arrived - passes).max(0.0);
        let parameters = message(self.bytes() * others_share);
        Estimate {
            seconds: passes + waited_for + parameters + self.update / ranks as f64,
            passes,
            messages: early + parameters,
            hidden: early - waited_for,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn link(micros: u64, bytes_per_second: f64) -> Link {
        Link::new(Duration::from_micros(micros), bytes_per_second)
    }

    #[test]
    fn one_rank_sends_nothing() {
        let step = Plan::new(1e-3).overhead(2e-3).update(5e-3).bucket(1.0, 1e9).step(1, 3, &link(1_000_000, 1.0));
        assert!((step.seconds - 10e-3).abs() < 1e-12 && step.messages == 0.0 && step.hidden == 0.0, "{step:?}");
    }

    #[test]
    fn a_bucket_waits_for_the_passes_and_for_the_bucket_before_it() {
        // 10 ms of passes, and 2 ms for each bucket, of which two ranks send half.
        let plan = Plan::new(1e-3).bucket(0.5, 4e3).bucket(0.6, 4e3).bucket(1.0, 4e3);
        let step = plan.step(2, 10, &link(0, 1e6));
        // 64 bytes after a third; 5 to 7, 7 to 9, 10 to 12 ms; then 6 kB.
        assert!((step.seconds - (12e-3 + 6e-3)).abs() < 1e-9, "{step:?}");
        assert!((step.messages - (12e-3 + 64e-6)).abs() < 1e-9, "{step:?}");
        assert!((step.hidden - (4e-3 + 64e-6)).abs() < 1e-9, "{step:?}");
    }

    #[test]
    fn messages_that_are_hidden_and_those_that_are_not_are_all_there_are() {
        let plan = Plan::new(1e-5).overhead(1e-4).update(1e-3).message(1e-6).bucket(0.7, 4e6).bucket(1.0, 3e6);
        for ranks in [2, 7, 64, 1000] {
            for examples in [1, 32, 4096] {
                for link in [link(1, 1e10), link(100, 1.25e8), link(10_000, 1e9)] {
                    let step = plan.step(ranks, examples, &link);
                    let parts = step.passes + step.messages - step.hidden + 1e-3 / ranks as f64;
                    assert!((step.seconds - parts).abs() < 1e-9 * parts, "{step:?}");
                    assert!(step.hidden >= 0.0 && step.hidden < step.passes, "{step:?}");
                    // What a rank sends grows with the number of ranks, so that a step takes no less.
                    assert!(plan.step(2 * ranks, examples, &link).seconds > step.seconds - 1e-3 / ranks as f64);
                }
            }
        }
    }
}
