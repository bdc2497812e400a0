//! A network that is slower than the one that is there.

use std::time::Duration;

/// The latency and the bandwidth of the way between two ranks.
///
/// A message takes `latency + bytes / bandwidth`. [`Plan`](crate::Plan) tells how long a step takes over such a link, and
/// an exchange that is [slowed down](crate::MpiExchange::link) to it shows the same with real processes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    latency: Duration,
    bytes_per_second: f64,
}

impl Link {
    /// Creates a link by its latency one way and its bandwidth in bytes per second: 1.25e9 is 10 Gbit/s.
    ///
    /// # Panics
    /// If the bandwidth is not a positive number.
    #[must_use]
    pub fn new(latency: Duration, bytes_per_second: f64) -> Self {
        assert!(
            bytes_per_second > 0.0,
            "a bandwidth must be a positive number of bytes per second: {bytes_per_second}"
        );
        Self { latency, bytes_per_second }
    }

    /// The latency, one way.
    #[must_use]
    pub fn latency(&self) -> Duration {
        self.latency
    }

    /// The bandwidth in bytes per second.
    #[must_use]
    pub fn bytes_per_second(&self) -> f64 {
        self.bytes_per_second
    }

    /// The time that this many bytes take.
    #[must_use]
    pub fn time(&self, bytes: usize) -> Duration {
        let seconds = bytes as f64 / self.bytes_per_second;
        self.latency + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX - self.latency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_their_latency_and_their_share_of_a_second() {
        let link = Link::new(Duration::from_millis(1), 1.25e9);
        assert_eq!([link.time(0), link.time(12_500_000)].map(|time| time.as_micros()), [1_000, 11_000]);
        assert_eq!(Link::new(Duration::from_secs(1), 1e-30).time(1), Duration::MAX);
    }

    #[test]
    #[should_panic(expected = "a positive number of bytes per second: 0")]
    fn a_link_without_bandwidth_is_none() {
        let _ = Link::new(Duration::ZERO, 0.0);
    }
}
