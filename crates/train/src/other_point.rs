use downhill_network::Network;
use downhill_optim::Optimizer;
use downhill_tensor::Scalar;

use crate::averaging::Averaging;
use crate::snapshot::Snapshot;

/// The other of two points, if a network is trained at one and judged at another: the one that it does not hold now.
///
/// It is judged elsewhere if its weights are averaged, or if the optimizer says so.
#[derive(Debug)]
pub(crate) struct OtherPoint<T> {
    theta: Vec<T>,
    /// The running statistics there, if weights are averaged; the optimizer has no others.
    statistics: Vec<T>,
    /// Whether the network is where it is judged, and θ is where it is trained.
    judged: bool,
}

impl<T: Scalar> OtherPoint<T> {
    pub(crate) fn new(network: &Network<T>) -> Self {
        Self { theta: vec![T::ZERO; network.parameters().len()], statistics: Vec::new(), judged: false }
    }

    /// Whether these are parameters of a network like this one.
    pub(crate) fn fits(&self, network: &Network<T>) -> bool {
        let has_statistics = self.statistics.is_empty() || self.statistics.len() == network.statistics().len();
        self.theta.len() == network.parameters().len() && has_statistics
    }

    /// Returns the point where the network is trained, if it holds another one.
    pub(crate) fn of_training(&self) -> Option<&[T]> {
        self.judged.then_some(&self.theta)
    }

    /// Puts the network where it is judged.
    pub(crate) fn judge(
        &mut self,
        network: &mut Network<T>,
        optimizer: &impl Optimizer<T>,
        averaging: Option<&Averaging<T>>,
    ) {
        if self.judged {
            return;
        }
        if let Some((weights, statistics)) = averaging.and_then(Averaging::averages) {
            self.theta.copy_from_slice(weights);
            self.statistics.clear();
            self.statistics.extend_from_slice(statistics);
            network.statistics_mut().swap_with_slice(&mut self.statistics);
            self.judged = true;
        } else {
            self.judged = optimizer.evaluation_point(network.parameters(), &mut self.theta);
        }
        if self.judged {
            network.parameters_mut().swap_with_slice(&mut self.theta);
        }
    }

    /// Puts the network back where it is trained.
    pub(crate) fn train(&mut self, network: &mut Network<T>) {
        if std::mem::take(&mut self.judged) {
            network.parameters_mut().swap_with_slice(&mut self.theta);
            self.put_statistics_back(network);
        }
    }

    fn put_statistics_back(&self, network: &mut Network<T>) {
        if !self.statistics.is_empty() {
            network.statistics_mut().copy_from_slice(&self.statistics);
        }
    }

    /// Puts the network back where it is trained at the start of the next run, unless it has been changed since the last
    /// one: that has left it where it was judged, or with what was `kept`.
    pub(crate) fn go_on(
        &mut self,
        network: &mut Network<T>,
        optimizer: &impl Optimizer<T>,
        averaging: Option<&Averaging<T>>,
        kept: Option<&Snapshot<T>>,
    ) {
        let is_average = || {
            let averages = averaging.and_then(Averaging::averages);
            averages.is_some_and(|(weights, _)| weights == network.parameters())
        };
        let is_evaluated = || {
            let mut left = vec![T::ZERO; self.theta.len()];
            optimizer.evaluation_point(&self.theta, &mut left) && left == network.parameters()
        };
        let is_kept = kept.is_some_and(|kept| kept.parameters() == network.parameters());
        if self.judged && (is_kept || is_average() || is_evaluated()) {
            network.parameters_mut().copy_from_slice(&self.theta);
            self.put_statistics_back(network);
        }
        self.judged = false;
    }
}

impl<T> Default for OtherPoint<T> {
    /// That of no network.
    fn default() -> Self {
        Self { theta: Vec::new(), statistics: Vec::new(), judged: false }
    }
}
